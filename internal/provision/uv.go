package provision

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/wholefile"
)

const (
	// uvRequirements pins the uv that is installed where there is none.
	uvRequirements = "requirements/uv.txt"
	// oldestUV is the first one whose `venv` and `pip sync` know every option that is used here.
	oldestUV = "0.5.0"
)

// uvTool is the program that makes Python environments.
type uvTool struct {
	path    string
	version string
	origin  string // where it was found: "UV", "PATH", "own copy"
}

// needUV finds uv, else installs an own copy of it.
func (p *Provisioner) needUV(ctx context.Context, say func(string)) (uvTool, error) {
	return p.uv.get(ctx, func(ctx context.Context) (uvTool, error) {
		found, reasons := p.findUV(ctx)
		for _, reason := range reasons {
			say(reason)
		}
		if found.path != "" {
			return found, nil
		}
		return p.installUV(ctx, say)
	})
}

// findUV looks where uv may be, and says of each place why it is not usable.
func (p *Provisioner) findUV(ctx context.Context) (uvTool, []string) {
	var reasons []string
	try := func(path, origin string) (uvTool, bool) {
		version, err := p.uvVersion(ctx, path)
		if err != nil {
			reasons = append(reasons, fmt.Sprintf("%s of %s is passed over: %v", path, origin, err))
			return uvTool{}, false
		}
		return uvTool{path, version, origin}, true
	}
	if path := p.env["UV"]; path != "" {
		if tool, ok := try(path, "the variable UV"); ok {
			return tool, reasons
		}
	}
	for _, path := range p.env.lookPaths("uv") {
		if tool, ok := try(path, "PATH"); ok {
			return tool, reasons
		}
	}
	if path := p.ownUV(); executable(path) {
		if stamp, err := os.ReadFile(p.own("tools", "uv", stampName)); err == nil && string(stamp) == p.uvPin() {
			if tool, ok := try(path, "the pipeline's own tools"); ok {
				return tool, reasons
			}
		}
	}
	return uvTool{}, reasons
}

func (p *Provisioner) ownUV() string { return p.own("tools", "uv", "bin", "uv") }

// uvPin identifies what an own copy was installed from, and where: a virtual environment can't be moved.
func (p *Provisioner) uvPin() string {
	content, err := os.ReadFile(filepath.Join(p.root, filepath.FromSlash(uvRequirements)))
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(append([]byte(p.own("tools", "uv")+"\x00"), content...))
	return hex.EncodeToString(sum[:])
}

func (p *Provisioner) uvVersion(ctx context.Context, path string) (string, error) {
	if !filepath.IsAbs(path) {
		return "", errors.New("it is not an absolute path")
	}
	out, err := p.run(ctx, engine.Invocation{Program: path, Args: []string{"--version"}, Env: p.pythonFree().list()})
	if err != nil {
		return "", err
	}
	version, ok := parseUVVersion(string(out.Stdout))
	if !ok {
		return "", fmt.Errorf("it says %q, which is no version of uv", lastWords(out, 1))
	}
	if versionLess(version, oldestUV) {
		return "", fmt.Errorf("uv %s is older than %s", version, oldestUV)
	}
	return version, nil
}

// parseUVVersion reads "uv 0.13.9 (x86_64-unknown-linux-gnu)".
func parseUVVersion(text string) (string, bool) {
	m := regexp.MustCompile(`^uv (\d+\.\d+\.\d+)`).FindStringSubmatch(text)
	if m == nil {
		return "", false
	}
	return m[1], true
}

// versionLess compares versions of numbers and dots.
func versionLess(a, b string) bool {
	as, bs := strings.Split(a, "."), strings.Split(b, ".")
	for i := range max(len(as), len(bs)) {
		var x, y int
		if i < len(as) {
			x, _ = strconv.Atoi(as[i])
		}
		if i < len(bs) {
			y, _ = strconv.Atoi(bs[i])
		}
		if x != y {
			return x < y
		}
	}
	return false
}

// installUV makes an own copy with the means of a plain Python: venv and pip, from hash-pinned requirements.
func (p *Provisioner) installUV(ctx context.Context, say func(string)) (uvTool, error) {
	const remedy = "install uv yourself (pipx install uv, brew install uv, or see its documentation) and have it on PATH"
	pin := p.uvPin()
	if pin == "" {
		return uvTool{}, fmt.Errorf("install uv: there is no %s to install it from: %s", uvRequirements, remedy)
	}
	python, err := p.anyPython(ctx)
	if err != nil {
		return uvTool{}, fmt.Errorf("install uv: %w, or %s", err, remedy)
	}
	lock, err := openLock(p.own("locks", "uv.lock"))
	if err != nil {
		return uvTool{}, err
	}
	defer func() { _ = lock.close() }()
	if err := lock.take(ctx, func() { say("waiting for another run, which installs uv") }); err != nil {
		return uvTool{}, err
	}
	if tool, _ := p.findUV(ctx); tool.path != "" { // the other run's
		return tool, nil
	}
	dir := p.own("tools", "uv")
	if err := os.RemoveAll(dir); err != nil {
		return uvTool{}, fmt.Errorf("remove earlier copy of uv: %w", err)
	}
	say("installing uv into .pipeline/tools, once")
	env := p.pythonFree().with(map[string]string{"PIP_USER": "", "PIP_TARGET": "", "PIP_PREFIX": ""})
	if _, err := p.run(ctx, engine.Invocation{Program: python, Args: []string{"-m", "venv", dir}, Env: env.list()}); err != nil {
		return uvTool{}, fmt.Errorf("install uv: %w: %s", err, remedy)
	}
	_, err = p.run(ctx, engine.Invocation{
		Program: filepath.Join(dir, "bin", "python"),
		Args: []string{
			"-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", "--no-deps",
			"--only-binary", ":all:", "--require-hashes", "-r", filepath.Join(p.root, filepath.FromSlash(uvRequirements)),
		},
		Env: env.list(),
	})
	if err != nil {
		return uvTool{}, fmt.Errorf("install uv: %w: with a network, `mage setup` does it once and for all; else %s", err, remedy)
	}
	if err := wholefile.Write(filepath.Join(dir, stampName), []byte(pin), 0o600); err != nil {
		return uvTool{}, err
	}
	version, err := p.uvVersion(ctx, p.ownUV())
	if err != nil {
		return uvTool{}, fmt.Errorf("install uv: the new copy does not work: %w: %s", err, remedy)
	}
	return uvTool{p.ownUV(), version, "the pipeline's own tools"}, nil
}

// anyPython finds a Python that can make a virtual environment for uv; its version hardly matters.
func (p *Provisioner) anyPython(ctx context.Context) (string, error) {
	found := ""
	for _, name := range []string{"python" + p.project.Python.Version, "python3", "python"} {
		for _, path := range p.env.lookPaths(name) {
			probe := engine.Invocation{Program: path, Args: []string{"-c", "import venv, ensurepip"}, Env: p.pythonFree().list()}
			if _, err := p.run(ctx, probe); err == nil {
				return path, nil
			}
			found = path
		}
	}
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	if found == "" {
		return "", fmt.Errorf("there is no python3 on PATH: %s", installPython(p.project.Python.Version))
	}
	return "", fmt.Errorf("%s lacks the modules venv and ensurepip: on Debian and Ubuntu run `sudo apt-get install python3-venv`", found)
}

// pythonFree is the environment without what would lead a Python, or uv, to another environment's packages.
func (p *Provisioner) pythonFree() environ {
	return p.env.with(map[string]string{
		"PYTHONPATH": "", "PYTHONHOME": "", "PYTHONSTARTUP": "", "VIRTUAL_ENV": "", "CONDA_PREFIX": "",
		"__PYVENV_LAUNCHER__": "",
	})
}
