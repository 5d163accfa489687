package provision

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/tool"
)

// takeEnvironment makes a provisioner take the environment that withEnvironment laid into its root, as it is.
func takeEnvironment(p *Provisioner) {
	spec, err := p.pythonSpec("", false)
	if err != nil {
		return
	}
	if _, err := os.Readlink(spec.dir); err != nil {
		return
	}
	made := newShared[pythonEnv]()
	made.done, made.value = true, pythonEnv{spec: spec}
	p.pythons[spec.dir] = made
}

// withEnvironment lays the repository's own environment, which has MLflow, into a checkout.
func (c *checkout) withEnvironment() *checkout {
	c.t.Helper()
	environment := filepath.Join(repository(c.t), ".venv")
	if !executable(filepath.Join(environment, "bin", "mlflow")) {
		unreachable(c.t, "MLflow", fmt.Errorf("there is none in %s: run `mage setup`", environment))
	}
	if err := os.Symlink(environment, filepath.Join(c.root, ".venv")); err != nil {
		c.t.Fatal(err)
	}
	return c
}

// serving reports whether anything answers.
func serving(address string) bool {
	response, err := http.Get(address + "/health")
	if err == nil {
		_ = response.Body.Close()
	}
	return err == nil
}

// ask is one request of a step's.
func ask(t *testing.T, address string, body any) string {
	t.Helper()
	content, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.Post(address, "application/json", bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%s: %d %s %v", address, response.StatusCode, text, err)
	}
	return string(text)
}

func (c *checkout) servers() []string {
	c.t.Helper()
	left, err := filepath.Glob(filepath.Join(globQuote(c.root), ".pipeline", serversDir, "*"))
	if err != nil {
		c.t.Fatal(err)
	}
	return left
}

func TestMLflowIsOneServerOfTheRun(t *testing.T) {
	c := newCheckout(t).withEnvironment()
	c.env["MLFLOW_TRACKING_URI"] = "http://127.0.0.1:9" // a person's own must not be touched
	c.env["MLFLOW_BACKEND_STORE_URI"] = "sqlite:////nowhere/mlflow.db"
	c.env["NO_PROXY"] = "example.org"
	p := c.provisioner()
	takeEnvironment(p)
	started := time.Now()
	one, two := c.provide(p, engine.NeedMLflow), c.provide(p, engine.NeedMLflow)
	t.Logf("ready after %v", time.Since(started))
	address := one.Env["MLFLOW_TRACKING_URI"]
	if address != two.Env["MLFLOW_TRACKING_URI"] || !strings.HasPrefix(address, "http://127.0.0.1:") {
		t.Errorf("two servers: %s and %s", address, two.Env["MLFLOW_TRACKING_URI"])
	}
	if got := one.Env["NO_PROXY"]; got != "example.org,127.0.0.1" {
		t.Errorf("NO_PROXY is %s", got)
	}
	if log, err := os.ReadFile(one.Env["METER_MLFLOW_LOG"]); err != nil || !strings.Contains(string(log), "POST /api/2.0/mlflow/runs/create") {
		t.Errorf("its log is %q, %v", log, err)
	}
	if runs := ask(t, address+"/api/2.0/mlflow/runs/search", map[string]any{"experiment_ids": []string{"0"}}); strings.Contains(runs, "run_id") {
		t.Errorf("the run that it was asked to keep is still there: %s", runs)
	}
	dir := p.mlflows[0].dir
	if err := p.Close(context.Background()); err != nil {
		t.Error(err)
	}
	if serving(address) || exists(dir) {
		t.Error("the server outlives the run")
	}
}

func TestMLflowThatDoesNotComeUp(t *testing.T) {
	t.Run("not installed", func(t *testing.T) {
		c := newCheckout(t).withUV()
		c.write("requirements/dev.txt", pinned(t, "iniconfig"))
		_, err := c.provisioner().Provide(t.Context(), engine.NeedMLflow, c.say)
		if err == nil || !strings.Contains(err.Error(), "No module named mlflow") || !strings.Contains(err.Error(), "exit code 1") {
			t.Errorf("%v, want the end of its log", err)
		}
		if left := c.servers(); len(left) > 0 {
			t.Errorf("left: %q", left)
		}
	})
	t.Run("interrupted", func(t *testing.T) {
		c := newCheckout(t).withEnvironment()
		p := c.provisioner()
		takeEnvironment(p)
		done := make(chan error, 1)
		go func() {
			_, err := p.Provide(context.Background(), engine.NeedMLflow, c.say)
			done <- err
		}()
		eventually(t, "the server is begun", func() bool {
			left := c.servers()
			return len(left) > 0 && exists(filepath.Join(left[0], serverPID))
		})
		if err := p.Close(context.Background()); err != nil {
			t.Error(err)
		}
		if err := <-done; err == nil {
			t.Error("it is provided by a provisioner that is closed")
		}
		if left := c.servers(); len(left) > 0 {
			t.Errorf("left: %q", left)
		}
	})
}

func TestKilledRunsMLflowIsSwept(t *testing.T) {
	c := newCheckout(t).withEnvironment()
	other := startOther(t, c, engine.NeedMLflow)
	dir := other.said
	content, err := os.ReadFile(filepath.Join(dir, serverPID))
	if err != nil {
		t.Fatalf("the other run says %q: %v", dir, err)
	}
	var pid int
	var started int64
	if _, err := fmt.Sscan(string(content), &pid, &started); err != nil || !isServer(pid, dir, started) {
		t.Fatalf("no server runs in %s: %v", dir, err)
	}
	p := c.provisioner()
	if swept, err := p.Sweep(t.Context()); err != nil || slices.Contains(swept, dir) || !exists(dir) {
		t.Fatalf("the living run's server is swept: %q, %v", swept, err)
	}
	if err := other.Process.Kill(); err != nil { // SIGKILL: nothing of it can clean up
		t.Fatal(err)
	}
	_ = other.Wait()
	if _, alive := processStart(pid); !alive {
		t.Fatal("the server ended by itself, so that there is nothing to test")
	}
	if swept, err := p.Sweep(t.Context()); err != nil || !slices.Contains(swept, dir) || exists(dir) {
		t.Errorf("swept %q, %v, want %s gone", swept, err, dir)
	}
	eventually(t, "the whole group ends", func() bool { return syscall.Kill(-pid, 0) != nil })
	if _, err := tool.Sweep(t.Context(), filepath.Join(c.root, ".pipeline")); err != nil { // what the other one noted
		t.Error(err)
	}
}

func TestLabelledDatabaseIsShared(t *testing.T) {
	c := newCheckout(t)
	c.env["DATABASE_URL"] = sharedServer(t)
	p := c.provisioner()
	one, two, other, own := c.provide(p, "postgres:system"), c.provide(p, "postgres:system"), c.provide(p, "postgres:other"), c.provide(p, engine.NeedPostgres)
	address := one.Env["DATABASE_URL"]
	if two.Env["DATABASE_URL"] != address {
		t.Error("one label names two databases")
	}
	if other.Env["DATABASE_URL"] == address || own.Env["DATABASE_URL"] == address {
		t.Error("two labels name one database")
	}
	mustQuery(t, address, "CREATE TABLE left_by_a_step (x int)")
	if one.Release != nil {
		t.Error("the first step to end would take it from the others")
	}
	if got := mustQuery(t, two.Env["DATABASE_URL"], "SELECT count(*) FROM left_by_a_step"); got != "0" {
		t.Errorf("the later step sees %s", got)
	}
	if err := p.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := query(t, address, "SELECT 1"); err == nil || !strings.Contains(err.Error(), "does not exist") {
		t.Errorf("after the run: %v, want that the database does not exist", err)
	}
}
