package keys

import (
	"context"
	"os"
)

const (
	// How many records of a piece are read at once while merging, at least, and how many are handed on at once.
	readMinimum = 16
	handOn      = 4096
)

// A piece is what one segment holds of a part, sorted, while it is merged: the head of it is in memory.
type piece struct {
	head   []Record
	buffer []Record
	offset int64 // of what comes after the head
	left   int   // records after the head
}

// merge yields a part that doesn't fit in memory: each piece is sorted where it is, then all are merged. It reports
// whether there should be more.
func (g *gathering) merge(ctx context.Context, p int, b *buffer, yield func([]Record, error) bool) bool {
	pieces, err := g.sortPieces(ctx, p, b)
	if err != nil {
		yield(nil, err)
		return false
	}
	for i := len(pieces)/2 - 1; i >= 0; i-- {
		sink(pieces, i)
	}
	out := batch{repeatedOnly: g.repeatedOnly, records: make([]Record, 0, handOn+1)}
	for len(pieces) > 0 {
		first := pieces[0]
		out.add(first.head[0])
		first.head = first.head[1:]
		if len(first.head) == 0 {
			if err := first.fill(g.file, &b.encoded); err != nil {
				yield(nil, err)
				return false
			}
			if len(first.head) == 0 {
				pieces[0] = pieces[len(pieces)-1]
				pieces = pieces[:len(pieces)-1]
			}
		}
		sink(pieces, 0)
		if len(out.records) < handOn {
			continue
		}
		if err := ctx.Err(); err != nil {
			yield(nil, err)
			return false
		}
		if !yield(out.records, nil) {
			return false
		}
		out.records = out.records[:0]
	}
	return len(out.records) == 0 || yield(out.records, nil)
}

// sortPieces sorts each piece in memory or in the file, and returns them with their heads filled.
func (g *gathering) sortPieces(ctx context.Context, p int, b *buffer) ([]*piece, error) {
	var pieces []*piece
	spilled := 0
	for i := range g.segments {
		if g.segments[i].records == nil && g.segments[i].size(p) > 0 {
			spilled++
		}
	}
	ahead := max(g.limit/max(spilled, 1), readMinimum)
	for i := range g.segments {
		from := &g.segments[i]
		n := from.size(p)
		if n == 0 {
			continue
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if from.records != nil {
			records := from.records[from.bounds[p]:from.bounds[p+1]]
			sortRecords(records, topShift-8)
			pieces = append(pieces, &piece{head: records})
			continue
		}
		if cap(b.records) < n {
			b.records = make([]Record, n)
		}
		records := b.records[:n]
		if err := readRecords(g.file, records, from.at(p), &b.encoded); err != nil {
			return nil, err
		}
		sortRecords(records, topShift-8)
		if err := writeRecords(g.file, records, from.at(p), &b.encoded); err != nil {
			return nil, err
		}
		made := &piece{buffer: make([]Record, min(ahead, n)), offset: from.at(p), left: n}
		if err := made.fill(g.file, &b.encoded); err != nil {
			return nil, err
		}
		pieces = append(pieces, made)
	}
	return pieces, nil
}

// fill reads the next records of a piece that is in the file.
func (c *piece) fill(file *os.File, encoded *[]byte) error {
	n := min(len(c.buffer), c.left)
	c.head = c.buffer[:n]
	if n == 0 {
		return nil
	}
	if err := readRecords(file, c.head, c.offset, encoded); err != nil {
		return err
	}
	c.offset += int64(n) * recordSize
	c.left -= n
	return nil
}

// sink restores the heap, least head first, below i.
func sink(heap []*piece, i int) {
	for {
		least := 2*i + 1
		if least >= len(heap) {
			return
		}
		if right := least + 1; right < len(heap) && heap[right].head[0].less(heap[least].head[0]) {
			least = right
		}
		if !heap[least].head[0].less(heap[i].head[0]) {
			return
		}
		heap[i], heap[least] = heap[least], heap[i]
		i = least
	}
}

// A batch collects what is handed on next.
type batch struct {
	records      []Record
	repeatedOnly bool
	last         Record // the last one seen
	seen, told   bool   // whether there was one, and whether it is in a batch
}

func (b *batch) add(r Record) {
	if !b.repeatedOnly {
		b.records = append(b.records, r)
		return
	}
	same := b.seen && b.last.Key == r.Key
	if same && !b.told {
		b.records = append(b.records, b.last)
	}
	if same {
		b.records = append(b.records, r)
	}
	b.last, b.seen, b.told = r, true, same
}
