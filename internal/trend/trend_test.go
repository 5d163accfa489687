package trend

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/history"
)

var began = time.Date(2026, 11, 2, 8, 0, 0, 0, time.UTC)

func run(n int, target, url string, status engine.Status, value float64) history.Run {
	return history.Of(&engine.Run{
		ID: fmt.Sprintf("run-%03d", n), Target: target, Started: began.Add(time.Duration(n) * time.Hour), Duration: time.Minute,
		Status: status, Origin: engine.Origin{URL: url},
		Stages: []engine.StageResult{{Name: target, Status: status, Duration: 50 * time.Second, Steps: []engine.StepResult{{
			Name: "step", Status: status, Started: began.Add(time.Duration(n) * time.Hour), Duration: 50 * time.Second,
			Judgement: engine.Judgement{
				Metrics:  []engine.Metric{{Name: "p95", Value: value, Unit: "ms", Threshold: 5, Direction: engine.DirectionAtMost}},
				Findings: []engine.Finding{{Severity: engine.SeverityHigh}, {Rule: engine.RuleFlaky, Message: engine.FlakyMessage("a::b")}},
			},
		}}}},
	})
}

func TestWholeRuns(t *testing.T) {
	local := []history.Run{run(1, "check", "", "passed", 1), run(2, "quality:black", "", "failed", 1), run(3, "check", "", "failed", 1)}
	if got := Whole(local); len(got.All) != 2 || got.Success().Passed != 1 || got.Source != "runs of mage check and mage pipeline" {
		t.Errorf("%d runs, %+v, %s", len(got.All), got.Success(), got.Source)
	}
	interrupted := run(4, "check", "", "error", 1)
	interrupted.Exit = engine.ExitInterrupted
	old := run(5, "check", "", "passed", 1)
	old.Detail = nil
	hosted := append([]history.Run{local[0], local[1], local[2]}, interrupted, old,
		run(6, "quality", "https://ci/1/attempts/1", "failed", 1), run(7, "unit", "https://ci/1/attempts/1", "passed", 1),
		run(8, "quality", "https://ci/1/attempts/2", "passed", 1), run(9, "quality", "https://ci/2", "passed", 1))
	got := Whole(hosted)
	if len(got.All) != 2 || got.Source != "runs of CI" {
		t.Fatalf("%d runs of %s", len(got.All), got.Source)
	}
	first := got.All[0]
	// Three jobs, the last of which ends two hours and a minute after the first began. Red once is red.
	if first.Status != "failed" || len(first.Detail.Stages) != 3 || first.Seconds != 2*3600+60 || first.Detail.Results[2].At != 2*3600 {
		t.Errorf("%+v %+v", first, first.Detail)
	}
	if n := len(hosted[5].Detail.Stages); n != 1 {
		t.Errorf("joining changed a job: it has %d stages", n)
	}
	if last, ok := got.Last(); !ok || last.Run != "run-009" {
		t.Errorf("the last is %s", last.Run)
	}
	if n := len(got.Since(began.Add(9 * time.Hour)).All); n != 1 {
		t.Errorf("%d since then", n)
	}
	if n := len(got.Until(began.Add(9 * time.Hour)).All); n != 1 {
		t.Errorf("%d before then", n)
	}
}

func TestSeries(t *testing.T) {
	var runs []history.Run
	for i := range 40 {
		value := 2.0 + float64(i%5)/100
		if i >= 30 {
			value++
		}
		runs = append(runs, run(i, "check", "", "passed", value))
	}
	all := Metrics(runs, func(_, _, metric string) bool { return metric == "p95" })
	if len(all) != 1 {
		t.Fatalf("%d series", len(all))
	}
	s := all[0]
	if s.Name != "step p95" || s.Unit != "ms" || s.Threshold != 5 || !s.Met(4.9) || s.Met(5.1) || len(s.Points) != 40 || s.Last() != 3.04 {
		t.Errorf("%s %s %v, %d points, last %v", s.Name, s.Unit, s.Threshold, len(s.Points), s.Last())
	}
	if s.Points[4].Banded || !s.Points[5].Banded || s.Points[39].Low > s.Points[39].High || s.Points[39].Low < 3 {
		t.Errorf("bands %+v, %+v", s.Points[4], s.Points[39])
	}
	change, ok := s.Lately()
	if !ok || !change.Worse || change.Relative < 0.4 || change.Newest != 10 || change.Earlier != 30 {
		t.Errorf("%+v", change)
	}
	s.Direction = engine.DirectionAtLeast // then more is better
	if change, _ := s.Lately(); change.Worse {
		t.Errorf("%+v", change)
	}
	if _, ok := Against([]float64{1, 2, 3, 4}, []float64{1, 2, 3, 4, 5}, engine.DirectionAtMost); ok {
		t.Error("four values were compared")
	}
	if got := Findings(runs[0]); got["high"] != 1 || got["none"] != 1 {
		t.Errorf("%v", got)
	}
	if got := StageSeconds(runs[0], "check"); got != 50 {
		t.Errorf("%v", got)
	}
	if got := StageSeconds(run(1, "check", "", "error", 1), "check"); !math.IsNaN(got) {
		t.Errorf("a stage that broke took %v", got)
	}
	if got := Flakies(runs); len(got) != 1 || got[0].Runs != 40 || got[0].Test != "a::b" {
		t.Errorf("%+v", got)
	}
}

func TestDORA(t *testing.T) {
	at := func(hours int) time.Time { return began.Add(time.Duration(hours) * time.Hour) }
	deploys := []history.Deploy{
		{Environment: "staging", Release: "s", Status: history.DeployDone, Started: at(0), Finished: at(1)},
		{Environment: "production", Release: "a", Status: history.DeployDone, Committed: at(0), Started: at(9), Finished: at(10)},
		{Environment: "production", Release: "b", Status: history.DeployFailed, Started: at(11), Finished: at(12)},
		{Environment: "production", Release: "c", Status: history.DeployRolledBack, Started: at(20), Finished: at(21)},
		{Environment: "production", Release: "d", Status: history.DeployDone, Committed: at(10), Started: at(29), Finished: at(30)},
		{Environment: "production", Release: "e", Status: history.DeployDone, Started: at(32), Finished: at(33), Rework: true, Recovers: "d"},
		{Environment: "production", Release: "late", Status: history.DeployDone, Started: at(999), Finished: at(1000)},
	}
	got := Figures(deploys, "production", at(0), at(14*24))
	want := DORA{
		Environment: "production", From: at(0), To: at(14 * 24), Deploys: 4, Aborted: 1, PerWeek: 2, LeadTime: 15 * time.Hour, Leads: 2,
		Failed: 2, FailShare: 0.5, Recovery: 2 * time.Hour, Recovered: 2, Reworks: 1, ReworkOf: 0.25,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"production", "staging"}, Environments(deploys)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := Figures(nil, "production", at(0), at(1)); got.Deploys != 0 || got.FailShare != 0 || got.PerWeek != 0 {
		t.Errorf("of nothing: %+v", got)
	}
}
