package integration

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/handover"
)

func put(t *testing.T, path string, content any) {
	t.Helper()
	text, ok := content.(string)
	if !ok {
		encoded, err := json.Marshal(content)
		if err != nil {
			t.Fatal(err)
		}
		text = string(encoded)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// trained lays what hops leave of one data set into a run's artifacts.
func trained(t *testing.T, artifacts, set, data string, metrics map[string]float64, champion map[string]float64) {
	t.Helper()
	dir := filepath.Join(artifacts, name)
	put(t, filepath.Join(dir, "models", set, "meter-units", "model.onnx"), "graph of "+set)
	put(t, filepath.Join(dir, "requests", set+".json"), "[]")
	put(t, filepath.Join(dir, trainedDir, set+".json"), map[string]any{
		"name": set, "data": data, "data_sha256": "0", "models": "models/" + set, "requests": "requests/" + set + ".json",
		"trained": []any{map[string]any{
			"name": "meter-units", "kind": "regression", "version": "1", "score": "mae", "train_rows": 80, "test_rows": 20,
			"metrics": metrics, "baseline_metrics": map[string]float64{"mae": 2, "r2": 0.5}, "champion_metrics": champion,
		}},
	})
}

func gated(t *testing.T) *config.Project {
	t.Helper()
	p := config.Default(t.TempDir())
	p.Model.After = []string{"load"}
	p.Model.Gates = map[string]config.Gate{"regression": {MinimumGain: 40, MaximumLoss: 5, Minimum: map[string]float64{"r2": 0.8}}}
	return p
}

func judge(t *testing.T, p *config.Project, artifacts string) (engine.Judgement, error) {
	t.Helper()
	return gate{project: p, champion: storedChampion(p)}.judge(t.Context(), engine.Scope{Root: p.Root, Artifacts: artifacts})
}

// missed are the metrics whose thresholds are not met.
func missed(j engine.Judgement) string {
	var names []string
	for _, m := range j.Metrics {
		if !m.Met() {
			names = append(names, m.Name)
		}
	}
	return strings.Join(names, " ")
}

func TestModelIsJudgedAgainstBaselineAndChampion(t *testing.T) {
	for _, test := range []struct {
		name     string
		metrics  map[string]float64
		champion map[string]float64
		want     string
	}{
		{"good", map[string]float64{"mae": 1, "r2": 0.9}, nil, ""},
		{"better than the champion", map[string]float64{"mae": 1, "r2": 0.9}, map[string]float64{"mae": 1.1}, ""},
		{"a little worse than the champion", map[string]float64{"mae": 1, "r2": 0.9}, map[string]float64{"mae": 0.96}, ""},
		{"too little gained", map[string]float64{"mae": 1.3, "r2": 0.9}, nil, "sample_meter_units_gain"},
		{"worse than the baseline", map[string]float64{"mae": 3, "r2": 0.9}, nil, "sample_meter_units_gain"},
		{"another metric", map[string]float64{"mae": 1, "r2": 0.79}, nil, "sample_meter_units_r2"},
		{"worse than the champion", map[string]float64{"mae": 1, "r2": 0.9}, map[string]float64{"mae": 0.9}, "sample_meter_units_loss"},
		{"champion without an error", map[string]float64{"mae": 0, "r2": 1}, map[string]float64{"mae": 0}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			p, artifacts := gated(t), t.TempDir()
			trained(t, artifacts, "sample", "data/sample.csv", test.metrics, test.champion)
			j, err := judge(t, p, artifacts)
			if err != nil {
				t.Fatal(err)
			}
			if got := missed(j); got != test.want || j.Judged != 1 {
				t.Errorf("missed %q of %d models, want %q", got, j.Judged, test.want)
			}
			_, err = handover.ReadModel(artifacts)
			if handed := err == nil; handed != (test.want == "") {
				t.Errorf("handed on: %t, %v", handed, err)
			}
			if len(j.Tables) != 1 || len(j.Tables[0].Rows) != 2 {
				t.Errorf("tables: %v", j.Tables)
			}
		})
	}
}

func TestWhatIsNoModelIsNotJudged(t *testing.T) {
	good := map[string]float64{"mae": 1, "r2": 0.9}
	for want, spoil := range map[string]func(t *testing.T, p *config.Project, artifacts string){
		"no hop left a trained model": func(t *testing.T, _ *config.Project, a string) {
			t.Helper()
			_ = os.RemoveAll(filepath.Join(a, name, trainedDir))
		},
		"there is no gate for a regression": func(_ *testing.T, p *config.Project, _ string) {
			p.Model.Gates = map[string]config.Gate{"classification": {}}
		},
		"training reports no f1": func(_ *testing.T, p *config.Project, _ string) {
			p.Model.Gates["regression"].Minimum["f1"] = 0.5
		},
		"unknown field": func(t *testing.T, _ *config.Project, a string) {
			t.Helper()
			put(t, filepath.Join(a, name, trainedDir, "more.json"), `{"nme": "x"}`)
		},
		"it names no data set or no model": func(t *testing.T, _ *config.Project, a string) {
			t.Helper()
			put(t, filepath.Join(a, name, trainedDir, "more.json"), `{"name": "x"}`)
		},
		"there is no file of model meter-units": func(t *testing.T, _ *config.Project, a string) {
			t.Helper()
			_ = os.Remove(filepath.Join(a, name, "models", "sample", "meter-units", "model.onnx"))
		},
		"compare with the last champion": func(t *testing.T, p *config.Project, _ string) {
			t.Helper()
			put(t, filepath.Join(p.Root, p.Model.Champion, "model.json"), `{"schema": 1}`)
		},
	} {
		t.Run(want, func(t *testing.T) {
			p, artifacts := gated(t), t.TempDir()
			trained(t, artifacts, "sample", "data/sample.csv", good, nil)
			spoil(t, p, artifacts)
			if _, err := judge(t, p, artifacts); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestSetOfTheProjectComesFirst(t *testing.T) {
	p, artifacts := gated(t), t.TempDir()
	good := map[string]float64{"mae": 1, "r2": 0.9}
	trained(t, artifacts, "aaa", "/elsewhere/aaa.csv", good, nil)
	trained(t, artifacts, "sample", "data/sample.csv", good, nil)
	if _, err := judge(t, p, artifacts); err != nil {
		t.Fatal(err)
	}
	model, err := handover.ReadModel(artifacts)
	if err != nil || model.Sets[0].Name != "sample" || len(model.Sets) != 2 {
		t.Errorf("%v %v", model.Sets, err)
	}
}

func TestChampionIsStoredWholeAndReplaced(t *testing.T) {
	p := gated(t)
	for _, mae := range []float64{1, 0.9} {
		artifacts := t.TempDir()
		trained(t, artifacts, "sample", "data/sample.csv", map[string]float64{"mae": mae, "r2": 0.9}, nil)
		if _, err := judge(t, p, artifacts); err != nil {
			t.Fatal(err)
		}
		if j, err := (keeper{project: p}).keep(t.Context(), engine.Scope{Root: p.Root, Artifacts: artifacts}); err != nil || j.Judged != 2 {
			t.Fatalf("%v, %v", j, err)
		}
		stored, err := handover.ReadModel(filepath.Join(p.Root, p.Model.Champion))
		if err != nil || stored.Sets[0].Trained[0].Metrics["mae"] != mae {
			t.Errorf("stored %v, %v, want the one of mae %v", stored.Sets, err, mae)
		}
	}
	left, err := os.ReadDir(filepath.Join(p.Root, ".pipeline"))
	if err != nil || len(left) != 1 {
		t.Errorf("left beside the champion: %v, %v", left, err)
	}
}

func TestStepsOfAStageWithoutHops(t *testing.T) {
	steps, err := New(Options{}).Steps(config.Default(t.TempDir()))
	if err != nil || len(steps) != 1 || !strings.Contains(steps[0].Skip, "integration.hops is empty") {
		t.Errorf("%v, %v", steps, err)
	}
}

func TestGateWaitsForTheHopsThatRun(t *testing.T) {
	p := gated(t)
	p.Integration.Hops = []config.Hop{{Name: "load"}, {Name: "real", Requires: []string{"REAL_DATA"}}}
	p.Model.After = []string{"load", "real"}
	for value, want := range map[string]string{"": "load", "/data": "load real"} {
		steps, err := New(Options{Get: func(string) string { return value }, Champion: true}).Steps(p)
		if err != nil {
			t.Fatal(err)
		}
		gate := steps[2]
		if got := strings.Join(gate.After, " "); gate.Name != quality || got != want {
			t.Errorf("REAL_DATA=%q: %s comes after %q, want %q", value, gate.Name, got, want)
		}
		if last := steps[3]; last.Name != "champion" || strings.Join(last.After, " ") != quality {
			t.Errorf("last step: %+v", last)
		}
	}
}
