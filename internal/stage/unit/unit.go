// Package unit is the third stage: the unit tests, on a PostgreSQL of their own, and how much of the source they cover.
// It names what runs; the engine runs it.
package unit

import (
	"fmt"
	"runtime"
	"strconv"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/stage/python"
)

// name of the stage, as in `mage unit:pytest`.
const name = "unit"

type stage struct{}

// New returns the stage.
func New() engine.Stage { return stage{} }

func (stage) Name() string { return name }

// Steps is one: coverage is judged where the tests run, since it is worth nothing without their result.
func (stage) Steps(p *config.Project) ([]engine.Step, error) {
	workers := p.Unit.Workers
	if workers == 0 {
		workers = runtime.NumCPU()
	}
	return []engine.Step{{
		Name: "pytest", Judges: "unit tests and their coverage",
		// A worker often waits for its database, so one slot is left for the tools that need nothing but a core.
		Slots:   max(1, workers-1),
		Needs:   []engine.Need{engine.NeedPython, engine.NeedPostgres},
		Timeout: p.Run.Budgets[name].Std(),
		Inputs:  inputs(p),
		Rerun:   "mage " + name + ":pytest",
		Command: pytestCommand(p, workers),
	}}, nil
}

func inputs(p *config.Project) []string {
	paths := append([]string{}, p.Source...)
	paths = append(paths, p.Tests.Unit...)
	return append(paths, python.Settings("pytest.ini", ".coveragerc", "tests/conftest.py", "data")...)
}

// Names of the reports, in the artifacts directory.
const (
	junitReport    = "junit-pytest.xml"
	coverageReport = "coverage.json"
	coverageXML    = "coverage.xml"
	coverageHTML   = "htmlcov"
)

func pytestCommand(p *config.Project, workers int) *engine.Command {
	return &engine.Command{
		Program: python.Program,
		Args:    pytestArgs(p, workers),
		// Coverage data of an earlier run can't be read where there is none.
		Env:     map[string]string{"COVERAGE_FILE": engine.ScratchDir + "/coverage"},
		Reports: map[string]string{"JUnit": junitReport, "coverage": coverageReport, "coverage XML": coverageXML},
		Parse:   func(out engine.Output) (engine.Judgement, error) { return parse(p, out) },
	}
}

func pytestArgs(p *config.Project, workers int) []string {
	artifact := func(file string) string { return engine.ArtifactsDir + "/" + file }
	args := append([]string{}, p.Tests.Unit...)
	args = append(args, "-q", "-n", strconv.Itoa(workers), "-p", "no:cacheprovider",
		"-o", fmt.Sprintf("timeout=%d", int(p.Unit.TestTimeout.Std().Seconds())),
		"-o", "junit_family=xunit1", "--junit-xml="+artifact(junitReport),
		"--cov-branch", "--cov-report=", "--cov-report=json:"+artifact(coverageReport),
		"--cov-report=xml:"+artifact(coverageXML), "--cov-report=html:"+artifact(coverageHTML))
	for _, source := range p.Unit.Coverage.Source {
		args = append(args, "--cov="+source)
	}
	return python.Module("pytest", args...)
}
