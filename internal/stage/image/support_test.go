package image

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/handover"
	"github.com/meter-ml/meter-pipeline/internal/oci/ocitest"
	"github.com/meter-ml/meter-pipeline/internal/tool"
)

// today is a day on which the tests' exceptions still count.
func today() time.Time { return time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC) }

// scanScope is what the engine would give a step, with the real runner. Env is added to the little that programs need.
func scanScope(t *testing.T, env ...string) engine.Scope {
	t.Helper()
	state := filepath.Join(t.TempDir(), ".pipeline")
	id := fmt.Sprintf("imagetest-%d-%d", os.Getpid(), time.Now().UnixNano())
	run := filepath.Join(state, "runs", id)
	scope := engine.Scope{
		Root: t.TempDir(), Artifacts: filepath.Join(run, "artifacts"), Scratch: filepath.Join(run, "scratch"), Env: map[string]string{},
		Progress: func(int, int, string) {}, Log: t.Logf,
	}
	for _, dir := range []string{scope.Artifacts, scope.Scratch} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	list := append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "LANG=C.UTF-8"}, env...)
	for _, entry := range list {
		key, value, _ := strings.Cut(entry, "=")
		scope.Env[key] = value
	}
	runner := tool.NewRunner(tool.Options{State: state, Run: id})
	t.Cleanup(func() {
		if err := runner.Close(); err != nil {
			t.Error(err)
		}
	})
	scope.Run = func(ctx context.Context, i engine.Invocation) (engine.Output, error) {
		if i.Dir == "" {
			i.Dir = scope.Root
		}
		if i.Env == nil {
			i.Env = list
		}
		return runner.Run(ctx, i)
	}
	return scope
}

// handOver hands images over, and returns what judges them.
func handOver(t *testing.T, scope engine.Scope, images ...built) *scanner {
	t.Helper()
	project, err := config.Load(scope.Root) // there is no file: the defaults
	if err != nil {
		t.Fatal(err)
	}
	project.Image.Images = nil
	var handed handover.Images
	for _, image := range images {
		project.Image.Images = append(project.Image.Images, image.config)
		handed.Images = append(handed.Images, image.Image)
	}
	if err := handover.WriteImages(scope.Artifacts, handed); err != nil {
		t.Fatal(err)
	}
	return newScanner(project, project.Image.Images, today())
}

// shipped is an image that was built from a Dockerfile and requirements.
func shipped(t *testing.T, name string, made v1.Image) built {
	t.Helper()
	layout, digest := ocitest.Write(t, made)
	return built{
		Image: handover.Image{Name: name, Layout: layout, Digest: digest, Repository: "registry.example/owner/" + name, Platform: "linux/amd64"},
		config: config.ContainerImage{
			Name: name, Dockerfile: "docker/" + name + "/Dockerfile", Requirements: "requirements/" + name + ".txt", Repository: name,
		},
	}
}

func lay(t *testing.T, root, name, content string) {
	t.Helper()
	path := filepath.Join(root, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}
