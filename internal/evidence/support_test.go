package evidence

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/handover"
)

const (
	tree   = "1111111111111111111111111111111111111111"
	commit = "2222222222222222222222222222222222222222"
)

var (
	digest = "sha256:" + strings.Repeat("a", 64)
	other  = "sha256:" + strings.Repeat("b", 64)
	model  = "sha256:" + strings.Repeat("c", 64)
	noon   = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
)

// newKey makes a key that lives in the test only.
func newKey(t testing.TB) PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public, err := publicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return PrivateKey{key: key, PublicKey: public}
}

// step is a passed one.
func step(name string, judged int, unit string, metrics ...engine.Metric) engine.StepResult {
	return engine.StepResult{
		Name: name, Judges: "what it judges", Status: engine.StatusPassed, Started: noon, Duration: time.Minute,
		Judgement: engine.Judgement{Judged: judged, Unit: unit, Metrics: metrics},
	}
}

func atLeast(name string, value, threshold float64) engine.Metric {
	return engine.Metric{Name: name, Value: value, Threshold: threshold, Direction: engine.DirectionAtLeast}
}

// goodRun is one of the whole pipeline, in which all is well.
func goodRun(root string) *engine.Run {
	stage := func(name string, steps ...engine.StepResult) engine.StageResult {
		return engine.StageResult{Name: name, Status: engine.StatusPassed, Steps: steps, Duration: time.Minute}
	}
	safety := step("safety", 120, "packages")
	safety.Judgement.Notes = []string{"online advisory database of 2026-11-27, 1 days old"}
	return &engine.Run{
		ID: "20261128-120000-aaaa", Target: "pipeline", Root: root, Started: noon, Status: engine.StatusPassed, Commit: commit, Branch: "main",
		Stages: []engine.StageResult{
			stage("quality", step("black", 12, "files"), step("pylint", 9, "modules", atLeast("pylint_score", 8.4, 7))),
			stage("security", step("bandit", 12, "files"), safety),
			stage("unit", step("pytest", 40, "tests", engine.Metric{Name: "tests_passed", Value: 40, Unit: "tests"},
				engine.Metric{Name: "tests_failed", Unit: "tests"}, engine.Metric{Name: "tests_skipped", Unit: "tests"},
				engine.Metric{Name: "tests_flaky", Unit: "tests"}, engine.Metric{Name: "tests_quarantined", Unit: "tests"}, atLeast("coverage", 91, 80))),
			stage("integration", step("serve", 7, "tests")),
			stage("benchmark", step("load", 80, "rounds", engine.Metric{Name: "p95", Value: 300, Unit: "ms", Threshold: 1000, Direction: engine.DirectionAtMost})),
		},
	}
}

func goodImages() handover.Images {
	return handover.Images{Commit: commit, Tree: gitTree + ":" + tree, Images: []handover.Image{{
		Name: "model_api", Repository: "registry.example/meter/model-api", Digest: digest, Platform: "linux/amd64", Model: model,
		Base: "python:3.11-slim-bookworm@sha256:" + strings.Repeat("d", 64), Source: "https://github.com/meter-ml/meter-pipeline",
	}}}
}

func goodPolicy() config.EvidencePolicy {
	tests := config.EvidenceStage{
		Subject: config.SubjectTree, Steps: []string{"pytest"},
		Minimum: map[string]float64{"tests_passed": 1, "coverage": 80}, Maximum: map[string]float64{"tests_failed": 0, "tests_skipped": 0, "tests_flaky": 0, "tests_quarantined": 0},
	}
	return config.EvidencePolicy{
		MaxAge: config.Duration(48 * time.Hour), SBOM: true,
		Builders: []config.EvidenceBuilder{{ID: BuilderLocal}},
		Stages: map[string]config.EvidenceStage{
			"quality":     {Subject: config.SubjectTree, Steps: []string{"black", "pylint"}, Minimum: map[string]float64{"pylint_score": 8}},
			"security":    {Subject: config.SubjectTree, Steps: []string{"bandit", "safety"}, Clean: "low"},
			"unit":        tests,
			"integration": {Subject: config.SubjectImage, Steps: []string{"serve"}},
			"benchmark":   {Subject: config.SubjectImage, Steps: []string{"load"}, Maximum: map[string]float64{"load.p95": 1000}},
		},
		Scans: []config.EvidenceScan{{Stage: "security", Step: "safety", Subject: config.SubjectTree, Clean: "low", MaxDatabaseAge: config.Duration(30 * 24 * time.Hour)}},
	}
}

// A world is all that a verification sees, before anybody tampers with it.
type world struct {
	t      testing.TB
	key    PrivateKey
	place  Place
	policy config.EvidencePolicy
	digest string
	now    time.Time
	keys   []PublicKey
	found  []Found
}

func newWorld(t testing.TB) *world {
	t.Helper()
	key := newKey(t)
	w := &world{
		t: t, key: key, place: Place{Builder: BuilderLocal, Machine: "laptop", By: "ada"}, policy: goodPolicy(), digest: digest,
		now: noon.Add(time.Hour), keys: []PublicKey{key.PublicKey},
	}
	w.judge(w.key, nil)
	w.build(w.key, nil)
	w.list(w.key, digest)
	return w
}

// judge adds the statements of a run, after a change to its record, signed by that key.
func (w *world) judge(key PrivateKey, change func(*engine.Run)) {
	w.t.Helper()
	run, images := goodRun(w.t.TempDir()), goodImages()
	if change != nil {
		change(run)
	}
	w.add(key, w.statements(Source{Run: run, Tree: tree, Place: w.place, Images: &images, Model: model})...)
}

func (w *world) statements(source Source) []*Statement {
	w.t.Helper()
	made, _, err := Statements(source)
	if err != nil {
		w.t.Fatal(err)
	}
	return made
}

// build adds provenances, after a change to what was built.
func (w *world) build(key PrivateKey, change func(*Build)) {
	w.t.Helper()
	build := Build{Images: goodImages(), Place: w.place, Run: "20261128-120000-aaaa", Started: noon, Finished: noon.Add(time.Minute)}
	if change != nil {
		change(&build)
	}
	made, _, err := Provenances(build)
	if err != nil {
		w.t.Fatal(err)
	}
	w.add(key, made...)
}

// list adds a bill of materials of an image.
func (w *world) list(key PrivateKey, digest string) {
	w.t.Helper()
	file := filepath.Join(w.t.TempDir(), "sbom.json")
	content := `{"bomFormat":"CycloneDX","specVersion":"1.6","components":[{"type":"library","name":"numpy","version":"2.3.1"}]}`
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		w.t.Fatal(err)
	}
	image := goodImages().Images[0]
	image.Digest = digest
	s, err := SBOM(image, file)
	if err != nil {
		w.t.Fatal(err)
	}
	w.add(key, s)
}

func (w *world) add(key PrivateKey, statements ...*Statement) {
	w.t.Helper()
	for _, s := range statements {
		content, err := Seal(key, s)
		if err != nil {
			w.t.Fatal(err)
		}
		w.found = append(w.found, Found{Origin: fmt.Sprintf("%02d-%s", len(w.found), s.Name), Content: content})
	}
}

// drop removes bundles whose statement is of that name.
func (w *world) drop(name string) {
	var kept []Found
	for _, found := range w.found {
		if !strings.HasSuffix(found.Origin, "-"+name) {
			kept = append(kept, found)
		}
	}
	w.found = kept
}

// sign adds signed bytes that Statements would never make.
func (w *world) sign(key PrivateKey, name string, payload []byte) {
	w.add(key, &Statement{Name: name, Payload: payload})
}

// payload is what a bundle of that name signs.
func (w *world) payload(name string) []byte {
	for _, found := range w.found {
		if strings.HasSuffix(found.Origin, "-"+name) {
			return claimed(found.Content).Payload
		}
	}
	w.t.Fatalf("there is no statement %s", name)
	return nil
}

// forge changes what a bundle holds and leaves its signature as it is.
func forge(t testing.TB, bundle []byte, from, to string) []byte {
	t.Helper()
	payload := claimed(bundle).Payload
	changed := bytes.ReplaceAll(payload, []byte(from), []byte(to))
	if bytes.Equal(payload, changed) {
		t.Fatalf("the payload does not hold %s", from)
	}
	encode := base64.StdEncoding.EncodeToString
	return bytes.Replace(bundle, []byte(encode(payload)), []byte(encode(changed)), 1)
}

func (w *world) verify() Verdict {
	return Verify(Request{Name: "production", Policy: w.policy, Digest: w.digest, Bundles: w.found, Keys: w.keys, Now: w.now})
}

// only narrows a run to one stage.
func only(name string, change func(*engine.StageResult)) func(*engine.Run) {
	return func(run *engine.Run) {
		for _, stage := range run.Stages {
			if stage.Name == name {
				change(&stage)
				run.Stages = []engine.StageResult{stage}
				return
			}
		}
		panic("there is no stage " + name)
	}
}

// later moves a stage's steps, as a run that came after.
func later(by time.Duration, change func(*engine.StageResult)) func(*engine.StageResult) {
	return func(stage *engine.StageResult) {
		for i := range stage.Steps {
			stage.Steps[i].Started = stage.Steps[i].Started.Add(by)
		}
		if change != nil {
			change(stage)
		}
	}
}

// metric sets a value wherever it stands.
func metric(name string, value float64) func(*engine.StageResult) {
	return func(stage *engine.StageResult) {
		for i := range stage.Steps {
			for m := range stage.Steps[i].Judgement.Metrics {
				if stage.Steps[i].Judgement.Metrics[m].Name == name {
					stage.Steps[i].Judgement.Metrics[m].Value = value
				}
			}
		}
	}
}

// fails makes the last step a failed one.
func fails(stage *engine.StageResult) {
	stage.Status = engine.StatusFailed
	stage.Steps[len(stage.Steps)-1].Status = engine.StatusFailed
}

func text(v Verdict) string {
	return v.Reasons() + "\n" + v.Text()
}
