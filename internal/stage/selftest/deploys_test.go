package selftest

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/rollout/trial/record"
)

func trialsOutput(t *testing.T, exitCode int, trials ...record.Trial) engine.Output {
	t.Helper()
	content, err := json.Marshal(record.Record{Schema: 1, Trials: trials})
	if err != nil {
		t.Fatal(err)
	}
	return engine.Output{ExitCode: exitCode, Reports: map[string][]byte{"deploys": content}}
}

func TestParseTrials(t *testing.T) {
	good, bad := record.Trial{Part: "shift", Name: "whole", Outcome: "0 of 20000 failed"}, record.Trial{Part: "bad", Name: "2 % errors", Problem: "it came through"}
	j, err := parseTrials(trialsOutput(t, 1, good, bad))
	if err != nil || j.Judged != 2 || len(j.Findings) != 1 || j.Findings[0].Message != "bad/2 % errors: it came through" {
		t.Errorf("%+v, %v", j, err)
	}
	if j, err = parseTrials(trialsOutput(t, 0, good)); err != nil || j.Judged != 1 || len(j.Findings) > 0 {
		t.Errorf("%+v, %v", j, err)
	}
	// None of these was judged.
	for name, out := range map[string]engine.Output{
		"a failure that none explains": trialsOutput(t, 1, good),
		"could not be run":             trialsOutput(t, 3),
		"no report":                    {},
		"no JSON":                      {Reports: map[string][]byte{"deploys": []byte("{")}},
	} {
		if j, err := parseTrials(out); err == nil {
			t.Errorf("%s: %+v", name, j)
		}
	}
	if done, total, ok := trialProgress("18:16:04  3 of 40  bad/2 % errors"); !ok || done != 2 || total != 40 {
		t.Error(done, total, ok)
	}
	if _, _, ok := trialProgress("18:16:04      killed at done of pull"); ok {
		t.Error("a line of a trial is taken for progress")
	}
}

// The record that is committed is said to be stale as soon as something that is deployed changes.
func TestRecordStep(t *testing.T) {
	root := t.TempDir()
	for _, dir := range []string{"docs/results", "docker"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	says := func(warning string) {
		t.Helper()
		j, err := recordStep().Func(t.Context(), engine.Scope{Root: root})
		if err != nil || len(j.Findings) > 0 || j.Judged != 1 {
			t.Fatalf("%+v, %v", j, err)
		}
		if text := strings.Join(j.Warnings, "\n"); !strings.HasPrefix(text, warning) || (warning == "") != (text == "") {
			t.Errorf("warnings %q, not %q", text, warning)
		}
	}
	says("no trial of deploys has run")
	tree, err := record.Tree(root)
	if err != nil {
		t.Fatal(err)
	}
	kept := record.Record{Schema: 1}
	kept.Put(record.Trial{Part: "shift", Name: "whole", Tree: tree})
	if err := kept.Write(root); err != nil {
		t.Fatal(err)
	}
	says("")
	if err := os.WriteFile(filepath.Join(root, "docker", "compose.yaml"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	says("all 1 trials of deploys ran on another tree than this")
}
