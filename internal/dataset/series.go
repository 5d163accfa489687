package dataset

import (
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
	second int64
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
		w.series.countPhase(phase{w.series.id, modulo(second, s.every)})
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
