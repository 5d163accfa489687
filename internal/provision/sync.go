package provision

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/wholefile"
)

// makeVenv makes an environment with nothing in it.
func (p *Provisioner) makeVenv(ctx context.Context, uv uvTool, spec pythonSpec, say func(string)) error {
	_, err := p.run(ctx, engine.Invocation{
		Program: uv.path,
		Args:    []string{"venv", "--no-project", "--no-progress", "--color", "never", "--python", spec.version, spec.dir},
		Env:     p.pythonFree().list(),
		Line:    func(line string) { sayDownload(line, say) },
	})
	if err == nil {
		return nil
	}
	var exit *exitError
	if !errors.As(err, &exit) {
		return fmt.Errorf("make %s: %w", spec.shown, err)
	}
	return fmt.Errorf("make %s: uv could not make an environment with Python %s: %w: %s", spec.shown, spec.version, err, installPython(spec.version))
}

// sync installs exactly the requirements, and stamps the environment.
func (p *Provisioner) sync(ctx context.Context, uv uvTool, spec pythonSpec, say func(string)) (stamp, error) {
	requirements, err := hashFile(spec.requirements) // before uv reads it: a change meanwhile then makes it stale
	if err != nil {
		return stamp{}, fmt.Errorf("read requirements: %w", err)
	}
	if err := p.uvSync(ctx, uv, spec, say); err != nil {
		return stamp{}, err
	}
	found, err := findInterpreter(spec.dir)
	if err != nil {
		return stamp{}, fmt.Errorf("find Python of %s: %w", spec.shown, err)
	}
	if found.Version, err = pythonVersion(spec.dir); err != nil {
		return stamp{}, fmt.Errorf("find Python of %s: %w", spec.shown, err)
	}
	made := stamp{
		Schema: stampSchema, Directory: spec.dir, Python: spec.version, Requirements: requirements,
		Interpreter: found, UV: uv.version,
	}
	made.Packages, made.Count = installed(spec.dir)
	content, err := json.MarshalIndent(made, "", "  ")
	if err != nil {
		return stamp{}, fmt.Errorf("write stamp: %w", err)
	}
	return made, wholefile.Write(filepath.Join(spec.dir, stampName), append(content, '\n'), 0o600)
}

// uvSync asks uv to install; without a network it tries with what uv has kept of earlier times.
func (p *Provisioner) uvSync(ctx context.Context, uv uvTool, spec pythonSpec, say func(string)) error {
	sync := func(extra ...string) error {
		args := append([]string{
			"pip", "sync", "--require-hashes", "--no-progress", "--color", "never", "--allow-empty-requirements",
			"--python", filepath.Join(spec.dir, "bin", "python"),
		}, extra...)
		_, err := p.run(ctx, engine.Invocation{
			Program: uv.path, Args: append(args, spec.requirements), Env: p.pythonFree().list(),
			Line: func(line string) { sayDownload(line, say) },
		})
		return err
	}
	err := sync()
	if err == nil {
		return nil
	}
	if !soundsOffline(err) {
		return fmt.Errorf("install %s into %s: %w", spec.shownReqs, spec.shown, err)
	}
	say("the package index can't be reached; trying with what was downloaded before")
	if sync("--offline") == nil {
		return nil
	}
	return fmt.Errorf("install %s into %s: %w: the package index can't be reached; run `mage setup` once with a network "+
		"(behind a proxy set HTTPS_PROXY, for an own index UV_INDEX_URL), then it works without one", spec.shownReqs, spec.shown, err)
}

// soundsOffline tells an unreachable index from requirements that can't be met.
func soundsOffline(err error) bool {
	var exit *exitError
	if !errors.As(err, &exit) {
		return false
	}
	for _, sign := range []string{
		"dns error", "error sending request", "tcp connect error", "client error (Connect)", "Connection refused",
		"operation timed out", "network connectivity is disabled", "failed to lookup address", "Network unreachable",
	} {
		if strings.Contains(exit.words, sign) {
			return true
		}
	}
	return false
}

// sayDownload passes on what of uv's output is worth a line: how many packages, not which.
func sayDownload(line string, say func(string)) {
	line = strings.TrimSpace(line)
	for _, start := range []string{"Downloading cpython", "Resolved ", "Prepared ", "Installed ", "Uninstalled "} {
		if strings.HasPrefix(line, start) {
			say(line)
		}
	}
}

// installPython is what to do where there is no Python of the wanted version.
func installPython(version string) string {
	return fmt.Sprintf("install Python %[1]s: on Debian `sudo apt-get install python%[1]s python%[1]s-venv`; on macOS `brew install python@%[1]s`; "+
		"on Windows work in WSL, as on Debian; anywhere, with a network, `uv python install %[1]s`", version)
}
