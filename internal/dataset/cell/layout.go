package cell

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A Layout is a compiled pattern of strptime, as Python's datetime reads it in the C locale.
type Layout struct {
	ops   []op
	fixed *fixed
}

// op is one step of a pattern: a directive, a literal byte or white space.
type op struct {
	kind    byte // the directive's letter, literal or space
	literal byte // in lower case
}

const (
	literal = 0
	space   = ' '
)

// directives that are understood, each of which may stand once. Weeks (%U, %W, %V, %G) are not among them.
const directives = "dfHIjmMSyYzZaAbBpwu"

// CompileLayout reads a pattern.
func CompileLayout(pattern string) (*Layout, error) {
	l := &Layout{}
	seen := map[byte]bool{}
	for s := pattern; s != ""; {
		if r, n := utf8.DecodeRuneInString(s); unicode.IsSpace(r) {
			if len(l.ops) == 0 || l.ops[len(l.ops)-1].kind != space {
				l.ops = append(l.ops, op{kind: space})
			}
			s = s[n:]
			continue
		}
		if s[0] != '%' {
			l.ops = append(l.ops, op{literal: lower(s[0])})
			s = s[1:]
			continue
		}
		if len(s) == 1 {
			return nil, fmt.Errorf("it ends in a single %%: write %%%% for a percent sign")
		}
		d := s[1]
		s = s[2:]
		switch {
		case d == '%':
			l.ops = append(l.ops, op{literal: '%'})
		case strings.IndexByte("cxX", d) >= 0:
			s = map[byte]string{'c': "%a %b %d %H:%M:%S %Y", 'x': "%m/%d/%y", 'X': "%H:%M:%S"}[d] + s
		case strings.IndexByte(directives, d) < 0:
			return nil, fmt.Errorf("unknown directive %%%c: see Python's strptime; weeks are not supported", d)
		case seen[d]:
			return nil, fmt.Errorf("directive %%%c stands there twice: Python refuses that", d)
		default:
			seen[d] = true
			l.ops = append(l.ops, op{kind: d})
		}
	}
	l.fixed = compileFixed(l.ops)
	return l, nil
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c | 0x20
	}
	return c
}

// parse reads b as Python does: the pattern is a regular expression, of whose matches the first counts, and that must be
// all of b. The first alternative of each step is taken without looking back, which is nearly always right.
func (l *Layout) parse(b []byte) (civil, bool) {
	if l.fixed != nil {
		if c, ok := l.fixed.parse(b); ok {
			return c, true
		}
	}
	f := fields{year: 1900, month: 1, day: 1}
	pos := 0
	for i := range l.ops {
		step := &l.ops[i]
		if step.kind == literal {
			if pos < len(b) && lower(b[pos]) == step.literal {
				pos++
				continue
			}
			return l.parseSlowly(b)
		}
		n := step.length(b[pos:], 0)
		if n <= 0 {
			return l.parseSlowly(b)
		}
		f.set(step.kind, b[pos:pos+n])
		pos += n
	}
	if pos != len(b) {
		return civil{}, false
	}
	return f.civil()
}

func (l *Layout) parseSlowly(b []byte) (civil, bool) {
	f := fields{year: 1900, month: 1, day: 1}
	if end, ok := l.match(b, 0, 0, &f); !ok || end != len(b) {
		return civil{}, false
	}
	return f.civil()
}

// match tries the alternatives of the i-th step in their order, and sets the fields once all steps match.
func (l *Layout) match(b []byte, i, pos int, f *fields) (end int, ok bool) {
	if i == len(l.ops) {
		return pos, true
	}
	step := &l.ops[i]
	for try := 0; ; try++ {
		n := step.length(b[pos:], try)
		if n <= 0 {
			return 0, false
		}
		if end, ok := l.match(b, i+1, pos+n, f); ok {
			f.set(step.kind, b[pos:pos+n])
			return end, true
		}
	}
}
