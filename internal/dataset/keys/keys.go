// Package keys puts the keys of a file in order within a memory budget, so that equal ones stand side by side.
//
// Whether a key is unique can't be known before its last row was read, and a file may have more keys than there is
// memory. So each key is a hash of eight bytes beside its row's number. Records are gathered in segments of equal size;
// a full segment is parted in place by the first byte of the key, kept while the budget lasts, and written to one
// temporary file after that. In the end each of the 256 parts is put together from all segments, sorted, and handed on
// in order: parts are sorted at the same time by several goroutines, and none needs to be merged with another. A part
// that doesn't fit in the memory (most keys are equal, or the file is hundreds of times the budget) is merged from its
// pieces instead.
//
// Whether equal hashes are equal keys is for the caller to find out.
package keys

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"runtime"
	"sync"
)

const (
	recordSize = 16
	parts      = 256
	// A segment is this part of the budget, within these bounds (in records): small enough for a core's own cache, and
	// large enough for each of its parts to be worth a read.
	segmentShare   = 16
	segmentMinimum = 256
	segmentMaximum = 1 << 16
)

var errClosed = errors.New("keys are sorted or closed already")

// A Record is one key and its row. Rows only need to have an order: a block's number and the row within it will do.
type Record struct{ Key, Row uint64 }

// less is the order of records: by key, then by row.
func (r Record) less(other Record) bool {
	return r.Key < other.Key || r.Key == other.Key && r.Row < other.Row
}

// A Sorter gathers records through its Writers and returns them in order, once.
type Sorter struct {
	dir     string
	memory  int64
	segment int // records
	workers int

	mu       sync.Mutex
	writers  []*Writer
	room     int // segments that may be kept yet
	segments []segment
	file     *os.File
	end      int64 // of the file
	total    int64
	err      error // the first one
	closed   bool
}

// A segment is parted by the first byte of the key. It is in memory or, with nil records, in the file.
type segment struct {
	records []Record
	offset  int64             // in the file, bytes
	bounds  [parts + 1]uint32 // records
}

// New returns a sorter that holds about memory bytes and writes what exceeds them to an unnamed file in dir, which need
// not exist as long as all fits. Less than 1 MiB is taken as 1 MiB.
func New(dir string, memory int64) *Sorter {
	memory = max(memory, 1<<20)
	s := &Sorter{dir: dir, memory: memory, workers: runtime.GOMAXPROCS(0)}
	s.segment = int(min(max(memory/segmentShare/recordSize, segmentMinimum), segmentMaximum))
	// A quarter is for putting parts together.
	s.room = int(memory * 3 / 4 / int64(s.segment*recordSize))
	return s
}

// Writer returns a writer for one goroutine. Make all of them before the first one writes: each may hold two segments.
func (s *Sorter) Writer() *Writer {
	w := &Writer{sorter: s}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writers = append(s.writers, w)
	s.room -= 2
	return w
}

// Len is the number of records in full segments, and of all once they are sorted.
func (s *Sorter) Len() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.total
}

// A Writer adds records to its Sorter. It is for one goroutine at a time.
type Writer struct {
	sorter  *Sorter
	records []Record
	spare   []Record // where a segment is parted that goes to the file
	encoded []byte
}

// Add adds a record. An error (the disk is full) stays: every later call returns it again, and so does Sorted.
func (w *Writer) Add(key, row uint64) error {
	if len(w.records) == cap(w.records) {
		if err := w.flush(); err != nil {
			return err
		}
	}
	w.records = append(w.records, Record{key, row})
	return nil
}

// flush hands a full segment over, parted, in memory or in the file.
func (w *Writer) flush() error {
	s := w.sorter
	if w.records == nil {
		w.records = make([]Record, 0, s.segment)
		return s.usable()
	}
	keep, err := s.mayKeep()
	if err != nil {
		return err
	}
	to := w.spare
	if keep || to == nil {
		to = make([]Record, len(w.records))
	}
	made := segment{records: to}
	scatter(to, w.records, topShift, &made.bounds)
	if !keep {
		w.spare = to
		if err := w.spill(&made); err != nil {
			return s.fail(err)
		}
	}
	s.add(made)
	w.records = w.records[:0]
	return nil
}

// mayKeep reports whether one more segment may stay in memory.
func (s *Sorter) mayKeep() (bool, error) {
	if err := s.usable(); err != nil {
		return false, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.room--
	return s.room >= 0, nil
}

// usable returns the error that keeps the sorter from taking more records.
func (s *Sorter) usable() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil && s.closed {
		return errClosed
	}
	return s.err
}

func (s *Sorter) add(made segment) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.segments = append(s.segments, made)
	s.total += int64(made.bounds[parts])
}

// fail keeps the first error.
func (s *Sorter) fail(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err = err
	}
	return s.err
}

// finish takes over what the writers hold: no more is added.
func (s *Sorter) finish() error {
	if err := s.usable(); err != nil {
		return err
	}
	s.mu.Lock()
	s.closed = true
	writers := s.writers
	s.writers = nil
	s.mu.Unlock()
	for _, w := range writers {
		if n := len(w.records); n > 0 {
			made := segment{records: w.spare[:min(n, len(w.spare))]}
			if len(made.records) < n {
				made.records = make([]Record, n)
			}
			scatter(made.records, w.records, topShift, &made.bounds)
			s.add(made)
		}
		w.records, w.spare, w.encoded = nil, nil, nil
	}
	return nil
}

// Sorted returns all records in order, once; no writer may be at work. It ends with the first error: the context's, or
// that of the temporary file.
func (s *Sorter) Sorted(ctx context.Context) iter.Seq2[Record, error] { return s.each(ctx, false) }

// Repeated is Sorted without the records whose key occurs only once, which costs far less when most do.
func (s *Sorter) Repeated(ctx context.Context) iter.Seq2[Record, error] { return s.each(ctx, true) }

func (s *Sorter) each(ctx context.Context, repeated bool) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		for records, err := range s.batches(ctx, repeated) {
			if err != nil {
				yield(Record{}, err)
				return
			}
			for _, record := range records {
				if !yield(record, nil) {
					return
				}
			}
		}
	}
}

// Close lets go of the memory and of the temporary file. It may be called twice.
func (s *Sorter) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed, s.segments, s.writers = true, nil, nil
	if s.file == nil {
		return nil
	}
	err := s.file.Close()
	s.file = nil
	if err != nil {
		return fmt.Errorf("close temporary file of keys: %w", err)
	}
	return nil
}
