package image

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
)

func TestEngineContainerThatWorks(t *testing.T) {
	scope := engined(t)
	image := serving(t, "smoke-good", "good", nil)
	unload(t, scope, image)
	j, err := handOver(t, scope, image).smoke(t.Context(), scope)
	if err != nil {
		t.Fatal(err)
	}
	if j.Judged != 1 || len(j.Findings) != 0 || len(j.Metrics) != 2 {
		t.Fatalf("judged %d, found %+v, measured %+v", j.Judged, j.Findings, j.Metrics)
	}
	for i, want := range []string{"smoke-good_seconds_to_healthy", "smoke-good_seconds_to_stop"} {
		if m := j.Metrics[i]; m.Name != want || !m.Met() || m.Value <= 0 || m.Direction != engine.DirectionAtMost {
			t.Errorf("measured %+v", m)
		}
	}
	if left := leftOvers(t, scope); left != "" {
		t.Errorf("it left %s", left)
	}
}

func TestEngineContainersThatDoNotWork(t *testing.T) {
	for name, test := range map[string]struct {
		mode   string
		config func(*v1.ConfigFile)
		smoke  func(*config.Smoke)
		want   []string
	}{
		"never healthy": {
			"sick", nil, func(s *config.Smoke) { s.Healthy = config.Duration(3 * time.Second) },
			[]string{"smoke-not-healthy", "after 3s", "its health check says: exit code 1, check: 503", "serving sick"},
		},
		"healthy too late": {
			"good", func(c *v1.ConfigFile) { c.Config.Healthcheck.Interval = 10 * time.Second },
			func(s *config.Smoke) { s.Healthy = config.Duration(time.Second) },
			[]string{"smoke-not-healthy", "it is starting after 1s", "nothing, it did not run yet"},
		},
		"ignores SIGTERM":                {"deaf", nil, nil, []string{"smoke-ignores-sigterm", "it still runs 2s after SIGTERM"}},
		"ends with another code":         {"sulks", nil, nil, []string{"smoke-exit-code", "exit code 3 after SIGTERM"}},
		"ends at once":                   {"exits", nil, nil, []string{"smoke-exit", "exit code 1 before it was healthy", "something is wrong"}},
		"answers 500":                    {"fails", nil, nil, []string{"smoke-answer", "GET / is answered with 500, not 200: this went wrong"}},
		"answers elsewhere":              {"moves", nil, nil, []string{"smoke-answer", "GET / is answered with 302"}},
		"refuses the example":            {"good", nil, func(s *config.Smoke) { s.Request.Body = `{"a": 2}` }, []string{"smoke-answer", "POST /answer is answered with 500"}},
		"is reached from inside only":    {"shy", nil, nil, []string{"smoke-no-answer", "GET / is not answered"}},
		"writes to its root":             {"writes", nil, nil, []string{"smoke-exit", "exit code 4", "read-only file system"}},
		"writes where there is no tmpfs": {"good", nil, func(s *config.Smoke) { s.Tmpfs = nil }, []string{"smoke-exit", "exit code 4"}},
		"takes too much memory":          {"hungry", nil, nil, []string{"smoke-exit", "it used more memory than it may have"}},
		"has no program":                 {"good", func(c *v1.ConfigFile) { c.Config.Entrypoint = []string{"/nowhere"} }, nil, []string{"smoke-start", "its program can't be started"}},
		"has no health check":            {"good", func(c *v1.ConfigFile) { c.Config.Healthcheck = nil }, nil, []string{"smoke-no-health-check"}},
	} {
		t.Run(name, func(t *testing.T) {
			scope := engined(t)
			image := serving(t, "smoke-bad", test.mode, test.config)
			if test.smoke != nil {
				test.smoke(&image.config.Smoke)
			}
			unload(t, scope, image)
			j, err := handOver(t, scope, image).smoke(t.Context(), scope)
			if err != nil {
				t.Fatal(err)
			}
			if len(j.Findings) == 0 || j.Findings[0].Rule != test.want[0] || j.Findings[0].Path != "docker/smoke-bad/Dockerfile" || j.Findings[0].Help == "" {
				t.Fatalf("found %+v", j.Findings)
			}
			for _, part := range test.want[1:] {
				if !strings.Contains(j.Findings[0].Message, part) {
					t.Errorf("%q does not say %q", j.Findings[0].Message, part)
				}
			}
			if strings.Contains(j.Findings[0].Message, "\x1b") {
				t.Errorf("%q steers a terminal", j.Findings[0].Message)
			}
			if left := leftOvers(t, scope); left != "" {
				t.Errorf("it left %s", left)
			}
		})
	}
}

func TestEngineContainerIsRemovedWhenTheRunIsCancelled(t *testing.T) {
	scope := engined(t)
	image := serving(t, "smoke-cancelled", "sick", nil)
	image.config.Smoke.Healthy = config.Duration(time.Minute)
	unload(t, scope, image)
	ctx, cancel := context.WithCancelCause(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := handOver(t, scope, image).smoke(ctx, scope)
		ended <- err
	}()
	for deadline := time.Now().Add(30 * time.Second); leftOvers(t, scope) == "" && time.Now().Before(deadline); {
		time.Sleep(100 * time.Millisecond)
	}
	stop := errors.New("told to stop")
	cancel(stop)
	if err := <-ended; !errors.Is(err, stop) {
		t.Errorf("got %v", err)
	}
	if left := leftOvers(t, scope); left != "" {
		t.Errorf("it left %s", left)
	}
}

func TestEngineWhatAKilledRunLeftIsRemoved(t *testing.T) {
	scope := engined(t)
	image := serving(t, "smoke-swept", "good", nil)
	unload(t, scope, image)
	d := docker{scope}
	id, err := d.load(t.Context(), image)
	if err != nil {
		t.Fatal(err)
	}
	start := func(state, run string) string {
		return client(t, scope, "run", "--detach", "--label", stateLabel+"="+state, "--label", runLabel+"="+run, id, "serve", "good")
	}
	dead, ours := start(d.state(), "dead"), start(d.state(), d.id())
	elsewhere := start(filepath.Join(t.TempDir(), ".pipeline"), "dead")
	t.Cleanup(func() { client(t, scope, "rm", "--force", ours, elsewhere) })
	if err := d.sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	running := client(t, scope, "ps", "--all", "--no-trunc", "--quiet")
	if strings.Contains(running, dead) || !strings.Contains(running, ours) || !strings.Contains(running, elsewhere) {
		t.Errorf("%s, %s and %s: there are %s", dead, ours, elsewhere, running)
	}
}

func TestEngineImageIsLoadedOnce(t *testing.T) {
	scope := engined(t)
	earlier, image := serving(t, "smoke-loaded", "good", nil), serving(t, "smoke-loaded", "deaf", nil)
	unload(t, scope, image)
	d := docker{scope}
	if _, err := d.load(t.Context(), earlier); err != nil {
		t.Fatal(err)
	}
	id, err := d.load(t.Context(), image)
	if err != nil {
		t.Fatal(err)
	}
	if tags := client(t, scope, "image", "ls", "--format", "{{.Tag}}", loadedPrefix+"smoke-loaded"); tags != strings.TrimPrefix(image.Digest, "sha256:")[:12] {
		t.Errorf("there are %q", tags)
	}
	if err := os.RemoveAll(filepath.Join(image.Layout, "blobs", "sha256", "no such layer")); err != nil {
		t.Fatal(err)
	}
	again, err := d.load(t.Context(), image)
	if err != nil || again != id {
		t.Errorf("got %s, then %s, %v", id, again, err)
	}
	if _, err := os.Stat(filepath.Join(scope.Scratch, image.Name+".tar")); err == nil {
		t.Error("the archive is still there")
	}
}

func TestEngineAnotherImageUnderItsNameIsAnError(t *testing.T) {
	scope := engined(t)
	other, image := serving(t, "smoke-other", "good", nil), serving(t, "smoke-other", "deaf", nil)
	unload(t, scope, image)
	d := docker{scope}
	id, err := d.load(t.Context(), other)
	if err != nil {
		t.Fatal(err)
	}
	client(t, scope, "tag", id, loadedPrefix+"smoke-other:"+strings.TrimPrefix(image.Digest, "sha256:")[:12])
	if _, err := d.load(t.Context(), image); !errors.Is(err, errOther) {
		t.Errorf("got %v", err)
	}
}

func TestEngineUpdatesOfAnImageWithoutAShell(t *testing.T) {
	scope := engined(t)
	image := serving(t, "smoke-shell", "good", nil)
	unload(t, scope, image)
	j, err := handOver(t, scope, image).updates(t.Context(), scope)
	if err == nil || !strings.Contains(err.Error(), "exit code 127") {
		t.Errorf("got %+v, %v", j, err)
	}
	if left := leftOvers(t, scope); left != "" {
		t.Errorf("it left %s", left)
	}
}

func TestNoEngineIsAnError(t *testing.T) {
	scope := scanScope(t, "DOCKER_HOST=unix://"+filepath.Join(t.TempDir(), "no.sock"))
	scan := handOver(t, scope, serving(t, "smoke-none", "good", nil))
	if j, err := scan.smoke(t.Context(), scope); err == nil {
		t.Errorf("got %+v", j)
	}
	if j, err := scan.updates(t.Context(), scope); err == nil {
		t.Errorf("got %+v", j)
	}
}
