package terminal

import (
	"github.com/meter-ml/meter-pipeline/internal/report"
)

// A Panel is a block of lines at the end of a screen that is drawn in place, below lines that stay. Off a screen it has no
// block, and the lines alone are written.
type Panel struct {
	terminal *Terminal
	lines    []string
}

// NewPanel returns an empty one. Close it.
func NewPanel(opts Options) *Panel { return &Panel{terminal: New(opts)} }

// Say writes a line that stays.
func (p *Panel) Say(line string) {
	t := p.terminal
	t.screen.permanent(false, report.Line(line)+"\n", p.view())
}

// Draw replaces the block.
func (p *Panel) Draw(lines []string) {
	p.lines = lines
	if p.terminal.opts.Err.TTY {
		p.terminal.screen.draw(p.view())
	}
}

func (p *Panel) view() []string {
	t := p.terminal
	if !t.opts.Err.TTY {
		return nil
	}
	columns, rows := t.size()
	var cut []string
	for _, line := range p.lines[:min(len(p.lines), rows-2)] {
		cut = append(cut, fit(report.Line(line), columns-1, t.glyphs.ellipsis))
	}
	return cut
}

// Close leaves the last block on the screen, where it can be read on.
func (p *Panel) Close() error { return p.terminal.screen.failed }
