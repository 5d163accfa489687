package evidence

import (
	"math"
	"slices"
	"strings"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/engine"
)

// stageVersion is the version of Stage; a reader refuses others.
const stageVersion = 1

// A Stage is the verdict of one stage with its numbers: the extension field of a predicate. No field is ever left out,
// so that what was read can be compared with what was written.
type Stage struct {
	Version  int       `json:"version"`
	Stage    string    `json:"stage"`
	Status   string    `json:"status"` // passed, failed, error
	Target   string    `json:"target"` // that was asked for: check, quality:black
	Run      string    `json:"run"`
	Commit   string    `json:"commit"`
	Branch   string    `json:"branch"`
	Model    string    `json:"model"` // digest of the model that was trained or timed, "sha256:…"; empty if there was none
	Started  time.Time `json:"started"`
	Finished time.Time `json:"finished"`
	Place    Place     `json:"place"`
	Steps    []Step    `json:"steps"`
}

// A Step is what became of one step.
type Step struct {
	Name     string         `json:"name"`
	Judges   string         `json:"judges"`
	Status   string         `json:"status"` // passed, failed, error, skipped
	Reason   string         `json:"reason"` // why it was skipped or could not be judged
	Cached   bool           `json:"cached"`
	Started  time.Time      `json:"started"`
	Finished time.Time      `json:"finished"`
	Judged   int            `json:"judged"` // what it looked at
	Unit     string         `json:"unit"`
	Metrics  []Metric       `json:"metrics"`
	Findings map[string]int `json:"findings"` // by severity; every severity is there
	Allowed  []Allowed      `json:"allowed"`
	Warnings []string       `json:"warnings"`
}

// A Metric is a measured number with the threshold that it had to meet, if it had one.
type Metric struct {
	Name      string  `json:"name"`
	Value     float64 `json:"value"`
	Unit      string  `json:"unit"`
	Threshold float64 `json:"threshold"`
	Direction string  `json:"direction"` // at_least, at_most; empty without a threshold
}

// Allowed is a finding that was let through.
type Allowed struct {
	Rule    string `json:"rule"`
	Reason  string `json:"reason"`
	Expires string `json:"expires"`
}

// severities in ascending order; the index is the engine's value. A finding without a severity counts as worst, since
// nobody said that it is harmless.
func severities() []string { return []string{"none", "info", "low", "medium", "high", "critical"} }

// stageOf takes from the run's record what evidence holds of a stage. The root's own path is nobody's business.
func stageOf(run *engine.Run, result engine.StageResult, model string, place Place) Stage {
	s := Stage{
		Version: stageVersion, Stage: result.Name, Status: string(result.Status), Target: run.Target, Run: run.ID,
		Commit: run.Commit, Branch: run.Branch, Model: model, Place: place, Steps: []Step{},
	}
	for _, step := range result.Steps {
		made := stepOf(step, run.Root)
		if made.Status != string(engine.StatusSkipped) {
			if s.Started.IsZero() || made.Started.Before(s.Started) {
				s.Started = made.Started
			}
			if made.Finished.After(s.Finished) {
				s.Finished = made.Finished
			}
		}
		s.Steps = append(s.Steps, made)
	}
	return s
}

func stepOf(r engine.StepResult, root string) Step {
	j := r.Judgement
	local := func(s string) string {
		if root == "" {
			return s
		}
		return strings.ReplaceAll(s, root+"/", "")
	}
	s := Step{
		Name: r.Name, Judges: r.Judges, Status: string(r.Status), Reason: local(r.Reason), Cached: r.Cached,
		Started: moment(r.Started), Finished: moment(r.Started.Add(r.Duration)), Judged: j.Judged, Unit: j.Unit,
		Metrics: []Metric{}, Findings: map[string]int{}, Allowed: []Allowed{}, Warnings: []string{},
	}
	for _, m := range j.Metrics {
		if math.IsNaN(m.Value) || math.IsInf(m.Value, 0) || math.IsNaN(m.Threshold) || math.IsInf(m.Threshold, 0) {
			continue // the step is an error, and says so
		}
		s.Metrics = append(s.Metrics, Metric{Name: m.Name, Value: m.Value, Unit: m.Unit, Threshold: m.Threshold, Direction: string(m.Direction)})
	}
	for _, name := range severities() {
		s.Findings[name] = 0
	}
	for _, f := range j.Findings {
		s.Findings[severities()[f.Severity]]++
	}
	for _, a := range j.Allowed {
		s.Allowed = append(s.Allowed, Allowed{Rule: a.Finding.Rule, Reason: local(a.Reason), Expires: a.Expires})
	}
	for _, w := range j.Warnings {
		s.Warnings = append(s.Warnings, local(w))
	}
	return s
}

// moment drops what JSON's dates have no room for, and the zone of the machine.
func moment(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }

// Step returns the step of that name.
func (s Stage) Step(name string) (Step, bool) {
	at := slices.IndexFunc(s.Steps, func(step Step) bool { return step.Name == name })
	if at < 0 {
		return Step{}, false
	}
	return s.Steps[at], true
}

// bad reports whether some step failed, or could not be judged.
func (s Stage) bad() bool {
	return s.Status == string(engine.StatusFailed) || s.Status == string(engine.StatusError) ||
		slices.ContainsFunc(s.Steps, func(step Step) bool {
			return step.Status == string(engine.StatusFailed) || step.Status == string(engine.StatusError)
		})
}

// met judges the metric by its own numbers.
func (m Metric) met() bool {
	return engine.Metric{Value: m.Value, Threshold: m.Threshold, Direction: engine.Direction(m.Direction)}.Met()
}

// atLeast counts the findings of a severity or above; those without one are always among them.
func (s Step) atLeast(severity string) int {
	count := s.Findings[severities()[0]]
	for _, name := range severities()[max(1, slices.Index(severities(), severity)):] {
		count += s.Findings[name]
	}
	return count
}
