// Package quality is the first stage: the form of the Python source. black and isort judge its layout, flake8 its
// style and its obvious mistakes, pylint gives it a score that has a floor. Workflows that were written from the pipeline
// must still be what it says. It names what runs; the engine runs it.
//
// Each tool is one file: its arguments, and what its output means. All run in the project's root with the project's
// own settings.
package quality

import (
	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/stage/python"
	"github.com/meter-ml/meter-pipeline/internal/workflow"
)

// name of the stage, as in `mage quality:black`.
const name = "quality"

type stage struct{}

// New returns the stage.
func New() engine.Stage { return stage{} }

func (stage) Name() string { return name }

// Steps depend on nothing of each other: any of them may run first.
func (stage) Steps(p *config.Project) ([]engine.Step, error) {
	files := python.Look(p.Root, "quality.paths", p.Quality.Paths)
	modules := python.Look(p.Root, "quality.pylint.paths", p.Quality.Pylint.Paths)
	steps := []engine.Step{
		{
			Name: "black", Judges: "formatting", Fix: "mage fix",
			Inputs:  inputs(p.Quality.Paths),
			Command: blackCommand(p, files),
		},
		{
			Name: "isort", Judges: "order of imports", Fix: "mage fix",
			Inputs:  inputs(p.Quality.Paths, ".isort.cfg", ".editorconfig"),
			Command: isortCommand(p, files),
		},
		{
			Name: "flake8", Judges: "style and obvious mistakes",
			Inputs:  inputs(p.Quality.Paths, ".flake8"),
			Command: flake8Command(p, files),
		},
		{
			// pylint infers across modules: whatever it can import is its input.
			Name: "pylint", Judges: "score of the code", Informational: true,
			Inputs:  inputs(append(p.Source, p.Quality.Pylint.Paths...), "pylintrc", ".pylintrc", "pylintrc.toml", ".pylintrc.toml"),
			Command: pylintCommand(p, modules),
		},
	}
	if workflow.Ours(p.Root) {
		steps = append(steps, workflowStep(p))
	}
	for i := range steps {
		steps[i].Needs = []engine.Need{engine.NeedPython}
		steps[i].Timeout = p.Run.Budgets[name].Std()
		steps[i].Rerun = "mage " + name + ":" + steps[i].Name
	}
	return steps, nil
}

func inputs(paths []string, settings ...string) []string {
	return append(append([]string{}, paths...), python.Settings(settings...)...)
}
