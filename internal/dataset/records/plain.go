package records

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"slices"
	"unicode/utf8"
)

// plain says whether lines can be records, with nothing to look for but delimiters, line feeds and quotes around whole
// cells.
func (b *Block) plain() bool {
	g := b.grammar
	for _, c := range [...]byte{g.escape, g.comment} {
		if c != 0 && bytes.IndexByte(b.Data, c) >= 0 {
			return false
		}
	}
	if g.skip && bytes.IndexByte(b.Data, ' ') >= 0 {
		return false
	}
	return !b.cut && bytes.IndexByte(b.Data, 0) < 0 && utf8.Valid(b.Data)
}

// parsePlain reads a block that is plain, eight bytes at a time. It gives up, and leaves the block as it was, where a
// carriage return belongs to no line end, or where there is more to a quoted cell than its quotes.
func (b *Block) parsePlain() bool {
	data, g := b.Data, b.grammar
	returns := bytes.Count(data, []byte{'\r'})
	lines := bytes.Count(data, []byte{'\n'})
	records := lines
	if n := len(data); n > 0 && data[n-1] != '\n' {
		records++
	}
	cells := bytes.Count(data, []byte{g.delimiter}) + records // or less, with quotes
	if cells > b.limits.cells {
		return false // where one record may have too many
	}
	b.First = slices.Grow(b.First[:0], records+1)[:records+1]
	b.Start = slices.Grow(b.Start[:0], cells+1)[:cells+1]
	b.End = slices.Grow(b.End[:0], cells+1)[:cells+1]
	b.First[0], b.Start[0] = 0, 0

	p := plainParser{data: data, first: b.First, start: b.Start, end: b.End, cr: returns > 0}
	good := true
	if g.quote != 0 && bytes.IndexByte(data, g.quote) >= 0 {
		good = p.readQuoted(g.delimiter, g.quote)
	} else {
		p.read(g.delimiter)
	}
	// Line feeds and carriage returns that ended no record stand between quotes, or alone.
	if !good || p.records != lines || p.returns != returns {
		b.First, b.Start, b.End = b.First[:0], b.Start[:0], b.End[:0]
		return false
	}
	if records > lines { // the last line has no end
		p.record(len(data), len(data))
	}
	b.Start, b.End = b.Start[:p.cells], b.End[:p.cells]
	b.Lines += records
	if p.blanks || len(data) > b.limits.cell {
		b.judgePlain()
	}
	return true
}

// judgePlain notes the records without text and the cells with too much of it.
func (b *Block) judgePlain() {
	for r := 0; r+1 < len(b.First); r++ {
		first, next := b.First[r], b.First[r+1]
		if start := b.Start[first]; next == first+1 && start == b.End[first] && (start == 0 || b.Data[start-1] == '\n') {
			b.note(Problem{Kind: BlankRow, Record: r, Line: r, Detail: blankDetail})
		}
		for i := first; i < next; i++ {
			if int(b.End[i]-b.Start[i]) > b.limits.cell {
				b.note(Problem{Kind: TooLong, Record: r, Line: r, Cell: int(i - first), Detail: longCellDetail})
			}
		}
	}
}

// plainParser is where parsePlain is.
type plainParser struct {
	data              []byte
	first, start, end []uint32
	cells, records    int
	returns           int // carriage returns that belong to a line end
	cr                bool
	blanks            bool // there may be records without text
}

// read goes through a block without quotes.
func (p *plainParser) read(delimiter byte) {
	delimiters := uint64(delimiter) * ones
	i := 0
	for ; i+8 <= len(p.data); i += 8 {
		w := binary.LittleEndian.Uint64(p.data[i:])
		ends, newlines := zeros(w^delimiters), zeros(w^feeds)
		if newlines == 0 {
			for ; ends != 0; ends &= ends - 1 {
				at := i + bits.TrailingZeros64(ends)>>3
				p.cell(at, at+1)
			}
			continue
		}
		for all := ends | newlines; all != 0; all &= all - 1 {
			at := i + bits.TrailingZeros64(all)>>3
			if newlines&(all&-all) != 0 {
				p.line(at)
			} else {
				p.cell(at, at+1)
			}
		}
	}
	for ; i < len(p.data); i++ {
		switch p.data[i] {
		case delimiter:
			p.cell(i, i+1)
		case '\n':
			p.line(i)
		}
	}
}

// readQuoted goes through a block where quotes stand around whole cells, or says that they don't.
func (p *plainParser) readQuoted(delimiter, quote byte) bool {
	delimiters, quotes := uint64(delimiter)*ones, uint64(quote)*ones
	done := 0 // up to here
	for i := 0; i < len(p.data); i += 8 {
		w := word(p.data, i)
		for all := zeros(w^delimiters) | zeros(w^feeds) | zeros(w^quotes); all != 0; all &= all - 1 {
			at := i + bits.TrailingZeros64(all)>>3
			if at < done {
				continue
			}
			switch p.data[at] {
			case delimiter:
				p.cell(at, at+1)
			case '\n':
				p.line(at)
			default:
				if done = p.quoted(at, delimiter, quote); done < 0 {
					return false
				}
			}
		}
		if far := done &^ 7; far > i+8 {
			i = far - 8
		}
	}
	return true
}

// quoted goes over a quoted cell and what ends it and returns the place behind, or -1 if there is more to it.
func (p *plainParser) quoted(at int, delimiter, quote byte) int {
	start := at + 1
	if at != int(p.start[p.cells]) {
		return -1
	}
	length := bytes.IndexByte(p.data[start:], quote)
	end := start + length
	if length < 0 || end+1 == len(p.data) {
		return -1
	}
	next := end + 2
	switch c := p.data[end+1]; {
	case c == delimiter:
		p.start[p.cells] = uint32(start) //nolint:gosec // a block is shorter than 2^32 bytes
		p.cell(end, next)
		return next
	case c == '\r' && next < len(p.data) && p.data[next] == '\n':
		p.returns++
		next++
	case c != '\n':
		return -1
	}
	p.start[p.cells] = uint32(start) //nolint:gosec // as above
	p.record(end, next)
	return next
}

// cell ends a cell; the next one starts in the same record.
func (p *plainParser) cell(end, next int) {
	p.end[p.cells] = uint32(end) //nolint:gosec // as above
	p.cells++
	p.start[p.cells] = uint32(next) //nolint:gosec // as above
}

// line ends a cell without quotes, and its record, at a line feed.
func (p *plainParser) line(at int) {
	end := at
	if p.cr && at > int(p.start[p.cells]) && p.data[at-1] == '\r' {
		p.returns++
		end--
	}
	if end == int(p.start[p.cells]) && p.cells == int(p.first[p.records]) {
		p.blanks = true
	}
	p.record(end, at+1)
}

// record ends a cell and its record.
func (p *plainParser) record(end, next int) {
	p.cell(end, next)
	p.records++
	p.first[p.records] = uint32(p.cells) //nolint:gosec // as above
}
