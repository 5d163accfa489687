package pipeline

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/rollout"
	"github.com/meter-ml/meter-pipeline/internal/rollout/compose/composetest"
	"github.com/meter-ml/meter-pipeline/internal/stage/image/imagetest"
)

var machine imagetest.Shared

func TestMain(m *testing.M) {
	code := m.Run()
	if err := machine.Close(); err != nil && code == 0 {
		code = 1
	}
	os.Exit(code)
}

func TestEngineDeploys(t *testing.T) {
	y := newYard(t, machine.Get(t))
	staging := DeployRequest{Target: "deploy:staging", Environment: y.staging, Stage: "staging", Reason: "a first release"}
	production := DeployRequest{Target: "deploy:production", Environment: y.production, Stage: "production"}
	glass := func(reason string) DeployRequest {
		broken := production
		broken.BreakGlass = &reason
		return broken
	}

	y.refused(Deploy(staging), "the registry has no", "mage image:release")
	first := y.build(nil)
	y.refused(Deploy(production), "unit", "no provenance", "staging", "expected")
	y.judged(first, nil)
	y.refused(Deploy(production), "staging")
	y.run(Deploy(staging))
	y.run(Deploy(production))

	// What is done on staging is promoted by a merge of the same tree, under load.
	y.commit("second")
	second := y.build(nil)
	y.judged(second, nil)
	y.run(Deploy(staging))
	y.git("checkout", "--quiet", "-b", "main", first.Commit)
	y.git("merge", "--quiet", "--no-ff", "--message", "merge develop", "develop")
	merged := y.head()
	if merged == second.Commit {
		t.Fatal("the merge made no commit of its own")
	}
	stop := y.load(y.ports[3])
	whole := make(chan error)
	go func() { whole <- y.try(t.Context(), Full(FullRequest{Reason: "merge of develop"})) }()
	// Meanwhile a second one comes, and is told who is at it.
	y.shifting(y.production)
	y.run(DeployAsk(y.production, rollout.Pause, "let me look"))
	y.refused(Deploy(production), "is under way to "+merged[:10], "begun by ada@", "merge of develop", "deploy:abort")
	y.run(DeployAsk(y.production, rollout.Resume, ""))
	y.do(<-whole)
	asked, failed := stop()
	t.Logf("%d requests, %d failed", asked, failed)
	if asked < 200 || failed > 0 {
		t.Errorf("%d of %d requests failed while the traffic was shifted", failed, asked)
	}

	// By hand, and back.
	back := DeployRequest{Target: "deploy:rollback", Environment: y.production, Reason: "it looks odd"}
	y.run(DeployRollback(back))
	y.refused(DeployRollback(DeployRequest{Target: "deploy:rollback", Environment: y.production, Release: "v9.9.9"}), "v9.9.9")

	// A bad one, without evidence, turns back by itself.
	y.commit("third")
	y.build(composetest.Knobs{"SERVER_ERRORS": "0.5"})
	y.refused(Deploy(glass("")), "-breakGlass has no reason")
	stop = y.load(y.ports[3])
	y.refused(Deploy(glass("the fix can't wait")), "rolled back", "green fails", "after the phase smoked", "BreakGlass", "serves again")
	asked, failed = stop()
	t.Logf("%d requests, %d failed", asked, failed)

	y.run(DeployStatus(y.production, true))
	y.run(DeployHistory(HistoryRequest{Environment: y.production, Verbose: true}))
	y.run(DeployHistory(HistoryRequest{Environment: y.production, Verify: true}))
	y.leaks()

	// A hotfix has a tree that is done nowhere: it is staged first, in the same call. That begins with all that judges, of
	// which this project has nothing; here it is only seen that it begins there.
	y.commit("hotfix")
	soon, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	if err := y.try(soon, Full(FullRequest{})); err == nil {
		t.Error("a hotfix went through without being judged")
	}
	if said := y.said.String(); !strings.Contains(said, "stages 1 to 9: nothing of this tree is done on "+y.staging+", so that comes first") {
		t.Error("it does not say that the hotfix is staged first")
	}

	// Somebody cuts the audit log: not even a broken glass passes that.
	y.build(nil)
	log := filepath.Join(y.state, y.production, "audit.jsonl")
	content, err := os.ReadFile(log)
	y.do(err)
	lines := strings.SplitAfter(string(content), "\n")
	y.do(os.WriteFile(log, []byte(strings.Join(lines[:len(lines)-4], "")), 0o600))
	y.refused(DeployHistory(HistoryRequest{Environment: y.production, Verify: true}))
	y.refused(Deploy(glass("really")), "the audit log of", "is damaged")
}

func TestEngineRefusals(t *testing.T) {
	y := newYard(t, machine.Get(t))
	production := DeployRequest{Target: "deploy:production", Environment: y.production, Stage: "production"}
	metric := func(stage, name string, value float64) func(*engine.Run) {
		return func(run *engine.Run) {
			for _, s := range run.Stages {
				for i, m := range s.Steps[0].Judgement.Metrics {
					if s.Name == stage && m.Name == name {
						s.Steps[0].Judgement.Metrics[i].Value = value
					}
				}
			}
		}
	}
	for _, tc := range []struct {
		name   string
		change func(*engine.Run)
		want   string
	}{
		{"pylint 7.9", metric("quality", "pylint_score", 7.9), "quality:pylint: found pylint_score 7.9; expected at least 8"},
		{"one failing test", metric("unit", "tests_failed", 1), "unit:pytest: found tests_failed 1"},
		{"zero tests", metric("unit", "tests_passed", 0), "unit:pytest: found tests_passed 0"},
		{"a skipped test", metric("unit", "tests_skipped", 1), "unit:pytest: found tests_skipped 1"},
		{"a slow answer", metric("benchmark", "p95", 101), "benchmark:api: found p95 101"},
		{"a security finding", func(run *engine.Run) {
			run.Stages[1].Steps[0].Judgement.Findings = []engine.Finding{{Rule: "B608", Severity: engine.SeverityLow}}
		}, "security:bandit: found 1 findings of severity low"},
		{"a test that passed with a warning", func(run *engine.Run) {
			run.Stages[2].Steps[0].Judgement.Warnings = []string{"1 test passed only when it was run again"}
		}, "unit:pytest: found a warning: 1 test passed only when it was run again"},
		{"stale", func(run *engine.Run) {
			for _, s := range run.Stages {
				s.Steps[0].Started = time.Now().Add(-2 * time.Hour)
			}
		}, "2h"},
		{"integration not run", func(run *engine.Run) { run.Stages = append(run.Stages[:3], run.Stages[4:]...) }, "integration"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			y.t = t
			y.commit(tc.name)
			y.judged(y.build(nil), tc.change)
			y.refused(Deploy(production), tc.want, "staging")
		})
	}
	y.t = t
	t.Run("evidence of another digest", func(t *testing.T) {
		y.t = t
		y.commit("other")
		other := y.build(composetest.Knobs{"SERVER_SHIFT": "1"})
		y.judged(other, nil)
		y.build(nil) // the same commit has other bytes now
		y.refused(Deploy(production), "no provenance", "integration")
	})
	y.t = t
}
