package records

import (
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
			g.next[state][c] = g.step(state, byte(c))
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
	switch {
	case state == inEscape:
		return inPlain
	case state == inQuotedEscape:
		return inQuoted
	case state == inQuoted && g.is(g.quote, c):
		return atQuote
	case state == inQuoted && g.is(g.escape, c):
		return inQuotedEscape
	case state == inQuoted:
		return inQuoted
	case c == '\n':
		return atLine | recordEnd
	case state == inComment || state == atLine && g.is(g.comment, c):
		return inComment
	}
	return g.stepOutside(state, c)
}

// stepOutside is step between quotes and quotes, but for line feeds.
func (g *grammar) stepOutside(state, c uint8) uint8 {
	first := state == atLine || state == atCell
	switch {
	case c == g.delimiter:
		return atCell
	case g.is(g.escape, c):
		return inEscape
	case g.is(g.quote, c) && (first || state == atQuote && g.double):
		return inQuoted
	case c == ' ' && first && g.skip:
		return atCell
	}
	return inPlain
}

// is says whether a byte is a character that the dialect has.
func (*grammar) is(char, c byte) bool { return char != 0 && c == char }
