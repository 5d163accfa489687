package evidence

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/handover"
)

func TestWhatYieldsNoEvidence(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(*Source)
		want   string
	}{
		{"a dirty tree", func(s *Source) { s.Run.Dirty = true }, "the work tree differs from its commit"},
		{"no repository", func(s *Source) { s.Run.Commit = "" }, "this is no commit of a git repository"},
		{"no tree", func(s *Source) { s.Tree = "" }, "this is no commit of a git repository"},
		{"a stage that was left out", func(s *Source) {
			s.Run.Stages = s.Run.Stages[:1]
			for i := range s.Run.Stages[0].Steps {
				s.Run.Stages[0].Steps[i].Status = engine.StatusSkipped
			}
		}, "no evidence of quality: all of it was skipped"},
		{"what is no stage of the documentation", func(s *Source) {
			s.Run.Stages = []engine.StageResult{{Name: "go", Steps: []engine.StepResult{step("vet", 1, "packages")}}}
		}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			source := Source{Run: goodRun(t.TempDir()), Tree: tree}
			tc.change(&source)
			made, notes, err := Statements(source)
			if err != nil || len(made) != 0 {
				t.Fatalf("%d statements, %v", len(made), err)
			}
			if got := strings.Join(notes, "\n"); !strings.Contains(got, tc.want) || (tc.want == "") != (got == "") {
				t.Errorf("it says %q, want %q", got, tc.want)
			}
		})
	}
}

func TestStatementsSayWhatBecameOfEachStep(t *testing.T) {
	run := goodRun(t.TempDir())
	if err := os.WriteFile(filepath.Join(run.Root, "pipeline.yaml"), []byte("version: 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	quality := &run.Stages[0]
	quality.Status = engine.StatusError
	quality.Steps[0].Status, quality.Steps[0].Judgement.Findings = engine.StatusFailed, []engine.Finding{{Rule: "x", Severity: engine.SeverityHigh}}
	quality.Steps[1].Status, quality.Steps[1].Reason = engine.StatusError, "no "+run.Root+"/src/a.py"
	quality.Steps[1].Judgement.Metrics[0].Value = math.NaN()
	skipped := step("flake8", 0, "")
	skipped.Status, skipped.Reason = engine.StatusSkipped, "black did not pass"
	quality.Steps = append(quality.Steps, skipped)
	run.Stages = run.Stages[:1]
	made, _, err := Statements(Source{Run: run, Tree: tree, Place: Place{Builder: BuilderLocal}})
	if err != nil || len(made) != 1 {
		t.Fatalf("%d statements, %v", len(made), err)
	}
	var got struct {
		Subject   []map[string]any
		Predicate map[string]any
	}
	if err := json.Unmarshal(made[0].Payload, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]map[string]any{{"name": "source tree", "digest": map[string]any{"gitTree": tree}}}, got.Subject); diff != "" {
		t.Errorf("subject (-want +got):\n%s", diff)
	}
	stage, err := made[0].stage()
	if err != nil {
		t.Fatal(err)
	}
	delete(got.Predicate, extension)
	sum := fingerprint([]byte("version: 1\n"))
	want := map[string]any{
		"result": "FAILED", "failedTests": []any{"quality:black", "quality:pylint"},
		"configuration": []any{map[string]any{"name": "pipeline.yaml", "digest": map[string]any{"sha256": sum}}},
	}
	if diff := cmp.Diff(want, got.Predicate); diff != "" {
		t.Errorf("test-result (-want +got):\n%s", diff)
	}
	if stage.Status != "error" || stage.Steps[0].Findings["high"] != 1 || stage.Steps[1].Reason != "no src/a.py" || len(stage.Steps[1].Metrics) != 0 || stage.Steps[2].Reason != "black did not pass" {
		t.Errorf("stage: %+v", stage)
	}
}

func TestSubjectsFollowTheImages(t *testing.T) {
	images := goodImages()
	for _, tc := range []struct {
		name   string
		images *handover.Images
		change func(*handover.Images)
		want   string
		note   string
	}{
		{"images of this tree", &images, func(*handover.Images) {}, "sha256:" + strings.Repeat("a", 64), ""},
		{"no images", nil, nil, "gitTree:" + tree, "no image was built in this run"},
		{"images of another tree", &images, func(i *handover.Images) { i.Tree = "gitTree:" + strings.Repeat("9", 40) }, "gitTree:" + tree, "of another one"},
		{"images of a dirty tree", &images, func(i *handover.Images) { i.Dirty = true }, "gitTree:" + tree, "of another one"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			run := goodRun(t.TempDir())
			only("benchmark", func(*engine.StageResult) {})(run)
			source := Source{Run: run, Tree: tree}
			if tc.images != nil {
				changed := *tc.images
				tc.change(&changed)
				source.Images = &changed
			}
			made, notes, err := Statements(source)
			if err != nil || len(made) != 1 {
				t.Fatalf("%d statements, %v", len(made), err)
			}
			for algorithm, value := range made[0].GetSubject()[0].GetDigest() {
				if algorithm+":"+value != tc.want {
					t.Errorf("it is about %s:%s", algorithm, value)
				}
			}
			if got := strings.Join(notes, "\n"); !strings.Contains(got, tc.note) || (tc.note == "") != (got == "") {
				t.Errorf("it says %q, want %q", got, tc.note)
			}
		})
	}
}

// A registry that was away is no verdict on the image.
func TestDeliveriesAreNoVerdict(t *testing.T) {
	push := step("push", 0, "images")
	push.Status = engine.StatusError
	run := goodRun(t.TempDir())
	run.Stages = []engine.StageResult{{Name: "image", Status: engine.StatusError, Steps: []engine.StepResult{step("build", 3, "images"), push}}}
	images := goodImages()
	made, _, err := Statements(Source{Run: run, Tree: tree, Images: &images})
	if err != nil || len(made) != 1 {
		t.Fatalf("%d statements, %v", len(made), err)
	}
	if stage, err := made[0].stage(); err != nil || stage.Status != "passed" || len(stage.Steps) != 1 {
		t.Errorf("stage %+v, %v", stage, err)
	}
	run.Stages[0].Steps = run.Stages[0].Steps[1:]
	if made, _, err := Statements(Source{Run: run, Tree: tree, Images: &images}); err != nil || len(made) != 0 {
		t.Errorf("a push alone: %d statements, %v", len(made), err)
	}
	run.Stages[0].Steps = []engine.StepResult{step("build", 3, "images")}
	if made, _, err := Statements(Source{Run: run, Tree: tree}); err != nil || len(made) != 0 {
		t.Errorf("without an image: %d statements, %v", len(made), err)
	}
}

func TestProvenanceOfADirtyTreeIsNotMade(t *testing.T) {
	for name, change := range map[string]func(*handover.Images){
		"dirty": func(i *handover.Images) { i.Dirty = true }, "no commit": func(i *handover.Images) { i.Commit = "" }, "no tree": func(i *handover.Images) { i.Tree = "" },
	} {
		images := goodImages()
		change(&images)
		made, notes, err := Provenances(Build{Images: images})
		if err != nil || len(made) != 0 || len(notes) != 1 {
			t.Errorf("%s: %d provenances, notes %q, %v", name, len(made), notes, err)
		}
	}
}

func TestProvenanceNamesEverythingThatTheImageIsMadeOf(t *testing.T) {
	made, _, err := Provenances(Build{Images: goodImages(), Place: Place{Builder: BuilderGitHub, URL: "https://github.com/x/y/actions/runs/1", By: "ada"}, Run: "r", Started: noon, Finished: noon.Add(time.Minute)})
	if err != nil || len(made) != 1 {
		t.Fatal(err)
	}
	got, err := made[0].origin()
	if err != nil {
		t.Fatal(err)
	}
	want := Origin{
		Tree: tree, Commit: commit, Base: "sha256:" + strings.Repeat("d", 64), Model: model, Run: "r", Finished: noon.Add(time.Minute),
		Place: Place{Builder: BuilderGitHub, URL: "https://github.com/x/y/actions/runs/1", By: "ada"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("origin (-want +got):\n%s", diff)
	}
}

// A hosted build is claimed only where GitHub describes itself in full.
func TestHere(t *testing.T) {
	full := map[string]string{
		"GITHUB_ACTIONS": "true", "GITHUB_SERVER_URL": "https://github.com", "GITHUB_REPOSITORY": "meter-ml/meter-pipeline", "GITHUB_RUN_ID": "42",
		"GITHUB_RUN_ATTEMPT": "2", "RUNNER_ENVIRONMENT": "github-hosted", "RUNNER_NAME": "GitHub Actions 7", "GITHUB_ACTOR": "ada", "USER": "runner",
	}
	want := Place{Builder: BuilderGitHub, URL: "https://github.com/meter-ml/meter-pipeline/actions/runs/42/attempts/2", Machine: "GitHub Actions 7", By: "ada"}
	if diff := cmp.Diff(want, Here(environment(full), "host")); diff != "" {
		t.Errorf("on GitHub (-want +got):\n%s", diff)
	}
	for _, name := range []string{"GITHUB_ACTIONS", "GITHUB_SERVER_URL", "GITHUB_REPOSITORY", "GITHUB_RUN_ID"} {
		get := func(asked string) string {
			if asked == name {
				return ""
			}
			return full[asked]
		}
		if diff := cmp.Diff(Place{Builder: BuilderLocal, Machine: "host", By: "runner"}, Here(get, "host")); diff != "" {
			t.Errorf("without %s (-want +got):\n%s", name, diff)
		}
	}
	full["RUNNER_ENVIRONMENT"] = ""
	if got := Here(environment(full), "host").Builder; got != BuilderSelfHosted {
		t.Errorf("a runner that does not say whose it is: %s", got)
	}
}

func TestAFullSeverityTable(t *testing.T) {
	if got := len(severities()); got != int(engine.SeverityCritical)+1 {
		t.Errorf("%d severities", got)
	}
}
