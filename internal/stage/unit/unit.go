// Package unit is the third stage: the unit tests, on a PostgreSQL of their own, and how much of the source they cover.
// It names what runs; the engine runs it.
//
// pytest.go has the arguments and what exit codes mean, rerun.go runs failed tests once more and knows which may fail,
// coverage.go what the tests reached; what became of each test
// is read by package python, since this repository's own tests are judged alike.
package unit

import (
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/stage/python"
)

// name of the stage, as in `mage unit:pytest`.
const name = "unit"

type stage struct{ Options }

// Options say what the stage does not know.
type Options struct {
	Now   time.Time // quarantines end by it
	Rerun bool      // failed tests once more, whatever pipeline.yaml says
}

// New returns the stage.
func New(options Options) engine.Stage { return stage{options} }

func (stage) Name() string { return name }

// Steps is one: coverage is judged where the tests run, since it is worth nothing without their result.
func (st stage) Steps(p *config.Project) ([]engine.Step, error) {
	workers := p.Unit.Workers
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	s := suite{
		project: p, workers: workers,
		tests:      python.Look(p.Root, "tests.unit", p.Tests.Unit),
		source:     python.Look(p.Root, "unit.coverage.source", p.Unit.Coverage.Source),
		namespaces: measuresNamespaces(p.Root),
		today:      st.Now, again: st.Rerun || p.Unit.Rerun > 0,
	}
	return []engine.Step{{
		Name: "pytest", Judges: "unit tests and their coverage",
		// A worker often waits for its database, so one slot is left for the tools that need nothing but a core.
		Slots:   max(1, workers-1),
		Needs:   []engine.Need{engine.NeedPython, engine.NeedPostgres},
		Timeout: p.Run.Budgets[name].Std(),
		FailAt:  engine.SeverityLow, // what is flaky is below that: the policy of production refuses it by its metric
		// Tests read what they like beside these: fixtures, data. These are what they are about.
		Inputs:  slices.Concat(p.Source, p.Tests.Unit, python.Settings("pytest.ini", ".coveragerc", "tests/conftest.py", "data")),
		Rerun:   "mage " + name + ":pytest",
		Command: s.command(),
	}}, nil
}

var namespacesSetting = regexp.MustCompile(`(?mi)^\s*include_namespace_packages\s*=\s*true\b`)

// measuresNamespaces reports whether the project has coverage look into folders without an __init__.py.
func measuresNamespaces(root string) bool {
	for _, file := range python.Settings(".coveragerc") {
		content, err := os.ReadFile(filepath.Join(root, file))
		if err == nil && namespacesSetting.Match(content) {
			return true
		}
	}
	return false
}
