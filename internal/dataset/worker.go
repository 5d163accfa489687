package dataset

import (
	"math"
	"math/bits"

	"github.com/meter-ml/meter-pipeline/internal/dataset/cell"
	"github.com/meter-ml/meter-pipeline/internal/dataset/keys"
	"github.com/meter-ml/meter-pipeline/internal/dataset/profile"
	"github.com/meter-ml/meter-pipeline/internal/dataset/records"
	"github.com/meter-ml/meter-pipeline/internal/dataset/rule"
)

// chunk is how many records are judged at a time, column by column: their cells and values stay in the second cache.
const chunk = 1024

// A worker judges blocks, one at a time. What it sums up over all its blocks does not depend on their order.
type worker struct {
	plan *plan
	keep int

	columns    []tally
	evaluators []*rule.Evaluator
	unknown    []int64        // rows that a rule could not judge
	writers    []*keys.Writer // of plan.keys
	series     *seriesWriter
	leak       *leakWriter

	// Of the block.
	block   *records.Block
	part    *part
	uniform bool // all records are as wide as they must be

	// Of the chunk.
	from, rows int
	blank      []bool // rows without any value; nil if there are none
	shared     vectors
	own        []*vectors // of columns whose values are needed once all were parsed
	ruleInput  []rule.Column
	hashes     []*hashes // of plan.keys
	numbers    []float64
	broken     []int32
	canonical  []byte
}

// vectors are the cells of one column in a chunk, and their values.
type vectors struct {
	cells   cell.Column
	state   []uint8
	numbers []float64 // of kind Float, NaN where there is no value; of kind Time seconds
	micros  []int64   // of kind Time
	odd     int       // cells that are not present

	start, end []uint32 // memory for cells
}

func newVectors() *vectors {
	return &vectors{
		start: make([]uint32, chunk), end: make([]uint32, chunk), state: make([]uint8, chunk),
		numbers: make([]float64, chunk), micros: make([]int64, chunk),
	}
}

// A tally is what a worker sums up over one column.
type tally struct {
	profile     *profile.Column
	batch       []float64 // for the profile
	nulls       int64
	wrong       int64
	firstNull   uint64 // in the file's order
	shares      []int64
	latest      int64 // of kind Time
	latestOrder uint64
}

// batch is how many numbers go to a column's profile at a time. A histogram of many different numbers fills the second
// cache: it pays to work long on one before the next column's takes its place.
const batch = 16384

func (t *tally) addNumbers(numbers []float64) {
	if t.batch == nil {
		t.batch = make([]float64, 0, batch)
	}
	if t.batch = append(t.batch, numbers...); len(t.batch) > batch-chunk {
		t.flush()
	}
}

func (t *tally) flush() {
	t.profile.Floats(t.batch)
	t.batch = t.batch[:0]
}

// hashes of a key, row by row.
type hashes struct {
	value [chunk]uint64
	valid [chunk]bool
}

// nowhere is behind every row.
const nowhere = math.MaxUint64

// A part is what a worker found in one block.
type part struct {
	findings *findings
	records  int // that are rows of data
	header   int // 1 if the first record is the header
	rows     int // as they are numbered: with the header and comments
	lines    int
	plain    bool // every record is a row and a line
}

func newWorker(p *plan, o *Options) *worker {
	w := &worker{plan: p, keep: o.Keep, shared: *newVectors(), own: make([]*vectors, len(p.columns))}
	w.columns = make([]tally, len(p.columns))
	for i, c := range p.columns {
		w.columns[i] = tally{
			profile: profile.NewColumn(c.profile), firstNull: nowhere, shares: make([]int64, len(c.shares)),
			latest: math.MinInt64, latestOrder: nowhere,
		}
		if p.needed[i] {
			w.own[i] = newVectors()
		}
	}
	for _, r := range p.rules {
		w.evaluators = append(w.evaluators, r.compiled.Evaluator())
	}
	w.ruleInput = make([]rule.Column, len(p.columns))
	w.unknown = make([]int64, len(p.rules))
	w.series, w.leak = newSeriesWriter(p.series), newLeakWriter(p.leak)
	for _, k := range p.keys {
		w.writers = append(w.writers, k.sorter.Writer())
		w.hashes = append(w.hashes, &hashes{})
	}
	w.numbers = make([]float64, 0, chunk)
	return w
}

// judge a block from that record on.
func (w *worker) judge(b *records.Block, from int) (*part, error) {
	w.block = b
	w.part = &part{findings: newFindings(w.keep), records: b.Records - from, header: from, rows: b.Rows, lines: b.Lines}
	w.part.plain = b.Rows == b.Records && (b.Records == 0 || b.Line(b.Records-1) == b.Records-1)
	w.uniform = isUniform(b, w.plan.width)
	w.judgeForm()
	for ; from < b.Records; from += chunk {
		w.from, w.rows = from, min(chunk, b.Records-from)
		if err := w.judgeChunk(); err != nil {
			return nil, err
		}
	}
	return w.part, nil
}

func isUniform(b *records.Block, width int) bool {
	for r := range b.Records {
		if int(b.First[r+1]-b.First[r]) != width {
			return false
		}
	}
	return true
}

func (w *worker) judgeChunk() error {
	w.findBlank()
	if !w.uniform {
		w.judgeExtraCells()
	}
	for _, h := range w.hashes {
		h.value, h.valid = [chunk]uint64{}, [chunk]bool{}
		for i := range w.rows {
			h.valid[i] = true
		}
	}
	for _, c := range w.plan.columns[:w.plan.judged] {
		v := &w.shared
		if own := w.own[c.index]; own != nil {
			v = own
		}
		w.judgeColumn(c, v)
	}
	w.judgeRules()
	if err := w.judgeSeries(); err != nil {
		return err
	}
	w.judgeForeign()
	w.sampleLeak()
	return w.addKeys()
}

// order of a record in the file, to which its number can be found once all blocks before it were read.
func (w *worker) order(row int) uint64 {
	return uint64(w.block.Index)<<32 | uint64(w.from+row) //nolint:gosec // neither is negative
}

// found makes a finding about a row of the chunk.
func (w *worker) found(rule string, row int) Finding {
	r := w.from + row
	return Finding{Rule: rule, Row: int64(w.block.Row(r)) + 1, Line: int64(w.block.Line(r)) + 1}
}

// findBlank marks the rows without any value, which are told as such and not for each of their cells.
func (w *worker) findBlank() {
	w.blank = nil
	if w.plan.judged == 0 {
		return
	}
	b, first := w.block, w.plan.columns[0].parser
	for i := range w.rows {
		at := b.First[w.from+i]
		if b.Start[at] < b.End[at] && !first.Missing(b.Data[b.Start[at]:b.End[at]]) || !w.isBlank(w.from+i) {
			continue
		}
		if w.blank == nil {
			w.blank = make([]bool, w.rows)
		}
		w.blank[i] = true
		if w.part.findings.count(RuleBlankRow, "") {
			found := w.found(RuleBlankRow, i)
			found.Message, found.Help = "the row has no value", "remove the row"
			w.part.findings.add(found)
		}
	}
}

// isBlank says whether a record has no value. A line without text has none, even where an empty cell is one.
func (w *worker) isBlank(record int) bool {
	if w.isBlankLine(record) {
		return true
	}
	for c := range min(w.block.Cells(record), w.plan.width) {
		text := w.block.Cell(record, c)
		if c < w.plan.judged && !w.plan.columns[c].parser.Missing(text) || c >= w.plan.judged && len(text) > 0 {
			return false
		}
	}
	return true
}

// isBlankLine tells a line without text from one with an empty cell in quotes.
func (w *worker) isBlankLine(record int) bool {
	b, quote := w.block, w.plan.contract.Dialect.QuoteChar
	at := b.First[record]
	start := b.Start[at]
	return b.Cells(record) == 1 && start == b.End[at] && (start == 0 || quote == 0 || b.Data[start-1] != quote)
}

func (w *worker) isBlankRow(row int) bool { return w.blank != nil && w.blank[row] }

// gather finds the places of a column's cells. Those of texts are put side by side, so that one without a value can be
// marked.
func (w *worker) gather(c *column, v *vectors) {
	b := w.block
	v.cells = cell.Column{Data: b.Data, Start: v.start, End: v.end, Step: 1}
	if w.uniform && w.blank == nil {
		at := int(b.First[w.from]) + c.index
		if c.kind != cell.Text {
			v.cells.Start, v.cells.End, v.cells.Step = b.Start[at:], b.End[at:], w.plan.width
			return
		}
		for i := range w.rows {
			v.start[i], v.end[i] = b.Start[at], b.End[at]
			at += w.plan.width
		}
		return
	}
	for i := range w.rows {
		v.start[i], v.end[i] = 1, 0
		if r := w.from + i; c.index < b.Cells(r) && (!w.isBlankRow(i) || !w.isBlankLine(r)) {
			at := int(b.First[r]) + c.index
			v.start[i], v.end[i] = b.Start[at], b.End[at]
		}
	}
}

// mix a value into a hash (the multiplication of wyhash).
func mix(hash, value uint64) uint64 {
	high, low := bits.Mul64(hash^value^0x9e3779b97f4a7c15, 0xe7037ed1a0b428db^value)
	return high ^ low
}
