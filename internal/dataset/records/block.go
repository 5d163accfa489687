package records

import "slices"

// A Kind says what is wrong with a place of the file.
type Kind string

// Kinds of problems. Whatever encoding/csv rejects is one of them.
const (
	BareQuote         Kind = "bare-quote"         // a quote inside a cell that does not begin with one
	UnterminatedQuote Kind = "unterminated-quote" // a quoted cell that never ends, or not within a record's longest length
	TextAfterQuote    Kind = "text-after-quote"   // something other than a delimiter or a line end after a closing quote
	TrailingEscape    Kind = "trailing-escape"    // an escape character with nothing after it
	LoneCR            Kind = "lone-cr"            // a carriage return outside quotes that no line feed follows
	NUL               Kind = "nul"                // a byte 0
	Encoding          Kind = "encoding"           // bytes that are no text in the declared encoding
	BlankRow          Kind = "blank-row"          // a line without any text
	TooLong           Kind = "too-long"           // a cell, a record or a comment beyond the limits
	ByteOrderMark     Kind = "byte-order-mark"    // a byte-order mark that is not declared
)

// Kept is how many problems of a kind a block keeps; Counts has them all. The first Kept of a whole file are therefore
// the same whatever the size of its blocks.
const Kept = 1000

// A Problem is a malformed place. A cell has at most one of a kind.
type Problem struct {
	Kind   Kind
	Record int // in the block; a comment's is that of the record after it
	Line   int // in the block, from 0
	Cell   int // in the record, from 0
	Detail string
}

// A Block is a piece of a file: whole records, as UTF-8.
//
// Next fills Index and Data. Parse, on any goroutine and once, fills the rest. Cell c of record r is
// Data[Start[i]:End[i]] with i = First[r]+c and First[r]+c < First[r+1]. A block can be without records: one of comments,
// or the last one of a file.
type Block struct {
	Index   int
	Data    []byte
	Records int
	First   []uint32 // of each record, the index of its first cell; and at the end, how many cells there are
	Start   []uint32 // of each cell, where its text begins in Data
	End     []uint32 // of each cell, where its text ends in Data
	Lines   int      // physical lines, with those of comments and of what was left out of a record too long
	Rows    int      // records and comments: what the numbers of rows go up by, as in frictionless

	Problems []Problem    // in the order of their places, the first Kept of each kind
	Counts   map[Kind]int // of all problems

	grammar  *grammar
	limits   limits
	encoding string // as declared
	offset   int64  // of Data in the file's text, or -1 if that is not counted in the file's bytes
	cut      bool   // the last record goes on beyond Data
	skipped  int    // lines of what was cut off
	mark     string // what to say of the file's byte-order mark; in the first block only

	lines    []uint32 // of each record, its physical line; empty if records are lines
	comments []uint32 // of each comment, how many records come before it
}

// limits are constants, but for tests.
type limits struct {
	record int // bytes
	cell   int // bytes
	cells  int // in a record
}

// Line returns the physical line of a record, from 0, within the block.
func (b *Block) Line(record int) int {
	if len(b.lines) == 0 {
		return record
	}
	return int(b.lines[record])
}

// Row returns the place of a record among the block's records and comments, from 0.
func (b *Block) Row(record int) int {
	before, _ := slices.BinarySearch(b.comments, uint32(record)+1) //nolint:gosec // a block has fewer records than 2^32
	return record + before
}

// Cells returns how many cells a record has.
func (b *Block) Cells(record int) int { return int(b.First[record+1] - b.First[record]) }

// Cell returns the text of one cell. It is the block's: copy what outlives Release.
func (b *Block) Cell(record, cell int) []byte {
	i := b.First[record] + uint32(cell) //nolint:gosec // a block's cells are fewer than 2^32
	return b.Data[b.Start[i]:b.End[i]]
}

func (b *Block) note(p Problem) {
	if b.Counts == nil {
		b.Counts = map[Kind]int{}
	}
	if b.Counts[p.Kind]++; b.Counts[p.Kind] <= Kept {
		b.Problems = append(b.Problems, p)
	}
}

// reset makes the block ready for other data and keeps its memory.
func (b *Block) reset() {
	clear(b.Counts)
	clear(b.Problems)
	*b = Block{
		Data: b.Data[:0], First: b.First[:0], Start: b.Start[:0], End: b.End[:0],
		Problems: b.Problems[:0], Counts: b.Counts, lines: b.lines[:0], comments: b.comments[:0],
		grammar: b.grammar, limits: b.limits, encoding: b.encoding,
	}
}
