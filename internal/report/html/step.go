package html

import (
	"fmt"
	"strings"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/report"
)

// A step is its part of the page.
type step struct {
	ID, Stage, Name, Judges      string
	Status, Word, Summary, Took  string
	Cached                       bool
	Reason                       string // of an error
	Metrics                      []metric
	Files                        []group // what fails
	More                         int     // findings that are left out
	Shown                        []group // what is only shown
	ShownSays                    string
	Allowed                      []allowed
	Warnings, Notes              []string
	Tables                       []table
	Tail                         []string
	TailMore                     bool
	Log, Fix, Rerun, CommandLine string
}

type metric struct {
	Label, Value, Threshold, Miss, Help string
	Gate, Met                           bool
}

type allowed struct{ Rule, Place, Message, Reason, Expires string }

type table struct {
	Title   string
	Columns []string
	Numeric []bool
	Rows    []tableRow
	Drawn   bool // each row may have a picture
	Compare bool // some picture has a baseline
	Folded  bool
}

type tableRow struct {
	Cells   []string
	Picture *picture // nil if there is nothing to draw
}

// A group is the findings about one file.
type group struct {
	Path  string
	Count int
	Open  bool
	Rules []rule
}

type rule struct {
	ID, Severity, Message, Rest string
	Help, HelpURL               string
	Findings                    []finding
}

// A finding is a place, its line of code in three parts, and what is said of it alone.
type finding struct {
	ID, Place            string
	Line                 int
	Before, Mark, After  string
	Message, Rest, Label string
	Whole                bool // about the file, not a line of it
}

func newStep(r report.Report, s engine.StepResult) step {
	j := s.Judgement
	out := step{
		ID: stepID(s), Stage: s.Stage, Name: s.Name, Judges: s.Judges,
		Status: status(s.Status), Word: word(s.Status), Summary: summary(r, s), Cached: s.Cached,
		Warnings: j.Warnings, Notes: j.Notes,
		Log: s.Log, Rerun: s.Rerun, CommandLine: s.CommandLine,
	}
	if s.Status != engine.StatusSkipped {
		out.Took = report.Duration(s.Duration)
	}
	if s.Status == engine.StatusFailed {
		out.Fix = s.Fix
	}
	if out.Status == "error" {
		out.Reason = s.Reason
	}
	for _, m := range j.Metrics {
		out.Metrics = append(out.Metrics, newMetric(m))
	}
	ids := map[string]int{}
	failing := r.Failing(s)
	out.More = max(0, len(failing)-maxFindings)
	out.Files = groups(failing[:len(failing)-out.More], out.ID, ids)
	shown := r.Shown(s)
	out.ShownSays = report.Count(len(shown), "findings") + " of no consequence for the verdict"
	out.Shown = groups(shown[:min(len(shown), maxFindings)], out.ID, ids)
	for _, a := range j.Allowed {
		f := a.Finding
		out.Allowed = append(out.Allowed, allowed{f.Rule, report.Place(f), report.Line(f.Message), a.Reason, a.Expires})
	}
	for _, t := range j.Tables {
		if len(t.Rows) > 0 {
			out.Tables = append(out.Tables, newTable(t))
		}
	}
	if out.Status == "error" || s.Status == engine.StatusFailed && len(failing) == 0 && len(report.Missed(s)) == 0 {
		out.Tail, out.TailMore = r.LogTail(s, logLines)
	}
	return out
}

func newMetric(m engine.Metric) metric {
	out := metric{
		Label: report.Label(m), Value: report.Number(m.Value, m.Unit), Threshold: report.Threshold(m),
		Gate: m.Direction != engine.DirectionNone, Met: m.Met(),
	}
	if !out.Met {
		out.Miss, out.Help = report.Miss(m), m.Help
	}
	return out
}

// newTable finds the columns of numbers, which are set to the right.
func newTable(t engine.Table) table {
	out := table{Title: t.Title, Columns: t.Columns, Numeric: make([]bool, len(t.Columns)), Drawn: len(t.Spreads) > 0, Folded: t.Detail}
	for i, cells := range t.Rows {
		r := tableRow{Cells: cells}
		if i < len(t.Spreads) {
			r.Picture = newPicture(cells, t.Spreads[i])
			out.Compare = out.Compare || len(t.Spreads[i].Baseline) > 0
		}
		out.Rows = append(out.Rows, r)
	}
	for i := range t.Columns {
		out.Numeric[i] = numeric(t.Rows, i)
	}
	return out
}

// numeric reports whether a column holds nothing but numbers, and at least one. A list of numbers is text, which may wrap.
func numeric(rows [][]string, column int) bool {
	found := false
	for _, row := range rows {
		if column >= len(row) || row[column] == "" {
			continue
		}
		digits := strings.TrimPrefix(strings.TrimPrefix(row[column], "about "), "-")
		if digits == "" || digits[0] < '0' || digits[0] > '9' || strings.Contains(digits, ", ") {
			return false
		}
		found = true
	}
	return found
}

func groups(findings []engine.Finding, step string, ids map[string]int) []group {
	var out []group
	for i, f := range report.ByFile(findings) {
		g := group{Path: f.Path, Open: i < openFiles}
		for _, ru := range f.Rules {
			message, rest, _ := strings.Cut(ru.Message, "\n")
			at := rule{ID: ru.ID, Severity: report.SeverityWord(ru.Severity), Message: message, Rest: strings.TrimRight(rest, "\n"), Help: ru.Help, HelpURL: ru.HelpURL}
			for _, x := range ru.Findings {
				at.Findings = append(at.Findings, newFinding(x, ru.Message == "", step, ids))
			}
			g.Count += len(ru.Findings)
			g.Rules = append(g.Rules, at)
		}
		out = append(out, g)
	}
	return out
}

// newFinding names a finding by its fingerprint, so that a link to it still holds in the next run's report.
func newFinding(f engine.Finding, own bool, step string, ids map[string]int) finding {
	id := fmt.Sprintf("%s-%s", strings.Replace(step, "step-", "finding-", 1), slug(f.Fingerprint))
	if f.Fingerprint == "" {
		id += fmt.Sprintf("%s-%d", slug(f.Rule), f.Line)
	}
	ids[id]++
	if n := ids[id]; n > 1 {
		id += fmt.Sprintf("-%d", n)
	}
	out := finding{ID: id, Place: report.Place(f), Line: f.Line, Label: strings.TrimSpace(f.Rule + " " + report.Place(f))}
	out.Before, out.Mark, out.After = parts(f)
	out.Whole = f.Path != "" && f.Line <= 0 && !own
	if own {
		message, rest, _ := strings.Cut(f.Message, "\n")
		out.Message, out.Rest = message, strings.TrimRight(rest, "\n")
	}
	return out
}

// parts divides the line of code into what is before, in and after the marked columns, without its indentation.
func parts(f engine.Finding) (before, mark, after string) {
	code := []rune(strings.TrimRight(f.Frame, " \t"))
	from := min(max(f.Column-1, 0), len(code))
	to := from
	switch {
	case f.Column <= 0:
	case f.EndLine > f.Line:
		to = len(code)
	case f.EndCol > f.Column:
		to = min(f.EndCol-1, len(code))
	case f.Column > 1:
		to = min(from+1, len(code))
	}
	before = strings.TrimLeft(string(code[:from]), " \t")
	mark, after = string(code[from:to]), string(code[to:])
	if before == "" && mark == "" {
		after = strings.TrimLeft(after, " \t")
	}
	return before, mark, after
}
