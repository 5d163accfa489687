package terminal

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/report"
)

const (
	logLines     = 20 // of a step that could not be judged
	messageLines = 12 // of one finding
)

// closing is what stays on the screen when the run has ended: what did not pass, then what to do, then the verdict.
func (t *Terminal) closing(r report.Report) string {
	p := t.page()
	p.b.WriteString("\n")
	said := map[string]bool{}
	for _, step := range r.Steps() {
		switch step.Status {
		case engine.StatusFailed:
			p.failed(r, step, t.opts.Findings)
		case engine.StatusSkipped:
		case engine.StatusPassed:
			// A run of benchmark has integration beside it, whose tables nobody asked for.
			if asked, _, _ := strings.Cut(r.Run.Target, ":"); t.opts.Verbose || len(r.Run.Stages) == 1 || step.Stage == asked {
				p.tables(step)
			}
		default:
			if !said[step.Reason] { // one cause, such as a need that can't be had, stops many steps
				said[step.Reason] = true
				p.unjudged(r, sameReason(r, step.Reason))
			}
		}
	}
	for _, problem := range r.Run.Problems {
		p.gap()
		p.put(0, 2, span{p.magenta, t.glyphs.err + " "}, span{nil, report.Line(problem)})
	}
	for _, warning := range r.Run.Warnings {
		p.gap()
		p.put(0, 2, span{p.yellow, "warning "}, span{nil, report.Line(warning)})
	}
	p.gap()
	p.b.WriteString(t.verdict(r, t.outPaint))
	return p.b.String()
}

// verdict is the end: the report, what to type next, and last of all how it went.
func (t *Terminal) verdict(r report.Report, paint palette) string {
	p := t.page()
	p.palette = paint
	if path := reportPath(r); path != "" {
		p.put(2, 10, span{nil, "report  "}, span{p.file(filepath.Join(r.Run.Dir, "report.html"), nil), path})
	}
	if next := r.Next(); len(next) > 0 {
		spans := []span{{nil, "next    "}}
		for i, command := range next {
			if i > 0 {
				spans = append(spans, span{nil, ", then "})
			}
			spans = append(spans, span{p.bold, command})
		}
		p.put(2, 10, spans...)
	}
	style := p.status(r.Run.Status)
	p.put(0, 2, span{style, t.glyphs.status(r.Run.Status) + " " + r.Verdict() + ":"}, span{nil, " " + r.Detail()})
	return p.b.String()
}

// reportPath is the report as seen from the project's root, where the commands are typed.
func reportPath(r report.Report) string {
	if r.Run.Dir == "" {
		return ""
	}
	path := filepath.Join(r.Run.Dir, "report.html")
	if rel, err := filepath.Rel(r.Run.Root, path); err == nil && filepath.IsLocal(rel) {
		path = rel
	}
	return report.Line(path)
}

// failed shows a step that failed: thresholds missed, then findings by file, then the commands.
func (p *page) failed(r report.Report, step engine.StepResult, limit int) {
	findings := r.Failing(step)
	missed := report.Missed(step)
	title := "failed"
	if len(findings) > 0 {
		title += ": " + report.Count(len(findings), "findings")
	}
	p.heading(step, title)
	for _, m := range missed {
		p.put(2, 2, span{p.bold, report.Miss(m)})
		if m.Help != "" {
			p.put(4, 4, span{p.cyan, m.Help})
		}
	}
	if len(missed) > 0 && len(findings) > 0 {
		p.gap()
	}
	shown := findings[:min(len(findings), limit)]
	said := map[string]bool{}
	for i, file := range report.ByFile(shown) {
		if i > 0 {
			p.gap()
		}
		p.findings(r, file, said)
	}
	if more := len(findings) - len(shown); more > 0 {
		p.gap()
		p.put(2, 2, span{p.faint, fmt.Sprintf("%sand %d more: see report.html", p.glyphs.ellipsis, more)})
	}
	if len(findings) == 0 && len(missed) == 0 {
		p.log(r, step)
	}
	p.tables(step)
	p.commands(step)
}

func sameReason(r report.Report, reason string) []engine.StepResult {
	return slices.DeleteFunc(r.With(engine.StatusError), func(s engine.StepResult) bool { return s.Reason != reason })
}

// unjudged shows steps that could not be judged, for one reason, and the end of the first log.
func (p *page) unjudged(r report.Report, steps []engine.StepResult) {
	step := steps[0]
	var names []string
	for _, s := range steps {
		names = append(names, s.Stage+"/"+s.Name)
	}
	p.gap()
	style := p.status(step.Status)
	p.put(0, 2, span{style, p.glyphs.status(step.Status) + " " + strings.Join(names, ", ") + " could not be judged"})
	for line := range strings.Lines(cmp.Or(step.Reason, "no reason is known")) {
		p.put(2, 2, span{nil, strings.TrimRight(line, "\n")})
	}
	if r.Run.Interrupted { // nobody asks why, and all is to be run again
		return
	}
	p.log(r, step)
	p.commands(steps...)
}

func (p *page) heading(step engine.StepResult, title string) {
	p.gap()
	style := p.status(step.Status)
	p.put(0, 2, span{style, p.glyphs.status(step.Status) + " " + step.Stage + "/" + step.Name}, span{nil, " "}, span{style, title})
}

func (p *page) log(r report.Report, step engine.StepResult) {
	tail, more := r.LogTail(step, logLines)
	if len(tail) == 0 {
		return
	}
	p.gap()
	title := step.Log
	if more {
		title = fmt.Sprintf("last %s of %s", report.Count(len(tail), "lines"), step.Log)
	}
	p.put(2, 2, span{p.faint, title})
	for _, line := range tail {
		line = strings.ReplaceAll(line, "\t", "    ")
		if p.full > 0 {
			line = fit(line, p.full-5, p.glyphs.ellipsis)
		}
		p.b.WriteString(strings.TrimRight("  "+p.faint(p.glyphs.bar)+" "+line, " ") + "\n")
	}
}

// commands are what mends or repeats just these steps.
func (p *page) commands(steps ...engine.StepResult) {
	p.gap()
	for _, step := range steps {
		if step.Fix != "" && step.Status == engine.StatusFailed {
			p.put(2, 9, span{nil, "fix    "}, span{p.bold, step.Fix})
		}
		if step.Rerun != "" {
			p.put(2, 9, span{nil, "rerun  "}, span{p.bold, step.Rerun})
		}
	}
}

// tables are detail, such as the slowest tests.
func (p *page) tables(step engine.StepResult) {
	for _, table := range step.Judgement.Tables {
		if len(table.Rows) == 0 || table.Detail {
			continue
		}
		p.gap()
		p.put(2, 2, span{p.bold, table.Title}, span{p.faint, "  " + step.Stage + "/" + step.Name})
		p.rows(table)
	}
}

// rows puts numbers first, where they line up, and the name, which may be long, last.
func (p *page) rows(table engine.Table) {
	widths := make([]int, len(table.Columns))
	for _, row := range append([][]string{table.Columns}, table.Rows...) {
		for i := range min(len(row), len(widths)) {
			widths[i] = max(widths[i], width(row[i]))
		}
	}
	for i, row := range append([][]string{table.Columns}, table.Rows...) {
		line := "   "
		for j := 1; j < len(row) && j < len(widths); j++ {
			line += " " + padLeft(row[j], widths[j]) + " "
		}
		if p.glyphs.blocks {
			line += p.spread(table, i-1)
		}
		if len(row) > 0 {
			line += " " + row[0]
		}
		if p.full > 0 {
			line = fit(line, p.full-1, p.glyphs.ellipsis)
		}
		if i == 0 {
			line = p.faint(line)
		}
		p.b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
}

// spread draws how the values of a row are spread; the head has room for it. A table without them gets none.
func (p *page) spread(table engine.Table, row int) string {
	longest := 0
	for _, s := range table.Spreads {
		longest = max(longest, len(s.Shares))
	}
	if longest == 0 {
		return ""
	}
	bars := ""
	if row >= 0 && row < len(table.Spreads) {
		bars = report.Bars(table.Spreads[row].Shares)
	}
	return " " + bars + strings.Repeat(" ", longest-utf8.RuneCountInString(bars)) + " "
}
