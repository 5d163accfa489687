package dashboard

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/history"
)

var now = time.Date(2026, 11, 28, 18, 0, 0, 0, time.UTC)

func options() Options {
	return Options{
		Name: "meter-consumption-prediction", Now: now,
		Budgets: history.Budgets{Runs: 10, Margin: 0.1, Alpha: 0.05, Stages: map[string]float64{
			"quality": 300, "security": 300, "unit": 600, "image": 900, "data": 120, "integration": 60, "benchmark": 180,
		}},
		Quarantine: []config.Quarantine{{Test: "tests/unit/test_api.py::test_timeout", Owner: "ada", Reason: "it races with the server's start", Expires: "2026-12-04"}},
	}
}

// measure is a metric that the made-up runs have: a level, and how far it scatters.
type measure struct {
	stage, step, name, unit string
	level, scatter          float64
	threshold               float64
	direction               engine.Direction
}

func measures() []measure {
	least, most := engine.DirectionAtLeast, engine.DirectionAtMost
	all := []measure{
		{"quality", "black", "files", "files", 62, 0, 0, ""},
		{"quality", "pylint", "pylint_score", "", 9.4, 0.05, 7, least},
		{"security", "bandit", "files", "files", 40, 0, 0, ""},
		{"security", "safety", "packages", "packages", 210, 0, 0, ""},
		{"unit", "pytest", "tests_passed", "tests", 640, 2, 0, ""},
		{"unit", "pytest", "tests_failed", "tests", 0, 0, 0, ""},
		{"unit", "pytest", "tests_skipped", "tests", 0, 0, 0, ""},
		{"unit", "pytest", "tests_flaky", "tests", 0, 0, 0, ""},
		{"unit", "pytest", "coverage", "%", 86, 0.3, 80, least},
		{"unit", "pytest", "branch_coverage", "%", 83, 0.3, 0, ""},
		{"data", "readings", "rows", "rows", 10080, 0, 0, ""},
		{"integration", "train", "tests_passed", "tests", 7, 0, 0, ""},
		{"benchmark", "load", "p95", "ms", 310, 12, 1000, most},
		{"benchmark", "single", "p95", "ms", 0.9, 0.08, 5, most},
		{"benchmark", "batch", "p95", "ms", 42, 3, 500, most},
		{"benchmark", "features", "p95", "ms", 260, 14, 400, most},
		{"benchmark", "api", "p95", "ms", 12, 1.5, 100, most},
	}
	for _, set := range []string{"sample", "household", "steel", "vic"} {
		all = append(
			all,
			measure{"integration", "quality", set + "_meter_regression_gain", "%", 65, 0.8, 40, least},
			measure{"integration", "quality", set + "_meter_regression_r2", "", 0.94, 0.004, 0.85, least},
			measure{"integration", "quality", set + "_meter_high_consumption_gain", "%", 60, 0.8, 30, least},
			measure{"integration", "quality", set + "_meter_high_consumption_auc", "", 0.95, 0.004, 0.85, least},
		)
	}
	return all
}

// made is a history of n runs of CI: mostly green, slower since a while, with flaky tests.
func made(n int) []*engine.Run {
	random := rand.New(rand.NewPCG(7, 8))
	var runs []*engine.Run
	for i := range n {
		share := float64(i) / float64(n)
		started := now.Add(-time.Duration(n-i) * 4 * time.Hour)
		run := &engine.Run{
			ID: started.Format("20060102-150405") + fmt.Sprintf("-%04x", i), Target: "pipeline", Started: started, Limit: 2,
			Commit: fmt.Sprintf("%016x%024x", random.Uint64(), i), Branch: []string{"develop", "main", "feature/cheaper-features"}[i%3], Status: "passed",
			Origin: engine.Origin{Author: []string{"Ada Lovelace", "Grace Hopper", "Mary Jackson"}[i%3], Builder: "https://github.com/actions/runner/github-hosted", URL: fmt.Sprintf("https://github.com/meter-ml/meter-pipeline/actions/runs/%d", 4000+i)},
		}
		red := ""
		if random.Float64() < 0.03 {
			red = []string{"quality", "unit", "integration"}[random.IntN(3)]
		}
		at := 0.0
		for _, stage := range []string{"quality", "security", "unit", "data", "image", "integration", "benchmark"} {
			took := map[string]float64{"quality": 31, "security": 14, "unit": 58, "data": 4, "image": 240, "integration": 47, "benchmark": 61}[stage] * (0.9 + 0.2*random.Float64())
			if stage == "integration" && share > 0.9 {
				took *= 1.6
			}
			result := stageOf(random, stage, i, share, started.Add(time.Duration(at*1e9)), took)
			if stage == red {
				result.Status, run.Status, run.ExitCode = "failed", "failed", 1
				step := &result.Steps[len(result.Steps)-1]
				step.Status = "failed"
				step.Judgement.Findings = append(step.Judgement.Findings, engine.Finding{Rule: "x", Severity: engine.SeverityHigh})
			}
			run.Stages = append(run.Stages, result)
			at += took * 0.8
		}
		run.Duration = time.Duration(at * 1.05 * 1e9)
		runs = append(runs, run)
	}
	return runs
}

func stageOf(random *rand.Rand, stage string, i int, share float64, started time.Time, took float64) engine.StageResult {
	result := engine.StageResult{Name: stage, Status: "passed", Duration: time.Duration(took * 1e9)}
	steps := map[string][]string{
		"quality": {"black", "isort", "flake8", "pylint"}, "security": {"bandit", "safety", "secrets"}, "unit": {"pytest"},
		"data": {"contracts", "readings", "customers", "features"}, "image": {"lint", "build", "size", "packages", "smoke"},
		"integration": {"ingest", "features", "train", "register", "load", "serve", "schema", "dags", "quality"},
		"benchmark":   {"load", "single", "batch", "features", "api"},
	}[stage]
	for j, name := range steps {
		step := engine.StepResult{
			Stage: stage, Name: name, Status: "passed", Duration: time.Duration(took / float64(len(steps)) * 1e9),
			Started: started.Add(time.Duration(float64(j) * took / float64(len(steps)) * 1e9)),
		}
		for _, m := range measures() {
			if m.stage != stage || m.step != name {
				continue
			}
			value := m.level + m.scatter*random.NormFloat64()
			switch {
			case m.name == "coverage":
				value += 3 * share
			case m.name == "tests_passed" && stage == "unit":
				value = float64(int(400 + 274*share))
			case stage == "benchmark" && name == "features" && share > 0.97:
				value *= 1.25
			}
			step.Judgement.Metrics = append(step.Judgement.Metrics, engine.Metric{Name: m.name, Value: value, Unit: m.unit, Threshold: m.threshold, Direction: m.direction})
		}
		if name == "pytest" && i%37 == 5 {
			step.Judgement.Findings = append(step.Judgement.Findings, engine.Finding{Rule: engine.RuleFlaky, Severity: engine.SeverityInfo, Message: engine.FlakyMessage("tests/unit/test_api.py::test_timeout")})
		}
		if name == "pytest" && i == 450 {
			step.Judgement.Findings = append(step.Judgement.Findings, engine.Finding{Rule: engine.RuleFlaky, Severity: engine.SeverityInfo, Message: engine.FlakyMessage("tests/unit/test_ingestion.py::TestSources::test_two_at_once[csv-\u202e<script>alert(1)</script>]")})
		}
		result.Steps = append(result.Steps, step)
	}
	return result
}

func deploys() []history.Deploy {
	var all []history.Deploy
	for i := range 12 {
		d := history.Deploy{
			Environment: []string{"staging", "production"}[i%2], Release: fmt.Sprintf("r%03d", i), Status: history.DeployDone, Commit: fmt.Sprintf("%016x%024x", uint64(i+3)*0x9e3779b97f4a7c15, i),
			Actor: "ada", Started: now.Add(-time.Duration(13-i) * 36 * time.Hour),
		}
		d.Finished, d.Committed = d.Started.Add(6*time.Minute), d.Started.Add(-time.Duration(3+i)*time.Hour)
		if i == 5 {
			d.Status, d.Reason = history.DeployRolledBack, "5xx 4.1 % against 0.1 %: stopped at 25 % of the traffic"
		}
		if i == 7 {
			d.Rework = true
		}
		all = append(all, d)
	}
	return all
}

// stored writes the history to a file, as the pipeline does.
func stored(t testing.TB, n int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "history.jsonl")
	past, err := history.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, run := range made(n) {
		if err := past.Append(t.Context(), run, 0); err != nil {
			t.Fatal(err)
		}
	}
	if n > 0 {
		if _, err := history.AppendDeploys(t.Context(), path, 0, deploys()...); err != nil {
			t.Fatal(err)
		}
	}
	return path
}
