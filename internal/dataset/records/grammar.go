package records

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/meter-ml/meter-pipeline/internal/dataset/contract"
)

// States between two bytes of a file.
const (
	atLine         uint8 = iota // at the beginning of a line that no quote reaches into
	atCell                      // at the beginning of another cell
	inPlain                     // in a cell without quotes, or behind a cell's closing quote
	inQuoted                    // between quotes
	atQuote                     // behind a quote that closes the cell, if it isn't the first of two
	inEscape                    // behind an escape character outside quotes
	inQuotedEscape              // behind an escape character between quotes
	inComment                   // in a line of comment
	states
	recordEnd uint8 = 0x80 // set on the state behind a line feed that ends a record or a comment
)

// A grammar is a dialect made ready: what each byte means, and where each byte leads from each state.
type grammar struct {
	delimiter byte
	quote     byte // 0 for none, as the others
	escape    byte
	comment   byte
	double    bool
	skip      bool // spaces at a cell's beginning don't count

	next [states][256]uint8
}

// newGrammar returns the grammar of a dialect. The zero Dialect is the standard's default.
func newGrammar(d contract.Dialect) (*grammar, error) {
	if d == (contract.Dialect{}) {
		d = contract.Dialect{Delimiter: ',', QuoteChar: '"', DoubleQuote: true}
	}
	g := &grammar{
		delimiter: d.Delimiter, quote: d.QuoteChar, escape: d.EscapeChar, comment: d.CommentChar,
		double: d.DoubleQuote, skip: d.SkipInitialSpace,
	}
	if g.escape != 0 && g.escape == g.quote { // another way to say that quotes are doubled
		g.escape, g.double = 0, true
	}
	if err := g.check(); err != nil {
		return nil, err
	}
	for state := range states {
		for c := range 256 {
			g.next[state][c] = g.step(state, byte(c)) //nolint:gosec // below 256
		}
	}
	return g, nil
}

// check says whether the characters can be told from each other and from text.
func (g *grammar) check() error {
	if g.delimiter == 0 {
		return errors.New("read dialect: there is no delimiter: set the dialect's delimiter")
	}
	names := map[byte]string{}
	for _, c := range []struct {
		name string
		char byte
	}{{"delimiter", g.delimiter}, {"quoteChar", g.quote}, {"escapeChar", g.escape}, {"commentChar", g.comment}} {
		if c.char == 0 {
			continue
		}
		if c.char == '\n' || c.char == '\r' || c.char >= 0x80 {
			return fmt.Errorf("read dialect: %s %q can't be told from text: use one ASCII character that ends no line",
				c.name, string([]byte{c.char}))
		}
		if other, ok := names[c.char]; ok {
			return fmt.Errorf("read dialect: %s and %s are both %q: use two characters", other, c.name, c.char)
		}
		names[c.char] = c.name
	}
	if g.skip && names[' '] != "" {
		return fmt.Errorf("read dialect: %s is a space, which skipInitialSpace leaves out: use one or the other", names[' '])
	}
	return nil
}

// step says where a byte leads. It is the one definition of where records end.
func (g *grammar) step(state, c uint8) uint8 {
	is := func(char byte) bool { return char != 0 && c == char }
	switch state {
	case inEscape:
		return inPlain
	case inQuotedEscape:
		return inQuoted
	case inQuoted:
		switch {
		case is(g.quote):
			return atQuote
		case is(g.escape):
			return inQuotedEscape
		}
		return inQuoted
	case inComment:
		if c == '\n' {
			return atLine | recordEnd
		}
		return inComment
	case atLine:
		if is(g.comment) {
			return inComment
		}
	}
	switch first := state == atLine || state == atCell; {
	case c == '\n':
		return atLine | recordEnd
	case c == g.delimiter:
		return atCell
	case is(g.escape):
		return inEscape
	case is(g.quote) && (first || state == atQuote && g.double):
		return inQuoted
	case c == ' ' && first && g.skip:
		return atCell
	}
	return inPlain
}

// A splitter finds where records end in a stream of pieces of any length.
type splitter struct {
	*grammar
	state uint8
}

// feed goes over the next piece and returns the place behind the last record end in it, or 0 if there is none. With
// first, it stops behind the first one.
func (s *splitter) feed(piece []byte, first bool) int {
	end := 0
	for i := 0; i < len(piece); {
		if s.state == inQuoted && s.escape == 0 {
			if i += s.quotes(piece[i:]); i == len(piece) {
				break
			}
		}
		if run := s.run(piece[i:]); run > 0 {
			at := s.over(piece[i:i+run], first)
			if at > 0 {
				end = i + at
				if first {
					return end
				}
			}
			i += run
			continue
		}
		s.state = s.next[s.state][piece[i]]
		i++
		if s.state&recordEnd != 0 {
			s.state &^= recordEnd
			if end = i; first {
				return end
			}
		}
	}
	return end
}

// quotes returns how many bytes come before the quote that closes a cell behind which no other begins at once. It is a
// short cut through the rows of files that quote every cell.
func (s *splitter) quotes(piece []byte) int {
	for i := 0; ; {
		at := bytes.IndexByte(piece[i:], s.quote)
		if at < 0 {
			return len(piece)
		}
		i += at
		if i+2 >= len(piece) || piece[i+1] != s.delimiter || piece[i+2] != s.quote {
			return i
		}
		i += 3
	}
}

// run returns how many bytes come before the next one that leads into or out of quotes or an escape; 0 if the next byte
// has to be looked at by itself.
func (s *splitter) run(piece []byte) int {
	switch s.state {
	case atQuote, inEscape, inQuotedEscape:
		return 0
	}
	run := len(piece)
	if s.quote != 0 {
		if i := bytes.IndexByte(piece, s.quote); i >= 0 {
			run = i
		}
	}
	if s.escape != 0 {
		if i := bytes.IndexByte(piece[:run], s.escape); i >= 0 {
			run = i
		}
	}
	return run
}

// over goes over bytes without a quote or an escape, as next would one by one.
func (s *splitter) over(run []byte, first bool) int {
	if s.state == inQuoted {
		return 0
	}
	end := 0
	if first {
		end = bytes.IndexByte(run, '\n') + 1
	} else {
		end = bytes.LastIndexByte(run, '\n') + 1
	}
	if end > 0 {
		s.state = atLine
		if first {
			return end
		}
	}
	tail := run[end:]
	if s.state == inComment || len(tail) == 0 {
		return end
	}
	if s.state == atLine && s.comment != 0 && tail[0] == s.comment {
		s.state = inComment
		return end
	}
	text := tail
	if s.skip {
		text = bytes.TrimRight(tail, " ")
	}
	switch {
	case len(text) > 0 && text[len(text)-1] == s.delimiter:
		s.state = atCell
	case len(text) > 0:
		s.state = inPlain
	case s.state == atLine: // nothing but spaces that don't count
		s.state = atCell
	}
	return end
}
