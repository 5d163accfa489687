package keys

import (
	"context"
	"iter"
	"os"
	"sync"
	"sync/atomic"
)

// batches yields the records in order. Parts are put together and sorted ahead by the sorter's goroutines, which have
// ended when the sequence has.
func (s *Sorter) batches(ctx context.Context, repeatedOnly bool) iter.Seq2[[]Record, error] {
	return func(yield func([]Record, error) bool) {
		if err := s.finish(); err != nil {
			yield(nil, err)
			return
		}
		limit, err := s.makeRoom()
		if err != nil {
			yield(nil, err)
			return
		}
		ctx, cancel := context.WithCancel(ctx)
		g := newGathering(s, limit, repeatedOnly)
		var workers sync.WaitGroup
		for range s.workers {
			workers.Go(func() { g.work(ctx) })
		}
		defer workers.Wait()
		defer cancel()
		g.deliver(ctx, yield)
	}
}

// makeRoom returns how many records a part may have to be sorted as a whole. If a part has more, what is still in
// memory is written out first, provided that this is enough.
func (s *Sorter) makeRoom() (int, error) {
	largest := int64(0)
	for p := range parts {
		n := int64(0)
		for i := range s.segments {
			n += int64(s.segments[i].size(p))
		}
		largest = max(largest, n)
	}
	// One share for each goroutine, one for the part that is being handed on, one for merging.
	// Each needs a second place to sort in.
	share := s.memory / int64(s.workers+2) / (2 * recordSize)
	if largest <= share/4 || largest > share || s.file == nil {
		return int(share / 4), nil
	}
	var w Writer
	for i := range s.segments {
		kept := &s.segments[i]
		if kept.records == nil {
			continue
		}
		_, offset, err := s.reserve(int64(len(kept.records)) * recordSize)
		if err != nil {
			return 0, err
		}
		if err := writeRecords(s.file, kept.records, offset, &w.encoded); err != nil {
			return 0, s.explain(err)
		}
		kept.records, kept.offset = nil, offset
	}
	return int(share), nil
}

func (g *segment) size(part int) int { return int(g.bounds[part+1] - g.bounds[part]) }

// at is where a part begins in the file.
func (g *segment) at(part int) int64 { return g.offset + int64(g.bounds[part])*recordSize }

// A gathering puts the parts together.
type gathering struct {
	file         *os.File
	segments     []segment
	limit        int // records
	repeatedOnly bool

	buffers chan *buffer // who takes a part has taken a buffer before, so the parts that are held are the next ones
	next    atomic.Int64
	ready   [parts]chan gathered
}

type buffer struct {
	records []Record // sorted
	found   []Record // as they are in the segments
	encoded []byte
}

// gathered is a part in order, or one that must be merged since it has too many records.
type gathered struct {
	buffer  *buffer
	records []Record
	merge   bool
	err     error
}

func newGathering(s *Sorter, limit int, repeatedOnly bool) *gathering {
	g := &gathering{file: s.file, segments: s.segments, limit: limit, repeatedOnly: repeatedOnly}
	g.buffers = make(chan *buffer, s.workers+1)
	for range s.workers + 1 {
		g.buffers <- &buffer{}
	}
	for p := range g.ready {
		g.ready[p] = make(chan gathered, 1)
	}
	return g
}

// work takes part after part, until there are none or the context is done.
func (g *gathering) work(ctx context.Context) {
	for {
		var b *buffer
		select {
		case <-ctx.Done():
			return
		case b = <-g.buffers:
		}
		p := int(g.next.Add(1) - 1)
		if p >= parts || ctx.Err() != nil {
			return
		}
		g.ready[p] <- g.gather(p, b)
	}
}

// deliver hands the parts on in order.
func (g *gathering) deliver(ctx context.Context, yield func([]Record, error) bool) {
	for p := range g.ready {
		var part gathered
		select {
		case <-ctx.Done():
			yield(nil, ctx.Err())
			return
		case part = <-g.ready[p]:
		}
		switch {
		case ctx.Err() != nil:
			yield(nil, ctx.Err())
			return
		case part.err != nil:
			yield(nil, part.err)
			return
		case part.merge:
			if !g.merge(ctx, p, part.buffer, yield) {
				return
			}
		case len(part.records) > 0 && !yield(part.records, nil):
			return
		}
		g.buffers <- part.buffer
	}
}

// gather puts one part together from all segments and sorts it.
func (g *gathering) gather(p int, b *buffer) gathered {
	total := 0
	for i := range g.segments {
		total += g.segments[i].size(p)
	}
	if total > g.limit {
		return gathered{buffer: b, merge: true}
	}
	if cap(b.records) < total {
		b.records, b.found = make([]Record, total+total/8), make([]Record, total+total/8)
	}
	found, records := b.found[:total], b.records[:total]
	filled := 0
	for i := range g.segments {
		from := &g.segments[i]
		to := found[filled : filled+from.size(p)]
		filled += len(to)
		if from.records != nil {
			copy(to, from.records[from.bounds[p]:from.bounds[p+1]])
			continue
		}
		if err := readRecords(g.file, to, from.at(p), &b.encoded); err != nil {
			return gathered{buffer: b, err: err}
		}
	}
	var bounds [parts + 1]uint32
	scatter(records, found, topShift-8, &bounds)
	sortParts(records, topShift-8, &bounds)
	if g.repeatedOnly {
		records = repeated(records)
	}
	return gathered{buffer: b, records: records}
}
