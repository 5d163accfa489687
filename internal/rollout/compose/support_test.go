package compose_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/client"

	"github.com/meter-ml/meter-pipeline/internal/rollout"
	"github.com/meter-ml/meter-pipeline/internal/rollout/agent/wire"
	"github.com/meter-ml/meter-pipeline/internal/rollout/compose"
	"github.com/meter-ml/meter-pipeline/internal/rollout/compose/composetest"
	"github.com/meter-ml/meter-pipeline/internal/rollout/compose/composetest/known"
	"github.com/meter-ml/meter-pipeline/internal/rollout/journal"
	"github.com/meter-ml/meter-pipeline/internal/rollout/lease"
	"github.com/meter-ml/meter-pipeline/internal/stage/image/imagetest"
	"github.com/meter-ml/meter-pipeline/internal/stage/image/imagetest/standin"
	"github.com/meter-ml/meter-pipeline/internal/tool"
)

var machine imagetest.Shared

func TestMain(m *testing.M) {
	code := m.Run()
	if err := machine.Close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// A host is a target on the test machine's engine: docker/compose.yaml with the trivial server in place of all that is
// built here.
type host struct {
	*testing.T
	env      string // name of the environment
	state    string
	engine   *client.Client
	runner   *tool.Runner
	registry *composetest.Registry
	config   compose.Config
	target   *compose.Target
	bundle   string
	settings wire.Settings
	fence    *fence
}

const override = `
x-slot: &slot
  healthcheck: {test: [CMD, /server, health], interval: 300ms, timeout: 2s, start_period: 5s, retries: 3}
  mem_limit: 128m
x-task: &task
  entrypoint: [/server, migrate]
  environment: {DATABASE_URL_FILE: /run/secrets/DATABASE_URL}
  secrets: [{source: database, target: DATABASE_URL}]
services:
  model-api-blue: *slot
  model-api-green: *slot
  mlflow:
    healthcheck: {test: [CMD, /server, health], interval: 300ms, timeout: 2s, start_period: 5s, retries: 3}
    stop_grace_period: 2s
  migrate: *task
  mlflow-migrate: *task
  smoke: {entrypoint: [/server, smoke], environment: {SMOKE_URLS: "http://proxy:8080/health/ready,http://mlflow:8000/version"}}
secrets:
  database: {file: "${STATE:?}/secrets/model-api/DATABASE_URL"}
`

// bareHost is a host with nothing but an engine.
func bareHost(t *testing.T) *host {
	t.Helper()
	m := machine.Get(t)
	env := map[string]string{}
	for _, e := range m.Env {
		name, value, _ := strings.Cut(e, "=")
		env[name] = value
	}
	state, err := os.MkdirTemp("", "backend-") // a test's own directory may be too long for the name of a socket
	if err != nil {
		t.Fatal(err)
	}
	h := &host{T: t, env: "backend" + strconv.FormatInt(time.Now().UnixNano()%1e9, 36), state: state, fence: &fence{epoch: 1}}
	t.Cleanup(func() { _ = os.RemoveAll(state) })
	h.runner = tool.NewRunner(tool.Options{State: filepath.Join(t.TempDir(), ".pipeline"), Run: h.env, Outer: os.Getenv(tool.RunVariable)})
	t.Cleanup(func() { _ = h.runner.Close() })
	h.engine, err = client.NewClientWithOpts(client.WithHost(env["DOCKER_HOST"]), client.WithAPIVersionNegotiation())
	if err != nil {
		t.Fatal(err)
	}
	if h.registry, err = composetest.Serve(t.Context(), h.runner, ".", m.Env); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.registry.Close() })
	h.config = compose.Config{Environment: h.env, State: state, Host: env["DOCKER_HOST"], Runner: h.runner, Env: m.Env}
	h.target = h.open()
	t.Cleanup(h.remove)
	return h
}

// newHost is a host on which a first release can be started.
func newHost(t *testing.T) *host {
	t.Helper()
	h := bareHost(t)
	if _, err := h.engine.NetworkCreate(t.Context(), "meter-"+h.env, network.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	h.secrets()
	h.settings = h.defaults()
	m := machine.Get(t)
	h.bundle = h.put(map[string]string{
		"POSTGRES_IMAGE": standin.Postgres(t, m), "PROXY_IMAGE": standin.Proxy(t, m), "PROXY_PORT": "0", "MLFLOW_PORT": "0",
	})
	return h
}

func (h *host) open() *compose.Target {
	h.Helper()
	target, err := compose.New(h.config)
	if err == nil {
		err = target.Listen(h.Context())
	}
	if err != nil {
		h.Fatal(err)
	}
	h.Cleanup(func() { _ = target.Close() })
	return target
}

func (h *host) remove() {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(h.Context()), time.Minute)
	defer cancel()
	mine := filters.NewArgs(filters.Arg("label", "com.docker.compose.project=meter-"+h.env))
	all, err := h.engine.ContainerList(ctx, container.ListOptions{All: true, Filters: mine})
	for _, c := range all {
		err = errors.Join(err, h.engine.ContainerRemove(ctx, c.ID, container.RemoveOptions{Force: true, RemoveVolumes: true}))
	}
	pulled, listErr := h.engine.ImageList(ctx, image.ListOptions{})
	err = errors.Join(err, listErr)
	for _, i := range pulled {
		if len(i.RepoDigests) > 0 && strings.Contains(i.RepoDigests[0], "/"+h.env) {
			_, removeErr := h.engine.ImageRemove(ctx, i.ID, image.RemoveOptions{Force: true, PruneChildren: true})
			err = errors.Join(err, removeErr)
		}
	}
	volumes, listErr := h.engine.VolumeList(ctx, volumesOf(mine))
	err = errors.Join(err, listErr)
	for _, v := range volumes.Volumes {
		err = errors.Join(err, h.engine.VolumeRemove(ctx, v.Name, true))
	}
	if removeErr := h.engine.NetworkRemove(ctx, "meter-"+h.env); !errdefs.IsNotFound(removeErr) { // not each has one
		err = errors.Join(err, removeErr)
	}
	if err != nil {
		h.Error(err)
	}
}

func (h *host) secrets() {
	h.Helper()
	password := func() string { return strconv.FormatInt(time.Now().UnixNano(), 36) + "x" }
	meter := password()
	for path, value := range map[string]string{
		"postgres/POSTGRES_PASSWORD": password(), "postgres/METER_DB_PASSWORD": meter, "postgres/MLFLOW_DB_PASSWORD": password(),
		"postgres/AIRFLOW_DB_PASSWORD": password(), "model-api/METER_DB_PASSWORD": meter, "mlflow/MLFLOW_DB_PASSWORD": password(),
		"model-api/DATABASE_URL": "postgresql://meter:" + meter + "@postgres:5432/meter", "airflow/AIRFLOW_ADMIN_PASSWORD": password(),
		"airflow/METER_DB_PASSWORD": meter, "airflow/AIRFLOW_DB_PASSWORD": password(),
		"airflow/AIRFLOW_FERNET_KEY": password(), "airflow/AIRFLOW_JWT_SECRET": password(),
	} {
		uid := 10001
		if strings.HasPrefix(path, "postgres/") {
			uid = 999
		}
		h.secret(path, value, uid)
	}
	if err := os.Chmod(h.state, 0o755); err != nil {
		h.Fatal(err)
	}
}

func (h *host) secret(path, value string, uid int) {
	h.Helper()
	file := filepath.Join(h.state, "secrets", path)
	if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(value), 0o600), os.Chown(file, uid, uid)); err != nil {
		h.Fatal(err)
	}
}

// defaults are a shift in three steps that takes a dozen seconds.
func (h *host) defaults() wire.Settings {
	second := func(n float64) wire.Duration { return wire.Duration(n * float64(time.Second)) }
	return wire.Settings{
		Schema: wire.Schema, Environment: h.env, Gate: wire.GateOptional, Serving: "model_api", Services: map[string]string{"mlflow": "mlflow"},
		Times: wire.Times{
			Pull: second(30), Migrate: second(40), Ready: second(20), Smoke: second(10), Replace: second(30), Verify: second(30),
			Drain: second(10), Blind: second(15), Poll: second(0.2),
		},
		Judge: wire.Plan{
			Steps: []wire.Step{
				{Weight: 25, Window: second(3), Deadline: second(15)},
				{Weight: 50, Window: second(2), Deadline: second(15)},
				{Weight: 100, Window: second(2), Deadline: second(15)},
			},
			Alpha: 0.001, Guard: 0.05, MinRequests: 50, Slower: 1, Shift: 0.15,
			Predictions: []string{"prediction_units_kwh", "prediction_high_probability"},
		},
	}
}

// put writes a bundle, and returns its digest.
func (h *host) put(environment map[string]string) string {
	h.Helper()
	digest := "sha256:" + strings.Repeat("0", 63) + "1"
	dir := wire.Layout{Dir: h.state}.Bundle(digest)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		h.Fatal(err)
	}
	settings, err := json.Marshal(h.settings)
	if err != nil {
		h.Fatal(err)
	}
	var lines strings.Builder
	for name, value := range environment {
		fmt.Fprintf(&lines, "%s=%s\n", name, value)
	}
	files := map[string]string{"settings.json": string(settings), "compose." + h.env + ".yaml": override, "environment": lines.String(), "smoke.py": ""}
	for name, path := range map[string]string{"compose.yaml": "docker/compose.yaml", "haproxy.cfg.tmpl": "docker/proxy/haproxy.cfg.tmpl"} {
		content, err := os.ReadFile(filepath.Join("../../..", path))
		if err != nil {
			h.Fatal(err)
		}
		files[name] = string(content)
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			h.Fatal(err)
		}
	}
	return digest
}

// release makes the images of a release of the trivial server.
func (h *host) release(name, schema string, knobs composetest.Knobs) rollout.Revision {
	h.Helper()
	all := composetest.Knobs{"GIT_SHA": name, "SERVER_SCHEMA": schema}
	maps.Copy(all, knobs)
	serving, err := h.registry.Push(h.Context(), h.env+"/model_api", all)
	if err != nil {
		h.Fatal(err)
	}
	beside, err := h.registry.Push(h.Context(), h.env+"/mlflow", composetest.Knobs{"GIT_SHA": name, "SERVER_SCHEMA": schema, "OF": "mlflow"})
	if err != nil {
		h.Fatal(err)
	}
	_, digest, _ := strings.Cut(serving, "@")
	return rollout.Revision{
		Release: name, Digest: digest, Schema: schema, Bundle: h.bundle,
		Images: map[string]string{"model_api": serving, "mlflow": beside, "airflow": serving},
	}
}

type fence struct {
	epoch uint64
	lost  bool
}

func (f *fence) Epoch() uint64 { return f.epoch }

func (f *fence) Check(context.Context) error {
	if f.lost {
		return lease.ErrLost
	}
	return nil
}

// drive is one driver's life: it takes the lease, begins what it is told to, and runs it to its end.
func (h *host) drive(begin func(context.Context, *rollout.Driver) error) (rollout.Ending, string) {
	h.Helper()
	log, err := journal.Open(h.Context(), h.state, time.Now, nil)
	if err != nil {
		h.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	held, err := lease.Desk{Dir: h.state, Holder: "test", Now: time.Now}.Take(h.Context(), max(log.Epoch(), h.fence.epoch), func(lease.Lease) {})
	if err != nil {
		h.Fatal(err)
	}
	h.fence.epoch = held.Epoch()
	ctx, stop := held.Keep(h.Context())
	defer func() {
		stop()
		if err := held.Release(h.Context()); err != nil {
			h.Error(err)
		}
	}()
	driver, err := rollout.Open(ctx, rollout.Config{
		Backend: h.target, Log: log, Fence: held, Holder: "test", Inbox: rollout.Requests{Dir: filepath.Join(h.state, "requests")},
		Gate: func(context.Context, rollout.Revision) (rollout.Verdict, error) {
			return rollout.Verdict{Message: "a test"}, nil
		},
		Now: time.Now, Settings: h.settings.Rollout(),
	})
	if err == nil {
		err = begin(ctx, driver)
	}
	if err != nil {
		h.Fatal(err)
	}
	end, err := driver.Run(ctx)
	if err != nil {
		h.Fatal(err)
	}
	return end, end.Reason
}

// roll rolls a release out, and says how it ended.
func (h *host) roll(r rollout.Revision) (rollout.Ending, string) {
	h.Helper()
	began := time.Now()
	end, reason := h.drive(func(ctx context.Context, d *rollout.Driver) error {
		return d.Begin(ctx, rollout.Order{Target: r, Actor: "ada", Reason: "a test"})
	})
	h.Logf("%s: %s %s in %.1f s: %s", r.Release, end.Kind, end.Target, time.Since(began).Seconds(), reason)
	return end, reason
}

// told prints the journal of a test that failed.
func (h *host) told() {
	if !h.Failed() && os.Getenv("TOLD") == "" {
		return
	}
	var began time.Time
	_ = journal.Read(h.Context(), h.state, func(e journal.Entry) error {
		if began.IsZero() {
			began = e.Time
		}
		h.Logf("%6.2f %s %s %s %.300s", e.Time.Sub(began).Seconds(), e.Release, e.Action, e.Kind, e.Message)
		return nil
	})
}

// serves demands that this release has all the traffic, and nothing else runs in a slot.
func (h *host) serves(release string) {
	h.Helper()
	o, err := h.target.Observe(h.Context())
	if err != nil {
		h.Fatal(err)
	}
	found := false
	for slot, seen := range o.Slots {
		switch {
		case seen.Release == release && seen.Weight == 100 && seen.Healthy:
			found = true
		case seen != (rollout.Seen{}):
			h.Errorf("slot %s: %+v", slot, seen)
		}
	}
	if !found {
		h.Errorf("%s does not serve: %+v", release, o.Slots)
	}
}

// A load is posts at a rate, until it is stopped.
type load struct {
	mu     sync.Mutex
	sent   int
	failed []string
	stop   func()
	ended  chan struct{}
}

func (h *host) address() string {
	h.Helper()
	c, err := h.engine.ContainerInspect(h.Context(), "meter-"+h.env+"-proxy-1")
	if err != nil {
		h.Fatal(err)
	}
	return c.NetworkSettings.Networks["meter-"+h.env].IPAddress + ":8080"
}

func (h *host) load(rate float64) *load {
	h.Helper()
	url := "http://" + h.address() + "/predict"
	ctx, stop := context.WithCancel(h.Context())
	l := &load{stop: stop, ended: make(chan struct{})}
	web := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	began := time.Now()
	go func() {
		defer close(l.ended)
		var open sync.WaitGroup
		defer open.Wait()
		tick := time.NewTicker(time.Duration(float64(time.Second) / rate))
		defer tick.Stop()
		for i := 0; ; i++ {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			open.Go(func() {
				why := post(web, url, known.Body(i))
				l.mu.Lock()
				defer l.mu.Unlock()
				l.sent++
				if why != "" {
					l.failed = append(l.failed, fmt.Sprintf("%.2f s: %s", time.Since(began).Seconds(), why))
				}
			})
		}
	}()
	return l
}

// end stops it, and returns how many were sent, and what became of those that failed.
func (l *load) end() (int, []string) {
	l.stop()
	<-l.ended
	return l.sent, l.failed
}

func post(web *http.Client, url string, body []byte) string {
	response, err := web.Post(url, "application/json", strings.NewReader(string(body)))
	if err != nil {
		return err.Error()
	}
	defer func() { _ = response.Body.Close() }()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		return err.Error()
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Sprintf("%s %.100s", response.Status, content)
	}
	return ""
}
