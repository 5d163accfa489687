// Package plain makes text of foreign origin safe to show: what tools print, what test names contain, what errors
// quote. It stands below the engine and the runner, which let nothing through to terminal, log or report that has not
// gone through it, and it imports nothing of this repository.
package plain

import (
	"strings"
	"unicode/utf8"
)

// Text returns s without what could steer a terminal or rearrange what a person sees: escape sequences (CSI, OSC, DCS
// and the like, in their 7-bit and their C1 form), control characters, bidirectional overrides. Line ends and tabs
// stay; invalid UTF-8 becomes U+FFFD.
func Text(s string) string {
	if clean(s) {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	for i := 0; i < len(s); {
		if n := sequence(s[i:]); n > 0 {
			i += n
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		i += n
		switch {
		case r == '\r' && i < len(s) && s[i] == '\n':
		case r == '\r':
			b.WriteByte('\n')
		case hidden(r):
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// Line is Text on one line: line ends become spaces.
func Line(s string) string {
	s = Text(s)
	if !strings.ContainsAny(s, "\n\u2028\u2029") {
		return s
	}
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool {
		return r == '\n' || r == '\u2028' || r == '\u2029'
	}), " ")
}

// clean reports whether Text would return s as it is; nearly all lines are.
func clean(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < ' ' && c != '\n' && c != '\t' || c >= 0x7f {
			return false
		}
	}
	return true
}

func hidden(r rune) bool {
	switch {
	case r == '\n', r == '\t':
		return false
	case r < ' ', r == 0x7f, r >= 0x80 && r <= 0x9f:
		return true
	case r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069, r == 0x200e, r == 0x200f, r == 0x061c:
		return true
	case r == 0xfeff:
		return true
	}
	return false
}

// sequence returns the length of the escape sequence at the start of s, 0 if there is none.
func sequence(s string) int {
	kind, n := introducer(s)
	switch kind {
	case 0:
		return 0
	case '[':
		return n + control(s[n:])
	case ']', 'P', '^', '_', 'X':
		return n + controlString(s[n:])
	default:
		return n
	}
}

// introducer reads ESC and its second byte, or the C1 character that stands for both, as UTF-8 or as a raw byte.
func introducer(s string) (kind byte, n int) {
	switch {
	case s[0] == 0x1b && len(s) == 1:
		return ' ', 1
	case s[0] == 0x1b:
		return escape(s)
	case s[0] == 0xc2 && len(s) > 1 && s[1] >= 0x80 && s[1] <= 0x9f:
		return s[1] - 0x40, 2
	case s[0] >= 0x80 && s[0] <= 0x9f:
		return s[0] - 0x40, 1
	}
	return 0, 0
}

// escape reads a sequence that is not a control sequence or string whole: ESC, intermediate bytes, a final byte.
func escape(s string) (kind byte, n int) {
	c := s[1]
	if strings.IndexByte("[]P^_X", c) >= 0 {
		return c, 2
	}
	n = 1
	for n < len(s) && s[n] >= 0x20 && s[n] <= 0x2f {
		n++
	}
	if n < len(s) && s[n] >= 0x30 && s[n] <= 0x7e {
		n++
	}
	return ' ', n
}

// control returns the length of what follows CSI: parameters, intermediate bytes, and one final byte.
func control(s string) int {
	n := 0
	for n < len(s) && s[n] >= 0x20 && s[n] <= 0x3f {
		n++
	}
	if n < len(s) && s[n] >= 0x40 && s[n] <= 0x7e {
		n++
	}
	return n
}

// controlString returns the length of what follows OSC and its like, to BEL or ST. Without an end on the same line
// only the introducer goes: a lost end must not hide the text behind it.
func controlString(s string) int {
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\n':
			return 0
		case s[i] == 0x07:
			return i + 1
		case s[i] == 0x1b && i+1 < len(s) && s[i+1] == '\\':
			return i + 2
		case s[i] == 0xc2 && i+1 < len(s) && s[i+1] == 0x9c:
			return i + 2
		case s[i] == 0x9c && !inRune(s, i):
			return i + 1
		}
	}
	return 0
}

// inRune reports whether the byte at i is the rest of a valid UTF-8 sequence that begins before it.
func inRune(s string, i int) bool {
	for start := i - 1; start >= 0 && start >= i-3; start-- {
		if utf8.RuneStart(s[start]) {
			_, n := utf8.DecodeRuneInString(s[start:])
			return start+n > i
		}
	}
	return false
}
