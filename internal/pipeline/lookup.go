package pipeline

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

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
	newer, all, err := s.Provisioner.Outdated(ctx, func(text string) { s.say("python: %s", text) })
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

// leastCovered ranks the files of the newest coverage that is kept.
func (s *Session) leastCovered() maintenance.Coverage {
	run, content, err := s.newestCoverage()
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
		return maintenance.Coverage{Unknown: coverageName + " of run " + run + " can't be read"}
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

const coverageName = "coverage.json" // among a run's artifacts

// newestCoverage is that of the newest run here; where there is none, that of CI's.
func (s *Session) newestCoverage() (run string, content []byte, err error) {
	here, err := filepath.Glob(filepath.Join(s.State, "runs", "*", "artifacts", coverageName))
	if err != nil {
		return "", nil, err
	}
	if len(here) > 0 { // by name, which is by time
		path := here[len(here)-1]
		content, err = os.ReadFile(path)
		return filepath.Base(filepath.Dir(filepath.Dir(path))), content, err
	}
	imported, err := filepath.Glob(filepath.Join(s.State, importedDir, "*", coverageName))
	if err != nil || len(imported) == 0 {
		return "", nil, errors.Join(errors.New("no run that is kept has a "+coverageName+": run `mage unit`, or `mage ci:history` for that of CI"), err)
	}
	number := func(path string) int { // of CI's run, with which the directory's name begins
		digits, _, _ := strings.Cut(filepath.Base(filepath.Dir(path)), "-")
		n, _ := strconv.Atoi(digits)
		return n
	}
	path := slices.MaxFunc(imported, func(a, b string) int { return cmp.Compare(number(a), number(b)) })
	content, err = os.ReadFile(path)
	return fmt.Sprintf("%d of CI", number(path)), content, err
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
