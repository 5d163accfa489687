package dataset

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/dataset/cell"
	"github.com/meter-ml/meter-pipeline/internal/dataset/keys"
)

// A record of the sorter is a series (24 bits), an instant in seconds since the year 1 (39 bits) and whether it has a
// fraction (1 bit); so the instants of a series come in order.
const (
	secondBits  = 39
	maxSeries   = 1 << (63 - secondBits)
	yearOne     = -62135596800 // seconds from 1970
	mostPhases  = 1 << 20
	seriesLimit = 64 // bytes that a series takes besides its name
)

// A seriesSpec is the interval that each series must keep.
type seriesSpec struct {
	time, by []*column
	every    int64 // seconds
	sorter   *keys.Sorter

	mu    sync.Mutex
	ids   map[string]uint32 // by canonical key
	names []string          // as a person reads them
	bytes int64
	most  int64 // bytes
}

// openSeries makes the interval ready, if the file has its fields.
func (f *file) openSeries() error {
	interval := f.contract.Quality.Interval
	if interval == nil {
		return nil
	}
	s := &seriesSpec{ids: map[string]uint32{}, every: int64(interval.Every / time.Second), most: f.options.Memory}
	var err, err2 error
	s.time, err = f.plan.find("quality.interval.time", interval.Time)
	s.by, err2 = f.plan.find("quality.interval.by", interval.By)
	if err := errors.Join(err, err2); err != nil {
		return err
	}
	if interval.Every%time.Second != 0 || s.every <= 0 {
		return fmt.Errorf("%s:%d: quality.interval.every is %s: choose whole seconds", f.contract.File, interval.Line, interval.Every)
	}
	if !f.plan.has(s.time...) || !f.plan.has(s.by...) {
		return nil
	}
	for _, c := range slices.Concat(s.time, s.by) {
		f.plan.needed[c.index] = true
	}
	s.sorter = keys.New(f.options.Scratch, f.options.Memory)
	f.plan.series = s
	return nil
}

// A phase is where the grid of a series may lie: its instants modulo the interval.
type phase struct {
	series uint32
	second int32
}

// A seriesWriter is a worker's part of the series.
type seriesWriter struct {
	writer *keys.Writer
	ids    map[string]uint32
	last   []byte // canonical key of the row before
	id     uint32
	phases map[phase]*int64
	phase  phase
	count  *int64 // of phase
}

func newSeriesWriter(s *seriesSpec) *seriesWriter {
	if s == nil {
		return nil
	}
	return &seriesWriter{writer: s.sorter.Writer(), ids: map[string]uint32{}, phases: map[phase]*int64{}}
}

// judgeSeries hands the chunk's instants over.
func (w *worker) judgeSeries() error {
	s := w.plan.series
	if s == nil {
		return nil
	}
	for i := range w.rows {
		micros, ok := int64(0), true
		for _, c := range s.time {
			ok = ok && w.own[c.index].state[i] == cell.Present
			micros += w.own[c.index].micros[i]
		}
		if !ok {
			continue
		}
		if err := w.series.find(w, i); err != nil {
			return err
		}
		second, fraction := floorDivide(micros, 1e6)
		w.series.countPhase(phase{w.series.id, int32(modulo(second, s.every))})
		key := uint64(w.series.id)<<(secondBits+1) | uint64(second-yearOne)<<1 //nolint:gosec // years are positive
		if fraction != 0 {
			key |= 1
		}
		if err := w.series.writer.Add(key, w.order(i)); err != nil {
			return err
		}
	}
	return nil
}

func floorDivide(a, b int64) (quotient, rest int64) {
	rest = modulo(a, b)
	return (a - rest) / b, rest
}

func modulo(a, b int64) int64 { return (a%b + b) % b }

// find sets the series of a row. Neighbours are often of the same one.
func (sw *seriesWriter) find(w *worker, i int) error {
	key := w.canonical[:0]
	for _, c := range w.plan.series.by {
		key = w.appendPart(key, c, i)
	}
	w.canonical = key
	if sw.last != nil && string(key) == string(sw.last) {
		return nil
	}
	sw.last = append(sw.last[:0], key...)
	if sw.last == nil {
		sw.last = []byte{}
	}
	id, ok := sw.ids[string(key)]
	if !ok {
		var name []string
		for _, c := range w.plan.series.by {
			v := w.own[c.index]
			if v.state[i] == cell.Present {
				name = append(name, c.field.Name+" "+shown(v.cells.Cell(i)))
			}
		}
		var err error
		if id, err = w.plan.series.register(string(key), strings.Join(name, ", ")); err != nil {
			return err
		}
		sw.ids[string(key)] = id
	}
	sw.id = id
	return nil
}

// appendPart writes one part of a key of several fields: its canonical form with its length, or that there is no value.
func (w *worker) appendPart(dst []byte, c *column, i int) []byte {
	v := w.own[c.index]
	if v.state[i] != cell.Present {
		return append(dst, 0xff, 0xff, 0xff, 0xff)
	}
	return appendSized(dst, func(dst []byte) []byte { return c.parser.AppendKey(dst, v.cells.Cell(i)) })
}

// register gives a series its number. The numbers differ from run to run, but nothing that is told depends on them.
func (s *seriesSpec) register(key, name string) (uint32, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if id, ok := s.ids[key]; ok {
		return id, nil
	}
	s.bytes += int64(len(key)+len(name)) + seriesLimit
	if s.bytes > s.most || len(s.names) == maxSeries {
		return 0, fmt.Errorf("%d series are too many for the memory: see whether quality.interval.by (%s) tells one meter from another",
			len(s.names), joined(s.by))
	}
	id := uint32(len(s.names)) //nolint:gosec // bounded above
	s.ids[key] = id
	s.names = append(s.names, name)
	return id, nil
}

func (sw *seriesWriter) countPhase(p phase) {
	if sw.count == nil || sw.phase != p {
		if sw.count = sw.phases[p]; sw.count == nil {
			sw.count = new(int64)
			if len(sw.phases) <= mostPhases {
				sw.phases[p] = sw.count
			}
		}
		sw.phase = p
	}
	*sw.count++
}

// grids are the phases that most instants of each series have, the earlier one of two that are as frequent. Nil if there
// are too many to tell: then each series' first instant is on its grid.
func (f *file) grids() map[uint32]int64 {
	sum := map[phase]int64{}
	for _, w := range f.workers {
		for p, n := range w.series.phases {
			sum[p] += *n
		}
		if len(sum) > mostPhases {
			return nil
		}
	}
	type best struct {
		second int32
		count  int64
	}
	most := map[uint32]best{}
	for p, n := range sum {
		if b := most[p.series]; n > b.count || n == b.count && p.second < b.second {
			most[p.series] = best{p.second, n}
		}
	}
	grids := make(map[uint32]int64, len(most))
	for id, b := range most {
		grids[id] = int64(b.second)
	}
	return grids
}

// A grid is one series while its instants go by.
type grid struct {
	id     uint32
	phase  int64
	first  int64 // slot
	last   int64 // slot
	number int64 // of the record at last
}

// A gapReport is what is found in all series.
type gapReport struct {
	slots, absent, gaps, off int64
	firstGaps, firstOff      firsts
}

// judgeSeries goes through all instants in order.
func (f *file) judgeSeries(ctx context.Context) error {
	s := f.plan.series
	if s == nil || f.records == 0 {
		return nil
	}
	grids := f.grids()
	r := gapReport{firstGaps: firsts{keep: f.options.Keep}, firstOff: firsts{keep: f.options.Keep}}
	var g *grid
	for record, err := range s.sorter.Sorted(ctx) {
		if err != nil {
			return err
		}
		id := uint32(record.Key >> (secondBits + 1))                                           //nolint:gosec // 24 bits
		second, number := int64(record.Key>>1&(1<<secondBits-1))+yearOne, f.number(record.Row) //nolint:gosec // 39 bits
		isNew := g == nil || g.id != id
		if isNew {
			r.close(g)
			g = &grid{id: id, phase: modulo(second, s.every)}
			if grids != nil {
				g.phase = grids[id]
			}
		}
		// An instant off the grid fills the nearest slot, so that it is not told as a gap too.
		slot, _ := floorDivide(second-g.phase+s.every/2, s.every)
		if record.Key&1 != 0 || modulo(second-g.phase, s.every) != 0 {
			r.off++
			r.firstOff.add(f.offGrid(s, g, number))
		}
		if isNew {
			g.first, g.last = slot, slot
		}
		if slot > g.last+1 {
			r.gaps++
			r.absent += slot - g.last - 1
			r.firstGaps.add(f.gap(s, g, slot, number))
		}
		g.last, g.number = slot, number
	}
	r.close(g)
	f.endSeries(s, &r)
	return nil
}

func (r *gapReport) close(g *grid) {
	if g != nil {
		r.slots += g.last - g.first + 1
	}
}

func (f *file) endSeries(s *seriesSpec, r *gapReport) {
	name, limit := joined(s.time), f.contract.Quality.Interval.MaxGap
	share := float64(r.absent) / float64(max(r.slots, 1))
	f.measure(Measure{Name: "gap_share", Column: name, Value: share, Limit: limit})
	if r.slots == 0 {
		f.findings.say(Finding{
			Rule: RuleInterval, Column: name, Message: "no row has an instant, so that no interval can be judged",
			Help: "correct the column",
		})
	}
	if r.off > 0 {
		f.findings.counts[about{RuleInterval, name}] += r.off
		f.late = append(f.late, r.firstOff.sorted()...)
	}
	if share > limit {
		f.findings.counts[about{RuleGaps, name}] += r.gaps
		for _, l := range r.firstGaps.sorted() {
			l.Message += fmt.Sprintf("; %s of all are absent, at most %s may be", percent(share), percent(limit))
			f.late = append(f.late, l)
		}
	}
}

func (s *seriesSpec) late(rule string, number int64, message, help string) *late {
	return &late{
		Finding: Finding{Rule: rule, Column: joined(s.time), Field: position(s.time), Message: message, Help: help},
		number:  number, other: -1, columns: s.time,
	}
}

// in says of which series, if there are several.
func (s *seriesSpec) in(g *grid) string {
	if name := s.names[g.id]; name != "" {
		return name + ": "
	}
	return ""
}

func (f *file) offGrid(s *seriesSpec, g *grid, number int64) *late {
	every := time.Duration(s.every) * time.Second
	message := s.in(g) + "the instant is not a whole number of intervals of " + every.String() + " from the others"
	return s.late(RuleInterval, number, message, "correct the instant, or the interval in the contract")
}

func (f *file) gap(s *seriesSpec, g *grid, slot, number int64) *late {
	from, to, n := g.phase+(g.last+1)*s.every, g.phase+(slot-1)*s.every, slot-g.last-1
	message := fmt.Sprintf("%sthe %d instants from %s to %s are absent before this row", s.in(g), n, instant(from), instant(to))
	if n == 1 {
		message = fmt.Sprintf("%sthe instant %s is absent before this row", s.in(g), instant(from))
	}
	return s.late(RuleGaps, number, message, "see why the readings did not arrive")
}

// instant as a person reads it: in UTC, or on the clock of the file if that has no zones.
func instant(second int64) string { return time.Unix(second, 0).UTC().Format("2006-01-02T15:04:05") }

// firsts keeps the late findings of the first rows.
type firsts struct {
	keep int
	list []*late
}

func (f *firsts) add(l *late) {
	if f.list = append(f.list, l); len(f.list) > 8*f.keep {
		f.list = slices.Clone(f.sorted())
	}
}

func (f *firsts) sorted() []*late {
	slices.SortFunc(f.list, func(a, b *late) int { return cmp.Compare(a.number, b.number) })
	return f.list[:min(f.keep, len(f.list))]
}
