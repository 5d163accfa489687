package dataset

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync"

	"github.com/meter-ml/meter-pipeline/internal/dataset/contract"
	"github.com/meter-ml/meter-pipeline/internal/dataset/records"
)

// A stream is one pass over a file: goroutines take its blocks in turn, and what they make of them is merged in order.
type stream struct {
	reader *records.Reader
	header [][]byte // the labels; nil if there are none
	row    int64    // of the header, from 1
	line   int64    // likewise

	mu       sync.Mutex
	first    []*records.Block // parsed already, up to the one with the header
	skip     int              // index of the block whose first record is the header, or -1
	progress func(done, total int64)
}

func openStream(ctx context.Context, path string, c *contract.Contract, o *Options) (*stream, error) {
	reader, err := records.Open(path, records.Options{
		Dialect: c.Dialect, Encoding: c.Encoding, Compression: c.Compression, BlockSize: o.BlockSize,
	})
	if err != nil {
		return nil, err
	}
	s := &stream{reader: reader, skip: -1, progress: o.Progress}
	for c.Dialect.Header {
		b, err := reader.Next(ctx)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, errors.Join(err, reader.Close())
		}
		b.Parse()
		s.first = append(s.first, b)
		if b.Records == 0 {
			s.row, s.line = s.row+int64(b.Rows), s.line+int64(b.Lines)
		}
		if b.Records > 0 {
			s.row, s.line = s.row+int64(b.Row(0))+1, s.line+int64(b.Line(0))+1
			for i := range b.Cells(0) {
				s.header = append(s.header, slices.Clone(b.Cell(0, i)))
			}
			s.skip = b.Index
			break
		}
	}
	return s, nil
}

// close says whether the file changed while it was read.
func (s *stream) close() error { return s.reader.Close() }

// next returns the next block, parsed, and its first record that is not the header.
func (s *stream) next(ctx context.Context) (b *records.Block, from int, err error) {
	s.mu.Lock()
	if len(s.first) > 0 {
		b, s.first = s.first[0], s.first[1:]
		s.mu.Unlock()
		if b.Index == s.skip {
			from = 1
		}
		return b, from, ctx.Err()
	}
	b, err = s.reader.Next(ctx)
	if s.progress != nil && err == nil {
		s.progress(s.reader.Bytes(), s.reader.Size())
	}
	s.mu.Unlock()
	if err != nil {
		return nil, 0, err
	}
	b.Parse()
	return b, 0, nil
}

// each calls work for each block, on its worker's goroutine, and merge with what it returned, one after another and in
// the file's order. Work is told the first record that is not the header.
func each[T any](ctx context.Context, s *stream, workers int, work func(worker int, b *records.Block, from int) (T, error), merge func(T) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	m := merger[T]{waiting: map[int]T{}, merge: merge}
	var group sync.WaitGroup
	for w := range workers {
		group.Go(func() {
			for {
				b, from, err := s.next(ctx)
				if errors.Is(err, io.EOF) {
					return
				}
				if err == nil {
					var made T
					if made, err = work(w, b, from); err == nil {
						err = m.add(b.Index, made)
					}
					s.reader.Release(b)
				}
				if err != nil {
					cancel(err)
					return
				}
			}
		})
	}
	group.Wait()
	return context.Cause(ctx)
}

// A merger puts what comes in any order into the order of its indices.
type merger[T any] struct {
	mu      sync.Mutex
	next    int
	waiting map[int]T
	merge   func(T) error
}

func (m *merger[T]) add(index int, made T) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.waiting[index] = made
	for {
		made, ok := m.waiting[m.next]
		if !ok {
			return nil
		}
		delete(m.waiting, m.next)
		m.next++
		if err := m.merge(made); err != nil {
			return err
		}
	}
}
