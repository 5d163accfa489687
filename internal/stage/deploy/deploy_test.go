package deploy

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/registry"
	"github.com/meter-ml/meter-pipeline/internal/registry/registrytest"
	"github.com/meter-ml/meter-pipeline/internal/rollout"
	"github.com/meter-ml/meter-pipeline/internal/rollout/agent/wire"
	"github.com/meter-ml/meter-pipeline/internal/rollout/judge"
)

const yaml = `
deploy:
  secrets: {api: {user: 10001, names: [API_PASSWORD, DB_PASSWORD]}, db: {user: 999, names: [DB_PASSWORD]}}
environments:
  trial:
    required: [API_PASSWORD, REGION]
    secrets: [API_PASSWORD, DB_PASSWORD, SLACK_WEBHOOK_URL]
    generated: [DB_PASSWORD]
`

// trial is a deployer of a project in a directory of the test's own.
func trial(t *testing.T, env map[string]string) (deployer, engine.Scope) {
	t.Helper()
	root := t.TempDir()
	for path, content := range map[string]string{
		"pipeline.yaml": yaml, "env/trial.env": "REGION=north\n", "docker/compose.yaml": "services: {}\n", "docker/compose.trial.yaml": "services: {}\n",
		"docker/proxy/haproxy.cfg.tmpl": "global\n", "scripts/smoke.py": "pass\n",
	} {
		file := filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p, err := config.Load(root)
	if err != nil {
		t.Fatal(err)
	}
	d, err := newDeployer(p, Options{Environment: "trial", Actor: "ada@laptop", Generated: filepath.Join(root, ".pipeline", "secrets")})
	if err != nil {
		t.Fatal(err)
	}
	return d, engine.Scope{Root: root, Artifacts: t.TempDir(), Env: env, Log: t.Logf}
}

func rules(j engine.Judgement) []string {
	var all []string
	for _, f := range j.Findings {
		all = append(all, f.Rule+": "+f.Message)
	}
	slices.Sort(all)
	return all
}

func TestConfigureNamesWhatIsMissing(t *testing.T) {
	d, scope := trial(t, map[string]string{})
	if err := os.Remove(filepath.Join(scope.Root, "scripts/smoke.py")); err != nil {
		t.Fatal(err)
	}
	empty := ""
	d.BreakGlass = &empty
	j, err := d.configure(t.Context(), scope)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"missing-file: smoke.py can't be read", "missing-secret: API_PASSWORD, which api reads, has no value",
		"missing-variable: API_PASSWORD has no value", "no-reason: -breakGlass has no reason",
	}
	if diff := cmp.Diff(want, rules(j)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestGeneratedSecretsAreMadeOnceAndKept(t *testing.T) {
	d, scope := trial(t, map[string]string{"API_PASSWORD": "canary"})
	first, err := d.variables(t.Context(), scope)
	if err != nil {
		t.Fatal(err)
	}
	again, err := d.variables(t.Context(), scope)
	if err != nil {
		t.Fatal(err)
	}
	made := value(first, "DB_PASSWORD")
	if len(made) < 40 || value(again, "DB_PASSWORD") != made {
		t.Errorf("%d characters, the same again: %t", len(made), value(again, "DB_PASSWORD") == made)
	}
	info, err := os.Stat(filepath.Join(d.Generated, "trial.json"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file of secrets: %v, %v", info, err)
	}
	want := wire.Secrets{
		"api": {UID: 10001, Values: map[string]string{"API_PASSWORD": "canary", "DB_PASSWORD": made}},
		"db":  {UID: 999, Values: map[string]string{"DB_PASSWORD": made}},
	}
	if diff := cmp.Diff(want, d.secrets(again)); diff != "" {
		t.Error("what goes to the target is not what the services read") // the difference would show a secret
	}
	bundle, err := d.bundle(scope, again)
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range bundle {
		if strings.Contains(string(content), "canary") || strings.Contains(string(content), made) {
			t.Errorf("%s of the bundle holds a secret", name)
		}
	}
	if !strings.Contains(string(bundle["environment"]), "METER_ENVIRONMENT=trial\n") || !strings.Contains(string(bundle["environment"]), "REGION=north\n") {
		t.Errorf("the bundle's variables are\n%s", bundle["environment"])
	}
	if err := os.WriteFile(filepath.Join(d.Generated, "trial.json"), []byte(`{"DB_PASSWORD": "`+made), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := d.variables(t.Context(), scope); err == nil || strings.Contains(err.Error(), made) {
		t.Errorf("a damaged file of secrets: %t", err != nil)
	}
}

func TestSchemaHead(t *testing.T) {
	for _, tc := range []struct {
		name  string
		files map[string]string
		want  string
	}{
		{"one", map[string]string{"a.py": "revision: str = \"0001\"\ndown_revision: str | None = None\n"}, "0001"},
		{"a chain", map[string]string{"b.py": "revision = '2'\ndown_revision = '1'\n", "a.py": "revision = '1'\ndown_revision = None\n", "__init__.py": ""}, "2"},
		{"two heads", map[string]string{"b.py": "revision = '2'\ndown_revision = '1'\n", "c.py": "revision = '3'\ndown_revision = '1'\n", "a.py": "revision = '1'\n"}, ""},
		{"none", nil, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, content := range tc.files {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			got, err := schemaHead(dir)
			if got != tc.want || (err == nil) != (tc.want != "") {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
	if head, err := schemaHead("../../../src/data/migrations/versions"); err != nil || head == "" {
		t.Errorf("the repository's own: %q, %v", head, err)
	}
}

// The anchor is kept where whoever can write the log can't write; what somebody else puts there is none.
func TestAnchorIsReadBackStrictly(t *testing.T) {
	server := registrytest.Start(t)
	client, err := registry.New(registry.Options{Host: server.Host})
	if err != nil {
		t.Fatal(err)
	}
	repository := server.Host + "/meter/deploys"
	if _, there, err := Anchored(t.Context(), client, repository, "trial"); there || err != nil {
		t.Fatalf("before there is one: %t, %v", there, err)
	}
	put := func(kind, content string) {
		t.Helper()
		_, err := client.Keep(t.Context(), repository, "audit-trial", registry.Artifact{
			Type: kind, Blobs: []registry.Blob{{MediaType: "application/json", Content: []byte(content)}},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	head := strings.Repeat("a", 64) + ":12"
	for _, content := range []string{`{"environment": "other", "head": "` + head + `"}`, `{"environment": "trial", "head": ""}`, `nothing`} {
		put(anchorType, content)
		if _, _, err := Anchored(t.Context(), client, repository, "trial"); err == nil {
			t.Errorf("%s was taken for an anchor", content)
		}
	}
	put("application/x", `{"environment": "trial", "head": "`+head+`"}`)
	if _, _, err := Anchored(t.Context(), client, repository, "trial"); err == nil {
		t.Error("an artifact of another type was taken for an anchor")
	}
	put(anchorType, `{"environment": "trial", "head": "`+head+`", "time": "2026-11-28T12:00:00Z"}`)
	got, there, err := Anchored(t.Context(), client, repository, "trial")
	if err != nil || !there || got.Head != head {
		t.Errorf("%+v, %t, %v", got, there, err)
	}
}

func TestOutcome(t *testing.T) {
	d, _ := trial(t, nil)
	began := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	revision := rollout.Revision{Release: "v2"}
	seen := watched{
		began: began, turned: &wire.Roll{Phase: rollout.Smoked, Window: &wire.Window{Weight: 25}},
		decision: &wire.Decision{Text: "25 % at 3s: fail", Decision: judge.Decision{Errors: &judge.ErrorTest{Release: judge.Counts{Requests: 120, Errors: 14}}}},
	}
	for _, tc := range []struct {
		name   string
		result wire.Result
		want   []string // of the finding; none if it passes
	}{
		{"done", wire.Result{State: wire.Succeeded, Target: "v2"}, nil},
		{"done, but another one", wire.Result{State: wire.Succeeded, Target: "v3"}, []string{"rolled-back"}},
		{"rolled back", wire.Result{State: wire.RolledBack, Target: "v1", Reason: "green fails 30 %"}, []string{"v2 was rolled back: green fails 30 %", "after the phase smoked, at 25 %", "25 % at 3s: fail", "v1 serves again"}},
		{"a first one", wire.Result{State: wire.RolledBack, Reason: "it crashed"}, []string{"nothing serves"}},
		{"refused", wire.Result{State: wire.Refused, Reason: "an order waits"}, []string{"refused", "an order waits"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.result.Ended = began.Add(time.Minute)
			j := d.outcome(engine.Judgement{}, revision, tc.result, seen)
			if (len(j.Findings) == 0) != (tc.want == nil) {
				t.Fatalf("findings: %v", j.Findings)
			}
			text := fmt.Sprint(j.Findings)
			for _, want := range tc.want {
				if !strings.Contains(text, want) {
					t.Errorf("%s\ndoes not say %q", text, want)
				}
			}
			if j.Metrics[1].Value != 120 || j.Metrics[2].Value != 14 {
				t.Errorf("metrics: %v", j.Metrics)
			}
		})
	}
}

func TestTheSameImagesWithOtherFilesAreAnotherRelease(t *testing.T) {
	d, _ := trial(t, nil)
	d.Now = func() time.Time { return time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC) }
	r := rollout.Revision{Release: "v1", Digest: "sha256:1", Bundle: "sha256:b", Images: map[string]string{"model_api": "r@sha256:1"}}
	current := r
	s := wire.Status{Current: &current}
	if !d.serves(s, r) || d.serves(wire.Status{}, r) {
		t.Error("what serves already is done already, and nothing else is")
	}
	current.Bundle = "sha256:c"
	if d.serves(s, r) || d.unique(s, r) != "v1+20261128-120000" {
		t.Errorf("serves %t, unique %q", d.serves(s, r), d.unique(s, r))
	}
	d.Again = true
	current.Bundle = r.Bundle
	if d.serves(s, r) {
		t.Error("-again is another release")
	}
	if current.Release = "v0"; d.unique(s, r) != "v1" {
		t.Errorf("unique %q", d.unique(s, r))
	}
}

// A policy that forgets staging does not let anything pass that was never staged.
func TestPolicyAsksForStagingWhateverTheFileSays(t *testing.T) {
	p := config.Default(t.TempDir())
	p.Evidence.Policies = map[string]config.EvidencePolicy{"production": {}}
	d := deployer{project: p, to: config.Environment{Gate: "production", Promotes: "staging"}}
	if steps := d.policy().Stages["staging"].Steps; !slices.Equal(steps, []string{"images", "agent", "deploy", "smoke"}) {
		t.Errorf("staging: %v", steps)
	}
	if d.to.Promotes = ""; len(d.policy().Stages) != 0 {
		t.Error("where nothing is promoted the file alone counts")
	}
	if len(p.Evidence.Policies["production"].Stages) != 0 {
		t.Error("the project's policy was changed")
	}
}

func TestStepsTouchTheTargetLast(t *testing.T) {
	d, _ := trial(t, nil)
	steps, err := New(Options{Environment: "trial"}).Steps(d.project)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for i, step := range steps {
		names = append(names, step.Name)
		if i > 0 && !slices.Equal(step.After, names[i-1:i]) {
			t.Errorf("%s comes after %v", step.Name, step.After)
		}
	}
	if want := []string{"configure", "images", "agent", "deploy", "smoke", "anchor"}; !slices.Equal(names, want) {
		t.Errorf("steps: %v", names)
	}
	if _, err := New(Options{Environment: "trail"}).Steps(d.project); err == nil || !strings.Contains(err.Error(), `did you mean "trial"?`) {
		t.Errorf("error is %v", err)
	}
}
