package terminal

import (
	"net/url"
	"path/filepath"

	"github.com/fatih/color"

	"github.com/meter-ml/meter-pipeline/internal/engine"
)

// A palette is how one stream is painted. It belongs to the stream, since one of the two may be a file.
type palette struct {
	bold, faint, red, mark, green, yellow, magenta, cyan func(string) string
	links                                                bool
}

func newPalette(s Stream) palette {
	paint := func(attributes ...color.Attribute) func(string) string {
		c := color.New(attributes...)
		if s.Color { // said for each: the package's own switch is global and looks at the standard output only
			c.EnableColor()
		} else {
			c.DisableColor()
		}
		return func(text string) string { return c.Sprint(text) }
	}
	return palette{
		bold:    paint(color.Bold),
		faint:   paint(color.Faint),
		red:     paint(color.FgRed, color.Bold),
		mark:    paint(color.FgRed),
		green:   paint(color.FgGreen),
		yellow:  paint(color.FgYellow),
		magenta: paint(color.FgMagenta, color.Bold),
		cyan:    paint(color.FgCyan),
		links:   s.Links,
	}
}

// status is the colour of a status. What could not be judged has one of its own: it is no failure, and no pass.
func (p palette) status(s engine.Status) func(string) string {
	switch s {
	case engine.StatusPassed:
		return p.green
	case engine.StatusFailed:
		return p.red
	case engine.StatusSkipped:
		return p.faint
	default:
		return p.magenta
	}
}

// file returns a style that makes text a link to a file of this machine.
func (p palette) file(path string, style func(string) string) func(string) string {
	if !p.links || !filepath.IsAbs(path) {
		return style
	}
	target := url.URL{Scheme: "file", Path: filepath.ToSlash(path)}
	return p.link(target.String(), style)
}

func (p palette) link(target string, style func(string) string) func(string) string {
	if !p.links {
		return style
	}
	return func(text string) string {
		return "\x1b]8;;" + target + "\x1b\\" + styled(style, text) + "\x1b]8;;\x1b\\"
	}
}

// glyphs are the signs that words alone would be slower without.
type glyphs struct {
	passed, failed, err, skipped, warning string
	full, empty                           string // of a bar
	bar, dot, ellipsis                    string
	blocks                                bool // bars of different height can be drawn
}

func newGlyphs(ascii bool) glyphs {
	if ascii {
		return glyphs{passed: "+", failed: "x", err: "!", skipped: "-", warning: "!", full: "#", empty: ".", bar: "|", dot: "-", ellipsis: "..."}
	}
	return glyphs{passed: "✓", failed: "✗", err: "!", skipped: "○", warning: "▲", full: "━", empty: "─", bar: "│", dot: "·", ellipsis: "…", blocks: true}
}

func (g glyphs) status(s engine.Status) string {
	switch s {
	case engine.StatusPassed:
		return g.passed
	case engine.StatusFailed:
		return g.failed
	case engine.StatusSkipped:
		return g.skipped
	default:
		return g.err
	}
}
