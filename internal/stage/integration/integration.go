// Package integration is the sixth stage: the system as a whole, from data to a prediction over HTTP, on real parts. It
// names the hops of that way, each a step of its own; the project's configuration says what they are.
//
// hop.go is the step of one hop: tests for pytest, which take from a shared directory what earlier ones left. quality.go
// is the gate on the model that came out, and hands it to the stages that follow; champion.go keeps it for comparison.
package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/stage/python"
)

const (
	name    = "integration" // of the stage, and of the hops' directory in the artifacts
	quality = "quality"
)

// Options are what the stage takes from the world.
type Options struct {
	Get func(string) string // the environment: a hop may need a variable
	// Champion has the model stored as the last champion, once it has passed.
	Champion bool
}

type stage struct{ Options }

// New returns the stage.
func New(o Options) engine.Stage { return stage{o} }

func (stage) Name() string { return name }

// Steps are one for each hop, and one for the model.
func (s stage) Steps(p *config.Project) ([]engine.Step, error) {
	if len(p.Integration.Hops) == 0 {
		return []engine.Step{{
			Name: "hops", Judges: "the system as a whole", Skip: "integration.hops is empty in " + config.FileName + ": nothing says how the parts hang together",
		}}, nil
	}
	champion := storedChampion(p)
	var steps []engine.Step
	skipped := map[string]bool{}
	for _, h := range p.Integration.Hops {
		step := hop{Hop: h, project: p, champion: champion, tests: python.Look(p.Root, "integration.hops."+h.Name+".tests", h.Tests)}.step()
		step.Skip = s.missing(h)
		skipped[h.Name] = step.Skip != ""
		steps = append(steps, step)
	}
	if len(p.Model.After) > 0 {
		gate := gate{project: p, champion: champion}
		step := engine.Step{
			Name: quality, Judges: "the models' metrics, against baseline and last champion", Func: gate.judge,
			After: slices.DeleteFunc(slices.Clone(p.Model.After), func(hop string) bool { return skipped[hop] }),
		}
		if len(step.After) == 0 {
			step.Skip = "every hop of model.after is skipped, so there is no model"
		}
		steps = append(steps, step)
	}
	if s.Champion {
		steps = append(steps, engine.Step{
			Name: "champion", Judges: "the model, to be stored as the last champion", After: []string{quality}, Func: keeper{project: p}.keep,
		})
	}
	for i := range steps {
		steps[i].Timeout = p.Run.Budgets[name].Std()
		steps[i].Rerun = "mage " + name + ":" + steps[i].Name
	}
	return steps, nil
}

// missing says why a hop can't be judged here.
func (s stage) missing(h config.Hop) string {
	for _, variable := range h.Requires {
		if s.Get == nil || s.Get(variable) == "" {
			return fmt.Sprintf("%s is not set: the hop %s needs it", variable, h.Name)
		}
	}
	return ""
}

// storedChampion is the directory of the last champion, relative to the root; empty if none is stored.
func storedChampion(p *config.Project) string {
	if _, err := os.Stat(filepath.Join(p.Root, filepath.FromSlash(p.Model.Champion))); p.Model.Champion == "" || err != nil {
		return ""
	}
	return p.Model.Champion
}
