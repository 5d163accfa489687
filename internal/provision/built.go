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

	"github.com/meter-ml/meter-pipeline/internal/engine"
)

// A toolSource says how a tool is built from source: by a Go module of its own, in the project, which pins it.
type toolSource struct {
	program string // the file that is built
	module  string // directory of the module, below the project's root
	pins    string // the module in it whose version is the tool's
	command string // the package of the program
	version string // the variable that is told the version
	takes   string // how long the first build takes, for who waits
}

var errNoGo = errors.New("there is no go on PATH: install Go, or run `mage setup` where it is")

// builtTool is a tool that is built from source.
type builtTool struct {
	dir     string // of the program, and nothing else
	version string
}

// provideBuilt makes a built tool available, once per run.
func (p *Provisioner) provideBuilt(ctx context.Context, source toolSource, say func(string)) (engine.Provision, error) {
	tool, err := p.needBuilt(ctx, source, say)
	if err != nil {
		return engine.Provision{}, err
	}
	return engine.Provision{Programs: tool.dir, Detail: fmt.Sprintf("%s %s in %s", source.program, tool.version, tool.dir)}, nil
}

func (p *Provisioner) needBuilt(ctx context.Context, source toolSource, say func(string)) (builtTool, error) {
	p.mu.Lock()
	once := p.built[source.program]
	if once == nil {
		once = newShared[builtTool]()
		p.built[source.program] = once
	}
	p.mu.Unlock()
	return once.get(ctx, func(ctx context.Context) (builtTool, error) { return p.ensureBuilt(ctx, source, say) })
}

// wanted says which build is wanted and where it is kept. Other sources or another toolchain give another directory,
// so a build never has to be replaced.
func (p *Provisioner) wanted(source toolSource) (builtTool, error) {
	module := filepath.Join(p.root, filepath.FromSlash(source.module))
	mod, err := os.ReadFile(filepath.Join(module, "go.mod"))
	if err != nil {
		return builtTool{}, fmt.Errorf("read module of %s: %w: %s pins which one is built", source.program, err, source.module)
	}
	sums, err := os.ReadFile(filepath.Join(module, "go.sum"))
	if err != nil {
		return builtTool{}, fmt.Errorf("read module of %s: %w", source.program, err)
	}
	version, ok := requiredVersion(mod, source.pins)
	if !ok {
		return builtTool{}, fmt.Errorf("read module of %s: %s/go.mod does not require %s", source.program, source.module, source.pins)
	}
	key := sha256.New()
	for _, part := range [][]byte{mod, sums, []byte(p.golang), []byte(runtime.GOOS + "/" + runtime.GOARCH)} {
		sum := sha256.Sum256(part)
		key.Write(sum[:])
	}
	name := source.program + "-" + version + "-" + hex.EncodeToString(key.Sum(nil))[:12]
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

func (p *Provisioner) ensureBuilt(ctx context.Context, source toolSource, say func(string)) (builtTool, error) {
	tool, err := p.wanted(source)
	if err != nil {
		return builtTool{}, err
	}
	if executable(filepath.Join(tool.dir, source.program)) {
		return tool, nil
	}
	lock, err := openLock(tool.dir + ".lock")
	if err != nil {
		return builtTool{}, err
	}
	defer func() { _ = lock.close() }()
	if err := lock.take(ctx, func() { say("waiting for another run, which builds " + source.program) }); err != nil {
		return builtTool{}, err
	}
	if executable(filepath.Join(tool.dir, source.program)) {
		return tool, nil
	}
	if err := p.build(ctx, source, tool, say); err != nil {
		return builtTool{}, fmt.Errorf("build %s: %w", source.program, err)
	}
	return tool, nil
}

// build compiles beside the place and moves the whole there, so that what is there is complete.
func (p *Provisioner) build(ctx context.Context, source toolSource, tool builtTool, say func(string)) error {
	golang, ok := p.env.lookPath("go")
	if !ok {
		return errNoGo
	}
	say(fmt.Sprintf("building %s %s, once, about %s", source.program, tool.version, source.takes))
	temporary := tool.dir + ".building" // ours alone under the lock; a killed run may have left it
	if err := errors.Join(os.RemoveAll(temporary), os.Mkdir(temporary, 0o755)); err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(temporary) }()
	_, err := p.run(ctx, engine.Invocation{
		Program: golang,
		Args: []string{
			"build", "-trimpath", "-ldflags", "-s -w -X " + source.version + "=" + tool.version,
			"-o", filepath.Join(temporary, source.program), source.command,
		},
		Dir: filepath.Join(p.root, filepath.FromSlash(source.module)),
		Env: p.env.with(map[string]string{"GOWORK": "off", "GOOS": "", "GOARCH": "", "CGO_ENABLED": "0"}).list(),
		Line: func(line string) {
			if strings.HasPrefix(line, "go: downloading ") {
				say("building " + source.program + ": downloading its modules, then compiling them")
			}
		},
	})
	if err != nil {
		return fmt.Errorf("%w: its modules come from GOPROXY; with a network, `mage setup` does it once and for all", err)
	}
	if err := os.Chmod(temporary, 0o755); err != nil { //nolint:gosec // a program is for everybody to run
		return err
	}
	if err := os.RemoveAll(tool.dir); err != nil { // without the program, it is nothing
		return err
	}
	return os.Rename(temporary, tool.dir)
}
