package pipeline

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"go/build"
	"maps"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rhysd/actionlint"

	"github.com/meter-ml/meter-pipeline/internal/evidence"
	"github.com/meter-ml/meter-pipeline/internal/forge/forgetest"
	"github.com/meter-ml/meter-pipeline/internal/freeport"
	"github.com/meter-ml/meter-pipeline/internal/registry/registrytest"
	"github.com/meter-ml/meter-pipeline/internal/rollout/agent/wire"
	"github.com/meter-ml/meter-pipeline/internal/stage/image/imagetest"
	"github.com/meter-ml/meter-pipeline/internal/stage/image/imagetest/standin"
	"github.com/meter-ml/meter-pipeline/internal/stage/stagetest"
	"github.com/meter-ml/meter-pipeline/internal/workflow/workflowtest"
)

// A delivery is a clone of this repository as its committed workflow sees it on GitHub: with a runner, environments that hold
// secrets, a registry that wants a password, an engine to deploy to, and channels to tell.
type delivery struct {
	t        *testing.T
	run      *workflowtest.Runner
	registry *registrytest.Server
	channels *channels
	trusted  string    // certificates, of the job that tells
	earlier  []pastRun // of the workflow, the oldest first
	home     string    // of jobs that install a key: the account's own must stay as it is
	ports    []int
	state    string
	gone     bool // environments were taken away
}

// A pastRun is a run of the workflow that is over.
type pastRun struct {
	number    int
	event     workflowtest.Event
	artifacts string                       // a directory for each
	jobs      map[string]workflowtest.Past // that ran
	result    map[string]string            // of all
}

func newDelivery(t *testing.T, machine *imagetest.Machine) *delivery {
	t.Helper()
	repository := stagetest.Repository(t)
	d := &delivery{t: t, registry: registrytest.Locked(t), channels: newChannels(t), home: t.TempDir(), state: t.TempDir()}
	d.trusted = d.channels.trust()
	d.run = &workflowtest.Runner{
		T: t, Binary: workflowtest.Compile(t, repository), Origin: filepath.Join(t.TempDir(), "origin"), Repository: forgetest.Repository, Token: forgetest.Token,
		Jobs: workflowtest.Read(t, filepath.Join(repository, ".github/workflows/pipeline.yml")), Machine: map[string]string{},
	}
	// The containers' accounts have to get through to their secrets.
	for dir := d.state; dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		d.do(os.Chmod(dir, 0o755))
	}
	var err error
	d.ports, err = freeport.FindAll(t.Context(), 6)
	d.do(err)
	d.equip(machine)
	d.secrets()
	d.clone(repository)
	t.Cleanup(d.down)
	return d
}

func (d *delivery) do(err error) {
	d.run.T.Helper()
	if err != nil {
		d.run.T.Fatal(err)
	}
}

// equip gives the runner's machine what this one has: the engine, proxies and their certificates, advisories. What a job
// must get as a secret or a variable, it gets in no other way, and GitHub's machines have no meter data.
func (d *delivery) equip(machine *imagetest.Machine) {
	for _, entry := range machine.Env {
		key, value, _ := strings.Cut(entry, "=")
		_, set := d.run.Machine[key]
		if set || key == "CI" || key == "DOCKER_HOST" || key == "METER_DATA_DIR" || strings.HasPrefix(key, "GITHUB_") || strings.HasPrefix(key, "RUNNER_") || d.isSecret(key) {
			continue
		}
		d.run.Machine[key] = value
	}
	caches, err := os.UserCacheDir()
	d.do(err)
	maps.Copy(d.run.Machine, map[string]string{
		"XDG_CACHE_HOME": caches, "GOPATH": build.Default.GOPATH, // a job whose home is another one has them, too
		"METER_REGISTRY": d.registry.Host, "METER_AGENT_BASE": standin.DockerCLI(d.t, machine),
		"GITHUB_API_URL": d.channels.github.URL, "POSTGRES_IMAGE": standin.Postgres(d.t, machine), "PROXY_IMAGE": standin.Proxy(d.t, machine),
	})
	for _, entry := range machine.Env {
		if host, ok := strings.CutPrefix(entry, "DOCKER_HOST="); ok {
			d.run.Secrets = map[string]map[string]string{"staging": {"DOCKER_HOST": host}, "production": {"DOCKER_HOST": host}}
			d.run.Machine["DOCKER_HOST"] = host
		}
	}
}

func (d *delivery) isSecret(key string) bool {
	return slices.Contains([]string{"HOME", "DATABASE_URL", "EVIDENCE_KEY", "EVIDENCE_PASSWORD", "EVIDENCE_PUBLIC_KEY", "REGISTRY_USERNAME", "REGISTRY_PASSWORD", "SLACK_WEBHOOK_URL", "SMTP_URL", "SMTP_HOST"}, key)
}

// secrets are in the environments in which docs/secrets.md wants them.
func (d *delivery) secrets() {
	keys := d.t.TempDir()
	_, err := evidence.Generate(filepath.Join(keys, "key"), filepath.Join(keys, "pub"))
	d.do(err)
	private, err := os.ReadFile(filepath.Join(keys, "key"))
	d.do(err)
	public, err := os.ReadFile(filepath.Join(keys, "pub"))
	d.do(err)
	if d.run.Secrets == nil {
		d.run.Secrets = map[string]map[string]string{}
	}
	office := d.channels.office
	address := url.URL{Scheme: "smtp", User: url.UserPassword(office.User, office.Password), Host: net.JoinHostPort(office.Host, strconv.Itoa(office.Port))}
	d.run.Secrets["notify"] = map[string]string{"SLACK_WEBHOOK_URL": d.channels.hook, "SMTP_URL": address.String()}
	for _, environment := range []string{"evidence", "release", "staging", "production"} {
		held := map[string]string{"EVIDENCE_KEY": string(private), "EVIDENCE_PUBLIC_KEY": string(public)}
		if environment != "evidence" {
			held["REGISTRY_USERNAME"], held["REGISTRY_PASSWORD"] = registrytest.User, registrytest.Password
		}
		if environment == "staging" || environment == "production" {
			for _, name := range []string{"POSTGRES_PASSWORD", "METER_DB_PASSWORD", "MLFLOW_DB_PASSWORD", "AIRFLOW_DB_PASSWORD", "AIRFLOW_JWT_SECRET", "AIRFLOW_ADMIN_PASSWORD"} {
				held[name] = hexadecimal(16)
			}
			held["AIRFLOW_FERNET_KEY"] = fernet()
			held["DEPLOY_SSH_KEY"], held["DEPLOY_KNOWN_HOSTS"] = "no key: the engine is on this machine", "none"
		}
		maps.Copy(held, d.run.Secrets[environment])
		d.run.Secrets[environment] = held
	}
}

// clone makes the origin: what is committed here, and one commit that makes its environments those of this machine.
func (d *delivery) clone(repository string) {
	d.run.Origin = filepath.Join(d.t.TempDir(), "origin")
	d.do(os.MkdirAll(d.run.Origin, 0o755))
	d.run.Git("clone", "-q", "--no-local", repository, d.run.Origin)
	d.run.Git("checkout", "-q", "-B", "develop")
	content, err := os.ReadFile(filepath.Join(d.run.Origin, "pipeline.yaml"))
	d.do(err)
	text := string(content)
	for _, change := range [][2]string{
		{"state: /var/lib/meter-pipeline", "state: " + d.state},
		{"ports: {proxy: 8100, mlflow: 5100, airflow: 8180}", fmt.Sprintf("ports: {proxy: %d, mlflow: %d, airflow: %d}", d.ports[0], d.ports[1], d.ports[2])},
		{"ports: {proxy: 8200, mlflow: 5200, airflow: 8280}", fmt.Sprintf("ports: {proxy: %d, mlflow: %d, airflow: %d}", d.ports[3], d.ports[4], d.ports[5])},
		{`from: "" # who writes`, "from: pipeline@example.org"},
		{"to: [] # who is written to; nobody while it is empty", "to: [team@example.org]"},
		{"window: 60s, deadline: 2m}", "window: 5s, deadline: 60s}"},
		{"{weight: 100, window: 30s, deadline: 60s}", "{weight: 100, window: 5s, deadline: 60s}"},
		{"synthetic: {rate: 20}", "synthetic: {rate: 200}"}, // so that the judge has enough in so short a window
		// The whole suites are judged by mage check; here one module's are enough.
		{"  unit: [tests/unit]\n", "  unit: [tests/unit/test_drift.py]\n"},
		{"    source: [src]\n    minimum: 80", "    source: [src/monitoring]\n    minimum: 80"},
		{"    paths: [src]\n    minimum_score", "    paths: [src/monitoring]\n    minimum_score"},
		{"clean: low, max_database_age: 720h}", "clean: low, max_database_age: 87600h}"}, // the tests' advisories are old
	} {
		if !strings.Contains(text, change[0]) {
			d.t.Fatalf("pipeline.yaml does not say %q", change[0])
		}
		text = strings.ReplaceAll(text, change[0], change[1])
	}
	d.run.Commit("Deploy to this machine", map[string]string{"pipeline.yaml": text})
	d.run.Git("branch", "-f", "main")
}

// push runs the jobs that a push of a branch starts.
func (d *delivery) push(branch string) pastRun {
	d.run.T.Helper()
	return d.play(workflowtest.Event{
		Name: "push", Ref: "refs/heads/" + branch, SHA: d.run.Git("rev-parse", branch),
		Payload: map[string]any{"before": d.run.Git("rev-parse", branch+"~1")},
	})
}

// play runs the jobs that an event starts. Those of which it is known how they end are not run.
func (d *delivery) play(event workflowtest.Event, known ...string) pastRun {
	d.run.T.Helper()
	run := pastRun{number: len(d.earlier) + 1, event: event, artifacts: d.t.TempDir(), jobs: map[string]workflowtest.Past{}}
	run.event.Run = strconv.Itoa(run.number)
	d.start(&run, known)
	d.earlier = append(d.earlier, run)
	return run
}

// again runs the jobs of the last run again that failed, and those that need them, as GitHub's "Re-run failed jobs" does.
func (d *delivery) again() pastRun {
	d.run.T.Helper()
	last := len(d.earlier) - 1
	run := d.earlier[last]
	var failed func(id string) bool
	failed = func(id string) bool {
		return run.result[id] == "failure" || slices.ContainsFunc(d.run.Jobs[id].Needs, func(need *actionlint.String) bool { return failed(need.Value) })
	}
	var known []string
	for id, result := range run.result {
		if result == "success" && !failed(id) {
			known = append(known, id)
		}
	}
	run.event.Attempt, run.jobs = "2", map[string]workflowtest.Past{}
	d.earlier = d.earlier[:last] // it is not over any more
	d.start(&run, known)
	d.earlier = append(d.earlier, run)
	return run
}

func (d *delivery) start(run *pastRun, known []string) {
	d.run.T.Helper()
	d.run.Artifacts = run.artifacts
	d.run.Begin(run.event)
	ours := maps.Clone(d.run.Machine)
	defer func() { d.run.Machine = ours }()
	run.result = workflowtest.Walk(d.run.T, d.run.Jobs, d.run.Contexts(), func(id string, needs map[string]any) string {
		if slices.Contains(known, id) {
			return "success"
		}
		d.run.Machine = maps.Clone(ours)
		switch id {
		case "staging", "production": // they write keys into ~/.ssh
			d.run.Machine["HOME"] = d.home
		case "notify":
			d.run.Machine["SSL_CERT_FILE"] = d.trusted
			d.channels.remembers(d.earlier)
		}
		past := d.job(id, needs)
		run.jobs[id] = past
		d.run.T.Logf("%s: exit code %d in %.0f s\n%s", id, past.Code, past.Took.Seconds(), past.Log)
		if past.Code != 0 {
			return "failure"
		}
		return "success"
	})
}

// ended demands that just these jobs passed and failed, and that the others were not started.
func (d *delivery) ended(run pastRun, passed, failed string) {
	d.run.T.Helper()
	got := map[string][]string{}
	for id, result := range run.result {
		got[result] = append(got[result], id)
	}
	for result, want := range map[string]string{"success": passed, "failure": failed} {
		slices.Sort(got[result])
		if want := slices.Sorted(slices.Values(strings.Fields(want))); !slices.Equal(got[result], want) {
			d.run.T.Fatalf("jobs of %s: %q, want %q", result, got[result], want)
		}
	}
}

// job runs a job. What is deployed stands still while one measures: on GitHub it would not be on the same machine.
func (d *delivery) job(id string, needs map[string]any) workflowtest.Past {
	d.run.T.Helper()
	if id == "release" {
		deployed, err := d.docker("ps", "--quiet", "--filter", "name=^meter-(staging|production)-")
		d.do(err)
		if ids := strings.Fields(deployed); len(ids) > 0 {
			_, err := d.docker(append([]string{"pause"}, ids...)...)
			d.do(err)
			defer func() {
				_, err := d.docker(append([]string{"unpause"}, ids...)...)
				d.do(err)
				d.well(time.Now())
			}()
		}
	}
	return d.run.Run(id, needs)
}

// well waits until the agents have looked since a time, and say that all that is deployed is well.
func (d *delivery) well(since time.Time) {
	d.run.T.Helper()
	for _, environment := range []string{"staging", "production"} {
		dir := filepath.Join(d.state, environment)
		if _, err := os.Stat(dir); err != nil {
			continue // nothing is there yet
		}
		ill := "nobody has said how it is"
		for until := time.Now().Add(3 * time.Minute); ill != ""; time.Sleep(200 * time.Millisecond) {
			if content, err := os.ReadFile(filepath.Join(dir, "status.json")); err == nil {
				ill = illness(content, since)
			}
			if time.Now().After(until) {
				d.run.T.Fatalf("%s is not well: %s", environment, ill)
			}
		}
	}
}

// illness is what an agent's status says is wrong; empty if all is well.
func illness(content []byte, since time.Time) string {
	status, err := wire.DecodeStatus(bytes.NewReader(content))
	switch {
	case err != nil:
		return err.Error()
	case status.Observed.Before(since):
		return "its agents have not looked"
	case status.Trouble != "" || status.Activity != wire.Idle || status.Current == nil:
		return fmt.Sprintf("it is %s: %s", status.Activity, status.Trouble)
	case !status.Slots[status.Current.Slot].Healthy:
		return "what serves is not healthy"
	}
	for name, service := range status.Services {
		if !service.Healthy {
			return name + " is not healthy"
		}
	}
	return ""
}

// docker asks the engine that is deployed to.
func (d *delivery) docker(args ...string) (string, error) {
	cmd := exec.CommandContext(d.run.T.Context(), "docker", args...)
	cmd.Env = append(os.Environ(), "DOCKER_HOST="+d.run.Machine["DOCKER_HOST"])
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("docker %s: %w: %s", args[0], err, out)
	}
	return string(out), err
}

// killed kills the new release in production as soon as users meet it. What it returns demands that it was.
func (d *delivery) killed() (done func()) {
	ctx, cancel := context.WithCancel(d.run.T.Context())
	end := make(chan error, 1)
	go func() {
		status, err := shifting(ctx, filepath.Join(d.state, "production"), time.Hour)
		if err == nil {
			_, err = d.docker("kill", fmt.Sprintf("%s-model-api-%s-1", status.Project, status.Roll.Slot))
		}
		end <- err
	}()
	return func() {
		d.run.T.Helper()
		cancel()
		d.do(<-end)
	}
}

// target runs a target as a person does, in a directory, and returns what it prints.
func (d *delivery) target(dir string, env map[string]string, args ...string) string {
	d.run.T.Helper()
	cmd := exec.CommandContext(d.run.T.Context(), d.run.Binary, args...)
	cmd.Dir = dir
	for key, value := range d.run.Machine {
		cmd.Env = append(cmd.Env, key+"="+value)
	}
	for key, value := range env {
		cmd.Env = append(cmd.Env, key+"="+value)
	}
	out, err := cmd.CombinedOutput()
	d.run.T.Logf("%s\n%s", args, out)
	if err != nil {
		d.run.T.Fatalf("%s: %v", args, err)
	}
	return string(out)
}

// down takes both environments and what was pulled for them off the engine, once.
func (d *delivery) down() {
	if d.gone {
		return
	}
	d.gone = true
	var env []string
	for key, value := range d.run.Machine {
		env = append(env, key+"="+value)
	}
	out, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		d.t.Error(err)
		return
	}
	defer func() { _ = out.Close() }()
	for _, environment := range []string{"staging", "production"} {
		if err := Open(context.Background(), Host{Dir: d.run.Origin, Env: env, Out: out, Err: out, Now: time.Now}, DeployDown(environment, true)); err != nil {
			d.t.Errorf("take %s down: %v", environment, err)
		}
	}
	const pulled = `docker image ls --quiet --no-trunc --filter "reference=$0/*/*" | sort -u | xargs --no-run-if-empty docker image rm --force`
	cmd := exec.CommandContext(context.Background(), "bash", "-c", pulled, d.registry.Host)
	cmd.Env = env
	if out, err := cmd.CombinedOutput(); err != nil {
		d.t.Errorf("remove images: %v: %s", err, out)
	}
}

// fernet is a key as Airflow wants it.
func fernet() string {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // it never fails
	return base64.URLEncoding.EncodeToString(key)
}
