package pipeline

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/evidence"
	"github.com/meter-ml/meter-pipeline/internal/handover"
	"github.com/meter-ml/meter-pipeline/internal/registry"
	"github.com/meter-ml/meter-pipeline/internal/registry/registrytest"
)

// A desk is where a person verifies: a project with a policy, a key, and an image in a registry with its evidence.
type desk struct {
	t         *testing.T
	host      Host
	reference string
	digest    string
	runs      string
}

const deskPolicy = `
evidence:
  policies:
    production:
      max_age: 1h
      stages:
        data: {subject: tree, steps: [contracts]}
        benchmark: {subject: image, steps: [load]}
`

func newDesk(t *testing.T) *desk {
	t.Helper()
	dir := t.TempDir()
	write := func(name, content string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("pipeline.yaml", deskPolicy)
	if _, err := evidence.Generate(filepath.Join(dir, "evidence.key"), filepath.Join(dir, "evidence.pub")); err != nil {
		t.Fatal(err)
	}
	server := registrytest.Start(t)
	d := &desk{t: t, runs: filepath.Join(dir, ".pipeline", "runs"), host: Host{
		Dir: dir, Now: time.Now, Env: []string{
			"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "METER_REGISTRY=" + server.Host,
			"EVIDENCE_KEY=file:" + filepath.Join(dir, "evidence.key"), "EVIDENCE_PUBLIC_KEY=file:" + filepath.Join(dir, "evidence.pub"),
		},
	}}
	client, err := registry.New(registry.Options{Host: server.Host})
	if err != nil {
		t.Fatal(err)
	}
	layout, digest := registrytest.Layout(t, 1024)
	d.reference, d.digest = server.Host+"/meter/model-api", digest
	if _, err := client.Push(t.Context(), layout, digest, d.reference, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Tag(t.Context(), d.reference, digest, "main-latest", false); err != nil {
		t.Fatal(err)
	}
	return d
}

// judged keeps the evidence of a run and attaches it.
func (d *desk) judged(stages ...string) {
	d.t.Helper()
	key, err := evidence.LoadPrivateKey(d.host.Get)
	if err != nil {
		d.t.Fatal(err)
	}
	run := &engine.Run{ID: "r", Target: "pipeline", Root: d.host.Dir, Commit: strings.Repeat("2", 40)}
	for _, name := range stages {
		steps := map[string]string{"data": "contracts", "benchmark": "load", "image": "build"}
		run.Stages = append(run.Stages, engine.StageResult{Name: name, Status: engine.StatusPassed, Steps: []engine.StepResult{{
			Name: steps[name], Status: engine.StatusPassed, Started: d.host.Now(), Judgement: engine.Judgement{Judged: 1, Unit: "things"},
		}}})
	}
	artifacts := filepath.Join(d.runs, strings.Join(stages, "-"), "artifacts")
	if err := os.MkdirAll(artifacts, 0o755); err != nil {
		d.t.Fatal(err)
	}
	images := handover.Images{Commit: run.Commit, Tree: "gitTree:" + strings.Repeat("1", 40), Images: []handover.Image{{
		Name: "model_api", Repository: d.reference, Digest: d.digest,
	}}}
	if err := handover.WriteImages(artifacts, images); err != nil {
		d.t.Fatal(err)
	}
	record := evidence.Record{Run: run, Artifacts: artifacts, Tree: strings.Repeat("1", 40), Place: evidence.Here(d.host.Get, "desk")}
	if _, _, err := evidence.KeepRun(record, key); err != nil {
		d.t.Fatal(err)
	}
	client, err := registry.New(registry.Options{})
	if err != nil {
		d.t.Fatal(err)
	}
	if _, err := evidence.AttachAll(d.t.Context(), client, d.reference, d.digest, d.runs, []evidence.PublicKey{key.PublicKey}); err != nil {
		d.t.Fatal(err)
	}
}

// act runs what a target asks for, and returns its exit code and what it printed.
func (d *desk) act(action Action) (code int, out string, said string) {
	d.t.Helper()
	open := func(name string) *os.File {
		file, err := os.Create(filepath.Join(d.t.TempDir(), name))
		if err != nil {
			d.t.Fatal(err)
		}
		return file
	}
	host := d.host
	host.Out, host.Err = open("out"), open("err")
	err := Open(context.Background(), host, action)
	read := func(file *os.File) string {
		content, readErr := os.ReadFile(file.Name())
		if readErr != nil {
			d.t.Fatal(readErr)
		}
		_ = file.Close()
		return string(content)
	}
	said = read(host.Err)
	if err != nil {
		said += err.Error()
	}
	return ExitCode(err), read(host.Out), said
}

func TestVerifyAgainstARegistry(t *testing.T) {
	d := newDesk(t)
	tag, digest := d.reference+":main-latest", d.reference+"@"+d.digest
	code, _, said := d.act(EvidenceShow(tag))
	if code != engine.ExitFailed || !strings.Contains(said, "has no evidence") {
		t.Errorf("show without evidence: %d, %s", code, said)
	}
	d.judged("data")
	code, out, said := d.act(EvidenceVerify(tag, "production", false))
	if code != engine.ExitFailed || !strings.Contains(out, "missing   provenance") || !strings.Contains(out, "missing   benchmark") || !strings.Contains(said, "1 of 1 images do not meet the policy production") {
		t.Errorf("half the chain: %d\n%s\n%s", code, out, said)
	}
	d.judged("data", "image", "benchmark")
	for _, reference := range []string{tag, digest, d.runs} {
		code, out, said := d.act(EvidenceVerify(reference, "production", false))
		if code != engine.ExitPassed || !strings.Contains(out, d.digest+" meets the policy production") {
			t.Errorf("%s: %d\n%s\n%s", reference, code, out, said)
		}
	}
	code, out, _ = d.act(EvidenceVerify(digest, "production", true))
	var verdicts []evidence.Verdict
	if err := json.Unmarshal([]byte(out), &verdicts); err != nil || code != engine.ExitPassed || len(verdicts) != 1 || !verdicts[0].Met {
		t.Errorf("as JSON: %d, %v\n%s", code, err, out)
	}
	code, out, _ = d.act(EvidenceShow(digest))
	if code != engine.ExitPassed || !strings.Contains(out, digest+": 5 of 5 statements are signed by a trusted key") {
		t.Errorf("show: %d\n%s", code, out)
	}
	d.host.Now = func() time.Time { return time.Now().Add(2 * time.Hour) }
	if code, out, _ := d.act(EvidenceVerify(tag, "production", false)); code != engine.ExitFailed || !strings.Contains(out, "and may be 1h0m0s old") {
		t.Errorf("expired: %d\n%s", code, out)
	}
	if code, _, said := d.act(EvidenceVerify(d.reference+":nothing", "production", false)); code != engine.ExitFailed {
		t.Errorf("a tag that there is not: %d, %s", code, said)
	}
	d.host.Env = slices.DeleteFunc(d.host.Env, func(e string) bool { return strings.HasPrefix(e, "EVIDENCE_") })
	if code, _, said := d.act(EvidenceVerify(tag, "production", false)); code != engine.ExitUsage || !strings.Contains(said, "EVIDENCE_PUBLIC_KEY: no key is set") {
		t.Errorf("without a key: %d, %s", code, said)
	}
}

func TestStepsNeverGetTheKey(t *testing.T) {
	env := unsigning([]string{"PATH=/bin", "EVIDENCE_KEY=canary", "EVIDENCE_PUBLIC_KEY=public", "EVIDENCE_PASSWORD=canary", "SLACK_WEBHOOK_URL=canary", "GITHUB_TOKEN=canary", "GITHUB_OUTPUT=canary", "GITHUB_ENV=canary", "EVIDENCE_KEYS=kept"})
	if !slices.Equal(env, []string{"PATH=/bin", "EVIDENCE_PUBLIC_KEY=public", "EVIDENCE_KEYS=kept"}) {
		t.Errorf("environment %v", env)
	}
}
