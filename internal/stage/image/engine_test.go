package image

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/oci/ocitest"
)

// engined is a scope with a real container engine.
func engined(t *testing.T) engine.Scope {
	t.Helper()
	return scanScope(t, machine.Get(t).Env...)
}

// server builds the program of the tests' images, once.
var server = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "meter-server-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	program := filepath.Join(dir, "server")
	build := exec.Command("go", "build", "-o", program, "./testdata/server")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return out, err
	}
	return os.ReadFile(program)
})

// serving is an image of that program. Change, if it is not nil, changes its configuration.
func serving(t *testing.T, name, mode string, change func(*v1.ConfigFile)) built {
	t.Helper()
	program, err := server()
	if err != nil {
		t.Fatalf("build server: %v: %s", err, program)
	}
	made := ocitest.Image(t, func(c *v1.ConfigFile) {
		c.Config.User = "10001:10001"
		c.Config.Entrypoint = []string{"/server"}
		c.Config.Cmd = []string{"serve", mode}
		c.Config.Healthcheck = &v1.HealthConfig{Test: []string{"CMD", "/server", "check"}, Interval: 500 * time.Millisecond, Timeout: 2 * time.Second, Retries: 2}
		if change != nil {
			change(c)
		}
	}, ocitest.Layer{{Name: "server", Content: string(program), Mode: 0o755}},
		ocitest.Files(ocitest.Merged(ocitest.Debian("libc6", "2.36", nil), map[string]string{"who": t.Name()})))
	image := shipped(t, name, made)
	image.config.Smoke = config.Smoke{
		Port: 8080, Path: "/", Memory: 64, Tmpfs: []string{"/tmp"}, Healthy: config.Duration(8 * time.Second), Stop: config.Duration(2 * time.Second),
		Request: config.SmokeRequest{Path: "/answer", Body: `{"a": 1}`},
	}
	return image
}

// client calls the engine for a test.
func client(t *testing.T, scope engine.Scope, args ...string) string {
	t.Helper()
	out, err := docker{scope}.run(context.WithoutCancel(t.Context()), args...)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out.Stdout))
}

// leftOvers are the containers of a scope's checkout.
func leftOvers(t *testing.T, scope engine.Scope) string {
	t.Helper()
	return client(t, scope, "ps", "--all", "--quiet", "--filter", "label="+stateLabel+"="+docker{scope}.state())
}

func unload(t *testing.T, scope engine.Scope, image built) {
	t.Helper()
	t.Cleanup(func() {
		for tag := range strings.FieldsSeq(client(t, scope, "image", "ls", "--format", "{{.Repository}}:{{.Tag}}", loadedPrefix+image.Name)) {
			client(t, scope, "image", "rm", "--force", tag)
		}
	})
}
