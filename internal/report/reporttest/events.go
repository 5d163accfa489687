package reporttest

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/engine"
)

// Events is the stream that a run sends, in order of time.
func Events(run *engine.Run, plan []engine.PlannedStage) []engine.Event {
	at := func(ms int) time.Time { return run.Started.Add(time.Duration(ms) * time.Millisecond) }
	begun := &engine.Run{ID: run.ID, Target: run.Target, Root: run.Root, Dir: run.Dir, Limit: run.Limit, Started: run.Started}
	events := []engine.Event{
		{Kind: engine.EventRunStarted, Time: at(0), Plan: plan, Run: begun},
		{Kind: engine.EventProvisioning, Time: at(10), Step: "python", Text: "installing 143 packages into .venv"},
		{Kind: engine.EventProvisioned, Time: at(390), Step: "python", Text: "3.11.9 in .venv, 143 packages"},
		{Kind: engine.EventProvisioning, Time: at(400), Step: "postgres", Text: "initdb"},
		{Kind: engine.EventProvisioned, Time: at(1500), Step: "postgres", Text: "15.8 of this machine, in a directory of its own"},
	}
	for i := range run.Stages {
		stage := &run.Stages[i]
		done := run.Started
		for j := range stage.Steps {
			step := &stage.Steps[j]
			end := step.Started.Add(step.Duration)
			if end.After(done) {
				done = end
			}
			if step.Status != engine.StatusSkipped {
				events = append(events, running(step)...)
			}
			events = append(events, engine.Event{Kind: engine.EventStepFinished, Time: end, Stage: stage.Name, Step: step.Name, Result: step})
		}
		events = append(events, engine.Event{Kind: engine.EventStageDone, Time: done, Stage: stage.Name, StageResult: stage})
	}
	if run.Interrupted {
		events = append(events, engine.Event{
			Kind: engine.EventMessage, Time: run.Started.Add(run.Duration - time.Second),
			Text: "stopping, press Ctrl-C again to kill",
		})
	}
	slices.SortStableFunc(events, func(a, b engine.Event) int { return a.Time.Compare(b.Time) })
	return append(events, engine.Event{Kind: engine.EventRunFinished, Time: run.Started.Add(run.Duration), Run: run})
}

// running is what a step sends between its start and its end.
func running(step *engine.StepResult) []engine.Event {
	event := func(kind engine.EventKind, after time.Duration) engine.Event {
		return engine.Event{Kind: kind, Time: step.Started.Add(after), Stage: step.Stage, Step: step.Name}
	}
	start := event(engine.EventStepStarted, 0)
	if step.Name == "pylint" {
		start.Expected = 24 * time.Second
	}
	events := []engine.Event{start}
	const parts = 10
	for i := 1; i < parts; i++ {
		after := step.Duration * time.Duration(i) / parts
		out := event(engine.EventOutput, after)
		out.Text = fmt.Sprintf("%s: part %d of %d", step.Name, i, parts)
		events = append(events, out)
		if step.Name == "pytest" {
			progress := event(engine.EventProgress, after)
			progress.Done, progress.Total, progress.Text = 402*i/parts, 402, "tests"
			events = append(events, progress)
		}
	}
	return events
}

// WriteLogs makes the log files that the run's steps name, and artifacts, in its run directory.
func WriteLogs(run *engine.Run) error {
	for _, stage := range run.Stages {
		for _, step := range stage.Steps {
			if step.Log == "" {
				continue
			}
			var b strings.Builder
			for i := 1; i <= 24; i++ {
				fmt.Fprintf(&b, "line %d of the log of %s\n", i, step.Name)
			}
			fmt.Fprintf(&b, "%s\nHTTPSConnectionPool: connection refused\n", Hostile)
			if err := write(run.Dir, step.Log, b.String()); err != nil {
				return err
			}
		}
	}
	for _, name := range []string{"bandit-report.json", "coverage.xml", "htmlcov/index.html"} {
		if err := write(run.Dir, "artifacts/"+name, "{}"); err != nil {
			return err
		}
	}
	return nil
}

func write(dir, name, text string) error {
	path := filepath.Join(dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(text), 0o600)
}
