package stagetest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/meter-ml/meter-pipeline/internal/engine"
)

// render writes a result so that a person can review it.
func (s Suite) render(t *testing.T, root string, r engine.StepResult) []byte {
	t.Helper()
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("status: %s", r.Status)
	if r.Reason != "" {
		line("reason: %s", r.Reason)
	}
	j := r.Judgement
	if r.Status != engine.StatusError {
		line("judged: %d %s", j.Judged, j.Unit)
	}
	for _, m := range j.Metrics {
		line("metric: %s = %.2f%s%s", m.Name, m.Value, m.Unit, threshold(m))
	}
	for _, f := range j.Findings {
		line("finding: %s", finding(f))
	}
	for _, a := range j.Allowed {
		line("allowed until %s (%s): %s", a.Expires, a.Reason, finding(a.Finding))
	}
	for _, note := range j.Notes {
		line("note: %s", note)
	}
	for _, warning := range j.Warnings {
		line("warning: %s", warning)
	}
	for _, table := range j.Tables {
		line("table: %s [%s]", table.Title, strings.Join(table.Columns, " | "))
		for _, row := range table.Rows {
			line("  %s", strings.Join(row, " | "))
		}
	}
	text := newPlaces(t, root, "").hide(b.String())
	if s.Scrub != nil {
		text = s.Scrub(text)
	}
	return []byte(text)
}

func threshold(m engine.Metric) string {
	if m.Direction == engine.DirectionNone {
		return ""
	}
	return fmt.Sprintf(" (%s %.2f: %t)", m.Direction, m.Threshold, m.Met())
}

func finding(f engine.Finding) string {
	severity := []string{"none", "info", "low", "medium", "high", "critical"}[f.Severity]
	place := fmt.Sprintf("%q:%d:%d", f.Path, f.Line, f.Column)
	if f.EndLine > 0 || f.EndCol > 0 {
		place += fmt.Sprintf("-%d:%d", f.EndLine, f.EndCol)
	}
	return fmt.Sprintf("%s %s at %s\n  message: %s\n  help: %s\n  page: %s\n  frame: %s",
		f.Rule, severity, place, strings.ReplaceAll(f.Message, "\n", "\n    "), f.Help, f.HelpURL, f.Frame)
}
