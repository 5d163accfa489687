// Package markdown writes summary.md: the run on one page, for the summary of a CI job and for comments. What passed
// is one line, what did not is folded below it. A page over the limit would be dropped whole by its readers, so detail
// is left out, and said to be, long before.
package markdown

import (
	"cmp"
	"fmt"
	"io"
	"strings"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/report"
)

const (
	limit       = 900 << 10 // bytes; a job's summary may hold 1 MiB
	maxFindings = 50        // of one step
	maxRows     = 25        // of one table
	maxText     = 2000      // bytes of one message
	logLines    = 20
)

// New returns a reporter that writes summary.md to path when the run has ended.
func New(path string) engine.Reporter {
	return report.ToFile(path, Render)
}

// Render writes the run as Markdown in the dialect of GitHub.
func Render(w io.Writer, r report.Report) error {
	p := &page{}
	p.head(r)
	p.stages(r)
	for _, step := range append(r.With(engine.StatusFailed), r.With(engine.StatusError)...) {
		p.section(func(p *page) { p.step(r, step) })
	}
	p.section(func(p *page) { p.asides(r) })
	if p.dropped > 0 {
		fmt.Fprintf(&p.b, "\n%s left out: this page would be too long. See `report.html`.\n", report.Count(p.dropped, "sections"))
	}
	_, err := io.WriteString(w, p.b.String())
	return err
}

type page struct {
	b       strings.Builder
	dropped int
}

// section adds a part whole, or not at all if the page would become too long.
func (p *page) section(write func(*page)) {
	part := &page{}
	write(part)
	if p.b.Len()+part.b.Len() > limit {
		p.dropped++
		return
	}
	p.b.WriteString(part.b.String())
}

func (p *page) printf(format string, args ...any) {
	fmt.Fprintf(&p.b, format, args...)
}

func (p *page) head(r report.Report) {
	p.printf("## %s %s\n\n", sign(r.Run.Status), inline(r.Verdict()))
	p.printf("%s.\n", inline(r.Detail()))
	if next := r.Next(); len(next) > 0 {
		commands := make([]string, len(next))
		for i, c := range next {
			commands[i] = code(c)
		}
		p.printf("\nNext: %s\n", strings.Join(commands, ", then "))
	}
	for _, problem := range r.Run.Problems {
		p.printf("\n%s %s\n", sign(engine.StatusError), inline(problem))
	}
	for _, warning := range r.Run.Warnings {
		p.printf("\nWarning: %s\n", inline(warning))
	}
}

// sign is a mark with a word beside it, since a colour alone tells some readers nothing.
func sign(s engine.Status) string {
	switch s {
	case engine.StatusPassed:
		return "✅"
	case engine.StatusFailed:
		return "❌"
	case engine.StatusSkipped:
		return "⚪"
	default:
		return "⚠️"
	}
}

func word(s engine.Status) string {
	if s == engine.StatusError {
		return "not judged"
	}
	return string(s)
}

func (p *page) stages(r report.Report) {
	p.printf("\n| Stage | Step | Result | Time |\n|---|---|---|--:|\n")
	for _, stage := range r.Run.Stages {
		name := inline(stage.Name)
		for _, step := range stage.Steps {
			took := report.Duration(step.Duration)
			if step.Status == engine.StatusSkipped {
				took = ""
			}
			p.printf("| %s | %s | %s %s | %s |\n", name, inline(step.Name), sign(step.Status), inline(result(r, step)), took)
			name = "" // said once
		}
	}
}

// result is the status of a step and what it rests on, in a few words.
func result(r report.Report, step engine.StepResult) string {
	text := word(step.Status)
	if step.Cached {
		text += ", cached"
	}
	switch step.Status {
	case engine.StatusSkipped, engine.StatusError:
		return text + ": " + report.Line(step.Reason)
	default:
	}
	var parts []string
	if n := len(r.Failing(step)); n > 0 {
		parts = append(parts, report.Count(n, "findings"))
	}
	for _, m := range step.Judgement.Metrics {
		switch {
		case !m.Met():
			parts = append(parts, report.Miss(m))
		case m.Direction != engine.DirectionNone:
			parts = append(parts, fmt.Sprintf("%s %s (%s)", report.Label(m), report.Number(m.Value, m.Unit), report.Threshold(m)))
		}
	}
	if len(parts) == 0 && step.Judgement.Judged > 0 {
		parts = append(parts, report.Count(step.Judgement.Judged, cmp.Or(step.Judgement.Unit, "items")))
	}
	if len(parts) == 0 {
		return text
	}
	return text + ": " + strings.Join(parts, ", ")
}

// step is the fold of one step that did not pass.
func (p *page) step(r report.Report, step engine.StepResult) {
	p.printf("\n<details>\n<summary>%s <b>%s/%s</b> %s</summary>\n\n", sign(step.Status), tag(step.Stage), tag(step.Name), tag(result(r, step)))
	findings := r.Failing(step)
	for _, m := range report.Missed(step) {
		p.printf("**%s**", inline(report.Miss(m)))
		if m.Help != "" {
			p.printf(": %s", inline(m.Help))
		}
		p.printf("\n\n")
	}
	shown := findings[:min(len(findings), maxFindings)]
	for _, file := range report.ByFile(shown) {
		p.file(file)
	}
	if more := len(findings) - len(shown); more > 0 {
		p.printf("…and %d more: see `report.html`.\n\n", more)
	}
	if step.Status == engine.StatusError || len(findings) == 0 && len(report.Missed(step)) == 0 {
		if tail, _ := r.LogTail(step, logLines); len(tail) > 0 {
			p.printf("End of %s:\n\n%s\n", code(step.Log), block(strings.Join(tail, "\n")))
		}
	}
	p.tables(step)
	if step.Fix != "" && step.Status == engine.StatusFailed {
		p.printf("Fix: %s\n\n", code(step.Fix))
	}
	if step.Rerun != "" {
		p.printf("Rerun: %s\n", code(step.Rerun))
	}
	p.printf("\n</details>\n")
}

func (p *page) file(file report.File) {
	if file.Path != "" {
		p.printf("%s\n\n", code(file.Path))
	}
	for _, rule := range file.Rules {
		p.printf("- **%s**", inline(rule.ID))
		if w := report.SeverityWord(rule.Severity); w != "" {
			p.printf(" %s", w)
		}
		message, rest, _ := strings.Cut(rule.Message, "\n")
		if message != "" {
			p.printf(" %s", inline(message))
		}
		p.printf("\n")
		var lines []string
		if strings.TrimSpace(rest) != "" {
			lines = append(lines, cut(rest)+"\n")
		}
		for _, f := range rule.Findings {
			lines = append(lines, line(f, rule.Message == ""))
		}
		if text := strings.TrimRight(strings.Join(lines, ""), "\n"); text != "" {
			p.printf("%s", indent(block(text)))
		}
		if rule.Help != "" {
			p.printf("  %s", inline(rule.Help))
		}
		if rule.HelpURL != "" {
			p.printf(" <%s>", rule.HelpURL)
		}
		if rule.Help != "" || rule.HelpURL != "" {
			p.printf("\n")
		}
	}
	p.printf("\n")
}

// line is a finding as a line of code with its number, and its own message if it has one.
func line(f engine.Finding, own bool) string {
	text := ""
	switch {
	case f.Line > 0 && f.Frame != "":
		text = fmt.Sprintf("%d │ %s\n", f.Line, cut(strings.TrimSpace(f.Frame)))
	case f.Line > 0:
		text = fmt.Sprintf("line %d\n", f.Line)
	}
	if own && f.Message != "" {
		text += cut(f.Message) + "\n"
	}
	return text
}

func (p *page) tables(step engine.StepResult) {
	for _, t := range step.Judgement.Tables {
		if len(t.Rows) == 0 || len(t.Columns) == 0 {
			continue
		}
		p.printf("**%s**\n\n|%s\n|%s\n", inline(t.Title), cells(t.Columns, len(t.Columns)), strings.Repeat("---|", len(t.Columns)))
		for _, row := range t.Rows[:min(len(t.Rows), maxRows)] {
			p.printf("|%s\n", cells(row, len(t.Columns)))
		}
		p.printf("\n")
	}
}

func cells(row []string, n int) string {
	var b strings.Builder
	for i := range n {
		cell := ""
		if i < len(row) {
			cell = inline(row[i])
		}
		b.WriteString(" " + cell + " |")
	}
	return b.String()
}

// asides is what somebody should know although it failed nothing.
func (p *page) asides(r report.Report) {
	var warnings, notes []string
	for _, step := range r.Steps() {
		name := inline(step.Stage + "/" + step.Name)
		for _, w := range step.Judgement.Warnings {
			warnings = append(warnings, fmt.Sprintf("- %s %s: %s\n", sign(engine.StatusError), name, inline(w)))
		}
		for _, a := range step.Judgement.Allowed {
			notes = append(notes, fmt.Sprintf("- %s: allowed until %s: %s %s (%s)\n", name, inline(a.Expires), inline(a.Finding.Rule),
				code(report.Place(a.Finding)), inline(a.Reason)))
		}
		for _, n := range step.Judgement.Notes {
			notes = append(notes, fmt.Sprintf("- %s: %s\n", name, inline(n)))
		}
		if step.Status == engine.StatusPassed {
			p.fold(step)
		}
	}
	if len(warnings)+len(notes) > 0 {
		p.printf("\n%s%s", strings.Join(warnings, ""), strings.Join(notes, ""))
	}
	p.printf("\n<sub>run %s", tag(r.Run.ID))
	if r.Run.Commit != "" {
		p.printf(" · commit %s", tag(r.Run.Commit[:min(len(r.Run.Commit), 10)]))
		if r.Run.Dirty {
			p.printf(" with changes")
		}
	}
	if r.Run.Branch != "" {
		p.printf(" · branch %s", tag(r.Run.Branch))
	}
	p.printf(" · %s UTC</sub>\n", r.Run.Started.UTC().Format("2006-01-02 15:04:05"))
}

// fold shows the tables of a step that passed, closed.
func (p *page) fold(step engine.StepResult) {
	if len(step.Judgement.Tables) == 0 {
		return
	}
	p.printf("\n<details>\n<summary>%s/%s: %s</summary>\n\n", tag(step.Stage), tag(step.Name), tag(step.Judgement.Tables[0].Title))
	p.tables(step)
	p.printf("</details>\n")
}
