// Package data is the fifth stage: every data set against its contract. It is Go from end to end: package dataset
// judges a file, this one says which files there are, and turns what was found into findings, metrics and tables.
//
// contracts.go judges the descriptors themselves, and that none is without a file and no file without one; set.go is
// the step of one data set; document.go is data-report.json.
package data

import (
	"os"
	"slices"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
)

// name of the stage, as in `mage data:all`.
const name = "data"

// contracts is the step that judges the descriptors; no data set may have its name.
const contracts = "contracts"

// large is the size in bytes from which on a file gets all cores: below it, the cores are worth more to other steps.
const large = 16 << 20

// Options are what the stage takes from the world.
type Options struct {
	Get func(string) string // the environment: directories that contracts name
	Now time.Time           // what freshness is measured against
}

type stage struct{ Options }

// New returns the stage.
func New(o Options) engine.Stage { return stage{o} }

func (stage) Name() string { return name }

// Steps are one for the descriptors and one for each data set. A descriptor that can't be read has no step: it is a
// finding of the first one.
func (s stage) Steps(p *config.Project) ([]engine.Step, error) {
	all := read(p, s.Get)
	book := newBook(all)
	steps := []engine.Step{{
		Name: contracts, Judges: "descriptors, and that each file has one",
		Inputs: slices.Concat([]string{p.Data.Contracts}, p.Data.Files),
		Func:   all.judge,
	}}
	for _, set := range all.sets {
		step := engine.Step{
			Name: set.contract.Name, Judges: set.shown + " against its contract",
			Inputs: []string{set.contract.File}, Skip: set.skip,
			Func: judgement{set: set, all: all, book: book, now: s.Now, project: p}.judge,
		}
		if set.contract.DirectoryVariable == "" && !set.made() {
			step.Inputs = append(step.Inputs, set.contract.Path)
		}
		if set.made() {
			step.Needs = []engine.Need{engine.NeedPython}
			step.Inputs = append(step.Inputs, p.Source...)
		}
		if info, err := os.Stat(set.path); err == nil && info.Size() >= large {
			step.Slots = all.cores
		}
		steps = append(steps, step)
	}
	for i := range steps {
		steps[i].Timeout = p.Run.Budgets[name].Std()
		steps[i].Rerun = "mage " + name + ":set " + steps[i].Name
	}
	steps[0].Rerun = "mage " + name + ":" + contracts
	return steps, nil
}
