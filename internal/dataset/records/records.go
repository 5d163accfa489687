// Package records reads a file of comma-separated values into blocks of whole records, and those into cells.
//
// A Reader goes through the file once and finds only where records end; that is quick, and the order of the file. What
// takes time, finding cells and taking quotes out, is Block.Parse, which any goroutine can do. The rules are those of
// RFC 4180 and, where it is silent, of Python's csv, which frictionless reads with; what encoding/csv rejects is a
// Problem, and where there is none the cells are those of encoding/csv. It differs from encoding/csv in these:
//
//   - A blank line is a record with one empty cell, and a problem. encoding/csv leaves it out.
//   - With SkipInitialSpace, only spaces are skipped, as in Python. encoding/csv skips tabs, too, and whatever else
//     Unicode calls white space.
//   - A carriage return before the end of the file, without a line feed, is a problem. encoding/csv leaves it out.
//
// Python differs from both in that it keeps \r\n between quotes; here it is \n.
//
// Memory is bounded whatever the file: a block holds at most one record beyond its size, a record at most 16 MiB and
// 2^20 cells. A longer one is a problem, is cut there, and reading goes on behind its end.
package records

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"unicode/utf8"

	"github.com/meter-ml/meter-pipeline/internal/dataset/contract"
)

const (
	defaultBlockSize = 1 << 20
	maxRecord        = 16 << 20
	maxCell          = 1 << 20
	maxCells         = 1 << 20
)

// Options say how a file is written. Of a zero Dialect, the standard's default is meant.
type Options struct {
	Dialect     contract.Dialect
	Encoding    string // utf-8 if empty
	Compression string // "gz" or "". A file that begins as gzip is read as that without being asked.
	BlockSize   int    // bytes, 1 MiB if 0

	limits limits // of tests
}

// A Reader reads one file. Next and Close are for one goroutine at a time; Release and Bytes are for any.
type Reader struct {
	src      *source
	explain  func(error) error // what to do about an error of text
	text     io.Reader
	size     int
	limits   limits
	grammar  *grammar
	encoding encoding

	split  splitter
	rest   []byte // behind the last record end
	seen   int    // bytes of rest that split has gone over
	offset int64  // of rest in the text
	index  int
	mark   string
	ended  bool
	err    error // of text

	mu   sync.Mutex
	free []*Block
}

// Open opens a regular file. Whatever keeps it from being read at all is an error: that it is missing, not a file,
// unreadable, not gzip as declared, or in an encoding or a dialect that is not known.
func Open(path string, o Options) (*Reader, error) {
	g, err := newGrammar(o.Dialect)
	if err != nil {
		return nil, err
	}
	if _, err := findEncoding(o.Encoding, nil); err != nil {
		return nil, err
	}
	src, err := openSource(path)
	if err != nil {
		return nil, err
	}
	r, err := newReader(src, g, o)
	if err != nil {
		return nil, errors.Join(src.explain(err), src.file.Close())
	}
	r.src, r.explain = src, src.explain
	return r, nil
}

// newReader reads the bytes of a file from src.
func newReader(src io.Reader, g *grammar, o Options) (*Reader, error) {
	r := &Reader{
		size: o.BlockSize, limits: o.limits, grammar: g, split: splitter{grammar: g},
		explain: func(err error) error { return err },
	}
	if r.limits == (limits{}) {
		r.limits = limits{record: maxRecord, cell: maxCell, cells: maxCells}
	}
	if r.size <= 0 {
		r.size = defaultBlockSize
	}
	r.size = min(r.size, r.limits.record)
	src, err := unpack(src, o.Compression)
	if err != nil {
		return nil, err
	}
	begin, err := peek(src, len(markUTF8))
	if err != nil {
		return nil, err
	}
	if r.encoding, err = findEncoding(o.Encoding, begin); err != nil {
		return nil, err
	}
	mark, problem := r.encoding.judgeMark(begin)
	r.mark, r.offset = problem, int64(len(mark))
	r.text = io.MultiReader(bytes.NewReader(begin[len(mark):]), src)
	if r.encoding.decode != nil {
		r.text = newDecoder(r.text, r.encoding)
	}
	return r, nil
}

// Bytes returns how many bytes of the file have been read.
func (r *Reader) Bytes() int64 { return r.src.read.Load() }

// Size returns how many bytes the file had when it was opened.
func (r *Reader) Size() int64 { return r.src.was.Size() }

// Close closes the file. The error is, or wraps, ErrChanged if it was written to or replaced since Open: then nothing
// that was read from it holds.
func (r *Reader) Close() error {
	changed := r.src.changed()
	if err := r.src.file.Close(); err != nil {
		return fmt.Errorf("close data: %w", err)
	}
	if changed {
		return fmt.Errorf("read %s: %w", r.src.path, ErrChanged)
	}
	return nil
}

// Release takes back a block that is no longer used, so that its memory is used for another.
func (r *Reader) Release(b *Block) {
	// Those that grew for a long record or for many cells go to the garbage collector.
	if b == nil || cap(b.Data) > 2*r.size || cap(b.Start) > r.size+1024 || len(b.Problems) > Kept {
		return
	}
	b.reset()
	r.mu.Lock()
	r.free = append(r.free, b)
	r.mu.Unlock()
}

func (r *Reader) block() *Block {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := len(r.free); n > 0 {
		b := r.free[n-1]
		r.free = r.free[:n-1]
		return b
	}
	return &Block{grammar: r.grammar, limits: r.limits, encoding: r.encoding.name, Data: make([]byte, 0, r.size)}
}

// Next returns the next block, not yet parsed, or io.EOF behind the last one. Any other error means that the file could
// not be read to its end, and is final.
func (r *Reader) Next(ctx context.Context) (*Block, error) {
	b := r.block()
	b.Data = append(b.Data, r.rest...)
	end, seen := 0, r.seen
	for {
		if at := r.split.feed(b.Data[seen:], false); at > 0 {
			end = seen + at
		}
		seen = len(b.Data)
		switch {
		case r.err != nil:
			return nil, r.explain(r.err)
		case end > 0 && (seen >= r.size || r.ended):
			return r.emit(b, end), nil
		case r.ended && (seen > 0 || r.mark != ""):
			return r.emit(b, seen), nil
		case r.ended:
			r.Release(b)
			return nil, io.EOF
		case seen >= r.limits.record:
			return r.cut(ctx, b)
		}
		r.fill(ctx, b)
	}
}

// fill reads as much as makes the block one size longer, but no longer than a record can be.
func (r *Reader) fill(ctx context.Context, b *Block) {
	to := min((len(b.Data)/r.size+1)*r.size, r.limits.record)
	if to > cap(b.Data) {
		b.Data = slices.Grow(b.Data, min(max(to, 2*cap(b.Data)), r.limits.record)-len(b.Data))
	}
	r.err = ctx.Err()
	for idle := 0; len(b.Data) < to && r.err == nil && !r.ended; {
		n, err := r.text.Read(b.Data[len(b.Data):to])
		b.Data = b.Data[:len(b.Data)+n]
		if r.ended = errors.Is(err, io.EOF); !r.ended {
			r.err = err
		}
		if idle++; n > 0 {
			idle = 0
		} else if idle == 100 && r.err == nil {
			r.err = io.ErrNoProgress
		}
	}
}

// emit makes a block of the bytes up to end and keeps the rest, which has been gone over, for the next one.
func (r *Reader) emit(b *Block, end int) *Block {
	r.rest = append(r.rest[:0], b.Data[end:]...)
	r.seen = len(r.rest)
	b.Data = b.Data[:end]
	r.number(b)
	r.offset += int64(end)
	return b
}

func (r *Reader) number(b *Block) {
	b.Index, b.mark, b.offset = r.index, r.mark, r.offset
	if r.encoding.decode != nil {
		b.offset = -1
	}
	r.index++
	r.mark = ""
}

// cut makes a block of the beginning of a record that is too long, and goes behind the record's end.
func (r *Reader) cut(ctx context.Context, b *Block) (*Block, error) {
	over := Block{Data: make([]byte, 0, r.size)}
	r.rest, r.seen = r.rest[:0], 0
	skipped, newlines, end := int64(0), 0, 0
	for end == 0 && r.err == nil && !r.ended {
		over.Data = over.Data[:0]
		r.fill(ctx, &over)
		gone := len(over.Data)
		if end = r.split.feed(over.Data, true); end > 0 {
			gone = end
			r.rest = append(r.rest, over.Data[end:]...)
		}
		skipped += int64(gone)
		newlines += bytes.Count(over.Data[:gone], []byte{'\n'})
	}
	if r.err != nil {
		return nil, r.explain(r.err)
	}
	r.number(b)
	r.offset += int64(len(b.Data)) + skipped
	if skipped == 0 { // the file ends just here
		return b, nil
	}
	b.cut = true
	b.Data = trimPart(b.Data)
	b.skipped = newlines
	if end > 0 {
		b.skipped-- // Parse counts the line that the record ends in
	}
	return b, nil
}

// trimPart leaves out what could be half a character or half a line end.
func trimPart(data []byte) []byte {
	for i := 1; i <= utf8.UTFMax && i <= len(data); i++ {
		if utf8.RuneStart(data[len(data)-i]) {
			if !utf8.FullRune(data[len(data)-i:]) {
				data = data[:len(data)-i]
			}
			break
		}
	}
	if n := len(data); n > 0 && data[n-1] == '\r' {
		data = data[:n-1]
	}
	return data
}
