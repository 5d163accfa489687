package records

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"slices"
	"unicode/utf8"
)

const (
	lows = 0x7f7f7f7f7f7f7f7f
	ones = 0x0101010101010101
)

// What to say of problems, with what to do last.
const (
	blankDetail      = "the line is empty: remove it"
	bareDetail       = "a quote stands in a cell that does not begin with one: quote the cell and double its quotes"
	afterDetail      = "text follows a closing quote: double the quotes inside of the cell"
	openDetail       = "the quote is never closed and takes the rest of the file into the cell: close it"
	openLongDetail   = "the quote is not closed within the longest record that is read, 16 MiB: close it"
	escapeDetail     = "nothing follows the escape character: remove it"
	loneDetail       = "a carriage return without a line feed: end lines with a line feed, or quote the cell"
	nulDetail        = "a NUL byte: write the file as text, in the encoding of its contract"
	longCellDetail   = "the cell is longer than 1 MiB: check the quotes and the delimiter"
	longRecordDetail = "the record is longer than 16 MiB and was cut: check the line ends and the quotes"
	longNoteDetail   = "the comment is longer than 16 MiB: break it into lines"
	manyCellsDetail  = "the record has more than 1048576 cells and was cut: check the delimiter and the line ends"
)

// Parse finds the records and cells of the block, takes quotes and escapes out of its cells, in place, and notes what is
// malformed. It reads on where encoding/csv stops, as Python's csv does: a quote in the wrong place is text.
func (b *Block) Parse() {
	b.Lines = b.skipped
	if b.mark != "" {
		b.note(Problem{Kind: ByteOrderMark, Detail: b.mark})
	}
	if !b.plain() || !b.parsePlain() {
		b.parseAny()
	}
	b.Records = len(b.First) - 1
	b.Rows = b.Records + len(b.comments)
}

// plain says whether lines are records and delimiters end cells, with nothing to look for between them.
func (b *Block) plain() bool {
	g := b.grammar
	for _, c := range [...]byte{g.quote, g.escape, g.comment} {
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
// carriage return belongs to no line end.
func (b *Block) parsePlain() bool {
	data, delimiter := b.Data, b.grammar.delimiter
	returns := bytes.Count(data, []byte{'\r'})
	lines := bytes.Count(data, []byte{'\n'})
	records := lines
	if n := len(data); n > 0 && data[n-1] != '\n' {
		records++
	}
	cells := bytes.Count(data, []byte{delimiter}) + records
	if cells > b.limits.cells {
		return false // where one record may have too many
	}
	b.First = slices.Grow(b.First[:0], records+1)[:records+1]
	b.Start = slices.Grow(b.Start[:0], cells+1)[:cells+1]
	b.End = slices.Grow(b.End[:0], cells+1)[:cells+1]
	b.First[0], b.Start[0] = 0, 0

	p := plainParser{data: data, first: b.First, start: b.Start, end: b.End, cr: returns > 0}
	ds, ns := uint64(delimiter)*ones, uint64('\n')*ones
	i := 0
	for ; i+8 <= len(data); i += 8 {
		w := binary.LittleEndian.Uint64(data[i:])
		d, n := w^ds, w^ns
		// The high bit of each byte that is 0 in d, and of each that is 0 in n: exact, without a carry between bytes.
		ends := ^((d&lows + lows) | d | lows)
		feeds := ^((n&lows + lows) | n | lows)
		if feeds == 0 {
			for ; ends != 0; ends &= ends - 1 {
				p.cell(i + bits.TrailingZeros64(ends)>>3)
			}
			continue
		}
		for all := ends | feeds; all != 0; all &= all - 1 {
			at := i + bits.TrailingZeros64(all)>>3
			if feeds&(all&-all) != 0 {
				p.record(at)
			} else {
				p.cell(at)
			}
		}
	}
	for ; i < len(data); i++ {
		switch data[i] {
		case delimiter:
			p.cell(i)
		case '\n':
			p.record(i)
		}
	}
	if records > lines { // the last line has no end
		p.record(len(data))
	}
	if p.returns != returns {
		b.First, b.Start, b.End = b.First[:0], b.Start[:0], b.End[:0]
		return false
	}
	b.Start, b.End = b.Start[:cells], b.End[:cells]
	b.Lines += lines
	if records > lines {
		b.Lines++
	}
	if p.blanks || len(data) > b.limits.cell {
		b.judgePlain()
	}
	return true
}

// judgePlain notes the records without text and the cells with too much of it.
func (b *Block) judgePlain() {
	for r := 0; r+1 < len(b.First); r++ {
		first, next := b.First[r], b.First[r+1]
		if next == first+1 && b.Start[first] == b.End[first] {
			b.note(Problem{Kind: BlankRow, Record: r, Line: r, Detail: blankDetail})
		}
		for i := first; i < next; i++ {
			if int(b.End[i]-b.Start[i]) > b.limits.cell {
				b.note(Problem{Kind: TooLong, Record: r, Line: r, Cell: int(i - first), Detail: longCellDetail})
			}
		}
	}
}

// plainParser is what parsePlain keeps in registers.
type plainParser struct {
	data              []byte
	first, start, end []uint32
	cells, records    int
	returns           int
	cr, blanks        bool
}

// cell ends a cell at a delimiter.
func (p *plainParser) cell(at int) {
	p.end[p.cells] = uint32(at) //nolint:gosec // a block is shorter than 2^32 bytes
	p.cells++
	p.start[p.cells] = uint32(at + 1) //nolint:gosec // as above
}

// record ends a cell and its record at a line feed, or at the end of the file.
func (p *plainParser) record(at int) {
	end := at
	if p.cr && at > int(p.start[p.cells]) && at < len(p.data) && p.data[at-1] == '\r' {
		p.returns++
		end--
	}
	p.end[p.cells] = uint32(end) //nolint:gosec // as above
	if end == int(p.start[p.cells]) && p.cells == int(p.first[p.records]) {
		p.blanks = true
	}
	p.cells++
	p.start[p.cells] = uint32(at + 1) //nolint:gosec // as above
	p.records++
	p.first[p.records] = uint32(p.cells) //nolint:gosec // as above
}
