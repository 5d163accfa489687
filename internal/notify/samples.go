package notify

import (
	"time"

	"github.com/meter-ml/meter-pipeline/internal/engine"
)

// SampleName is the stage and the environment of samples, so that nothing that is told of them is taken for the truth.
const SampleName = "notify-test"

// Samples are one message of each event, for who wants to see how they arrive. They say that they are samples. Their
// figures are those of the users' documentation. The last one about the commit is a success.
func Samples(now time.Time, o Origin) []Message {
	passed := sampleRun(now, engine.StatusPassed)
	failed := sampleRun(now, engine.StatusFailed)
	red := o
	red.Before = &Before{Status: engine.StatusFailed, Commit: o.Change.Commit, Time: now.Add(-time.Hour)}
	release := Release{
		Environment: SampleName, Name: "sample", Commit: o.Change.Commit, State: Deployed, Actor: o.Change.Actor, Time: now,
		Duration: 4 * time.Minute,
	}
	rolled := release
	rolled.State, rolled.Previous, rolled.Reason = RolledBack, "the one before", "a sample of a reason"
	messages := []Message{
		FromRun(failed, o), FromRun(passed, red), FromRun(passed, o), FromRelease(rolled, o), FromRelease(release, o),
		FromAlarm(Alarm{
			Severity: Warning, Name: "SampleAlert", Summary: "a sample of an alert: nothing is wrong", Environment: SampleName,
			Release: "sample", Time: now,
		}, o),
	}
	for i := range messages {
		messages[i].Title = "Sample: " + messages[i].Title
		messages[i].Pull, messages[i].Dirty = "", false // it is about how messages look
	}
	return messages
}

func sampleRun(now time.Time, status engine.Status) *engine.Run {
	step := engine.StepResult{
		Stage: SampleName, Name: "pytest", Judges: "a sample", Status: status, Started: now, Duration: 3 * time.Minute, Rerun: "mage notify:test",
		Judgement: engine.Judgement{Judged: 95, Unit: "tests", Metrics: []engine.Metric{
			{Name: "tests_passed", Value: 95, Unit: "tests"},
			{Name: "tests_failed", Unit: "tests"},
			{Name: "tests_skipped", Unit: "tests"},
			{Name: "coverage", Value: 88, Unit: "%", Threshold: 80, Direction: engine.DirectionAtLeast},
		}},
	}
	if status != engine.StatusPassed {
		step.Reason = "Test timeout"
	}
	return &engine.Run{
		ID: now.UTC().Format("20060102-150405") + "-" + SampleName, Target: "pipeline", Started: now, Duration: step.Duration, Status: status,
		Stages: []engine.StageResult{{Name: SampleName, Status: status, Duration: step.Duration, Steps: []engine.StepResult{step}}},
	}
}
