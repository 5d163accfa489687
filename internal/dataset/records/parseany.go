package records

import (
	"bytes"
	"unicode/utf8"
)

// anyParser reads a block in which quotes, escapes, comments or problems can stand. It writes a cell's text over its
// raw form, which is never shorter, so everything ahead of the place being read is still as in the file.
type anyParser struct {
	*Block
	grammar *grammar
	marks   marker

	at      int  // the place being read
	write   int  // where the cell's next byte goes
	line    int  // of at
	record  int  // being read, or to come
	count   int  // cells of the record so far
	empty   bool // the record has no text
	nul     int  // the place of the next NUL byte
	invalid int  // the place of the next byte that is no UTF-8
	noted   kindSet
}

// kindSet has the kinds of problems of one cell.
type kindSet struct{ bare, lone, long, many bool }

func (b *Block) parseAny() {
	p := anyParser{Block: b, grammar: b.grammar, nul: len(b.Data), invalid: len(b.Data)}
	p.marks = newMarker(b.Data, b.grammar)
	p.findNUL()
	if !utf8.Valid(b.Data) {
		p.findInvalid()
	}
	for p.at < len(b.Data) {
		if c := b.grammar.comment; c != 0 && b.Data[p.at] == c {
			p.skipComment()
			continue
		}
		p.First = append(p.First, uint32(len(p.Start))) //nolint:gosec // a block is shorter than 2^32 bytes
		p.lines = append(p.lines, uint32(p.line))       //nolint:gosec // as above
		p.count, p.empty, p.noted.many = 0, false, false
		line := p.line
		for (p.grammar.skip || !p.simpleCells()) && p.cell() {
		}
		if p.empty && p.count == 1 {
			p.note(Problem{Kind: BlankRow, Record: p.record, Line: line, Detail: blankDetail})
		}
		p.record++
	}
	p.First = append(p.First, uint32(len(p.Start))) //nolint:gosec // as above
	b.Lines += p.line
}

func (p *anyParser) problem(kind Kind, line int, detail string) {
	p.note(Problem{Kind: kind, Record: p.record, Line: line, Cell: p.count, Detail: detail})
}

// skipComment goes behind a comment. Its bytes have to be text all the same.
func (p *anyParser) skipComment() {
	end := len(p.Data)
	if i := bytes.IndexByte(p.Data[p.at:], '\n'); i >= 0 {
		end = p.at + i
	}
	p.at, p.count = end, 0
	p.judgeText()
	if end == len(p.Data) && p.cut {
		p.problem(TooLong, p.line, longNoteDetail)
	}
	p.comments = append(p.comments, uint32(p.record)) //nolint:gosec // as above
	p.lineEnd(end + 1)
}

// lineEnd goes to the next line.
func (p *anyParser) lineEnd(next int) {
	p.line++
	p.at = min(next, len(p.Data))
}

// cell reads one cell and goes behind what ends it. It says whether the record goes on.
func (p *anyParser) cell() bool {
	p.noted = kindSet{many: p.noted.many}
	if p.grammar.skip {
		for p.at < len(p.Data) && p.Data[p.at] == ' ' {
			p.at++
		}
	}
	start := p.at
	if p.at == len(p.Data) {
		p.empty = true
	} else if c := p.Data[p.at]; c == p.grammar.quote && c != 0 {
		p.at++
		p.write = p.at
		return p.quotedCell(p.at)
	} else if c == '\n' || c == '\r' && p.beforeFeed() {
		p.empty = true
	}
	p.write = start
	return p.plainCell(start)
}

// simpleCells is the short cut of cell for those that stand in the file as they are, with a delimiter or a line feed
// behind them. It says whether the record ended; if not, the next cell needs a closer look.
func (p *anyParser) simpleCells() bool {
	data, m, at := p.Data, p.marks, p.at
	quote, delimiter := p.grammar.quote, p.grammar.delimiter
	starts, ends := p.Start, p.End
	clean := min(p.nul, p.invalid, len(data)) // up to here, all bytes are text
	room := p.limits.cells - p.count
	ended := false
	for at < len(data) && room > 0 && !ended {
		base, left := m.base, m.left
		start, closing := at, 0
		if data[at] == quote && quote != 0 {
			start, closing = at+1, 1
		}
		end := m.seek(start)
		next := end + closing
		if next < clean && data[next] == '\n' && next > at {
			ended = true
		} else if next >= clean || data[next] != delimiter {
			m.base, m.left = base, left
			break
		}
		if closing > 0 && data[end] != quote || end-start > p.limits.cell {
			m.base, m.left, ended = base, left, false
			break
		}
		starts = append(starts, uint32(start)) //nolint:gosec // a block is shorter than 2^32 bytes
		ends = append(ends, uint32(end))       //nolint:gosec // as above
		room--
		at = next + 1
	}
	p.count += len(starts) - len(p.Start)
	p.marks, p.at, p.Start, p.End = m, at, starts, ends
	if ended {
		p.line++
	}
	return ended
}

// beforeFeed says whether the next byte but one is a line feed.
func (p *anyParser) beforeFeed() bool { return p.at+1 < len(p.Data) && p.Data[p.at+1] == '\n' }

// keep moves the bytes from a place to the one being read to the end of the cell's text.
func (p *anyParser) keep(from int) {
	if p.write != from {
		copy(p.Data[p.write:], p.Data[from:p.at])
	}
	p.write += p.at - from
}

// keepByte makes the byte being read part of the cell's text.
func (p *anyParser) keepByte() {
	p.at++
	p.keep(p.at - 1)
}

// plainCell reads text without quotes up to the end of the cell: all of it, or what comes behind a closing quote.
func (p *anyParser) plainCell(start int) bool {
	g := p.grammar
	for {
		from := p.at
		p.at = p.marks.seek(from)
		p.keep(from)
		if p.at == len(p.Data) {
			if p.cut {
				p.noted.long = true
				p.problem(TooLong, p.line, longRecordDetail)
			}
			p.endCell(start)
			p.lineEnd(p.at)
			return false
		}
		switch c := p.Data[p.at]; {
		case c == g.delimiter:
			p.endCell(start)
			p.at++
			return true
		case c == '\n' || c == '\r' && p.beforeFeed():
			p.endCell(start)
			p.lineEnd(p.at + 1 + int(c&1)) // \r is odd
			return false
		case c == '\r':
			p.loneReturn()
		case c == g.escape:
			p.escaped()
		default:
			if !p.noted.bare {
				p.noted.bare = true
				p.problem(BareQuote, p.line, bareDetail)
			}
			p.keepByte()
		}
	}
}

// loneReturn keeps a carriage return as text, but not as the last byte of the file.
func (p *anyParser) loneReturn() {
	if !p.noted.lone {
		p.noted.lone = true
		p.problem(LoneCR, p.line, loneDetail)
	}
	if p.at+1 == len(p.Data) {
		p.at++
		return
	}
	p.keepByte()
}

// escaped keeps the byte behind an escape character, whatever it is.
func (p *anyParser) escaped() {
	p.at++
	if p.at == len(p.Data) {
		if !p.cut {
			p.problem(TrailingEscape, p.line, escapeDetail)
		}
		return
	}
	if p.Data[p.at] == '\n' {
		p.line++
	}
	p.keepByte()
}

// quotedCell reads text behind an opening quote. A line end in it is a line feed, as encoding/csv has it.
func (p *anyParser) quotedCell(start int) bool {
	g, line := p.grammar, p.line
	for {
		from := p.at
		p.at = p.marks.seek(from)
		for p.at < len(p.Data) && p.Data[p.at] == g.delimiter {
			p.at = p.marks.seek(p.at + 1)
		}
		p.keep(from)
		if p.at == len(p.Data) {
			detail := openDetail
			if p.cut {
				detail = openLongDetail
			}
			p.problem(UnterminatedQuote, line, detail)
			p.endCell(start)
			p.lineEnd(p.at)
			return false
		}
		switch c := p.Data[p.at]; {
		case c == '\n':
			p.line++
			p.keepByte()
		case c == '\r' && p.beforeFeed():
			p.at++
		case c == '\r':
			p.keepByte()
		case c == g.escape:
			p.escaped()
		case g.double && p.at+1 < len(p.Data) && p.Data[p.at+1] == g.quote:
			p.at++
			p.keepByte()
		default:
			p.at++
			p.closed()
			return p.plainCell(start)
		}
	}
}

// closed judges what comes behind a closing quote.
func (p *anyParser) closed() {
	if p.at == len(p.Data) {
		return
	}
	switch p.Data[p.at] {
	case p.grammar.delimiter, '\n', '\r':
		return
	}
	p.noted.bare = true
	p.problem(TextAfterQuote, p.line, afterDetail)
}

// endCell judges the cell and adds it to the record.
func (p *anyParser) endCell(start int) {
	p.judgeText()
	if p.write-start > p.limits.cell && !p.noted.long {
		p.problem(TooLong, p.line, longCellDetail)
	}
	if p.count < p.limits.cells {
		p.Start = append(p.Start, uint32(start)) //nolint:gosec // a block is shorter than 2^32 bytes
		p.End = append(p.End, uint32(p.write))   //nolint:gosec // as above
	} else if !p.noted.many {
		p.noted.many = true
		p.problem(TooLong, p.line, manyCellsDetail)
	}
	p.count++
}
