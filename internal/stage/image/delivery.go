package image

import (
	"slices"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
)

// A Delivery has what was built pushed once it has been judged, and named by branch and version once the system that it
// holds has, too. The run holds the stages integration and benchmark.
type Delivery struct {
	Get func(string) string // the environment: a hop that lacks a variable is skipped, and can't be waited for
	PushOptions
}

// steps push after what judges the images, and set the tags of branch and version last.
func (d Delivery) steps(p *config.Project, judging []engine.Step) []engine.Step {
	push := d.PushOptions
	for _, step := range judging {
		push.After = append(push.After, step.Name)
	}
	return []engine.Step{
		PushStep(p, push),
		ReleaseStep(p, ReleaseOptions{After: slices.Concat([]string{"push", "benchmark"}, d.hops(p))}),
	}
}

// hops are those of the integration stage that run here.
func (d Delivery) hops(p *config.Project) []string {
	var names []string
	for _, hop := range p.Integration.Hops {
		if !slices.ContainsFunc(hop.Requires, func(variable string) bool { return d.Get(variable) == "" }) {
			names = append(names, "integration:"+hop.Name)
		}
	}
	return names
}
