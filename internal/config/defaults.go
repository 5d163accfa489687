package config

import (
	"os"
	"path/filepath"
	"time"
)

// SchemaVersion is the version of pipeline.yaml that this program reads.
const SchemaVersion = 1

// FileName is the name of the configuration file, in the root of the project.
const FileName = "pipeline.yaml"

// StageNames are the ten stages, in the order of the documentation.
func StageNames() []string {
	return []string{
		"quality", "security", "unit", "image", "data", "integration", "benchmark", "staging", "production", "notify",
	}
}

// Default returns the project as it is without a pipeline.yaml: the documented layout, narrowed to what exists.
func Default(root string) *Project {
	p := &Project{
		Root:    root,
		Version: SchemaVersion,
		Name:    filepath.Base(root),
		Source:  existing(root, "src"),
		Tests: Tests{
			Unit:        existing(root, "tests/unit", "tests"),
			Integration: existing(root, "tests/integration"),
			Benchmark:   existing(root, "tests/benchmarks"),
		},
		Python:   Python{Version: "3.11", Requirements: "requirements/dev.txt", Directory: ".venv"},
		Postgres: Postgres{Version: "15"},
		Run:      Run{Timeout: Duration(time.Hour), Slow: Slow{Runs: 10, Margin: 10, Alpha: 0.05}, History: 2000},
		Quality:  Quality{Pylint: Pylint{MinimumScore: 7, Jobs: 1}},
		Security: Security{
			Bandit: Bandit{Severity: "low", Confidence: "low"},
			Safety: Safety{DatabaseVariable: "METER_ADVISORIES", WarnAge: Duration(30 * 24 * time.Hour)},
			Secrets: Secrets{
				History: true,
			},
		},
		Unit: Unit{
			Coverage:    Coverage{Minimum: 80},
			Slowest:     5,
			LeastCover:  5,
			TestTimeout: Duration(5 * time.Minute),
		},
		Data:      Data{Contracts: "data/schemas", Files: existing(root, "data"), Findings: 20, Memory: 32},
		Benchmark: defaultBenchmark(),
		Image:     Image{Registry: "ghcr.io", Directory: ".pipeline/images"},
		Notify:    defaultNotify(),
		Deploy:    defaultDeploy(),
	}
	p.Model.Champion = ".pipeline/champion"
	if len(p.Tests.Unit) > 1 { // tests/unit, or else all of tests
		p.Tests.Unit = p.Tests.Unit[:1]
	}
	return p
}

// complete fills in what follows from other values: the stages judge the source unless they are told otherwise.
func (p *Project) complete() {
	orSource := func(paths *[]string) {
		if len(*paths) == 0 {
			*paths = p.Source
		}
	}
	orSource(&p.Quality.Paths)
	orSource(&p.Quality.Pylint.Paths)
	orSource(&p.Security.Bandit.Paths)
	orSource(&p.Unit.Coverage.Source)
	if p.Run.Budgets == nil {
		p.Run.Budgets = map[string]Duration{}
	}
	for stage, budget := range defaultBudgets() {
		if _, written := p.Run.Budgets[stage]; !written {
			p.Run.Budgets[stage] = budget
		}
	}
	if len(p.Security.Safety.Requirements) == 0 {
		p.Security.Safety.Requirements = []string{p.Python.Requirements}
	}
}

// defaultBudgets are those of the users' documentation, in minutes.
func defaultBudgets() map[string]Duration {
	minutes := map[string]int{
		"quality": 5, "security": 5, "unit": 10, "image": 15, "data": 2,
		"integration": 5, "benchmark": 3, "staging": 5, "production": 10, "notify": 2,
	}
	budgets := make(map[string]Duration, len(minutes))
	for stage, n := range minutes {
		budgets[stage] = Duration(time.Duration(n) * time.Minute)
	}
	return budgets
}

// existing narrows paths to the directories that there are.
func existing(root string, paths ...string) []string {
	var found []string
	for _, path := range paths {
		if info, err := os.Stat(filepath.Join(root, filepath.FromSlash(path))); err == nil && info.IsDir() {
			found = append(found, path)
		}
	}
	return found
}
