// Package benchmark is the seventh stage: is the system fast enough, and as fast as it was? It stands between the
// trained model, which it takes over from the integration stage, and the reports. It knows nothing of what it times:
// programs, limits and rates are in pipeline.yaml.
//
// What is timed is real: programs that load the handed-over models and time themselves, and a server as in service
// under an open-loop load over HTTP. Each step runs alone.
//
// Rounds in one process are no independent sample: they share the process's memory layout, hash seed and start. So
// everything is measured in several processes (for a server: several servers), one after the other, and:
//
//   - The limit is judged on the 95th percentile of all rounds together.
//   - The comparison with the baseline takes one value for each process, the median of its rounds, so that what
//     differs from process to process is inside of the sample; the baseline has three times as many of them. The
//     Mann-Whitney test, which assumes nothing about how times are distributed, must find them above the baseline
//     raised by the margin (benchmark.slower): a significance of 0.1 % that it is slower by more than the margin, not
//     that it is slower at all. So runs on unchanged code agree, since the margin lies between them and a false
//     alarm, and a change of twice the margin lies as far beyond it.
//   - A process during which others had too much of the cores' time does not count and is repeated; a machine that
//     stays busy is an error, since nothing was judged.
//   - Times of different machines, data or measuring programs are not compared, and that is printed.
package benchmark

import (
	"context"
	"slices"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/retry"
)

// name of the stage, as in `mage benchmark:api`.
const name = "benchmark"

// Options say what the stage can't know.
type Options struct {
	// Models is the step that hands the trained models over: "integration:train". Steps that need them run after it.
	Models string
	Now    time.Time
}

type stage struct {
	options  Options
	baseline bool
	root     string // of the file system that describes the machine
	gauge    gauge
	sleep    func(context.Context, time.Duration) error
}

// New returns the stage that judges.
func New(o Options) engine.Stage {
	return stage{options: o, root: "/", gauge: readAccount, sleep: retry.Sleep}
}

// NewBaseline returns the stage that measures, more often, and stores what it measured as the new baseline.
func NewBaseline(o Options) engine.Stage {
	return stage{options: o, baseline: true, root: "/", gauge: readAccount, sleep: retry.Sleep}
}

func (stage) Name() string { return name }

// Steps run one after another, each alone: two at once would measure each other.
func (s stage) Steps(p *config.Project) ([]engine.Step, error) {
	jobs := s.jobs(p)
	if len(jobs) == 0 {
		return []engine.Step{{
			Name: "measures", Judges: "speed", Func: func(context.Context, engine.Scope) (engine.Judgement, error) { return engine.Judgement{}, nil },
			Skip: "nothing is timed: name it under benchmark.measures in pipeline.yaml",
		}}, nil
	}
	var steps []engine.Step
	for _, j := range jobs {
		steps = append(steps, s.step(p, j))
	}
	if s.baseline {
		steps = append(steps, s.storeStep(p, jobs))
	}
	return steps, nil
}

func (s stage) jobs(p *config.Project) []job {
	var jobs []job
	for _, m := range p.Benchmark.Measures {
		jobs = append(jobs, newMeasure(s, p, m))
	}
	if l := p.Benchmark.Load; len(l.Command) > 0 {
		jobs = append(jobs, newLoad(s, p, l))
	}
	return jobs
}

func (s stage) step(p *config.Project, j job) engine.Step {
	step := engine.Step{
		Name: j.name, Judges: j.judges, Alone: true, Needs: []engine.Need{engine.NeedPython},
		Timeout: p.Run.Budgets[name].Std(), Rerun: "mage " + name + ":" + j.name,
		Inputs: slices.Concat(p.Source, p.Tests.Benchmark, []string{config.FileName, p.Python.Requirements}),
		Func:   j.run,
	}
	if s.baseline {
		step.Timeout *= baselineFactor
		step.Rerun = "mage " + name + ":baseline"
	} else {
		step.Inputs = append(step.Inputs, p.Benchmark.Baseline)
	}
	if j.models && s.options.Models != "" {
		step.After = []string{s.options.Models}
	}
	return step
}

// storeStep comes after all others, and is skipped unless all of them passed: a baseline beyond the limits is none.
func (s stage) storeStep(p *config.Project, jobs []job) engine.Step {
	step := engine.Step{
		Name: "store", Judges: "the new baseline", Rerun: "mage " + name + ":baseline", Inputs: []string{p.Benchmark.Baseline},
		Func: func(_ context.Context, scope engine.Scope) (engine.Judgement, error) {
			doc, err := readDocument(scope.Artifacts)
			if err != nil {
				return engine.Judgement{}, err
			}
			n, err := storeBaseline(p, doc, s.options.Now)
			return engine.Judgement{Judged: n, Unit: "measures", Notes: []string{"stored in " + p.Benchmark.Baseline + ": commit it"}}, err
		},
	}
	for _, j := range jobs {
		step.After = append(step.After, j.name)
	}
	return step
}
