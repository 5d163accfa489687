package records

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
