package pipeline

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/plain"
	"github.com/meter-ml/meter-pipeline/internal/report/maintenance"
	"github.com/meter-ml/meter-pipeline/internal/stage/benchmark"
)

const (
	lookupTime  = 5 * time.Minute // that a package index may take
	leastListed = 10
)

// outdatedPython asks the package index. That it can't be reached is said in the report.
func (s *Session) outdatedPython(ctx context.Context) maintenance.Outdated {
	ctx, cancel := context.WithTimeout(ctx, lookupTime)
	defer cancel()
	newer, all, err := s.Provisioner.Outdated(ctx)
	if err != nil {
		return maintenance.Outdated{Unknown: reason(err)}
	}
	return pythonPackages(newer, all)
}

// pythonPackages reads the two answers of `uv pip list --format=json`.
func pythonPackages(newer, all []byte) maintenance.Outdated {
	type pkg struct {
		Name    string `json:"name"`
		Version string `json:"version"`
		Latest  string `json:"latest_version"`
	}
	var outdated, installed []pkg
	if err := errors.Join(json.Unmarshal(newer, &outdated), json.Unmarshal(all, &installed)); err != nil {
		return maintenance.Outdated{Unknown: "uv's list can't be read: " + reason(err)}
	}
	if len(installed) == 0 {
		return maintenance.Outdated{Unknown: "the Python environment has no package: run `mage setup`"}
	}
	o := maintenance.Outdated{Looked: len(installed)}
	for _, p := range outdated {
		o.Packages = append(o.Packages, maintenance.Package{Name: plain.Line(p.Name), Have: plain.Line(p.Version), Latest: plain.Line(p.Latest)})
	}
	return o
}

// outdatedGo asks the module proxy about the modules that go.mod requires itself; what those bring follows them.
func (s *Session) outdatedGo(ctx context.Context) maintenance.Outdated {
	ctx, cancel := context.WithTimeout(ctx, lookupTime)
	defer cancel()
	out, err := s.Runner.Run(ctx, engine.Invocation{
		Program: "go", Args: []string{"list", "-m", "-u", "-e", "-mod=readonly", "-json", "all"}, Dir: s.Host.Dir, Env: unsigning(s.Host.Env),
	})
	if err == nil && out.ExitCode != 0 {
		err = fmt.Errorf("go list ended with exit code %d: %s", out.ExitCode, lastLine(out.Stderr))
	}
	if err != nil {
		return maintenance.Outdated{Unknown: reason(err)}
	}
	return goModules(out.Stdout)
}

// goModules reads `go list -m -u -json all`, one object after the other.
func goModules(list []byte) maintenance.Outdated {
	var o maintenance.Outdated
	var silent []string
	for decoder := json.NewDecoder(bytes.NewReader(list)); ; {
		var m struct {
			Path, Version  string
			Main, Indirect bool
			Update         *struct{ Version string }
			Error          *struct{ Err string }
		}
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
		case m.Main || m.Indirect:
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

// leastCovered ranks the files of the newest coverage that is kept.
func (s *Session) leastCovered() maintenance.Coverage {
	run, content, err := s.newestArtifact("coverage.json")
	if err != nil {
		return maintenance.Coverage{Unknown: reason(err)}
	}
	var report struct {
		Files map[string]struct {
			Summary struct {
				Percent    float64 `json:"percent_covered"`
				Statements int     `json:"num_statements"`
				Missing    int     `json:"missing_lines"`
			} `json:"summary"`
		} `json:"files"`
	}
	if err := json.Unmarshal(content, &report); err != nil || len(report.Files) == 0 {
		return maintenance.Coverage{Unknown: "coverage.json of run " + run + " can't be read"}
	}
	c := maintenance.Coverage{Run: run}
	for path, file := range report.Files {
		if file.Summary.Statements > 0 {
			c.Files = append(c.Files, maintenance.File{Path: plain.Line(path), Percent: file.Summary.Percent, Missing: file.Summary.Missing})
		}
	}
	slices.SortFunc(c.Files, func(a, b maintenance.File) int {
		return cmp.Or(cmp.Compare(a.Percent, b.Percent), cmp.Compare(a.Path, b.Path))
	})
	c.Files = c.Files[:min(leastListed, len(c.Files))]
	return c
}

// baselines are those that benchmarks are compared with.
func (s *Session) baselines() maintenance.Baselines {
	stored, err := benchmark.StoredBaselines(s.Project)
	switch {
	case err != nil:
		return maintenance.Baselines{Unknown: reason(err)}
	case len(stored) == 0:
		return maintenance.Baselines{Unknown: "There is no baseline, so benchmarks are compared with nothing: `mage benchmark:baseline` stores one"}
	}
	var b maintenance.Baselines
	for _, one := range stored {
		names := make([]string, 0, len(one.Measures))
		for name := range one.Measures {
			names = append(names, name)
		}
		slices.Sort(names)
		b.Stored = append(b.Stored, maintenance.Stored{Machine: plain.Line(one.Machine.String()), Date: one.Stored, Measures: strings.Join(names, ", ")})
	}
	return b
}

// reason is an error in one line that is not too long.
func reason(err error) string {
	text := plain.Line(err.Error())
	if len(text) > 300 {
		text = strings.ToValidUTF8(text[:300], "") + "…"
	}
	return strings.TrimSuffix(text, ".")
}

func lastLine(text []byte) string {
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return lines[len(lines)-1]
}
