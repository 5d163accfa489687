// Package reporttest holds a run to test renderers on, as a stage would leave it behind: everything that can become
// of a step, long paths, wide letters, and text that attacks whoever shows it. It is imported by tests and by the demo
// below it only.
package reporttest

import (
	"fmt"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/engine"
)

// Hostile is text that no renderer may let through as it is.
const Hostile = "test_\x1b]0;owned\x07name\x1b[2J\u009b31m\u202egnp.exe\u2066\r::add-mask::x ##[error]y <script>alert(1)</script> | `a` ]]> \x00\xff"

// Start is when the fixture began.
func Start() time.Time {
	return time.Date(2026, time.November, 23, 14, 25, 1, 0, time.UTC)
}

// Plan is what was to run.
func Plan() []engine.PlannedStage {
	return []engine.PlannedStage{
		{Name: "quality", Steps: []engine.Step{
			{Name: "black", Judges: "formatting", Inputs: []string{"src", "tests"}},
			{Name: "isort", Judges: "order of imports", Inputs: []string{"src", "tests"}},
			{Name: "flake8", Judges: "style", Inputs: []string{"src", "tests"}},
			{Name: "pylint", Judges: "code", Informational: true, Inputs: []string{"src"}},
		}},
		{Name: "security", Steps: []engine.Step{
			{Name: "bandit", Judges: "source", FailAt: engine.SeverityMedium, Inputs: []string{"src"}},
			{Name: "safety", Judges: "locked requirements", Inputs: []string{"requirements/system.txt"}},
			{Name: "secrets", Judges: "tree and history"},
		}},
		{Name: "unit", Steps: []engine.Step{
			{Name: "pytest", Judges: "unit tests and coverage", Inputs: []string{"src", "tests"}},
		}},
		{Name: "data", Steps: []engine.Step{
			{Name: "contracts", Judges: "data sets", Skip: "no data set is declared: name one under data: in pipeline.yaml"},
		}},
	}
}

// Run is a run in which steps passed, failed, could not be judged and were skipped, for the run directory dir.
func Run(dir string) *engine.Run {
	run := &engine.Run{
		ID:       "20261123-142501-3f9c",
		Target:   "check",
		Root:     "/home/ada/meter",
		Dir:      dir,
		Started:  Start(),
		Duration: 41300 * time.Millisecond,
		Status:   engine.StatusError,
		ExitCode: engine.ExitError,
		Commit:   "9a5a1da5b46ccc7a00c213f6ffa1fa22a0583762",
		Branch:   "feature/reactive-power",
		Dirty:    true,
		Limit:    2,
		Stages: []engine.StageResult{
			{
				Name: "quality", Status: engine.StatusFailed, Duration: 27400 * time.Millisecond,
				Steps: []engine.StepResult{black(), isort(), flake8(24), pylint()},
			},
			{
				Name: "security", Status: engine.StatusError, Duration: 9800 * time.Millisecond,
				Steps: []engine.StepResult{bandit(), safety(), secrets()},
			},
			{
				Name: "unit", Status: engine.StatusFailed, Duration: 30900 * time.Millisecond,
				Steps: []engine.StepResult{pytest()},
			},
			{
				Name: "data", Status: engine.StatusSkipped,
				Steps: []engine.StepResult{contracts()},
			},
		},
	}
	return run
}

// Many is Run with 200 findings of one step.
func Many(dir string) *engine.Run {
	run := Run(dir)
	run.Stages[0].Steps[2] = flake8(200)
	return run
}

// Passed is a run in which every gate passed.
func Passed(dir string) *engine.Run {
	run := Run(dir)
	run.Status, run.ExitCode, run.Dirty = engine.StatusPassed, engine.ExitPassed, false
	run.Stages = run.Stages[:3]
	for i := range run.Stages {
		stage := &run.Stages[i]
		stage.Status = engine.StatusPassed
		for j := range stage.Steps {
			step := &stage.Steps[j]
			step.Status, step.Reason = engine.StatusPassed, ""
			step.Judgement.Findings = nil
			for k := range step.Judgement.Metrics {
				m := &step.Judgement.Metrics[k]
				m.Value = max(m.Value, m.Threshold+4.2)
			}
			if step.Judgement.Judged == 0 {
				step.Judgement.Judged, step.Judgement.Unit = 143, "packages"
			}
		}
	}
	return run
}

// Interrupted is a run that somebody stopped.
func Interrupted(dir string) *engine.Run {
	run := Run(dir)
	run.Interrupted, run.ExitCode, run.Duration = true, engine.ExitInterrupted, 12*time.Second
	run.Stages = run.Stages[:3]
	for i := range run.Stages {
		stage := &run.Stages[i]
		stage.Status = engine.StatusError
		for j := range stage.Steps {
			step := &stage.Steps[j]
			if step.Name == "black" || step.Name == "isort" {
				continue
			}
			step.Status, step.Reason, step.Judgement = engine.StatusError, "interrupted", engine.Judgement{}
		}
	}
	return run
}

func step(stage, name, judges string, status engine.Status, from, took int) engine.StepResult {
	return engine.StepResult{
		Stage: stage, Name: name, Judges: judges, Status: status,
		Started:  Start().Add(time.Duration(from) * time.Millisecond),
		Duration: time.Duration(took) * time.Millisecond,
		Log:      fmt.Sprintf("logs/%s/%s.log", stage, name),
		Rerun:    "mage " + stage + ":" + name,
	}
}
