// Package dataset judges a file against its contract: it streams the file once through all cores, and says what is
// wrong, where, and how often.
//
// The work is done column by column in blocks of whole records, which may be judged in any order and are merged in the
// file's order; so a result depends neither on the size of the blocks nor on the number of workers. Memory does not
// depend on the file's size: keys are 64-bit hashes that are sorted on disk if they must.
//
// The file is read again only where something is wrong: to tell equal hashes from equal keys (a good file has no equal
// ones), and to tell row, line and value of what became known at the end.
package dataset

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"

	"github.com/meter-ml/meter-pipeline/internal/dataset/contract"
	"github.com/meter-ml/meter-pipeline/internal/dataset/records"
)

// A file is one that is judged, and what is known of it so far.
type file struct {
	path     string
	contract *contract.Contract
	options  *Options
	plan     *plan
	workers  []*worker
	findings *findings
	late     []*late
	result   *Result

	blocks  []base // where each block begins
	records int64  // without the header
	rows    int64  // as they are numbered, and so with the header and comments
	lines   int64
}

// base is what comes before a block. If the header is in it, the header is the record -1.
type base struct{ records, rows, lines int64 }

// number of a record, from 0, by its place in the file's order.
func (f *file) number(order uint64) int64 {
	return f.blocks[order>>32].records + int64(uint32(order)) //nolint:gosec // the two halves are meant
}

// Validate judges the file at path against c. An error means that it could not be judged; what is wrong with the file
// is in the result, and so is that it is missing or empty.
func Validate(ctx context.Context, c *contract.Contract, path string, o Options) (*Result, error) {
	o.setDefaults()
	p, err := newPlan(c)
	if err != nil {
		return nil, err
	}
	f := &file{path: path, contract: c, options: &o, plan: p, findings: newFindings(o.Keep), result: &Result{}}
	s, err := openStream(ctx, path, c, &o)
	if errors.Is(err, fs.ErrNotExist) {
		f.findings.say(Finding{Rule: RuleMissing, Message: "the file does not exist", Help: "put it there, or correct the path in " + c.File})
		return f.end(), nil
	}
	if err != nil {
		return nil, err
	}
	if err := errors.Join(f.judge(ctx, s), p.closeKeys()); err != nil {
		return nil, err
	}
	return f.end(), nil
}

func (o *Options) setDefaults() {
	if o.Workers <= 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	if o.Memory <= 0 {
		o.Memory = defaultMemory
	}
	if o.Keep <= 0 {
		o.Keep = defaultKeep
	}
	o.Keep = min(o.Keep, mostKept)
	if o.BlockSize <= 0 {
		o.BlockSize = defaultBlockSize
	}
	if o.Scratch == "" {
		o.Scratch = os.TempDir()
	}
}

// judge the whole file, which is open.
func (f *file) judge(ctx context.Context, s *stream) error {
	if f.contract.Dialect.Header && s.header != nil {
		f.plan.judgeHeader(s, f.findings)
	}
	f.plan.openKeys(f.options.Scratch, f.options.Memory)
	if err := errors.Join(f.openForeign(ctx), f.openSeries(), f.openLeak()); err != nil {
		return errors.Join(err, s.close())
	}
	for range f.options.Workers {
		f.workers = append(f.workers, newWorker(f.plan, f.options))
	}
	err := each(ctx, s, len(f.workers), func(worker int, b *records.Block, from int) (*part, error) {
		return f.workers[worker].judge(b, from)
	}, f.merge)
	f.result.Bytes = s.reader.Bytes()
	if err := errors.Join(err, s.close()); err != nil {
		return err
	}
	f.result.Rows = f.records
	if f.records == 0 && (s.header == nil || !f.contract.Dialect.Header) {
		f.findings.say(Finding{Rule: RuleEmpty, Message: "the file is empty", Help: "see what should have written it"})
		return nil
	}
	return f.judgeWhole(ctx)
}

// merge the next part in the file's order.
func (f *file) merge(p *part) error {
	f.findings.merge(p.findings, f.rows, f.lines)
	f.blocks = append(f.blocks, base{f.records - int64(p.header), f.rows, f.lines})
	f.records += int64(p.records)
	f.rows += int64(p.rows)
	f.lines += int64(p.lines)
	return nil
}

// judgeWhole is what can be told only once all rows were seen.
func (f *file) judgeWhole(ctx context.Context) error {
	f.judgeRows()
	f.judgeColumns()
	f.judgeRules()
	if err := f.judgeKeys(ctx); err != nil {
		return err
	}
	if err := f.judgeSeries(ctx); err != nil {
		return err
	}
	if err := f.judgeDrift(); err != nil {
		return err
	}
	f.judgeLeak()
	return f.locate(ctx)
}

func (f *file) note(text string) { f.result.Notes = append(f.result.Notes, text) }

func (f *file) measure(m Measure) { f.result.Measures = append(f.result.Measures, m) }

func (f *file) end() *Result {
	f.result.Findings, f.result.Counts = f.findings.result()
	return f.result
}

// again reads the file once more. That it must be the file of the first pass is seen by its blocks.
func again[T any](ctx context.Context, f *file, work func(worker int, b *records.Block, from int) (T, error), merge func(T) error) error {
	o := *f.options
	o.Progress = nil
	s, err := openStream(ctx, f.path, f.contract, &o)
	if err != nil {
		return err
	}
	checked := func(worker int, b *records.Block, from int) (made T, err error) {
		end := f.records
		if b.Index+1 < len(f.blocks) {
			end = f.blocks[b.Index+1].records
		}
		if b.Index >= len(f.blocks) || f.blocks[b.Index].records+int64(b.Records) != end {
			return made, fmt.Errorf("read %s again: %w", f.path, records.ErrChanged)
		}
		return work(worker, b, from)
	}
	return errors.Join(each(ctx, s, f.options.Workers, checked, merge), s.close())
}
