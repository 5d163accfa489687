package pipeline

import (
	"context"
	"os"
	"slices"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/evidence"
	"github.com/meter-ml/meter-pipeline/internal/history"
	"github.com/meter-ml/meter-pipeline/internal/worktree"
)

// origin is whose work is judged and where: for the records, which prove nothing.
func (s *Session) origin(ctx context.Context, env []string, tree worktree.State) engine.Origin {
	host, err := os.Hostname()
	if err != nil {
		host = ""
	}
	place, ci := evidence.Here(s.Host.Get, host), worktree.CIFrom(s.Host.Get)
	o := engine.Origin{
		Author: worktree.Author(ctx, s.Runner, s.Host.Dir, env, tree), Branch: ci.Branch(),
		By: place.By, Builder: place.Builder, URL: place.URL,
	}
	if o.Branch == "" {
		o.Branch = ci.HeadRef
	}
	return o
}

// historyFile is where runs are remembered.
const historyFile = "history.jsonl"

// lookBack is how much of the history is read after each run: some dozen whole runs.
const lookBack = 512 << 10

// review looks back: which stages keep exceeding their budgets, this run included.
func (s *Session) review(path string) func(*engine.Run) []string {
	return func(run *engine.Run) []string {
		past, err := history.Recent(path, lookBack)
		if err != nil {
			return []string{err.Error()}
		}
		now := history.Of(run)
		ran := map[string]bool{}
		for _, stage := range now.Detail.Stages {
			ran[stage.Stage] = true
		}
		over := history.OverBudget(append(past.Runs, now), s.budgets())
		over = slices.DeleteFunc(over, func(o history.Over) bool { return !ran[o.Stage] || !o.Significant })
		var warnings []string
		for _, o := range over {
			warnings = append(warnings, o.String())
		}
		return warnings
	}
}

// budgets are the limits of pipeline.yaml and what it takes to exceed them.
func (s *Session) budgets() history.Budgets {
	slow := s.Project.Run.Slow
	b := history.Budgets{Runs: slow.Runs, Margin: slow.Margin / 100, Alpha: slow.Alpha, Stages: map[string]float64{}}
	for stage, limit := range s.Project.Run.Budgets {
		b.Stages[stage] = limit.Std().Seconds()
	}
	return b
}
