package standin

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/filelock"
	"github.com/meter-ml/meter-pipeline/internal/stage/image/imagetest"
	"github.com/meter-ml/meter-pipeline/internal/tool"
)

//go:embed images
var images embed.FS

// Image returns the name of an image on the machine's engine, and makes it first if it is not there.
func Image(ctx context.Context, m *imagetest.Machine, name string, log func(format string, args ...any)) (image string, err error) {
	b, err := newBuilder(m, name)
	if err != nil {
		return "", fmt.Errorf("make a stand-in for %s: %w", name, err)
	}
	defer func() { err = errors.Join(err, b.close()) }()
	image, err = b.image(ctx, log)
	if err != nil {
		return "", fmt.Errorf("make a stand-in for %s: %w", name, err)
	}
	return image, nil
}

// A builder makes one image.
type builder struct {
	name     string
	base     string
	env      []string
	programs map[string]string // of the machine that go into it: where they are
	dir      string            // the build context
	cache    string
	runner   *tool.Runner
}

func newBuilder(m *imagetest.Machine, name string) (*builder, error) {
	if m.Base == "" {
		return nil, errors.New("there is no base image: set METER_BASE_IMAGE")
	}
	user, err := os.UserCacheDir()
	if err != nil {
		return nil, err
	}
	b := &builder{name: name, base: m.Base, env: m.Env, programs: map[string]string{}, cache: filepath.Join(user, "meter-pipeline", "standin")}
	if name == dockerCLI {
		if err := b.takePrograms(); err != nil {
			return nil, err
		}
	}
	if err := os.MkdirAll(b.cache, 0o755); err != nil {
		return nil, err
	}
	if b.dir, err = os.MkdirTemp(b.cache, name+"-"); err != nil {
		return nil, err
	}
	run := fmt.Sprintf("standin-%d-%d", os.Getpid(), time.Now().UnixNano())
	b.runner = tool.NewRunner(tool.Options{State: b.dir, Run: run})
	return b, nil
}

func (b *builder) close() error { return errors.Join(b.runner.Close(), os.RemoveAll(b.dir)) }

// takePrograms finds the client and its plug-in where the machine has them.
func (b *builder) takePrograms() error {
	for _, entry := range b.env {
		name, value, _ := strings.Cut(entry, "=")
		switch name {
		case "PATH":
			for _, dir := range filepath.SplitList(value) {
				if program := filepath.Join(dir, "docker"); b.programs["docker"] == "" && isProgram(program) {
					b.programs["docker"] = program
				}
			}
		case "DOCKER_CONFIG":
			if program := filepath.Join(value, "cli-plugins", "docker-compose"); isProgram(program) {
				b.programs["docker-compose"] = program
			}
		}
	}
	if b.programs["docker"] == "" || b.programs["docker-compose"] == "" {
		return errors.New("the machine has no docker on PATH, or no docker-compose in DOCKER_CONFIG/cli-plugins")
	}
	return nil
}

func isProgram(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

// image makes the image unless it is there. Processes that want the same one take turns.
func (b *builder) image(ctx context.Context, log func(format string, args ...any)) (string, error) {
	hash, err := b.gather()
	if err != nil {
		return "", err
	}
	image := "meter-standin/" + b.name + ":" + hash[:12]
	lock, err := os.OpenFile(filepath.Join(b.cache, b.name+".lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return "", err
	}
	defer func() { _ = lock.Close() }()
	if err := filelock.Take(ctx, lock); err != nil {
		return "", err
	}
	defer filelock.Release(lock)
	if b.docker(ctx, "image", "inspect", "--format", "{{.Id}}", image) == nil {
		return image, nil
	}
	log("making %s, once", image)
	return image, b.docker(ctx, "build", "--quiet", "--tag", image, "--build-arg", "BASE="+b.base, b.dir)
}

// gather puts the build context together, and returns the hash of all that goes into the image.
func (b *builder) gather() (string, error) {
	root := path.Join("images", b.name)
	entries, err := images.ReadDir(root)
	if err != nil {
		return "", err
	}
	content := map[string][]byte{}
	for _, entry := range entries {
		if content[entry.Name()], err = images.ReadFile(path.Join(root, entry.Name())); err != nil {
			return "", err
		}
	}
	for name, program := range b.programs {
		if content[name], err = os.ReadFile(program); err != nil {
			return "", err
		}
	}
	hash := sha256.New()
	_, _ = fmt.Fprintln(hash, b.base)
	for _, name := range slices.Sorted(maps.Keys(content)) {
		_, _ = fmt.Fprintf(hash, "%s %d\n", name, len(content[name]))
		_, _ = hash.Write(content[name])
		if err := os.WriteFile(filepath.Join(b.dir, name), content[name], 0o755); err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

// docker runs the client. The engine's own builder makes these images: they are for this engine, and reach its network.
func (b *builder) docker(ctx context.Context, args ...string) error {
	env := slices.Concat(b.env, []string{"DOCKER_BUILDKIT=0"})
	out, err := b.runner.Run(ctx, engine.Invocation{Program: "docker", Args: args, Dir: b.dir, Env: env})
	if err == nil && out.ExitCode != 0 {
		words := strings.TrimSpace(string(out.Stdout) + string(out.Stderr))
		err = fmt.Errorf("docker %s: exit code %d: %s", args[0], out.ExitCode, words[max(0, len(words)-800):])
	}
	return err
}
