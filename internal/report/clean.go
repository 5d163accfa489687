package report

import (
	"net/url"
	"slices"
	"strings"

	"github.com/meter-ml/meter-pipeline/internal/engine"
)

// plainRun copies a run so that every string in it can be shown. A renderer that gets its text from here can't forget
// to clean it; a test fills every field with hostile text and looks at the copy.
func plainRun(run *engine.Run) *engine.Run {
	out := *run
	each(Line, &out.ID, &out.Target, &out.Commit, &out.Branch)
	out.Status = engine.Status(Line(string(run.Status)))
	each(Line, &out.Origin.Author, &out.Origin.Branch, &out.Origin.By, &out.Origin.Builder, &out.Origin.URL)
	out.Problems = mapped(run.Problems, Text)
	out.Warnings = mapped(run.Warnings, Line)
	out.Stages = mapped(run.Stages, plainStage)
	return &out
}

func plainStage(stage engine.StageResult) engine.StageResult {
	stage.Name = Line(stage.Name)
	stage.Status = engine.Status(Line(string(stage.Status)))
	stage.Steps = mapped(stage.Steps, PlainStep)
	return stage
}

// PlainStep copies the result of one step so that every string in it can be shown.
func PlainStep(step engine.StepResult) engine.StepResult {
	each(Line, &step.Stage, &step.Name, &step.Judges, &step.CommandLine, &step.Log, &step.Rerun, &step.Fix)
	step.Status = engine.Status(Line(string(step.Status)))
	step.Reason = Text(step.Reason)
	finding := func(f engine.Finding) engine.Finding {
		f = plainFinding(f)
		f.Stage, f.Step = step.Stage, step.Name
		return f
	}
	j := &step.Judgement
	j.Unit = Line(j.Unit)
	j.Findings = mapped(j.Findings, finding)
	j.Allowed = mapped(j.Allowed, func(a engine.Allowed) engine.Allowed {
		return engine.Allowed{Finding: finding(a.Finding), Reason: Line(a.Reason), Expires: Line(a.Expires)}
	})
	j.Metrics = mapped(j.Metrics, func(m engine.Metric) engine.Metric {
		each(Line, &m.Name, &m.Unit, &m.Help)
		m.Direction = engine.Direction(Line(string(m.Direction)))
		return m
	})
	j.Notes = mapped(j.Notes, Line)
	j.Warnings = mapped(j.Warnings, Line)
	j.Tables = mapped(j.Tables, func(t engine.Table) engine.Table {
		row := func(cells []string) []string { return mapped(cells, Line) }
		spread := func(s engine.Spread) engine.Spread {
			each(Line, &s.Low, &s.High)
			return s
		}
		return engine.Table{
			Title: Line(t.Title), Columns: row(t.Columns), Rows: mapped(t.Rows, row),
			Spreads: mapped(t.Spreads, spread), Detail: t.Detail,
		}
	})
	return step
}

func plainFinding(f engine.Finding) engine.Finding {
	each(Line, &f.Rule, &f.Path, &f.Help, &f.Fingerprint)
	f.Message = Text(f.Message)
	f.Frame = Code(f.Frame)
	f.HelpURL = webAddress(Line(f.HelpURL))
	return f
}

// webAddress returns s if a browser may follow it, else nothing: a tool's report is no place for javascript: or file:.
func webAddress(s string) string {
	u, err := url.Parse(s)
	if err != nil || strings.ContainsAny(s, "<>\"'` ") || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return ""
	}
	return u.String()
}

func each(clean func(string) string, fields ...*string) {
	for _, f := range fields {
		*f = clean(*f)
	}
}

// mapped returns a new slice, so that the run itself is left as it is; nil stays nil.
func mapped[T any](in []T, f func(T) T) []T {
	out := slices.Clone(in)
	for i := range out {
		out[i] = f(out[i])
	}
	return out
}
