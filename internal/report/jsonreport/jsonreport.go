// Package jsonreport writes report.json: the whole run for programs. Its shape is public: docs/report.schema.json
// documents it, and SchemaVersion rises when a reader of the old shape could misread the new one.
package jsonreport

import (
	"encoding/json"
	"io"
	"math"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/report"
)

// SchemaVersion is the version of the shape.
const SchemaVersion = 1

// New returns a reporter that writes report.json to path when the run has ended.
func New(path string) engine.Reporter {
	return report.ToFile(path, Render)
}

// Render writes the run as JSON, indented and with one order of keys, so that two runs can be compared by diff.
func Render(w io.Writer, r report.Report) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(document(r))
}

func document(r report.Report) runDoc {
	run, tally := r.Run, r.Tally()
	var origin *originDoc
	if o := originDoc(run.Origin); o != (originDoc{}) {
		origin = &o
	}
	return runDoc{
		Origin:           origin,
		Warnings:         run.Warnings,
		SchemaVersion:    SchemaVersion,
		ID:               run.ID,
		Target:           run.Target,
		Status:           run.Status,
		ExitCode:         run.ExitCode,
		Started:          run.Started.UTC().Format(time.RFC3339Nano),
		Duration:         seconds(run.Duration),
		Commit:           run.Commit,
		Branch:           run.Branch,
		Dirty:            run.Dirty,
		Limit:            run.Limit,
		Interrupted:      run.Interrupted,
		DeadlineExceeded: run.DeadlineExceeded,
		Problems:         list(run.Problems, same),
		Totals: totalsDoc{
			Steps: tally.Steps, Passed: tally.Passed, Failed: tally.Failed, Errors: tally.Errors, Skipped: tally.Skipped,
			Cached: tally.Cached, Findings: tally.Findings, Shown: tally.Shown, Allowed: tally.Allowed,
		},
		Stages: list(run.Stages, func(s engine.StageResult) stageDoc {
			return stageDoc{
				Name: s.Name, Status: s.Status, Cached: s.Cached, Duration: seconds(s.Duration),
				Steps: list(s.Steps, func(step engine.StepResult) stepDoc { return stepOf(r, step) }),
			}
		}),
	}
}

func stepOf(r report.Report, s engine.StepResult) stepDoc {
	j := s.Judgement
	doc := stepDoc{
		Name:     s.Name,
		Judges:   s.Judges,
		Status:   s.Status,
		Cached:   s.Cached,
		Reason:   s.Reason,
		Duration: seconds(s.Duration),
		Judged:   judgedDoc{Count: j.Judged, Unit: j.Unit},
		Findings: list(j.Findings, func(f engine.Finding) findingDoc { return findingOf(f, r.Fails(f)) }),
		Allowed: list(j.Allowed, func(a engine.Allowed) allowedDoc {
			return allowedDoc{Finding: findingOf(a.Finding, false), Reason: a.Reason, Expires: a.Expires}
		}),
		Metrics:  list(j.Metrics, metricOf),
		Notes:    list(j.Notes, same),
		Warnings: list(j.Warnings, same),
		Tables: list(j.Tables, func(t engine.Table) tableDoc {
			row := func(cells []string) []string { return list(cells, same) }
			return tableDoc{Title: t.Title, Columns: row(t.Columns), Rows: list(t.Rows, row), Spreads: list(t.Spreads, spreadOf)}
		}),
		Command: s.CommandLine,
		Log:     s.Log,
		Rerun:   s.Rerun,
		Fix:     s.Fix,
	}
	if !s.Started.IsZero() {
		doc.Started = s.Started.UTC().Format(time.RFC3339Nano)
	}
	return doc
}

func findingOf(f engine.Finding, fails bool) findingDoc {
	severity := report.SeverityWord(f.Severity)
	if severity == "" {
		severity = "none"
	}
	return findingDoc{
		Rule: f.Rule, Severity: severity, Fails: fails, Path: f.Path,
		Line: f.Line, Column: f.Column, EndLine: f.EndLine, EndColumn: f.EndCol,
		Message: f.Message, Help: f.Help, HelpURL: f.HelpURL, Fingerprint: f.Fingerprint, Frame: f.Frame,
	}
}

func metricOf(m engine.Metric) metricDoc {
	doc := metricDoc{Name: m.Name, Value: finite(m.Value), Unit: m.Unit, Met: m.Met(), Help: m.Help}
	if m.Direction != engine.DirectionNone {
		doc.Direction, doc.Threshold = m.Direction, finite(m.Threshold)
	}
	return doc
}

func spreadOf(s engine.Spread) spreadDoc {
	return spreadDoc{Shares: list(s.Shares, finite), Baseline: list(s.Baseline, finite), Low: s.Low, High: s.High}
}

// finite returns nil for what JSON has no number for.
func finite(v float64) *float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return nil
	}
	return &v
}

func seconds(d time.Duration) float64 {
	return math.Round(d.Seconds()*1000) / 1000
}

// list is never null: a reader may loop over every list without a look at it first.
func list[T, D any](in []T, f func(T) D) []D {
	out := make([]D, 0, len(in))
	for _, v := range in {
		out = append(out, f(v))
	}
	return out
}

func same(s string) string { return s }
