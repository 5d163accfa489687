package report

import (
	"strings"

	"github.com/meter-ml/meter-pipeline/internal/plain"
)

// Text makes text of foreign origin fit to be read: plain.Text, without what a reader can't see but a comparison can.
// Lines end with a line feed.
func Text(s string) string {
	s = plain.Text(s)
	if !strings.ContainsFunc(s, unseen) {
		return s
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\u2028' || r == '\u2029':
			return '\n'
		case unseen(r):
			return -1
		}
		return r
	}, s)
}

// Line is Text on one line: line ends and tabs become spaces.
func Line(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return ' '
		}
		return r
	}, Text(s))
}

// Code is one line of source: like Line, but tabs stay, since they are the indentation.
func Code(s string) string {
	return strings.ReplaceAll(Text(s), "\n", " ")
}

// unseen reports whether r is invisible and changes what text is or where it ends: separators, zero-width marks, tags.
// U+200C and U+200D stay, since words and emoji are spelled with them.
func unseen(r rune) bool {
	switch {
	case r == 0x00ad, r == 0x034f, r == 0x180e, r == 0x200b, r == 0x2028, r == 0x2029:
		return true
	case r >= 0x2060 && r <= 0x206f, r >= 0xfff9 && r <= 0xfffb, r >= 0xe0000 && r <= 0xe007f:
		return true
	}
	return r&0xfffe == 0xfffe // noncharacters, which XML forbids
}
