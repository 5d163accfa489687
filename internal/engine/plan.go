package engine

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/meter-ml/meter-pipeline/internal/config"
)

// A Plan is what will run: every stage with its steps, checked, in the order in which they were declared.
type Plan struct {
	Project *config.Project
	Stages  []PlannedStage
}

// stepName is what names of stages and steps look like: they become file names and parts of a target's name.
var stepName = regexp.MustCompile(`^[a-z][a-z0-9_-]*$`)

// NewPlan asks each stage for its steps and checks that they can be run: names, edges, commands. What it finds wrong
// is a mistake of a stage's author or of pipeline.yaml, so that nothing has run by then.
func NewPlan(project *config.Project, stages []Stage) (Plan, error) {
	plan := Plan{Project: project}
	seen := map[string]bool{}
	for _, stage := range stages {
		name := stage.Name()
		if seen[name] {
			return Plan{}, fmt.Errorf("plan stage %s: it is listed twice", name)
		}
		seen[name] = true
		steps, err := stepsOf(stage, project)
		if err != nil {
			return Plan{}, fmt.Errorf("plan stage %s: %w", name, err)
		}
		if err := checkStage(name, steps); err != nil {
			return Plan{}, err
		}
		plan.Stages = append(plan.Stages, PlannedStage{Name: name, Steps: steps})
	}
	if len(plan.Stages) == 0 {
		return Plan{}, fmt.Errorf("plan run: no stage is named, so nothing would be judged")
	}
	if err := checkReports(plan.Stages); err != nil {
		return Plan{}, err
	}
	if _, err := newGraph(plan.Stages); err != nil {
		return Plan{}, err
	}
	return plan, nil
}

// stepsOf contains a panic of a stage.
func stepsOf(stage Stage, project *config.Project) (steps []Step, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v: this is a defect of the stage, please report it", p)
		}
	}()
	return stage.Steps(project)
}

func checkStage(stage string, steps []Step) error {
	if !stepName.MatchString(stage) {
		return fmt.Errorf("plan stage %q: a name is lower-case letters, digits, _ and -", stage)
	}
	if len(steps) == 0 {
		return fmt.Errorf("plan stage %s: it has no step, so nothing would be judged", stage)
	}
	seen := map[string]bool{}
	for _, step := range steps {
		id := stage + ":" + step.Name
		switch {
		case !stepName.MatchString(step.Name):
			return fmt.Errorf("plan step %q: a name is lower-case letters, digits, _ and -", id)
		case seen[step.Name]:
			return fmt.Errorf("plan step %s: it is listed twice", id)
		case step.Command != nil && step.Func != nil, step.Skip == "" && step.Command == nil && step.Func == nil:
			return fmt.Errorf("plan step %s: it needs a command or a function, and not both", id)
		case step.Slots < 0 || step.Timeout < 0:
			return fmt.Errorf("plan step %s: slots and timeout can't be negative", id)
		}
		if err := checkCommand(step.Command); err != nil {
			return fmt.Errorf("plan step %s: %w", id, err)
		}
		seen[step.Name] = true
	}
	return nil
}

func checkCommand(c *Command) error {
	switch {
	case c == nil:
		return nil
	case c.Program == "":
		return fmt.Errorf("its command names no program")
	case c.Parse == nil:
		return fmt.Errorf("its command has no parse function, so its output would not be judged")
	case c.Dir != "" && !filepath.IsLocal(filepath.FromSlash(c.Dir)):
		return fmt.Errorf("its directory %q leaves the project", c.Dir)
	}
	for name, path := range c.Reports {
		if !filepath.IsLocal(filepath.FromSlash(path)) {
			return fmt.Errorf("its report %s, %q, leaves the artifacts directory", name, path)
		}
	}
	return nil
}

// checkReports refuses two steps that write the same file: each would judge what the other one wrote.
func checkReports(stages []PlannedStage) error {
	owner := map[string]string{}
	for _, stage := range stages {
		for _, step := range stage.Steps {
			if step.Command == nil {
				continue
			}
			id := stage.Name + ":" + step.Name
			for _, path := range step.Command.Reports {
				path = filepath.Clean(filepath.FromSlash(path))
				if other, taken := owner[path]; taken {
					return fmt.Errorf("plan step %s: it writes the report %s, as %s does", id, path, other)
				}
				owner[path] = id
			}
		}
	}
	return nil
}

// Select returns the plan cut down to the named stages ("quality") and steps ("quality:black"), with what these run
// after, since without it they would have nothing to work on.
func (p Plan) Select(names ...string) (Plan, error) {
	g, err := newGraph(p.Stages)
	if err != nil {
		return Plan{}, err
	}
	keep := map[*node]bool{}
	for _, name := range names {
		nodes := g.named(name)
		if len(nodes) == 0 {
			return Plan{}, fmt.Errorf("select %q: there is no such stage or step; there are %s", name, strings.Join(g.names(), ", "))
		}
		for _, n := range nodes {
			g.withNeeds(n, keep)
		}
	}
	cut := Plan{Project: p.Project}
	for s, stage := range p.Stages {
		kept := PlannedStage{Name: stage.Name}
		for _, n := range g.stages[s] {
			if keep[n] {
				kept.Steps = append(kept.Steps, n.step)
			}
		}
		if len(kept.Steps) > 0 {
			cut.Stages = append(cut.Stages, kept)
		}
	}
	return cut, nil
}
