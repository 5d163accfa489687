package engine_test

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/tool"
	"github.com/meter-ml/meter-pipeline/internal/tool/tooltest"
)

// What is measured is the engine's own time: plan, schedule, log, judge and record, without a single reporter.

func BenchmarkFiftySteps(b *testing.B) {
	var steps []engine.Step
	for i := range 50 {
		steps = append(steps, do(fmt.Sprintf("s%d", i), 0, judged))
	}
	benchmark(b, steps, nil)
}

func BenchmarkChainOfFifty(b *testing.B) {
	var steps []engine.Step
	for i := range 50 {
		step := do(fmt.Sprintf("s%d", i), 0, judged)
		if i > 0 {
			step.After = []string{fmt.Sprintf("s%d", i-1)}
		}
		steps = append(steps, step)
	}
	benchmark(b, steps, nil)
}

// BenchmarkChainOfTenPrograms starts /bin/true ten times, one after another, through the real runner; compare with
// BenchmarkRunTrue of package tool.
func BenchmarkChainOfTenPrograms(b *testing.B) {
	var steps []engine.Step
	for i := range 10 {
		step := engine.Step{Name: fmt.Sprintf("s%d", i), Command: &engine.Command{
			Program: "/bin/true", Parse: func(engine.Output) (engine.Judgement, error) { return judged, nil },
		}}
		if i > 0 {
			step.After = []string{fmt.Sprintf("s%d", i-1)}
		}
		steps = append(steps, step)
	}
	runner := tool.NewRunner(tool.Options{State: b.TempDir(), Run: "benchmark"})
	benchmark(b, steps, runner)
	if err := runner.Close(); err != nil {
		b.Error(err)
	}
}

func benchmark(b *testing.B, steps []engine.Step, runner engine.Runner) {
	b.Helper()
	if runner == nil {
		runner = tooltest.New(b)
	}
	root, n := b.TempDir(), 0
	for b.Loop() {
		n++
		id := fmt.Sprint(n)
		plan, err := engine.NewPlan(&config.Project{}, one(steps...))
		if err != nil {
			b.Fatal(err)
		}
		run, err := engine.Execute(b.Context(), plan, engine.Options{
			Root: root, Dir: filepath.Join(root, ".pipeline", "runs", id), ID: id, Runner: runner, Limit: 2,
		})
		if err != nil || run.ExitCode != 0 {
			b.Fatal(run, err)
		}
	}
}
