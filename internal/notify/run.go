package notify

import (
	"cmp"
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/report"
)

// Limits of a message, in characters, so that it can be read at a glance and fits every channel.
const (
	longestName   = 200
	longestValue  = 400
	longestError  = 600
	listed        = 8 // failures
	listedImages  = 10
	describedMost = 140 // GitHub's limit of a description
)

// FromRun is the message of a run that is over.
func FromRun(run *engine.Run, o Origin) Message {
	r := report.New(run, nil)
	c := cleaner{o.Mask}
	m := o.message(c)
	m.RunID, m.Finished, m.Dirty = c.line(r.Run.ID, longestName), r.Run.Started.Add(r.Run.Duration), r.Run.Dirty
	if m.Change.Commit == "" {
		m.Change.Commit = c.line(r.Run.Commit, longestName)
	}
	switch passed := r.Run.Status == engine.StatusPassed; {
	case passed && o.Before != nil && o.Before.Status != engine.StatusPassed:
		m.Event, m.Icon, m.Title = Recovery, "✅", "CI/CD Pipeline Recovered"
	case passed:
		m.Event, m.Icon, m.Title = Success, "✅", "CI/CD Pipeline Successful"
	default:
		m.Event, m.Icon, m.Title, m.Important = Failure, "❌", "CI/CD Pipeline Failed", true
	}
	m.facts(r, o, c)
	m.blame(r, c)
	for _, stage := range r.Run.Stages {
		m.Stages = append(m.Stages, Outcome{Stage: c.line(stage.Name, longestName), Status: stage.Status, Description: c.line(describe(r, stage), describedMost)})
	}
	return m
}

// message is what every message of that origin has.
func (o Origin) message(c cleaner) Message {
	change := o.Change
	for _, s := range []*string{&change.Commit, &change.Branch, &change.Author, &change.Subject, &change.Actor} {
		*s = c.line(*s, longestName)
	}
	change.URL = webAddress(cmp.Or(change.URL, join(o.Repository, "commit", change.Commit)))
	m := Message{Project: c.line(o.Project, longestName), Change: change, Pull: c.line(o.Pull, longestName), RunURL: webAddress(o.RunURL)}
	if o.Pull == "" {
		m.Branch = change.Branch
	}
	return m
}

func (m *Message) add(label, value string) {
	if value != "" {
		m.Facts = append(m.Facts, Fact{Label: label, Value: value})
	}
}

func (m *Message) facts(r report.Report, o Origin, c cleaner) {
	m.add("Verdict", c.line(r.Verdict(), longestValue))
	m.add("Version", c.line(o.Version, longestName))
	m.add("Checks", checks(r))
	if m.Event == Recovery {
		m.add("Was red", c.line(red(*o.Before), longestValue))
	}
	m.add("Docker images", c.line(images(r, o), longestValue))
	m.add("Tests", tests(r))
	m.add("Coverage", coverage(r))
	m.add("Duration", report.Duration(r.Run.Duration))
	for _, problem := range r.Run.Problems[:min(len(r.Run.Problems), listed)] {
		m.add("Problem of the run", c.line(problem, longestValue))
	}
}

func checks(r report.Report) string {
	t := r.Tally()
	if t.Steps > 0 && t.Passed == t.Steps {
		return fmt.Sprintf("All checks passed (%d)", t.Steps)
	}
	return r.Detail()
}

func red(b Before) string {
	text := "the run before it " + map[engine.Status]string{engine.StatusFailed: "failed"}[b.Status]
	if b.Status != engine.StatusFailed {
		text = "the run before it could not be judged"
	}
	if b.Commit != "" {
		text += ", of commit " + Change{Commit: b.Commit}.Short()
	}
	if !b.Time.IsZero() {
		text += ", " + b.Time.UTC().Format("2006-01-02 15:04 UTC")
	}
	return text
}

func images(r report.Report, o Origin) string {
	for _, stage := range r.Run.Stages {
		if stage.Name == "image" && stage.Status != engine.StatusPassed {
			return "not all built and judged"
		}
	}
	if len(o.Images) == 0 {
		return ""
	}
	text := "built: "
	if o.Version != "" { // a tag builds nothing
		text = "named: "
	}
	text += strings.Join(o.Images[:min(len(o.Images), listedImages)], ", ")
	if more := len(o.Images) - listedImages; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// tests adds up what every test runner of the run counted.
func tests(r report.Report) string {
	counts, runners := map[string]int{}, 0
	for _, step := range r.Steps() {
		for _, metric := range step.Judgement.Metrics {
			if strings.HasPrefix(metric.Name, "tests_") {
				counts[metric.Name] += int(metric.Value)
			}
			if metric.Name == "tests_passed" {
				runners++
			}
		}
	}
	if runners == 0 {
		return ""
	}
	passed, failed, skipped := counts["tests_passed"], counts["tests_failed"], counts["tests_skipped"]
	text := fmt.Sprintf("%d/%d passed", passed, passed+failed+skipped)
	if skipped > 0 {
		text += fmt.Sprintf(", %d skipped", skipped)
	}
	return text
}

func coverage(r report.Report) string {
	for _, step := range r.Steps() {
		for _, metric := range step.Judgement.Metrics {
			if metric.Name != "coverage" {
				continue
			}
			text := report.Number(metric.Value, metric.Unit)
			if threshold := report.Threshold(metric); threshold != "" {
				text += " (" + threshold + ")"
			}
			return text
		}
	}
	return ""
}

// blame lists what failed, and what could not be judged.
func (m *Message) blame(r report.Report, c cleaner) {
	for _, step := range r.Steps() {
		if step.Status == engine.StatusPassed || step.Status == engine.StatusSkipped {
			continue
		}
		if len(m.Failures) == listed {
			m.Unlisted++
			continue
		}
		b := Blame{
			Stage: stageTitle(c.line(step.Stage, longestName)), Step: c.line(step.Stage+":"+step.Name, longestName), Status: step.Status,
			Error: c.text(cause(r, step), longestError), Rerun: c.line(step.Rerun, longestName),
		}
		switch {
		case m.RunURL != "":
			b.Log, b.LogURL = "See GitHub Actions", m.RunURL
		case step.Log != "":
			b.Log = c.line(path.Join(".pipeline/runs", r.Run.ID, step.Log), longestName)
		}
		m.Failures = append(m.Failures, b)
	}
}

// cause is why a step did not pass, in the fewest words that say it.
func cause(r report.Report, step engine.StepResult) string {
	var parts []string
	if step.Reason != "" {
		parts = append(parts, step.Reason)
	}
	for _, metric := range report.Missed(step) {
		parts = append(parts, report.Miss(metric))
	}
	if failing := r.Failing(step); step.Status == engine.StatusFailed && len(failing) > 0 {
		first := strings.TrimSpace(report.Place(failing[0]) + " " + failing[0].Rule + ": " + failing[0].Message)
		if len(failing) > 1 {
			first = fmt.Sprintf("%s, first %s", report.Count(len(failing), "findings"), first)
		}
		parts = append(parts, first)
	}
	if len(parts) == 0 {
		return "it did not pass, and gave no reason"
	}
	return strings.Join(parts, "\n")
}

// describe is a stage in one line.
func describe(r report.Report, stage engine.StageResult) string {
	if stage.Status == engine.StatusPassed {
		return fmt.Sprintf("%s passed in %s", report.Count(len(stage.Steps), "steps"), report.Duration(stage.Duration.Round(time.Millisecond)))
	}
	for _, step := range stage.Steps {
		if step.Status == stage.Status {
			if step.Status == engine.StatusSkipped {
				return "skipped: " + step.Reason
			}
			return step.Name + ": " + cause(r, step)
		}
	}
	return string(stage.Status)
}
