package terminal

import (
	"strings"

	"github.com/clipperhouse/displaywidth"
)

// width is the number of columns that s takes; s is plain.
func width(s string) int { return displaywidth.String(s) }

// fit cuts s to at most n columns, and says so with the ellipsis.
func fit(s string, n int, ellipsis string) string {
	if n <= 0 {
		return ""
	}
	if width(s) <= n {
		return s
	}
	if n <= width(ellipsis) {
		return ellipsis[:0] + displaywidth.TruncateString(s, n, "")
	}
	return displaywidth.TruncateString(s, n, ellipsis)
}

// pad fills s up with spaces to n columns.
func pad(s string, n int) string {
	return s + strings.Repeat(" ", max(0, n-width(s)))
}

// padLeft puts the spaces before it.
func padLeft(s string, n int) string {
	return strings.Repeat(" ", max(0, n-width(s))) + s
}

// tabStop is how far a tab reaches in a frame.
const tabStop = 4

// A cell is a part of a line of source that is not divided: a letter with its marks, an emoji, a tab.
type cell struct {
	text  string
	width int
	runes int
}

// cells expands tabs and takes the line apart, so that a column counted in characters can be found on the screen.
func cells(line string) []cell {
	var out []cell
	column := 0
	g := displaywidth.StringGraphemes(line)
	for g.Next() {
		c := cell{text: g.Value(), width: g.Width(), runes: len([]rune(g.Value()))}
		if c.text == "\t" {
			c.width = tabStop - column%tabStop
			c.text = strings.Repeat(" ", c.width)
		}
		column += c.width
		out = append(out, c)
	}
	return out
}

// A span is text in one style; nil is none.
type span struct {
	style func(string) string
	text  string
}

// nbsp keeps two words on one line; it is written as a space.
const nbsp = "\u00a0"

// wrap lays spans out as lines of at most columns columns, broken between words; a word that is longer is broken
// where the line ends. Lines after the first begin with hang. Zero columns means that lines never end.
func wrap(spans []span, first, hang string, columns int) []string {
	w := wrapper{line: first, used: width(first), start: width(first), hang: hang, columns: columns}
	for _, s := range spans {
		for _, word := range words(s.text) {
			if strings.TrimLeft(word, " ") == "" {
				w.space += word
				continue
			}
			w.add(strings.ReplaceAll(word, nbsp, " "), s.style)
		}
		w.paint(s.style)
	}
	return append(w.lines, w.line)
}

type wrapper struct {
	lines       []string
	line        string // painted
	run         string // the end of it that is not painted yet
	space       string // before the next word, if that comes on the same line
	used, start int    // columns, and how many of them are no text
	hang        string
	columns     int
}

func (w *wrapper) add(word string, style func(string) string) {
	for w.columns > 0 && w.used+len(w.space)+width(word) > w.columns {
		room := w.columns - w.used - len(w.space)
		fitsBelow := width(word) <= w.columns-width(w.hang)
		if w.used > w.start && (room < 2 || fitsBelow || room < w.columns/2) {
			w.newLine(style)
			continue
		}
		head := displaywidth.TruncateString(word, max(room, 2), "") // 2: a wide letter has its place anywhere
		if head == "" || head == word {
			break
		}
		w.put(head)
		w.newLine(style)
		word = word[len(head):]
	}
	w.put(word)
}

func (w *wrapper) put(word string) {
	if w.used == w.start {
		w.space = ""
	}
	if w.run == "" { // a space between two styles has none
		w.line += w.space
	} else {
		w.run += w.space
	}
	w.run += word
	w.used += len(w.space) + width(word)
	w.space = ""
}

func (w *wrapper) newLine(style func(string) string) {
	w.paint(style)
	w.lines = append(w.lines, w.line)
	w.line, w.space = w.hang, ""
	w.used, w.start = width(w.hang), width(w.hang)
}

func (w *wrapper) paint(style func(string) string) {
	w.line += styled(style, w.run)
	w.run = ""
}

func styled(style func(string) string, s string) string {
	if style == nil || s == "" {
		return s
	}
	return style(s)
}

// words takes text apart into words and the runs of spaces between them.
func words(s string) []string {
	var out []string
	for s != "" {
		n := strings.IndexByte(s, ' ')
		if n == 0 {
			n = len(s) - len(strings.TrimLeft(s, " "))
		} else if n < 0 {
			n = len(s)
		}
		out = append(out, s[:n])
		s = s[n:]
	}
	return out
}
