package pipeline

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/evidence"
	"github.com/meter-ml/meter-pipeline/internal/freeport"
	"github.com/meter-ml/meter-pipeline/internal/handover"
	"github.com/meter-ml/meter-pipeline/internal/registry"
	"github.com/meter-ml/meter-pipeline/internal/registry/registrytest"
	"github.com/meter-ml/meter-pipeline/internal/rollout"
	"github.com/meter-ml/meter-pipeline/internal/rollout/agent/wire"
	"github.com/meter-ml/meter-pipeline/internal/rollout/compose/composetest"
	"github.com/meter-ml/meter-pipeline/internal/rollout/compose/composetest/known"
	"github.com/meter-ml/meter-pipeline/internal/stage/image/imagetest"
	"github.com/meter-ml/meter-pipeline/internal/stage/image/imagetest/standin"
	"github.com/meter-ml/meter-pipeline/internal/stage/stagetest"
	"github.com/meter-ml/meter-pipeline/internal/tool"
)

// A yard is a project in a git repository, whose images are of a trivial server, with a registry, an evidence key, and two
// environments side by side on the test machine's engine. Deploys to it are real.
type yard struct {
	t          *testing.T
	dir        string
	repository string // this one
	registry   *registrytest.Server
	images     *composetest.Registry
	env        map[string]string
	staging    string
	production string
	ports      []int
	canary     string
	state      string
	mu         sync.Mutex
	said       strings.Builder // all that went to the terminal
}

const yardFile = `
version: 1
name: yard
image:
  owner: yard
  images:
%[1]s
deploy:
  state: %[2]s
  secrets:
    postgres: {user: 999, names: [POSTGRES_PASSWORD, METER_DB_PASSWORD, MLFLOW_DB_PASSWORD, AIRFLOW_DB_PASSWORD]}
    model-api: {user: 10001, names: [METER_DB_PASSWORD, DATABASE_URL]}
    mlflow: {user: 10001, names: [MLFLOW_DB_PASSWORD]}
    airflow: {user: 10001, names: [AIRFLOW_DB_PASSWORD, METER_DB_PASSWORD, AIRFLOW_FERNET_KEY, AIRFLOW_JWT_SECRET, AIRFLOW_ADMIN_PASSWORD]}
evidence:
  policies:
    production:
      max_age: 1h
      stages:
        quality: {subject: tree, steps: [pylint], minimum: {pylint_score: 8}}
        security: {subject: tree, steps: [bandit], clean: low}
        unit: {subject: tree, steps: [pytest], minimum: {tests_passed: 1}, maximum: {tests_failed: 0, tests_skipped: 0}}
        integration: {subject: image, steps: [serve]}
        benchmark: {subject: image, steps: [api], maximum: {p95: 100}}
environments:
  %[3]s:
    required: [METER_DB_PASSWORD]
    secrets: &all
    ports: {proxy: %[5]d, mlflow: %[6]d, airflow: %[7]d}
    branch: develop
    steps: [{weight: 100, window: 2s, deadline: 20s}]
    &rest
  %[4]s:
    required: [METER_DB_PASSWORD]
    secrets: &all
    ports: {proxy: %[8]d, mlflow: %[9]d, airflow: %[10]d}
    branch: main
    promotes: %[3]s
    gate: production
    steps: [{weight: 10, window: 2s, deadline: 20s}, {weight: 50, window: 2s, deadline: 20s}, {weight: 100, window: 2s, deadline: 20s}]
    &rest
`

const yardSecrets = `[POSTGRES_PASSWORD, METER_DB_PASSWORD, MLFLOW_DB_PASSWORD, AIRFLOW_DB_PASSWORD, AIRFLOW_FERNET_KEY, AIRFLOW_JWT_SECRET, AIRFLOW_ADMIN_PASSWORD, DATABASE_URL]
    generated: [POSTGRES_PASSWORD, MLFLOW_DB_PASSWORD, AIRFLOW_DB_PASSWORD, AIRFLOW_FERNET_KEY, AIRFLOW_JWT_SECRET, AIRFLOW_ADMIN_PASSWORD]`

const yardRest = `judge: {requests: 20, slower: 0}
    times: {pull: 60s, migrate: 60s, ready: 30s, smoke: 20s, replace: 60s, verify: 60s, drain: 5s, blind: 30s, poll: 200ms}
    synthetic: {rate: 200}`

func newYard(t *testing.T, machine *imagetest.Machine) *yard {
	t.Helper()
	id := fmt.Sprintf("yard%d", os.Getpid())
	y := &yard{
		t: t, dir: t.TempDir(), repository: stagetest.Repository(t), registry: registrytest.Start(t),
		staging: id + "s", production: id + "p", canary: "canary-" + hexadecimal(12),
	}
	var err error
	y.ports, err = freeport.FindAll(t.Context(), 6)
	y.do(err)
	state := t.TempDir()
	// The containers' accounts have to get through to their secrets.
	for dir := state; dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		y.do(os.Chmod(dir, 0o755))
	}
	y.env = map[string]string{
		"PATH": os.Getenv("PATH"), "HOME": os.Getenv("HOME"), "USER": "ada", "METER_REGISTRY": y.registry.Host, "NO_COLOR": "1",
		"METER_AGENT_BASE": standin.DockerCLI(t, machine), "POSTGRES_IMAGE": standin.Postgres(t, machine), "PROXY_IMAGE": standin.Proxy(t, machine),
		"EVIDENCE_KEY": "file:" + filepath.Join(y.dir, ".keys", "evidence.key"), "EVIDENCE_PUBLIC_KEY": "file:" + filepath.Join(y.dir, ".keys", "evidence.pub"),
		"METER_DB_PASSWORD": y.canary, "DATABASE_URL": "postgresql://meter:" + y.canary + "@postgres:5432/meter",
	}
	for _, entry := range machine.Env {
		key, value, _ := strings.Cut(entry, "=")
		if _, own := y.env[key]; !own && (strings.HasPrefix(key, "DOCKER_") || strings.HasPrefix(key, "GO") || strings.Contains(key, "PROXY") || strings.HasPrefix(key, "SSL_")) {
			y.env[key] = value
		}
	}
	y.state = state
	y.lay(state)
	dir := t.TempDir()
	runner := tool.NewRunner(tool.Options{State: dir, Run: "yard" + strings.ReplaceAll(dir, "/", "-")})
	y.images, err = composetest.Serve(t.Context(), runner, y.repository, os.Environ())
	y.do(err)
	t.Cleanup(func() { _ = y.images.Close(); _ = runner.Close() })
	t.Cleanup(func() {
		for _, environment := range []string{y.staging, y.production} {
			if err := y.try(context.Background(), DeployDown(environment, true)); err != nil {
				t.Errorf("take %s down: %v", environment, err)
			}
		}
	})
	return y
}

// lay writes the project and makes its first commit.
func (y *yard) lay(state string) {
	y.t.Helper()
	var images strings.Builder
	for _, image := range []string{"model_api", "mlflow", "airflow"} {
		fmt.Fprintf(&images, "    - {name: %s, judges: j, dockerfile: Dockerfile, repository: %s, requirements: requirements.txt, budget: 10, smoke: {port: 1, path: /, healthy: 1s, stop: 1s, memory: 16}}\n",
			image, strings.ReplaceAll(image, "_", "-"))
	}
	text := fmt.Sprintf(strings.NewReplacer("&all", yardSecrets, "&rest", yardRest).Replace(yardFile), images.String(), state, y.staging, y.production,
		y.ports[0], y.ports[1], y.ports[2], y.ports[3], y.ports[4], y.ports[5])
	for path, content := range map[string]string{
		"pipeline.yaml": text, "requirements.txt": "", "Dockerfile": "FROM scratch\n", ".gitignore": ".pipeline/\n.keys/\n",
		"env/" + y.staging + ".env": "METER_ENVIRONMENT=\n", "env/" + y.production + ".env": "METER_ENVIRONMENT=\n",
		"docker/compose." + y.staging + ".yaml": composetest.Override, "docker/compose." + y.production + ".yaml": composetest.Override,
	} {
		y.write(path, content)
	}
	for _, path := range []string{"docker/compose.yaml", "docker/proxy/haproxy.cfg.tmpl", "scripts/smoke.py", "src/data/migrations/versions/0001_readings_and_predictions.py"} {
		content, err := os.ReadFile(filepath.Join(y.repository, path))
		y.do(err)
		y.write(path, string(content))
	}
	y.do(os.MkdirAll(filepath.Join(y.dir, ".keys"), 0o700))
	_, err := evidence.Generate(filepath.Join(y.dir, ".keys", "evidence.key"), filepath.Join(y.dir, ".keys", "evidence.pub"))
	y.do(err)
	y.git("init", "--quiet", "--initial-branch=develop")
	y.commit("first")
}

func (y *yard) do(err error) {
	y.t.Helper()
	if err != nil {
		y.t.Fatal(err)
	}
}

func (y *yard) write(path, content string) {
	y.t.Helper()
	file := filepath.Join(y.dir, path)
	y.do(os.MkdirAll(filepath.Dir(file), 0o755))
	y.do(os.WriteFile(file, []byte(content), 0o644))
}

func (y *yard) git(args ...string) string {
	y.t.Helper()
	cmd := exec.CommandContext(y.t.Context(), "git", args...)
	cmd.Dir = y.dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.com")
	out, err := cmd.CombinedOutput()
	if err != nil {
		y.t.Fatalf("git %v: %v: %s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// commit changes the tree and commits it.
func (y *yard) commit(what string) {
	y.t.Helper()
	y.write("version.txt", what+"\n")
	y.git("add", "--all")
	y.git("commit", "--quiet", "--message", what)
}

func (y *yard) head() string { return y.git("rev-parse", "HEAD") }

// build pushes images of what is checked out, under the tag of its commit, as the image stage does.
func (y *yard) build(knobs composetest.Knobs) handover.Images {
	y.t.Helper()
	commit := y.head()
	all := composetest.Knobs{"GIT_SHA": commit, "SERVER_SCHEMA": "0001"}
	maps.Copy(all, knobs)
	image, err := y.images.Image(all)
	y.do(err)
	digest, err := image.Digest()
	y.do(err)
	built := handover.Images{Commit: commit, Tree: "gitTree:" + y.git("rev-parse", "HEAD^{tree}")}
	for image, repository := range map[string]string{"model_api": "model-api", "mlflow": "mlflow", "airflow": "airflow"} {
		built.Images = append(built.Images, handover.Image{
			Name: image, Repository: y.registry.Host + "/yard/" + repository, Digest: digest.String(), Platform: "linux/amd64",
			Base: "base@sha256:" + strings.Repeat("1", 64), Source: "https://example.com/yard",
		})
	}
	for _, b := range built.Images {
		tag, err := name.NewTag(b.Repository + ":" + commit[:10])
		y.do(err)
		y.do(remote.Write(tag, image))
	}
	return built
}

// judged attaches the evidence that the stages before a deploy leave, as a change makes it.
func (y *yard) judged(built handover.Images, change func(*engine.Run)) {
	y.t.Helper()
	now := time.Now().Add(-time.Minute)
	step := func(name string, metrics ...engine.Metric) engine.StepResult {
		return engine.StepResult{
			Name: name, Judges: "what it judges", Status: engine.StatusPassed, Started: now, Duration: time.Second,
			Judgement: engine.Judgement{Judged: 10, Unit: "things", Metrics: metrics},
		}
	}
	run := &engine.Run{ID: "judged-" + hexadecimal(4), Target: "pipeline", Root: y.dir, Commit: built.Commit, Branch: "develop"}
	for _, stage := range []struct {
		name string
		step engine.StepResult
	}{
		{"quality", step("pylint", engine.Metric{Name: "pylint_score", Value: 9.1})},
		{"security", step("bandit")},
		{"unit", step("pytest", engine.Metric{Name: "tests_passed", Value: 412}, engine.Metric{Name: "tests_failed"}, engine.Metric{Name: "tests_skipped"})},
		{"integration", step("serve")},
		{"benchmark", step("api", engine.Metric{Name: "p95", Value: 12})},
	} {
		run.Stages = append(run.Stages, engine.StageResult{Name: stage.name, Status: engine.StatusPassed, Steps: []engine.StepResult{stage.step}})
	}
	if change != nil {
		change(run)
	}
	key, err := evidence.LoadPrivateKey(func(name string) string { return y.env[name] })
	y.do(err)
	place := evidence.Place{Builder: evidence.BuilderLocal, Machine: "m", By: "ada"}
	statements, _, err := evidence.Statements(evidence.Source{Run: run, Tree: strings.TrimPrefix(built.Tree, "gitTree:"), Place: place, Images: &built})
	y.do(err)
	made, _, err := evidence.Provenances(evidence.Build{Images: built, Place: place, Run: run.ID, Started: now, Finished: now.Add(time.Second)})
	y.do(err)
	artifacts := filepath.Join(y.dir, ".pipeline", "runs", run.ID, "artifacts")
	y.do(os.MkdirAll(artifacts, 0o755))
	_, err = evidence.Keep(artifacts, key, slices.Concat(statements, made))
	y.do(err)
	keys, err := evidence.LoadPublicKeys(func(name string) string { return y.env[name] })
	y.do(err)
	client, err := registry.New(registry.Options{Host: y.registry.Host})
	y.do(err)
	for _, image := range built.Images {
		_, err = evidence.AttachAll(y.t.Context(), client, image.Repository, image.Digest, filepath.Join(y.dir, ".pipeline", "runs"), keys)
		y.do(err)
	}
}

// try runs an action as a target does, and returns its error. What it said is kept.
func (y *yard) try(ctx context.Context, action Action) error {
	out, err := os.CreateTemp("", "yard-terminal-*") // in the work tree it would make that dirty
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(out.Name()); _ = out.Close() }()
	var env []string
	for key, value := range y.env {
		env = append(env, key+"="+value)
	}
	err = Open(ctx, Host{Dir: y.dir, Env: env, Out: out, Err: out, Now: time.Now, Module: y.repository}, action)
	content, readErr := os.ReadFile(out.Name())
	y.mu.Lock()
	y.said.Write(content)
	y.mu.Unlock()
	y.t.Logf("%s\n=> %v", content, err)
	return errors.Join(err, readErr)
}

// run demands that an action succeeds.
func (y *yard) run(action Action) {
	y.t.Helper()
	if err := y.try(y.t.Context(), action); err != nil {
		y.t.Fatal(err)
	}
}

// refused demands that an action is refused, with words in what it said.
func (y *yard) refused(action Action, words ...string) {
	y.t.Helper()
	before := y.said.Len()
	err := y.try(y.t.Context(), action)
	exit, ok := errors.AsType[*Exit](err)
	if !ok || exit.Code != engine.ExitFailed {
		y.t.Fatalf("error is %v, want exit code 1", err)
	}
	said := strings.Join(strings.Fields(y.said.String()[before:]), " ")
	for _, word := range words {
		if !strings.Contains(said, word) {
			y.t.Errorf("it does not say %q:\n%s", word, said)
		}
	}
}

// leaks searches everything that went out for the secret.
func (y *yard) leaks() {
	y.t.Helper()
	shown := map[string]string{"the terminal": y.said.String()}
	for _, environment := range []string{y.staging, y.production} {
		for _, id := range strings.Fields(y.docker("ps", "--all", "--quiet", "--filter", "label=meter.environment="+environment)) {
			shown["docker inspect "+id] = y.docker("inspect", id)
			shown["docker logs "+id] = y.docker("logs", id)
			shown["docker top "+id] = y.docker("top", id)
		}
		for _, file := range []string{"audit.jsonl", "release.json", "status.json", "alerts.jsonl", "metrics.prom", "compose.env"} {
			content, err := os.ReadFile(filepath.Join(y.state, environment, file))
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				y.t.Fatal(err)
			}
			shown[environment+"/"+file] = string(content)
		}
	}
	if len(shown) < 20 {
		y.t.Errorf("only %d things were searched", len(shown))
	}
	for what, text := range shown {
		if strings.Contains(text, y.canary) {
			y.t.Errorf("%s shows the secret", what)
		}
	}
	err := filepath.WalkDir(filepath.Join(y.dir, ".pipeline"), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		if err == nil && strings.Contains(string(content), y.canary) {
			y.t.Errorf("%s holds the secret", path)
		}
		return err
	})
	y.do(err)
}

// shifting waits until the traffic of an environment is being shifted.
func (y *yard) shifting(environment string) {
	y.t.Helper()
	if _, err := shifting(y.t.Context(), filepath.Join(y.state, environment), time.Minute); err != nil {
		y.t.Fatal(err)
	}
}

// shifting waits until traffic is being shifted on a target, and returns what its agent says then.
func shifting(ctx context.Context, state string, patience time.Duration) (wire.Status, error) {
	for until := time.Now().Add(patience); time.Now().Before(until) && ctx.Err() == nil; time.Sleep(100 * time.Millisecond) {
		content, err := os.ReadFile(filepath.Join(state, "status.json"))
		if err != nil {
			continue
		}
		status, err := wire.DecodeStatus(bytes.NewReader(content))
		if err == nil && status.Roll != nil && status.Roll.Phase == rollout.Smoked {
			return status, nil
		}
	}
	return wire.Status{}, errors.Join(errors.New("no traffic is being shifted"), ctx.Err())
}

// docker asks the engine. What a container that has ended does not have is empty.
func (y *yard) docker(args ...string) string {
	y.t.Helper()
	cmd := exec.CommandContext(y.t.Context(), "docker", args...)
	for key, value := range y.env {
		if key != "METER_DB_PASSWORD" && key != "DATABASE_URL" {
			cmd.Env = append(cmd.Env, key+"="+value)
		}
	}
	out, err := cmd.CombinedOutput()
	if err != nil && args[0] != "top" {
		y.t.Fatalf("docker %v: %v: %s", args, err, out)
	}
	return string(out)
}

// load asks the proxy of an environment all the time, until it is stopped, and then says how many were asked and failed.
func (y *yard) load(port int) (stop func() (asked, failed int)) {
	end, ended := make(chan struct{}), make(chan struct{})
	asked, failed := 0, 0
	client := &http.Client{Timeout: 5 * time.Second}
	go func() {
		defer close(ended)
		for i := 0; ; i++ {
			select {
			case <-end:
				return
			case <-time.After(5 * time.Millisecond):
			}
			asked++
			response, err := client.Post(fmt.Sprintf("http://127.0.0.1:%d/predict", port), "application/json", bytes.NewReader(known.Body(i)))
			if err == nil {
				_, err = io.Copy(io.Discard, response.Body)
				if closed := response.Body.Close(); err != nil || closed != nil || response.StatusCode != http.StatusOK {
					failed++
				}
				continue
			}
			failed++
		}
	}()
	return func() (int, int) {
		close(end)
		<-ended
		return asked, failed
	}
}

func hexadecimal(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // it never fails
	return hex.EncodeToString(b)
}
