package terminal

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/report"
)

// plainRoom is how much of a line of code is shown where no line ends: some files are one line.
const plainRoom = 160

// findings shows what is wrong in one file. Its heading names the first place in it, so that a click opens that.
func (p *page) findings(r report.Report, file report.File, said map[string]bool) {
	first := file.Rules[0].Findings[0]
	if place := report.Place(first); place != "" {
		p.put(2, 4, span{p.file(filepath.Join(r.Run.Root, filepath.FromSlash(first.Path)), p.cyan), place})
	}
	for _, rule := range file.Rules {
		p.rule(rule, said)
	}
}

// rule shows the findings of one rule: what they share once, then each line of code.
func (p *page) rule(rule report.Rule, said map[string]bool) {
	head := []span{{p.bold, rule.ID}}
	if word := report.SeverityWord(rule.Severity); word != "" {
		head = append(head, span{nil, " "}, span{p.severity(rule.Severity), word})
	}
	message, rest, _ := strings.Cut(rule.Message, "\n")
	p.put(4, 6, append(head, span{nil, " " + message})...)
	p.more(rest)

	gutter := 0
	for _, f := range rule.Findings {
		gutter = max(gutter, len(strconv.Itoa(f.Line)))
	}
	for _, f := range rule.Findings {
		own := ""
		if rule.Message == "" {
			own = f.Message
		}
		p.frame(f, gutter, own)
	}
	p.help(rule, said)
}

// more shows the further lines of a message, up to a limit.
func (p *page) more(text string) {
	if strings.TrimSpace(text) == "" {
		return
	}
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	for i, line := range lines {
		if i == messageLines {
			p.put(6, 6, span{p.faint, fmt.Sprintf("%s %d more lines", p.glyphs.ellipsis, len(lines)-i)})
			return
		}
		line = strings.ReplaceAll(line, "\t", "    ")
		if p.full > 0 {
			line = fit(line, p.full-7, p.glyphs.ellipsis)
		}
		p.b.WriteString(strings.TrimRight("      "+line, " ") + "\n")
	}
}

// help says the remedy of a rule, once for a step.
func (p *page) help(rule report.Rule, said map[string]bool) {
	key := rule.ID + "\x00" + rule.Help
	if said[key] || rule.Help == "" && rule.HelpURL == "" {
		return
	}
	said[key] = true
	if rule.Help != "" {
		p.put(6, 12, span{p.cyan, "help"}, span{nil, "  " + rule.Help})
	}
	if rule.HelpURL != "" { // not broken: a broken address can't be opened
		p.b.WriteString("            " + p.link(rule.HelpURL, p.faint)(rule.HelpURL) + "\n")
	}
}

func (p *page) severity(s engine.Severity) func(string) string {
	if s >= engine.SeverityHigh {
		return p.red
	}
	return p.yellow
}

// frame shows the line of code, with a mark below what the finding is about, and what is said of this finding only.
func (p *page) frame(f engine.Finding, gutter int, message string) {
	message, rest, _ := strings.Cut(message, "\n")
	lead := func(number string) string {
		return p.faint(strings.Repeat(" ", 6)+padLeft(number, gutter)+" "+p.glyphs.bar) + " "
	}
	room := plainRoom
	if p.full > 0 {
		room = max(p.full-1-6-gutter-3, 10)
	}
	code, mark := frame(f, room, p.glyphs.ellipsis)
	number := ""
	if f.Line > 0 {
		number = strconv.Itoa(f.Line)
	}
	switch {
	case code != "" && f.Line > 0:
		p.b.WriteString(lead(number) + code + "\n")
	case message != "" || f.Line > 0:
		p.b.WriteString(strings.TrimRight(lead(number)+fit(message, room, p.glyphs.ellipsis), " ") + "\n")
		p.more(rest)
		return
	}
	if mark != "" && width(mark)+1+width(message) <= room {
		p.b.WriteString(lead("") + p.mark(strings.TrimRight(mark+" "+message, " ")) + "\n")
	} else {
		if mark != "" {
			p.b.WriteString(lead("") + p.mark(mark) + "\n")
		}
		if message != "" {
			p.b.WriteString(lead("") + p.mark(fit(message, room, p.glyphs.ellipsis)) + "\n")
		}
	}
	p.more(rest)
}

// frame returns the code of a finding without its indentation, at most room columns of it (0: all), and the mark to
// put below it; without a column there is none.
func frame(f engine.Finding, room int, ellipsis string) (code, mark string) {
	if strings.TrimSpace(f.Frame) == "" {
		return "", ""
	}
	line := cells(strings.TrimRight(f.Frame, " \t"))
	from, to := marked(f)
	column, runes := 0, 0
	start, end := -1, -1
	for _, c := range line {
		if runes >= from && start < 0 {
			start = column
		}
		column, runes = column+c.width, runes+c.runes
		if runes < to || start < 0 {
			continue
		}
		if end < 0 {
			end = column
		}
	}
	if start < 0 { // the column is after the end of the line, where something is missing
		start, end = column, column+1
	}
	if end < 0 {
		end = column
	}
	line, cut := dedent(line)
	start, end = max(start-cut, 0), max(end-cut, 1)
	line, shift := window(line, start, room, ellipsis)
	for _, c := range line {
		code += c.text
	}
	if f.Column <= 0 || start == 0 && f.EndCol == 0 { // a mark below the first letter says nothing
		return code, ""
	}
	start, end = start-shift, end-shift
	if room > 0 {
		end = min(end, room)
	}
	return code, strings.Repeat(" ", max(start, 0)) + strings.Repeat("^", max(end-start, 1))
}

// marked are the characters that a finding is about, from 0, the end not included.
func marked(f engine.Finding) (from, to int) {
	from = max(f.Column-1, 0)
	switch {
	case f.EndLine > f.Line: // to the end of the line
		return from, len(f.Frame) + 1
	case f.EndCol > f.Column:
		return from, f.EndCol - 1
	}
	return from, from + 1
}

// dedent takes the indentation off, and says how many columns it took.
func dedent(line []cell) ([]cell, int) {
	cut := 0
	for len(line) > 0 && strings.TrimSpace(line[0].text) == "" {
		cut += line[0].width
		line = line[1:]
	}
	return line, cut
}

// window returns the part of a line around a column that fits, and by how many columns what it shows moved left.
func window(line []cell, at, room int, ellipsis string) ([]cell, int) {
	total := 0
	for _, c := range line {
		total += c.width
	}
	if room <= 0 || total <= room {
		return line, 0
	}
	gap := cell{text: ellipsis, width: width(ellipsis)}
	skipped := 0
	if at > room-gap.width-room/4 { // not visible from the start
		for len(line) > 0 && skipped < at-room/2 {
			skipped += line[0].width
			line = line[1:]
		}
	}
	var out []cell
	used := 0
	if skipped > 0 {
		out, used = append(out, gap), gap.width
	}
	for i, c := range line {
		limit := room - gap.width
		if i == len(line)-1 {
			limit = room
		}
		if used+c.width > limit {
			out = append(out, gap)
			break
		}
		out, used = append(out, c), used+c.width
	}
	if skipped > 0 {
		skipped -= gap.width
	}
	return out, skipped
}
