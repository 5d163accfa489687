package remote

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/engine"
)

// agentPackage is the agent's program in the module.
const agentPackage = "./internal/rollout/agent/meteragent"

// image has the agent's image on the target, named by the hash of what it is made of, and says whether it was built now.
func (t *Target) image(ctx context.Context, a Agent, platform string) (string, bool, error) {
	binary, err := t.compile(ctx, a, platform)
	if err != nil {
		return "", false, fmt.Errorf("compile the agent: %w", err)
	}
	sum := sha256.New()
	for _, part := range [][]byte{a.Dockerfile, binary, []byte(a.Base), []byte(platform)} {
		_, _ = fmt.Fprintf(sum, "%d\n", len(part)) // a hash takes everything
		_, _ = sum.Write(part)
	}
	name := "meter-agent:" + hex.EncodeToString(sum.Sum(nil))[:16]
	if there, err := t.hasImage(ctx, name); err != nil || there {
		return name, false, err
	}
	content, err := buildContext(a.Dockerfile, binary)
	if err != nil {
		return "", false, err
	}
	t.Log("build %s on the target, from %s", name, a.Base)
	if _, err := t.run(ctx, bytes.NewReader(content), "build", "--build-arg", "BASE="+a.Base, "--tag", name, "-"); err != nil {
		return "", false, fmt.Errorf("build the agent's image: %w", err)
	}
	there, err := t.hasImage(ctx, name)
	if err == nil && !there {
		err = fmt.Errorf("build the agent's image: %s is not on the target afterwards: `docker buildx use default` has images built there", name)
	}
	return name, true, err
}

func (t *Target) hasImage(ctx context.Context, name string) (bool, error) {
	text, err := t.run(ctx, nil, "image", "ls", "--quiet", name)
	return text != "", err
}

// compile makes the program for the target's platform: static, and with the same bytes wherever it is made.
func (t *Target) compile(ctx context.Context, a Agent, platform string) ([]byte, error) {
	system, arch, _ := strings.Cut(platform, "/")
	file := filepath.Join(a.Scratch, program+"-"+arch)
	env := append(slices.Clone(t.Env), "CGO_ENABLED=0", "GOOS="+system, "GOARCH="+arch, "GOFLAGS=-mod=readonly")
	out, err := t.Runner.Run(ctx, engine.Invocation{
		Program: "go", Dir: a.Source, Env: env,
		Args: []string{"build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid=", "-o", file, agentPackage},
		Line: func(line string) { t.Log("%s", line) },
	})
	if err != nil {
		return nil, err
	}
	if out.ExitCode != 0 {
		return nil, fmt.Errorf("go build: exit code %d: %s", out.ExitCode, lastWords(out))
	}
	return os.ReadFile(file)
}

// buildContext is what the build sees: the Dockerfile and the program.
func buildContext(dockerfile, binary []byte) ([]byte, error) {
	var all bytes.Buffer
	w := tar.NewWriter(&all)
	for _, file := range []struct {
		name    string
		mode    int64
		content []byte
	}{{"Dockerfile", 0o644, dockerfile}, {program, 0o755, binary}} {
		header := &tar.Header{Name: file.name, Mode: file.mode, Size: int64(len(file.content)), ModTime: time.Unix(0, 0), Format: tar.FormatUSTAR}
		if err := w.WriteHeader(header); err != nil {
			return nil, fmt.Errorf("pack %s: %w", file.name, err)
		}
		if _, err := w.Write(file.content); err != nil {
			return nil, fmt.Errorf("pack %s: %w", file.name, err)
		}
	}
	return all.Bytes(), w.Close()
}
