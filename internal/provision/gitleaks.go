package provision

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/meter-ml/meter-pipeline/internal/engine"
)

const (
	gitleaksModule  = "tools/gitleaks" // a Go module of its own, in the project
	gitleaksPackage = "github.com/zricethezav/gitleaks/v8"
)

// builtTool is a tool that is built from source.
type builtTool struct {
	dir     string // of the program, and nothing else
	version string
}

func (p *Provisioner) provideGitleaks(ctx context.Context, say func(string)) (engine.Provision, error) {
	tool, err := p.gitleaks.get(ctx, func(ctx context.Context) (builtTool, error) { return p.ensureGitleaks(ctx, say) })
	if err != nil {
		return engine.Provision{}, err
	}
	return engine.Provision{Programs: tool.dir, Detail: fmt.Sprintf("gitleaks %s in %s", tool.version, tool.dir)}, nil
}

// wantedGitleaks says which build is wanted and where it is kept. Other sources or another toolchain give another
// directory, so a build never has to be replaced.
func (p *Provisioner) wantedGitleaks() (builtTool, error) {
	module := filepath.Join(p.root, filepath.FromSlash(gitleaksModule))
	mod, err := os.ReadFile(filepath.Join(module, "go.mod"))
	if err != nil {
		return builtTool{}, fmt.Errorf("read module of gitleaks: %w: %s pins which one is built", err, gitleaksModule)
	}
	sums, err := os.ReadFile(filepath.Join(module, "go.sum"))
	if err != nil {
		return builtTool{}, fmt.Errorf("read module of gitleaks: %w", err)
	}
	version, ok := requiredVersion(mod, gitleaksPackage)
	if !ok {
		return builtTool{}, fmt.Errorf("read module of gitleaks: %s/go.mod does not require %s", gitleaksModule, gitleaksPackage)
	}
	key := sha256.New()
	for _, part := range [][]byte{mod, sums, []byte(p.golang), []byte(runtime.GOOS + "/" + runtime.GOARCH)} {
		sum := sha256.Sum256(part)
		key.Write(sum[:])
	}
	name := "gitleaks-" + version + "-" + hex.EncodeToString(key.Sum(nil))[:12]
	return builtTool{filepath.Join(p.toolsDir(), name), version}, nil
}

// requiredVersion reads a module's version from a go.mod.
func requiredVersion(mod []byte, module string) (string, bool) {
	for scanner := bufio.NewScanner(bytes.NewReader(mod)); scanner.Scan(); {
		fields := strings.Fields(strings.TrimPrefix(strings.TrimSpace(scanner.Text()), "require "))
		if len(fields) >= 2 && fields[0] == module && strings.HasPrefix(fields[1], "v") {
			return fields[1], true
		}
	}
	return "", false
}

func (p *Provisioner) ensureGitleaks(ctx context.Context, say func(string)) (builtTool, error) {
	tool, err := p.wantedGitleaks()
	if err != nil {
		return builtTool{}, err
	}
	if executable(filepath.Join(tool.dir, "gitleaks")) {
		return tool, nil
	}
	lock, err := openLock(tool.dir + ".lock")
	if err != nil {
		return builtTool{}, err
	}
	defer func() { _ = lock.close() }()
	if err := lock.take(ctx, unix.LOCK_EX, func() { say("waiting for another run, which builds gitleaks") }); err != nil {
		return builtTool{}, err
	}
	if executable(filepath.Join(tool.dir, "gitleaks")) {
		return tool, nil
	}
	return tool, p.buildGitleaks(ctx, tool, say)
}

// buildGitleaks compiles beside the place and moves the whole there, so that what is there is complete.
func (p *Provisioner) buildGitleaks(ctx context.Context, tool builtTool, say func(string)) error {
	golang, ok := p.env.lookPath("go")
	if !ok {
		return errors.New("build gitleaks: there is no go on PATH: install Go, or run `mage setup` where it is")
	}
	say(fmt.Sprintf("building gitleaks %s, once, about two minutes", tool.version))
	temporary := tool.dir + ".building" // ours alone under the lock; a killed run may have left it
	if err := errors.Join(os.RemoveAll(temporary), os.Mkdir(temporary, 0o755)); err != nil {
		return fmt.Errorf("build gitleaks: %w", err)
	}
	defer func() { _ = os.RemoveAll(temporary) }()
	_, err := p.run(ctx, engine.Invocation{
		Program: golang,
		Args: []string{
			"build", "-trimpath", "-ldflags", "-s -w -X " + gitleaksPackage + "/version.Version=" + tool.version,
			"-o", filepath.Join(temporary, "gitleaks"), gitleaksPackage,
		},
		Dir: filepath.Join(p.root, filepath.FromSlash(gitleaksModule)),
		Env: p.env.with(map[string]string{"GOWORK": "off", "GOOS": "", "GOARCH": "", "CGO_ENABLED": "0"}).list(),
		Line: func(line string) {
			if strings.HasPrefix(line, "go: downloading ") {
				say("building gitleaks: downloading its modules, then compiling them")
			}
		},
	})
	if err != nil {
		return fmt.Errorf("build gitleaks: %w: its modules come from GOPROXY; with a network, `mage setup` does it once and for all", err)
	}
	if err := os.Chmod(temporary, 0o755); err != nil { //nolint:gosec // a program is for everybody to run
		return fmt.Errorf("build gitleaks: %w", err)
	}
	if err := os.RemoveAll(tool.dir); err != nil { // without the program, it is nothing
		return fmt.Errorf("build gitleaks: %w", err)
	}
	if err := os.Rename(temporary, tool.dir); err != nil {
		return fmt.Errorf("build gitleaks: %w", err)
	}
	return nil
}
