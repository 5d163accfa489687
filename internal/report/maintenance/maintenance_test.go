package maintenance

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/history"
)

var now = time.Date(2026, 11, 28, 18, 0, 0, 0, time.UTC)

// past is one run for each of the last n days: since slowSince days, pylint takes thrice as long and a benchmark is slower.
func past(n, slowSince int, red func(day int) bool) []history.Run {
	var runs []history.Run
	for day := n; day >= 1; day-- {
		status, took, p95 := engine.StatusPassed, 20*time.Second, 1.0
		if day <= slowSince {
			took, p95 = time.Minute, 2.0
		}
		took += time.Duration(day%3) * time.Second
		if red(day) {
			status = engine.StatusFailed
		}
		started := now.Add(-time.Duration(day)*24*time.Hour + time.Hour)
		step := func(stage, name string, took time.Duration, status engine.Status, j engine.Judgement) engine.StageResult {
			return engine.StageResult{Name: stage, Status: status, Duration: took, Steps: []engine.StepResult{{
				Stage: stage, Name: name, Status: status, Started: started, Duration: took, Judgement: j,
			}}}
		}
		runs = append(runs, history.Of(&engine.Run{
			ID: fmt.Sprintf("run-%03d", n-day), Target: "check", Branch: "main", Started: started, Duration: 2 * took, Status: status,
			Stages: []engine.StageResult{
				step("quality", "pylint", took, "passed", engine.Judgement{}),
				step("security", "bandit", 2*time.Second, status, engine.Judgement{Findings: []engine.Finding{{Severity: engine.SeverityHigh, Rule: "B1"}}, Warnings: []string{"<img src=x> @all"}}),
				step("unit", "pytest", 9*time.Second, "passed", engine.Judgement{Metrics: []engine.Metric{{Name: "coverage", Value: 86 + float64(day%2)/10, Unit: "%", Threshold: 80, Direction: engine.DirectionAtLeast}}}),
				step("benchmark", "single", 5*time.Second, "passed", engine.Judgement{Metrics: []engine.Metric{{Name: "p95", Value: p95 + float64(day)/1000, Unit: "ms", Threshold: 5, Direction: engine.DirectionAtMost}}}),
			},
		}))
	}
	return runs
}

func facts(runs []history.Run) Facts {
	return Facts{
		Project: &config.Project{
			Unit:     config.Unit{Coverage: config.Coverage{Minimum: 80}, Quarantine: []config.Quarantine{{Test: "a.py::b", Owner: "ada", Reason: "races", Expires: "2026-12-01"}}},
			Security: config.Security{Allow: []config.Allow{{Tool: "bandit", Rule: "B608", Reason: "constant", Expires: "2026-11-01"}}},
		},
		Records: history.Records{Runs: runs}, Now: now,
		Budgets: history.Budgets{Stages: map[string]float64{"quality": 30}, Runs: 5, Margin: 0.1, Alpha: 0.05},
	}
}

func both(t *testing.T, r Report) string {
	t.Helper()
	var page bytes.Buffer
	if err := r.HTML(&page); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"<img", "<script", "ZgotmplZ", " style="} {
		if strings.Contains(page.String(), bad) || strings.Contains(r.Markdown(), bad) {
			t.Errorf("%s got through", bad)
		}
	}
	for _, s := range r.Sections {
		if len(s.Lines) == 0 && len(s.Table.Rows) == 0 {
			t.Errorf("section %s is empty", s.Title)
		}
	}
	return r.Markdown()
}

func demand(t *testing.T, text string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(text, w) {
			t.Errorf("it does not say %q:\n%s", w, text)
		}
	}
}

func TestWeekly(t *testing.T) {
	f := facts(past(40, 7, func(day int) bool { return day == 3 }))
	r := Weekly(f)
	if r.Title != "Weekly review of the pipeline, 2026 week 48" {
		t.Error(r.Title)
	}
	demand(t, both(t, r),
		"❌ **To do**: 6 of 7 runs passed: 85.7 %", "Before that it was 100.0 % of 33 runs.",
		"security/bandit |", "❌ **To do**: Stage quality takes longer than its budget of 30 s",
		"Stage quality takes 190 % longer than before", "Single p95 takes", "⚠️ **Not known**: image/updates is not in the history",
		"1 high", "&lt;img", "bandit B608 ended on 2026-11-01", "a.py::b ends on 2026-12-01", "nobody knows which are flaky",
	)
}

func TestWeeklyOfNothing(t *testing.T) {
	f := facts(nil)
	f.Project.Security.Allow, f.Project.Unit.Quarantine = nil, nil
	demand(t, both(t, Weekly(f)), "The history has no whole run", "No whole run in these 7 days", "Nothing can be compared", "security/bandit is not in the history", "There are none.")
	demand(t, both(t, Monthly(f)), "No whole run of these 30 days", "No step was judged")
	demand(t, both(t, Quarterly(f)), "knows of no deploy yet", "No whole run in these 91 days")
}

func TestMonthly(t *testing.T) {
	f := facts(past(60, 30, func(int) bool { return false }))
	f.Python = Outdated{Packages: []Package{{"numpy", "1", "2"}}, Looked: 9}
	f.Go = Outdated{Unknown: "no network"}
	f.Coverage = Coverage{Run: "run-9", Files: []File{{"src/a_b.py", 51.25, 7}}}
	text := both(t, Monthly(f))
	demand(t, text,
		"✅ 30 of 30 runs passed", "❌ **To do**: 1 of 9 have a newer version: `scripts/lock.sh --upgrade-package NAME`", "| numpy | 1 | 2 |",
		"⚠️ **Not known**: Could not be looked up: no network.", "| src/a\\_b.py | 51.25 % | 7 |", "and 86 % at the beginning",
		"% slower than before: see what changed",
	)
	f.Go = Outdated{Looked: 3, Unknown: "the proxy does not tell of x"}
	f.Coverage = Coverage{Unknown: "no run is kept"}
	demand(t, both(t, Monthly(f)), "does not tell of x.", "All of 3 packages are up to date", "Which files lack tests is not known: no run is kept.")
}

func TestSuggestionsFollowFromNumbers(t *testing.T) {
	same := func(n int, v float64) []float64 {
		out := make([]float64, n)
		for i := range out {
			out[i] = v + float64(i)/1000
		}
		return out
	}
	tests := []struct {
		name string
		s    slow
		want string
	}{
		{"steady", slow{seconds: same(9, 10), share: same(9, 0.2), runs: 9}, ""},
		{"slower", slow{seconds: same(9, 15), earlier: same(9, 10), share: same(9, 0.2), runs: 9}, "50 % slower than before: see what changed"},
		{"varies", slow{seconds: []float64{10, 10, 10, 10, 30, 31}, share: same(6, 0.2), runs: 6}, "its time varies much: see what it waits for"},
		{"last", slow{seconds: same(9, 10), share: same(9, 0.5), runs: 9, last: 9}, "mostly ends last: all that it loses, the run gains"},
		{"much", slow{seconds: same(9, 10), share: same(9, 0.5), runs: 9}, "takes much of the run: split it, so that its parts run beside each other"},
		{"little", slow{seconds: same(9, 10), share: same(9, 0.01), runs: 9}, "not worth the effort"},
	}
	for _, tt := range tests {
		if got := tt.s.suggestion(); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestQuarterly(t *testing.T) {
	f := facts(past(80, 0, func(day int) bool { return day == 50 || day == 49 || day == 1 }))
	f.Baseline = Baselines{Stored: []Stored{{"2 cores", "2026-01-02", "load, single"}}}
	f.Records.Deploys = []history.Deploy{{
		Environment: "production", Release: "r", Status: history.DeployDone, Committed: now.Add(-50 * time.Hour), Started: now.Add(-25 * time.Hour), Finished: now.Add(-24 * time.Hour),
	}}
	r := Quarterly(f)
	if r.Title != "Quarterly review of the pipeline, 2026 quarter 4" {
		t.Error(r.Title)
	}
	demand(t, both(t, r),
		"| 2026-10 | 31 | 94 % |", "green again after 48 h 00 min (median of 1 time)", "❌ **To do**: main is red.",
		"That of 2 cores is of 2026-01-02: store a new one", "| production | 26 h 00 min | 0.1 a week | – | 0 % | 0 % |",
	)
}
