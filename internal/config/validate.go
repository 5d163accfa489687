package config

import (
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/strict"
)

// validator reports what is impossible in a project whose types are right.
type validator struct {
	project *Project
	*strict.Document
}

// validate checks values against each other and against the file system.
func validate(p *Project, doc *strict.Document) error {
	v := &validator{project: p, Document: doc}
	if p.Version != SchemaVersion {
		v.Report("version", fmt.Sprintf("version is %d", p.Version), fmt.Sprintf("this program reads version %d", SchemaVersion))
	}
	v.paths()
	v.limits()
	v.security()
	v.quarantine()
	v.data()
	v.integration()
	v.benchmark()
	v.image()
	v.evidence()
	v.notify()
	v.deploy()
	v.environments()
	return v.Err()
}

func (v *validator) paths() {
	p := v.project
	lists := []struct {
		key   string
		paths []string
	}{
		{"source", p.Source},
		{"tests.unit", p.Tests.Unit},
		{"tests.integration", p.Tests.Integration},
		{"tests.benchmark", p.Tests.Benchmark},
		{"quality.paths", p.Quality.Paths},
		{"quality.pylint.paths", p.Quality.Pylint.Paths},
		{"security.bandit.paths", p.Security.Bandit.Paths},
		{"security.safety.requirements", p.Security.Safety.Requirements},
		{"unit.coverage.source", p.Unit.Coverage.Source},
		{"data.files", p.Data.Files},
	}
	for _, list := range lists {
		for i, path := range list.paths {
			v.path(fmt.Sprintf("%s[%d]", list.key, i), path, true)
		}
	}
	v.path("python.requirements", p.Python.Requirements, true)
	v.path("data.contracts", p.Data.Contracts, true)
	v.path("python.directory", p.Python.Directory, false)
	for _, name := range slices.Sorted(maps.Keys(p.Python.Apart)) {
		v.path("python.apart."+name+".requirements", p.Python.Apart[name].Requirements, true)
		v.path("python.apart."+name+".directory", p.Python.Apart[name].Directory, false)
	}
}

// path refuses what is absolute, leads out of the root, looks like an option, or does not exist though it must.
// Only what the file names must exist: a default that is missing is for the stage that needs it to report.
func (v *validator) path(key, path string, mustExist bool) {
	switch {
	case path == "":
		v.Report(key, key+" is empty", "name a path relative to "+FileName)
	case !filepath.IsLocal(filepath.FromSlash(path)):
		v.Report(key, fmt.Sprintf("%s is %q, outside of the project", key, path), "name a path relative to "+FileName+", without `..`")
	case strings.HasPrefix(path, "-"):
		v.Report(key, fmt.Sprintf("%s is %q, which a tool would take for an option", key, path), "write ./"+path)
	case mustExist && v.Written(key):
		if _, err := os.Stat(filepath.Join(v.project.Root, filepath.FromSlash(path))); err != nil {
			v.Report(key, fmt.Sprintf("%s is %q: %s", key, path, strict.Reason(err)), "make it, or name another path")
		}
	}
}

func (v *validator) limits() {
	p := v.project
	v.within("run.jobs", float64(p.Run.Jobs), 0, 1024, "0 means one per core")
	v.within("quality.pylint.jobs", float64(p.Quality.Pylint.Jobs), 1, 64, "it is fixed, since pylint's score differs with it")
	v.threshold("quality.pylint.minimum_score", p.Quality.Pylint.MinimumScore, 10)
	v.threshold("unit.coverage.minimum", p.Unit.Coverage.Minimum, 100)
	v.within("unit.workers", float64(p.Unit.Workers), 0, 1024, "0 means one per core")
	v.within("unit.slowest", float64(p.Unit.Slowest), 0, 1000, "")
	v.within("unit.least_covered", float64(p.Unit.LeastCover), 0, 1000, "")
	v.positive("unit.test_timeout", p.Unit.TestTimeout)
	v.within("unit.rerun", float64(p.Unit.Rerun), 0, 1, "a test that needs more than one more try is broken")
	v.within("run.slow.runs", float64(p.Run.Slow.Runs), 5, 100, "of fewer than five, nothing is significant")
	v.within("run.slow.margin", p.Run.Slow.Margin, 0, 1000, "it is in per cent of the budget")
	v.within("run.slow.alpha", p.Run.Slow.Alpha, 0.0001, 0.2, "it is the significance level")
	v.within("run.history", float64(p.Run.History), 100, 100_000, "it is in runs")
	v.positive("run.timeout", p.Run.Timeout)
	v.positive("security.safety.warn_age", p.Security.Safety.WarnAge)
	stages := StageNames()
	for _, name := range slices.Sorted(maps.Keys(p.Run.Budgets)) {
		key := "run.budgets." + name
		if !slices.Contains(stages, name) {
			v.Report(key, fmt.Sprintf("run.budgets names the stage %q, which there is not", name), strict.Suggest(name, stages))
			continue
		}
		v.positive(key, p.Run.Budgets[name])
	}
}

// threshold must leave the gate able to fail and able to pass.
func (v *validator) threshold(key string, value, top float64) {
	if math.IsNaN(value) || value <= 0 || value > top {
		v.Report(key, fmt.Sprintf("%s is %v, a threshold that nothing can miss or nothing can meet", key, value),
			fmt.Sprintf("choose more than 0 and at most %v", top))
	}
}

func (v *validator) within(key string, value, least, most float64, why string) {
	if value < least || value > most {
		remedy := fmt.Sprintf("choose %v to %v", least, most)
		if why != "" {
			remedy += "; " + why
		}
		v.Report(key, fmt.Sprintf("%s is %v", key, value), remedy)
	}
}

func (v *validator) positive(key string, d Duration) {
	if d <= 0 {
		v.Report(key, fmt.Sprintf("%s is %s", key, d.Std()), "choose a time above zero, such as 10m")
	}
}

func (v *validator) security() {
	levels := []string{"low", "medium", "high"}
	v.oneOf("security.bandit.severity", v.project.Security.Bandit.Severity, levels)
	v.oneOf("security.bandit.confidence", v.project.Security.Bandit.Confidence, levels)
	for i, allow := range v.project.Security.Allow {
		key := fmt.Sprintf("security.allow[%d]", i)
		v.oneOf(key+".tool", allow.Tool, []string{"bandit", "safety", "secrets", "image:packages", "image:updates", "image:secrets"})
		if strings.TrimSpace(allow.Rule) == "" {
			v.Report(key, key+" has no rule", "name the one finding that it allows")
		}
		if strings.TrimSpace(allow.Reason) == "" {
			v.Report(key, key+" has no reason", "say why the finding may stay")
		}
		if _, err := time.Parse(time.DateOnly, allow.Expires); err != nil {
			v.Report(key+".expires", fmt.Sprintf("%s.expires is %q, not a date", key, allow.Expires), "write it as \"2027-01-31\", in quotes")
		}
	}
}

// quarantine must name one test, who mends it, and an end.
func (v *validator) quarantine() {
	seen := map[string]bool{}
	for i, q := range v.project.Unit.Quarantine {
		key := fmt.Sprintf("unit.quarantine[%d]", i)
		switch path, _, named := strings.Cut(q.Test, "::"); {
		case !named || !strings.HasSuffix(path, ".py"):
			v.Report(key+".test", fmt.Sprintf("%s.test is %q, no single test", key, q.Test), "name it as pytest does: tests/unit/test_x.py::test_y")
		case seen[q.Test]:
			v.Report(key+".test", fmt.Sprintf("%s.test is %q, which an earlier entry names too", key, q.Test), "leave one of them")
		}
		seen[q.Test] = true
		if strings.TrimSpace(q.Owner) == "" {
			v.Report(key, key+" has no owner", "say who mends the test")
		}
		if strings.TrimSpace(q.Reason) == "" {
			v.Report(key, key+" has no reason", "say why it may fail meanwhile")
		}
		if _, err := time.Parse(time.DateOnly, q.Expires); err != nil {
			v.Report(key+".expires", fmt.Sprintf("%s.expires is %q, not a date", key, q.Expires), "write it as \"2027-01-31\", in quotes")
		}
	}
}

func (v *validator) data() {
	v.within("data.findings", float64(v.project.Data.Findings), 1, 1000, "more are counted, not kept")
	v.within("data.memory", float64(v.project.Data.Memory), 1, 1<<20, "it is in MiB")
	for _, name := range slices.Sorted(maps.Keys(v.project.Data.Made)) {
		key := "data.made." + name
		command := v.project.Data.Made[name].Command
		switch {
		case len(command) == 0 || command[0] == "":
			v.Report(key, key+" has no command", "name the program and its arguments as a list")
		case !strings.Contains(strings.Join(command, " "), FilePlaceholder):
			v.Report(key+".command", fmt.Sprintf("%s.command does not say where the file goes", key), "write "+FilePlaceholder+" where the program wants the path")
		}
	}
}

func (v *validator) oneOf(key, value string, valid []string) {
	if !slices.Contains(valid, value) {
		v.Report(key, fmt.Sprintf("%s is %q", key, value), strict.Suggest(value, valid))
	}
}
