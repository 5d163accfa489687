// Package junit writes junit.xml: what other systems read test results from. A stage is a suite, a step is a case, and
// a pass is a case without a child. What fails a step is its one failure, with every finding in its text: readers of
// this format take the first failure of a case and forget the others. What could not be judged is an error.
package junit

import (
	"cmp"
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/report"
)

const (
	maxFindings = 500 // of one case; readers hold the whole file in memory
	logLines    = 20
)

type suites struct {
	XMLName  xml.Name `xml:"testsuites"`
	Name     string   `xml:"name,attr"`
	Tests    int      `xml:"tests,attr"`
	Failures int      `xml:"failures,attr"`
	Errors   int      `xml:"errors,attr"`
	Skipped  int      `xml:"skipped,attr"`
	Time     string   `xml:"time,attr"`
	Suites   []suite  `xml:"testsuite"`
}

type suite struct {
	Name       string     `xml:"name,attr"`
	Tests      int        `xml:"tests,attr"`
	Failures   int        `xml:"failures,attr"`
	Errors     int        `xml:"errors,attr"`
	Skipped    int        `xml:"skipped,attr"`
	Time       string     `xml:"time,attr"`
	Timestamp  string     `xml:"timestamp,attr"`
	Properties []property `xml:"properties>property"`
	Cases      []testcase `xml:"testcase"`
}

type property struct {
	Name  string `xml:"name,attr"`
	Value string `xml:"value,attr"`
}

type testcase struct {
	Class   string   `xml:"classname,attr"`
	Name    string   `xml:"name,attr"`
	Time    string   `xml:"time,attr"`
	Skipped *outcome `xml:"skipped"`
	Error   *outcome `xml:"error"`
	Failure *outcome `xml:"failure"`
	Out     *output  `xml:"system-out"`
}

type outcome struct {
	Type    string `xml:"type,attr,omitempty"`
	Message string `xml:"message,attr"`
	Text    string `xml:",cdata"`
}

type output struct {
	Text string `xml:",cdata"`
}

// New returns a reporter that writes junit.xml to path when the run has ended.
func New(path string) engine.Reporter {
	return report.ToFile(path, Render)
}

// Render writes the run as JUnit XML.
func Render(w io.Writer, r report.Report) error {
	tally := r.Tally()
	doc := suites{
		Name: cmp.Or(r.Run.Target, "run"), Time: seconds(r.Run.Duration),
		Tests: tally.Steps, Failures: tally.Failed, Errors: tally.Errors, Skipped: tally.Skipped,
	}
	if len(r.Run.Problems) > 0 {
		s := problems(r)
		doc.Suites = append(doc.Suites, s)
		doc.Tests, doc.Errors = doc.Tests+s.Tests, doc.Errors+s.Errors
	}
	for _, stage := range r.Run.Stages {
		doc.Suites = append(doc.Suites, suiteOf(r, stage))
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	enc := xml.NewEncoder(w)
	enc.Indent("", "  ")
	if err := enc.Encode(doc); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

// problems is a suite for errors of the run itself: without it a run that could not be recorded would look passed.
func problems(r report.Report) suite {
	s := suite{Name: "run", Time: "0.000", Timestamp: timestamp(r.Run.Started)}
	for i, p := range r.Run.Problems {
		s.Cases = append(s.Cases, testcase{
			Class: "run", Name: fmt.Sprintf("problem %d", i+1), Time: "0.000", Error: &outcome{Type: "error", Message: p, Text: p},
		})
	}
	s.Tests, s.Errors = len(s.Cases), len(s.Cases)
	return s
}

func suiteOf(r report.Report, stage engine.StageResult) suite {
	s := suite{Name: stage.Name, Tests: len(stage.Steps), Time: seconds(stage.Duration), Timestamp: timestamp(r.Run.Started)}
	for _, p := range []property{{"run", r.Run.ID}, {"commit", r.Run.Commit}, {"branch", r.Run.Branch}} {
		if p.Value != "" {
			s.Properties = append(s.Properties, p)
		}
	}
	for _, step := range stage.Steps {
		c := testcase{Class: stage.Name, Name: step.Name, Time: seconds(step.Duration), Out: notes(r, step)}
		switch step.Status {
		case engine.StatusPassed:
		case engine.StatusFailed:
			s.Failures++
			c.Failure = failure(r, step)
		case engine.StatusSkipped:
			s.Skipped++
			c.Skipped = &outcome{Message: step.Reason}
		default:
			s.Errors++
			c.Error = &outcome{Type: "error", Message: step.Reason, Text: errorText(r, step)}
		}
		s.Cases = append(s.Cases, c)
	}
	return s
}

func failure(r report.Report, step engine.StepResult) *outcome {
	var b strings.Builder
	var what []string
	findings := r.Failing(step)
	if len(findings) > 0 {
		what = append(what, report.Count(len(findings), "findings"))
	}
	for _, m := range report.Missed(step) {
		what = append(what, report.Miss(m))
		fmt.Fprintf(&b, "%s\n", report.Miss(m))
		if m.Help != "" {
			fmt.Fprintf(&b, "    help: %s\n", m.Help)
		}
	}
	for _, f := range findings[:min(len(findings), maxFindings)] {
		fmt.Fprintln(&b, finding(f))
		if f.Help != "" {
			fmt.Fprintf(&b, "    help: %s\n", f.Help)
		}
	}
	if more := len(findings) - maxFindings; more > 0 {
		fmt.Fprintf(&b, "… and %d more: see report.html\n", more)
	}
	commands(&b, step)
	if len(what) == 0 {
		what = append(what, cmp.Or(step.Reason, "failed"))
	}
	return &outcome{Type: "failure", Message: strings.Join(what, ", "), Text: "\n" + b.String()}
}

// finding is one line in the form that editors and compilers share: place: severity: message [rule].
func finding(f engine.Finding) string {
	parts := []string{report.Place(f), report.SeverityWord(f.Severity), f.Message}
	line := strings.Join(nonEmpty(parts), ": ")
	if f.Rule != "" {
		line += " [" + f.Rule + "]"
	}
	if f.Frame != "" {
		line += "\n    " + strings.TrimSpace(f.Frame)
	}
	return line
}

func nonEmpty(parts []string) []string {
	var out []string
	for _, p := range parts {
		if p != "" {
			out = append(out, p)
		}
	}
	return out
}

func errorText(r report.Report, step engine.StepResult) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n%s\n", step.Reason)
	if tail, _ := r.LogTail(step, logLines); len(tail) > 0 {
		fmt.Fprintf(&b, "\nlast %s of %s:\n%s\n", report.Count(len(tail), "lines"), step.Log, strings.Join(tail, "\n"))
	}
	commands(&b, step)
	return b.String()
}

func commands(b *strings.Builder, step engine.StepResult) {
	if step.Rerun != "" {
		fmt.Fprintf(b, "rerun: %s\n", step.Rerun)
	}
	if step.Fix != "" && step.Status == engine.StatusFailed {
		fmt.Fprintf(b, "fix: %s\n", step.Fix)
	}
}

// notes is what a step says beside its verdict.
func notes(r report.Report, step engine.StepResult) *output {
	j := step.Judgement
	var lines []string
	if j.Judged > 0 {
		lines = append(lines, "judged "+report.Count(j.Judged, cmp.Or(j.Unit, "items")))
	}
	for _, m := range j.Metrics {
		lines = append(lines, strings.Join(nonEmpty([]string{report.Label(m) + " " + report.Number(m.Value, m.Unit), report.Threshold(m)}), ", "))
	}
	lines = append(lines, j.Notes...)
	for _, w := range j.Warnings {
		lines = append(lines, "warning: "+w)
	}
	for _, f := range r.Shown(step) {
		lines = append(lines, "shown only: "+finding(f))
	}
	for _, a := range j.Allowed {
		lines = append(lines, fmt.Sprintf("allowed until %s, %s: %s", a.Expires, a.Reason, finding(a.Finding)))
	}
	if len(lines) == 0 {
		return nil
	}
	return &output{Text: "\n" + strings.Join(lines, "\n") + "\n"}
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.3f", d.Seconds()) }

func timestamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05") }
