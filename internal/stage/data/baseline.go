package data

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/dataset"
	"github.com/meter-ml/meter-pipeline/internal/dataset/profile"
	"github.com/meter-ml/meter-pipeline/internal/engine"
)

type baselineStage struct{ Options }

// NewBaseline returns a stage that stores the profiles of the data sets whose drift is judged.
func NewBaseline(o Options) engine.Stage { return baselineStage{o} }

func (baselineStage) Name() string { return name }

// Steps are one for each data set with a baseline.
func (s baselineStage) Steps(p *config.Project) ([]engine.Step, error) {
	all := read(p, s.Get)
	if len(all.findings) > 0 {
		f := all.findings[0]
		return nil, fmt.Errorf("%s:%d: %s: %s", f.Path, f.Line, f.Message, f.Help)
	}
	var steps []engine.Step
	for _, set := range all.sets {
		if set.contract.Quality.Drift == nil {
			continue
		}
		step := engine.Step{
			Name: set.contract.Name, Judges: "baseline of " + set.shown, Skip: set.skip, Rerun: "mage data:baseline",
			Inputs: []string{set.contract.File}, Timeout: p.Run.Budgets[name].Std(),
			Func: judgement{set: set, all: all, book: newBook(all), now: s.Now, project: p}.store,
		}
		if set.made() {
			step.Needs = []engine.Need{engine.NeedPython}
		}
		steps = append(steps, step)
	}
	if len(steps) == 0 {
		return nil, errors.New("no contract has quality.drift: there is nothing to compare, so no baseline is stored")
	}
	return steps, nil
}

// store judges a data set by all but its drift: what is bad today must not be what tomorrow is measured against.
func (g judgement) store(ctx context.Context, scope engine.Scope) (engine.Judgement, error) {
	drift := *g.set.contract.Quality.Drift
	bare := *g.set.contract
	bare.Quality.Drift = nil
	g.set.contract = &bare
	result, err := g.validate(ctx, scope)
	if err != nil {
		return engine.Judgement{}, err
	}
	j := g.judged(result)
	if len(j.Findings) > 0 {
		j.Notes = append(j.Notes, "the baseline was left as it is, since the data break their contract")
		return j, nil
	}
	path := filepath.Join(g.project.Root, filepath.FromSlash(drift.Baseline))
	if old, err := profile.Load(path); err == nil && same(old, result) {
		j.Notes = append(j.Notes, drift.Baseline+" is that of these data already")
		return j, nil
	}
	b := profile.Baseline{Data: g.set.contract.Name, Profile: *result.Profile}
	if err := b.Save(path); err != nil {
		return engine.Judgement{}, err
	}
	j.Notes = append(j.Notes, fmt.Sprintf("stored %s: commit it with the data", drift.Baseline))
	return j, nil
}

// same reports whether a stored baseline is what would be stored now.
func same(old *profile.Baseline, r *dataset.Result) bool {
	before, err := old.Encode()
	if err != nil {
		return false
	}
	now, err := profile.Baseline{Data: old.Data, Made: old.Made, Profile: *r.Profile}.Encode()
	return err == nil && string(before) == string(now)
}
