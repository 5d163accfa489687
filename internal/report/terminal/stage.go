package terminal

import (
	"fmt"
	"slices"
	"strings"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/report"
)

// measure is the most columns of prose: longer lines are hard to read.
const measure = 100

// A page is result text, laid out for the standard output.
type page struct {
	palette
	glyphs  glyphs
	columns int // of prose; 0 is no end
	full    int // of the screen; 0 is no end
	b       strings.Builder
}

func (t *Terminal) page() *page {
	p := &page{palette: t.outPaint, glyphs: t.glyphs}
	if t.opts.Out.TTY {
		p.full, _ = t.size()
		p.columns = min(p.full, measure)
	}
	return p
}

// put writes spans as one paragraph: its first line begins at column indent, the others at column hang.
func (p *page) put(indent, hang int, spans ...span) {
	if p.columns > 0 {
		hang = min(hang, p.columns/3)
	}
	for _, line := range wrap(spans, strings.Repeat(" ", indent), strings.Repeat(" ", hang), p.columns) {
		p.b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
}

// gap leaves a line empty, but never two.
func (p *page) gap() {
	if !strings.HasSuffix(p.b.String(), "\n\n") && p.b.String() != "\n" {
		p.b.WriteString("\n")
	}
}

// stageLines is one line for a stage that ended, and below it what somebody should know although nothing failed.
func (t *Terminal) stageLines(stage engine.StageResult) string {
	r := report.New(&engine.Run{Stages: []engine.StageResult{stage}}, t.plan)
	stage = r.Run.Stages[0]
	p := t.page()
	style := p.status(stage.Status)
	hang := 2 + t.stages + 2
	p.put(0, hang,
		span{style, t.glyphs.status(stage.Status)},
		span{nil, " "}, span{p.bold, stage.Name},
		span{nil, strings.Repeat(" ", max(0, t.stages-width(stage.Name))+2)},
		span{style, word(stage.Status) + ":"},
		span{nil, " " + summary(r, t.glyphs)},
		span{p.faint, took(stage)},
	)
	several := len(stage.Steps) > 1
	for _, step := range stage.Steps {
		t.asides(p, step, hang, several)
	}
	return p.b.String()
}

// took is the stage's time; what did not run took none.
func took(stage engine.StageResult) string {
	if stage.Status == engine.StatusSkipped {
		return ""
	}
	return "  " + strings.ReplaceAll(report.Duration(stage.Duration), " ", nbsp)
}

func word(s engine.Status) string {
	if s == engine.StatusError {
		return "not judged"
	}
	return string(s)
}

// summary says what the word of the stage's status rests on, the worst first.
func summary(r report.Report, g glyphs) string {
	stage := r.Run.Stages[0]
	var failed, errors, passed, skipped, reasons []string
	for _, step := range stage.Steps {
		switch step.Status {
		case engine.StatusPassed:
			passed = append(passed, passedWords(step))
		case engine.StatusFailed:
			failed = append(failed, step.Name+" "+failedWords(r, step))
		case engine.StatusSkipped:
			skipped = append(skipped, step.Name)
			reasons = append(reasons, report.Line(step.Reason))
		default:
			errors = append(errors, step.Name)
		}
	}
	var parts []string
	add := func(status engine.Status, text string) {
		if text == "" {
			return
		}
		if status != stage.Status {
			text = word(status) + " " + text
		}
		parts = append(parts, text)
	}
	add(engine.StatusError, strings.Join(errors, ", "))
	add(engine.StatusFailed, strings.Join(failed, ", "))
	add(engine.StatusPassed, strings.Join(passed, ", "))
	add(engine.StatusSkipped, skippedWords(skipped, reasons))
	return strings.Join(parts, " "+g.dot+" ")
}

// skippedWords names steps with why each was skipped; a reason that all of them share is said once.
func skippedWords(names, reasons []string) string {
	if len(names) == 0 {
		return ""
	}
	switch {
	case len(names) == 1:
		return names[0] + ", " + reasons[0]
	case len(slices.Compact(slices.Clone(reasons))) == 1:
		return fmt.Sprintf("%s (all: %s)", strings.Join(names, ", "), reasons[0])
	}
	var parts []string
	for i, name := range names {
		parts = append(parts, fmt.Sprintf("%s (%s)", name, reasons[i]))
	}
	return strings.Join(parts, ", ")
}

// fewGates is how many numbers of a passed step have room in its stage's line; the reports have all of them.
const fewGates = 3

// passedWords names a step with the numbers that were its gate.
func passedWords(step engine.StepResult) string {
	var parts []string
	for _, m := range step.Judgement.Metrics {
		if m.Direction != engine.DirectionNone {
			label := strings.TrimPrefix(report.Label(m), step.Name+" ")
			parts = append(parts, label+" "+report.Number(m.Value, m.Unit))
		}
	}
	if len(parts) > fewGates {
		parts = []string{fmt.Sprintf("%d limits met", len(parts))}
	}
	if step.Cached {
		parts = append(parts, "cached")
	}
	if len(parts) == 0 {
		return step.Name
	}
	return step.Name + " (" + strings.Join(parts, ", ") + ")"
}

func failedWords(r report.Report, step engine.StepResult) string {
	var parts []string
	if n := len(r.Failing(step)); n > 0 {
		parts = append(parts, report.Count(n, "findings"))
	}
	for _, m := range report.Missed(step) {
		parts = append(parts, report.Label(m)+" "+report.Number(m.Value, m.Unit))
	}
	if len(parts) == 0 {
		return ""
	}
	return "(" + strings.Join(parts, ", ") + ")"
}

// asides are a step's warnings and notes, and what pipeline.yaml lets through for now.
func (t *Terminal) asides(p *page, step engine.StepResult, hang int, several bool) {
	if p.columns > 0 && p.columns < 2*hang {
		hang = 4
	}
	name := ""
	if several {
		name = step.Name + ": "
	}
	for _, w := range step.Judgement.Warnings {
		p.put(hang, hang, span{p.yellow, "warning"}, span{nil, " " + name + w})
	}
	for _, n := range step.Judgement.Notes {
		p.put(hang, hang, span{p.faint, name + n})
	}
	for _, a := range step.Judgement.Allowed {
		f := a.Finding
		p.put(hang, hang, span{p.faint, fmt.Sprintf("%sallowed until %s: %s (%s)", name, a.Expires, strings.TrimSpace(f.Rule+" "+report.Place(f)), a.Reason)})
	}
}
