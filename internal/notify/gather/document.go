package gather

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/engine"
)

// runDoc is what is used of report.json, whose shape docs/report.schema.json documents.
type runDoc struct {
	SchemaVersion int        `json:"schema_version"`
	ID            string     `json:"id"`
	Target        string     `json:"target"`
	Status        string     `json:"status"`
	ExitCode      int        `json:"exit_code"`
	Started       time.Time  `json:"started"`
	Seconds       float64    `json:"duration_seconds"`
	Commit        string     `json:"commit"`
	Branch        string     `json:"branch"`
	Dirty         bool       `json:"dirty"`
	Interrupted   bool       `json:"interrupted"`
	Problems      []string   `json:"problems"`
	Stages        []stageDoc `json:"stages"`
}

type stageDoc struct {
	Name    string    `json:"name"`
	Status  string    `json:"status"`
	Seconds float64   `json:"duration_seconds"`
	Steps   []stepDoc `json:"steps"`
}

type stepDoc struct {
	Name     string       `json:"name"`
	Status   string       `json:"status"`
	Reason   string       `json:"reason"`
	Seconds  float64      `json:"duration_seconds"`
	Log      string       `json:"log"`
	Rerun    string       `json:"rerun"`
	Findings []findingDoc `json:"findings"`
	Metrics  []metricDoc  `json:"metrics"`
}

type findingDoc struct {
	Rule    string `json:"rule"`
	Fails   bool   `json:"fails"`
	Path    string `json:"path"`
	Line    int    `json:"line"`
	Column  int    `json:"column"`
	Message string `json:"message"`
}

type metricDoc struct {
	Name      string   `json:"name"`
	Value     *float64 `json:"value"`
	Unit      string   `json:"unit"`
	Threshold *float64 `json:"threshold"`
	Direction string   `json:"direction"`
}

// run takes no status on trust that is better than what its steps say.
func (d runDoc) run() (*engine.Run, error) {
	switch {
	case d.SchemaVersion != schema:
		return nil, fmt.Errorf("its schema version is %d, and this program reads %d", d.SchemaVersion, schema)
	case d.ID == "" || d.Started.IsZero():
		return nil, errors.New("it does not say which run it is of")
	}
	run := &engine.Run{
		ID: d.ID, Target: d.Target, Status: known(engine.Status(d.Status)), ExitCode: d.ExitCode, Started: d.Started, Duration: seconds(d.Seconds),
		Commit: d.Commit, Branch: d.Branch, Dirty: d.Dirty, Interrupted: d.Interrupted, Problems: d.Problems,
	}
	if d.ExitCode != engine.ExitPassed {
		run.Status = worse(run.Status, engine.StatusFailed)
	}
	for _, s := range d.Stages {
		stage := engine.StageResult{Name: s.Name, Status: known(engine.Status(s.Status)), Duration: seconds(s.Seconds)}
		for _, step := range s.Steps {
			stage.Steps = append(stage.Steps, step.result(s.Name))
			stage.Status = worse(stage.Status, engine.Status(step.Status))
		}
		run.Stages = append(run.Stages, stage)
		run.Status = worse(run.Status, stage.Status)
	}
	return run, nil
}

func (s stepDoc) result(stage string) engine.StepResult {
	r := engine.StepResult{
		Stage: stage, Name: s.Name, Status: known(engine.Status(s.Status)), Reason: s.Reason, Duration: seconds(s.Seconds), Log: s.Log, Rerun: s.Rerun,
	}
	for _, f := range s.Findings {
		if f.Fails { // the others are shown there, and are no cause
			r.Judgement.Findings = append(r.Judgement.Findings, engine.Finding{
				Stage: stage, Step: s.Name, Rule: f.Rule, Path: f.Path, Line: f.Line, Column: f.Column, Message: f.Message,
			})
		}
	}
	for _, m := range s.Metrics {
		metric := engine.Metric{Name: m.Name, Value: math.NaN(), Unit: m.Unit, Direction: engine.Direction(m.Direction)}
		if m.Value != nil {
			metric.Value = *m.Value
		}
		if m.Threshold != nil {
			metric.Threshold = *m.Threshold
		}
		r.Judgement.Metrics = append(r.Judgement.Metrics, metric)
	}
	return r
}

// Jobs is what CI says of the jobs that went before: their results by name, as GitHub's `toJSON(needs)` gives them.
type Jobs map[string]struct {
	Result string `json:"result"` // success, failure, cancelled, skipped
}

// ReadJobs reads them; nothing is no jobs.
func ReadJobs(text string) (Jobs, error) {
	if text == "" {
		return nil, nil
	}
	var jobs Jobs
	if err := json.Unmarshal([]byte(text), &jobs); err != nil {
		return nil, errors.New("read results of jobs: they are no JSON object of jobs with their results: write `${{ toJSON(needs) }}`")
	}
	return jobs, nil
}
