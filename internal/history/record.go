package history

import (
	"bytes"
	"cmp"
	"encoding/json"
	"math"
	"runtime"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/engine"
)

// A Run is one line. Fields may be added; a change of what one means is a new schema. What is needed before each run
// stands before Detail, which is the last one and is not even parsed then.
type Run struct {
	lean

	Detail *Detail `json:"detail,omitempty"` // nil in lines of versions that kept none
}

// lean is what the schedule of the next run needs, and who asks which run it was.
type lean struct {
	Schema  int       `json:"schema"`
	Run     string    `json:"run"`
	Time    time.Time `json:"time"` // of the start
	Target  string    `json:"target"`
	Commit  string    `json:"commit,omitempty"`
	Dirty   bool      `json:"dirty,omitempty"`
	Cores   int       `json:"cores"`
	Slots   int       `json:"slots"`
	Status  string    `json:"status"`
	Exit    int       `json:"exit_code"`
	Seconds float64   `json:"seconds"`
	Steps   []Step    `json:"steps"`
}

// A Step is what became of one step.
type Step struct {
	Stage   string  `json:"stage"`
	Step    string  `json:"step"`
	Status  string  `json:"status"`
	Cached  bool    `json:"cached"`
	Seconds float64 `json:"seconds"`
}

// Judged reports whether its duration says how long the step takes: it ran to its end.
func (s Step) Judged() bool {
	return !s.Cached && (s.Status == string(engine.StatusPassed) || s.Status == string(engine.StatusFailed))
}

// Detail is what people look back at.
type Detail struct {
	Branch   string   `json:"branch,omitempty"`
	Author   string   `json:"author,omitempty"` // of the commit
	Builder  string   `json:"builder,omitempty"`
	URL      string   `json:"url,omitempty"` // of the run's page, if it has one: a job of CI
	Imported bool     `json:"imported,omitempty"`
	Warnings []string `json:"warnings,omitempty"` // about the run as a whole
	Stages   []Stage  `json:"stages"`
	Results  []Result `json:"results"`
}

// A Stage sums up its steps.
type Stage struct {
	Stage   string  `json:"stage"`
	Status  string  `json:"status"`
	Seconds float64 `json:"seconds"` // from the first step's start to the last one's end
}

// A Result is what one step found out. A list that is empty is not written.
type Result struct {
	Stage    string         `json:"stage"`
	Step     string         `json:"step"`
	At       float64        `json:"at"` // seconds from the run's start to the step's
	Reason   string         `json:"reason,omitempty"`
	Metrics  []Metric       `json:"metrics,omitempty"`
	Findings map[string]int `json:"findings,omitempty"` // by severity, "none" for tools that give none
	Allowed  int            `json:"allowed,omitempty"`
	Warnings []string       `json:"warnings,omitempty"`
	Flaky    []string       `json:"flaky,omitempty"` // tests that passed only when they were run again
}

// A Metric is a measured number. Its threshold counts only with a direction.
type Metric struct {
	Name      string  `json:"name"`
	Value     float64 `json:"value"`
	Unit      string  `json:"unit,omitempty"`
	Threshold float64 `json:"threshold,omitempty"`
	Direction string  `json:"direction,omitempty"`
}

const (
	mostWarnings = 20
	longestText  = 300 // bytes of a warning or a reason
	mostFlaky    = 50
)

// detailKey begins the part that is not parsed before a run. Within a string, JSON would escape its quotes.
const detailKey = `,"detail":{`

// foremost is a line without its detail.
func foremost(line []byte) []byte {
	at := bytes.Index(line, []byte(detailKey))
	if at < 0 || line[len(line)-1] != '\n' && !json.Valid(line) {
		return line
	}
	return append(line[:at:at], '}', '\n')
}

// Of turns a finished run into its line.
func Of(run *engine.Run) Run {
	r := Run{lean: lean{
		Schema: schema, Run: run.ID, Time: run.Started.UTC(), Target: run.Target, Commit: run.Commit, Dirty: run.Dirty,
		Cores: runtime.NumCPU(), Slots: run.Limit, Status: string(run.Status), Exit: run.ExitCode,
		Seconds: seconds(run.Duration), Steps: []Step{},
	}}
	d := &Detail{
		Branch: cmp.Or(run.Branch, run.Origin.Branch), Author: run.Origin.Author, Builder: run.Origin.Builder, URL: run.Origin.URL,
		Warnings: texts(run.Warnings), Stages: []Stage{}, Results: []Result{},
	}
	for _, stage := range run.Stages {
		d.Stages = append(d.Stages, Stage{Stage: stage.Name, Status: string(stage.Status), Seconds: seconds(stage.Duration)})
		for _, s := range stage.Steps {
			r.Steps = append(r.Steps, Step{
				Stage: stage.Name, Step: s.Name, Status: string(s.Status), Cached: s.Cached, Seconds: seconds(s.Duration),
			})
			d.Results = append(d.Results, resultOf(run, stage.Name, s))
		}
	}
	r.Detail = d
	return r
}

func resultOf(run *engine.Run, stage string, s engine.StepResult) Result {
	j := s.Judgement
	r := Result{Stage: stage, Step: s.Name, Reason: text(s.Reason), Allowed: len(j.Allowed), Warnings: texts(j.Warnings)}
	if !s.Started.IsZero() {
		r.At = max(0, seconds(s.Started.Sub(run.Started)))
	}
	for _, m := range j.Metrics {
		if !finite(m.Value) || !finite(m.Threshold) {
			continue // the step is an error, and says so
		}
		r.Metrics = append(r.Metrics, Metric{
			Name: m.Name, Value: significant(m.Value), Unit: m.Unit, Threshold: significant(m.Threshold), Direction: string(m.Direction),
		})
	}
	for _, f := range j.Findings {
		if f.Rule == engine.RuleFlaky && len(r.Flaky) < mostFlaky {
			r.Flaky = append(r.Flaky, text(engine.FlakyTest(f.Message)))
		}
		if r.Findings == nil {
			r.Findings = map[string]int{}
		}
		r.Findings[severity(f.Severity)]++
	}
	return r
}

func severity(s engine.Severity) string {
	names := []string{"none", "info", "low", "medium", "high", "critical"}
	if s < 0 || int(s) >= len(names) {
		return names[0]
	}
	return names[s]
}

// seconds to the millisecond: more is noise in a file that people read.
func seconds(d time.Duration) float64 {
	return float64(d.Round(time.Millisecond).Milliseconds()) / 1000
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

// significant keeps six digits, so that a line stays short; no picture and no test needs more.
func significant(v float64) float64 {
	if v == 0 || !finite(v) {
		return v
	}
	scale := math.Pow(10, 6-math.Ceil(math.Log10(math.Abs(v))))
	if rounded := math.Round(v*scale) / scale; finite(rounded) {
		return rounded
	}
	return v
}
