package pipeline

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/modfile"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/plain"
	"github.com/meter-ml/meter-pipeline/internal/report/maintenance"
)

// toolModules are the modules that hold one tool each, so that its dependencies are not the pipeline's.
const toolModules = "tools/*/go.mod"

// outdatedGo asks the module proxy about the modules that go.mod requires itself, and about the tools in modules of their
// own; what those bring follows them.
func (s *Session) outdatedGo(ctx context.Context) maintenance.Outdated {
	ctx, cancel := context.WithTimeout(ctx, lookupTime)
	defer cancel()
	all := s.modules(ctx, s.Host.Dir, direct, "all")
	files, err := filepath.Glob(filepath.Join(s.Host.Dir, filepath.FromSlash(toolModules)))
	if err != nil {
		return maintenance.Outdated{Unknown: reason(err)}
	}
	for _, file := range files {
		dir := filepath.Dir(file)
		one, where := s.tools(ctx, dir), "tools/"+plain.Line(filepath.Base(dir))
		all.Looked += one.Looked
		for _, p := range one.Packages {
			p.Name += " (" + where + ")"
			all.Packages = append(all.Packages, p)
		}
		if one.Unknown != "" {
			all.Unknown = strings.TrimPrefix(all.Unknown+"; "+where+": "+one.Unknown, "; ")
		}
	}
	return all
}

// tools asks about the modules from which a module's tools are.
func (s *Session) tools(ctx context.Context, dir string) maintenance.Outdated {
	wanted, err := modulesOfTools(filepath.Join(dir, "go.mod"))
	if err == nil && len(wanted) == 0 {
		err = errors.New("go.mod names no tool whose module it requires")
	}
	if err != nil {
		return maintenance.Outdated{Unknown: reason(err)}
	}
	return s.modules(ctx, dir, func(module) bool { return true }, wanted...)
}

// modulesOfTools reads a go.mod: of the modules that hold a tool's package by name, the longest has it.
func modulesOfTools(path string) ([]string, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	file, err := modfile.Parse(path, content, nil)
	if err != nil {
		return nil, err
	}
	var found []string
	for _, tool := range file.Tool {
		holds := ""
		for _, required := range file.Require {
			if name := required.Mod.Path; strings.HasPrefix(tool.Path+"/", name+"/") && len(name) > len(holds) {
				holds = name
			}
		}
		if holds != "" {
			found = append(found, holds)
		}
	}
	return found, nil
}

func (s *Session) modules(ctx context.Context, dir string, wanted func(module) bool, patterns ...string) maintenance.Outdated {
	out, err := s.Runner.Run(ctx, engine.Invocation{
		Program: "go", Args: append([]string{"list", "-m", "-u", "-e", "-mod=readonly", "-json"}, patterns...), Dir: dir, Env: unsigning(s.Host.Env),
	})
	if err == nil && out.ExitCode != 0 {
		err = fmt.Errorf("go list ended with exit code %d: %s", out.ExitCode, lastLine(out.Stderr))
	}
	if err != nil {
		return maintenance.Outdated{Unknown: reason(err)}
	}
	return goModules(out.Stdout, wanted)
}

// A module is what go says of one.
type module struct {
	Path, Version  string
	Main, Indirect bool
	Update         *struct{ Version string }
	Error          *struct{ Err string }
}

func direct(m module) bool { return !m.Indirect }

// goModules reads `go list -m -u -json`, one object after the other.
func goModules(list []byte, wanted func(module) bool) maintenance.Outdated {
	var o maintenance.Outdated
	var silent []string
	for decoder := json.NewDecoder(bytes.NewReader(list)); ; {
		var m module
		err := decoder.Decode(&m)
		switch {
		case errors.Is(err, io.EOF) && len(silent) > 0:
			o.Unknown = "the proxy does not tell of " + strings.Join(silent, ", ")
			return o
		case errors.Is(err, io.EOF) && o.Looked > 0:
			return o
		case errors.Is(err, io.EOF):
			return maintenance.Outdated{Unknown: "go list names no module that go.mod requires"}
		case err != nil:
			return maintenance.Outdated{Unknown: "the list of go can't be read: " + reason(err)}
		case m.Main || !wanted(m):
			continue
		case m.Error != nil:
			silent = append(silent, plain.Line(m.Path))
			continue
		}
		o.Looked++
		if m.Update != nil {
			o.Packages = append(o.Packages, maintenance.Package{Name: plain.Line(m.Path), Have: plain.Line(m.Version), Latest: plain.Line(m.Update.Version)})
		}
	}
}
