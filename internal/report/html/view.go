package html

import (
	"cmp"
	"fmt"
	"html/template"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/report"
)

const (
	maxFindings = 2000 // of one step; report.json has all
	openFiles   = 12   // of one step are unfolded, so that a loud step can be scrolled over
	logLines    = 20
)

// A view is the page, decided.
type view struct {
	Policy string
	Style  template.CSS
	Script template.JS
	Icon   template.URL

	Status, Verdict, Detail string
	Next                    []string
	Problems                []string
	Meta                    []meta
	Stages                  []stage
	Rows                    []row
	Scale                   []string
	Warnings                []warning
	Failed, Others          []step
	Filters                 []filter
	Findings                int
	Files                   []file
}

type meta struct {
	Name, Value string
	Code        bool
}

// A filter is a status that can be hidden.
type filter struct {
	Status, Word string
	Count        int
}

type warning struct{ ID, Step, Text string }

// A file lies beside the page.
type file struct{ Name, Href string }

func newView(r report.Report, opts Options) view {
	v := view{
		Status:   status(r.Run.Status),
		Verdict:  together(r.Verdict(), report.Duration(r.Run.Duration)),
		Detail:   r.Detail(),
		Next:     r.Next(),
		Problems: r.Run.Problems,
		Meta:     metadata(r, opts),
		Icon:     icon(r.Run.Status),
		Stages:   stages(r),
		Rows:     timeline(r),
		Scale:    scale(r.Run.Duration),
		Filters:  filters(r.Tally()),
		Files:    beside(r.Run.Dir),
	}
	for _, text := range r.Run.Warnings {
		v.Warnings = append(v.Warnings, warning{Text: text})
	}
	for _, s := range r.With(engine.StatusFailed) {
		v.Failed = append(v.Failed, newStep(r, s))
	}
	for _, s := range r.With(engine.StatusError) {
		v.Failed = append(v.Failed, newStep(r, s))
	}
	for _, s := range r.Steps() {
		if s.Status == engine.StatusPassed || s.Status == engine.StatusSkipped {
			v.Others = append(v.Others, newStep(r, s))
		}
		for _, w := range s.Judgement.Warnings {
			v.Warnings = append(v.Warnings, warning{ID: stepID(s), Step: s.Stage + "/" + s.Name, Text: w})
		}
		v.Findings += len(s.Judgement.Findings)
	}
	return v
}

// together keeps a number and its unit on one line.
func together(text, duration string) string {
	return strings.Replace(text, duration, strings.ReplaceAll(duration, " ", "\u00a0"), 1)
}

// status is a class of the style sheet.
func status(s engine.Status) string {
	switch s {
	case engine.StatusPassed, engine.StatusFailed, engine.StatusSkipped:
		return string(s)
	default:
		return "error"
	}
}

func word(s engine.Status) string {
	if status(s) == "error" {
		return "not judged"
	}
	return string(s)
}

func filters(t report.Tally) []filter {
	var out []filter
	for _, f := range []filter{{"failed", "failed", t.Failed}, {"error", "not judged", t.Errors}, {"passed", "passed", t.Passed}, {"skipped", "skipped", t.Skipped}} {
		if f.Count > 0 {
			out = append(out, f)
		}
	}
	return out
}

func metadata(r report.Report, opts Options) []meta {
	run := r.Run
	out := []meta{{"Started", run.Started.UTC().Format("2006-01-02 15:04:05 UTC"), false}, {"Took", report.Duration(run.Duration), false}}
	if run.Commit != "" {
		commit := run.Commit[:min(len(run.Commit), 10)]
		out = append(out, meta{"Commit", commit, true})
		if run.Dirty {
			out[len(out)-1].Value += " + changes"
		}
	}
	for _, m := range []meta{{"Branch", run.Branch, true}, {"Host", report.Line(opts.Host), false}, {"Run", run.ID, true}} {
		if m.Value != "" {
			out = append(out, m)
		}
	}
	return out
}

// icon is a dot in the colour of the verdict, so that a row of tabs can be read.
func icon(s engine.Status) template.URL {
	colour := map[string]string{"passed": "2e9e5b", "failed": "d4453b", "error": "9a5cd0", "skipped": "8a9099"}[status(s)]
	//nolint:gosec // made of constants: the colour is one of four
	return template.URL("data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Ccircle cx='8' cy='8' r='7' fill='%23" + colour + "'/%3E%3C/svg%3E")
}

// A stage is a link to its part of the timeline.
type stage struct{ ID, Name, Status, Word string }

func stages(r report.Report) []stage {
	var out []stage
	for _, s := range r.Run.Stages {
		out = append(out, stage{"stage-" + slug(s.Name), s.Name, status(s.Status), word(s.Status)})
	}
	return out
}

// A row is a step's bar in the timeline. X and W are thousandths of the whole time.
type row struct {
	ID, StageID, Stage, Name, Status, Word, Took, Says string
	X, W                                               int
}

func timeline(r report.Report) []row {
	var rows []row
	whole := max(r.Run.Duration, time.Millisecond)
	for _, stage := range r.Run.Stages {
		name := stage.Name
		for _, s := range stage.Steps {
			at := row{ID: stepID(s), StageID: "stage-" + slug(stage.Name), Stage: name, Name: s.Name, Status: status(s.Status), Word: word(s.Status)}
			name = ""
			if s.Status != engine.StatusSkipped && !s.Started.IsZero() {
				from := s.Started.Sub(r.Run.Started)
				at.Took = report.Duration(s.Duration)
				at.Says = fmt.Sprintf("%s/%s: %s, from %s on, took %s", s.Stage, s.Name, at.Word, report.Duration(from), at.Took)
				at.X = clamp(int(1000*from/whole), 0, 997)
				at.W = clamp(int(1000*s.Duration/whole), 3, 1000-at.X)
			} else {
				at.Says = fmt.Sprintf("%s/%s: %s", s.Stage, s.Name, at.Word)
			}
			rows = append(rows, at)
		}
	}
	return rows
}

func clamp(n, low, high int) int { return min(max(n, low), high) }

func scale(d time.Duration) []string {
	return []string{"0", report.Duration(d / 2), report.Duration(d)}
}

// beside lists what lies in the run directory: the other reports, and what tools left.
func beside(dir string) []file {
	var out []file
	add := func(name, href string) {
		if info, err := os.Stat(filepath.Join(dir, filepath.FromSlash(href))); err == nil && info.Mode().IsRegular() {
			address := url.URL{Path: href}
			out = append(out, file{report.Line(name), address.String()})
		}
	}
	if dir == "" {
		return nil
	}
	for _, name := range []string{"report.json", "junit.xml", "results.sarif", "summary.md"} {
		add(name, name)
	}
	entries, err := os.ReadDir(filepath.Join(dir, "artifacts"))
	if err != nil {
		return out // there is none: no step has left any
	}
	for _, e := range entries {
		if e.IsDir() {
			add(e.Name(), "artifacts/"+e.Name()+"/index.html")
			continue
		}
		add(e.Name(), "artifacts/"+e.Name())
	}
	return out
}

func stepID(s engine.StepResult) string { return "step-" + slug(s.Stage) + "-" + slug(s.Name) }

// slug is text as a part of an address.
func slug(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '_':
			return r
		}
		return '-'
	}, s)
}

// summary is what a step's result rests on.
func summary(r report.Report, s engine.StepResult) string {
	if s.Status == engine.StatusSkipped {
		return report.Line(s.Reason)
	}
	if status(s.Status) == "error" {
		return "could not be judged"
	}
	var parts []string
	if n := len(r.Failing(s)); n > 0 {
		parts = append(parts, report.Count(n, "findings"))
	}
	for _, m := range s.Judgement.Metrics {
		switch {
		case !m.Met():
			parts = append(parts, report.Miss(m))
		case m.Direction != engine.DirectionNone:
			parts = append(parts, report.Label(m)+" "+report.Number(m.Value, m.Unit))
		}
	}
	if s.Judgement.Judged > 0 {
		parts = append(parts, report.Count(s.Judgement.Judged, cmp.Or(s.Judgement.Unit, "items"))+" judged")
	}
	return strings.Join(parts, " · ")
}
