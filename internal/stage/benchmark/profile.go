package benchmark

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/freeport"
	"github.com/meter-ml/meter-pipeline/internal/retry"
	"github.com/meter-ml/meter-pipeline/internal/stage/python"
	"github.com/meter-ml/meter-pipeline/internal/strict"
)

// profiled is how long a server is watched, its start included; a program that times itself ends earlier.
const profiled = 30 * time.Second

// NewProfile returns a stage that judges nothing: it draws where the time goes in the named measure, or in the one that
// is nearest to its limit if there is no name.
func NewProfile(o Options, of string) engine.Stage {
	return profile{stage{options: o, root: "/", gauge: readAccount, sleep: retry.Sleep}, of}
}

type profile struct {
	stage

	of string
}

// Steps is one. It needs the models if any measure that it may come to does.
func (s profile) Steps(p *config.Project) ([]engine.Step, error) {
	jobs := s.jobs(p)
	var names []string
	models := false
	for _, j := range jobs {
		names = append(names, j.name)
		if s.of == "" || s.of == j.name {
			models = models || j.models
		}
	}
	switch {
	case len(p.Benchmark.Profiler) == 0:
		return nil, errors.New("benchmark.profiler is empty in " + config.FileName + ": name a program that draws flame graphs, such as py-spy")
	case s.of != "" && !slices.Contains(names, s.of), len(jobs) == 0:
		return nil, config.Problems{{
			File: config.FileName, Message: fmt.Sprintf("there is no measure %q to profile", s.of), Remedy: strict.Suggest(s.of, names),
		}}
	}
	step := engine.Step{
		Name: "profile", Judges: "where the time goes", Alone: true, Needs: []engine.Need{engine.NeedPython},
		Timeout: p.Run.Budgets[name].Std(), Rerun: "mage " + name + ":profile", Inputs: slices.Concat(p.Source, p.Tests.Benchmark, []string{config.FileName}),
		Func: func(ctx context.Context, scope engine.Scope) (engine.Judgement, error) {
			return s.draw(ctx, scope, jobs)
		},
	}
	if models && s.options.Models != "" {
		step.After = []string{s.options.Models}
	}
	return []engine.Step{step}, nil
}

func (s profile) draw(ctx context.Context, scope engine.Scope, jobs []job) (engine.Judgement, error) {
	out := engine.Judgement{Judged: 1, Unit: "measures"}
	chosen, err := s.choose(ctx, scope, jobs, &out)
	if err != nil {
		return engine.Judgement{}, err
	}
	at, err := chosen.first(scope)
	if err != nil {
		return engine.Judgement{}, err
	}
	file := filepath.Join(scope.Artifacts, "profile-"+chosen.name+".svg")
	if err := chosen.profile(ctx, at, file); err != nil {
		return engine.Judgement{}, err
	}
	if info, err := os.Stat(file); err != nil || info.Size() == 0 {
		return engine.Judgement{}, errors.New("the profiler ended well and drew nothing: see its log")
	}
	out.Notes = append(out.Notes, fmt.Sprintf("flame graph of %s: artifacts/%s in the run's directory; open it in a browser", chosen.judges, filepath.Base(file)))
	return out, nil
}

// choose measures everything once and takes what has used up most of its limit, unless there is a name.
func (s profile) choose(ctx context.Context, scope engine.Scope, jobs []job, out *engine.Judgement) (job, error) {
	if s.of != "" {
		return jobs[slices.IndexFunc(jobs, func(j job) bool { return j.name == s.of })], nil
	}
	var slowest job
	most := -1.0
	table := engine.Table{Title: "Once each, to find the slowest", Columns: []string{"measure", "p95", "limit", "share of it"}}
	for i, j := range jobs {
		scope.Progress(i, len(jobs), "measures")
		at, err := j.first(scope)
		if err != nil {
			return job{}, err
		}
		rounds, err := j.measure(ctx, at)
		if err != nil {
			return job{}, err
		}
		if len(rounds) == 0 {
			return job{}, fmt.Errorf("%s gave no right answer: see `mage %s:%s`", j.name, name, j.name)
		}
		p95 := quantile(rounds, 0.95)
		share := p95 / j.limit.Seconds()
		table.Rows = append(table.Rows, []string{j.name, seconds(p95), seconds(j.limit.Seconds()), fmt.Sprintf("%.1f %%", 100*share)})
		if share > most {
			slowest, most = j, share
		}
	}
	out.Judged = len(jobs)
	out.Tables = []engine.Table{table}
	return slowest, nil
}

// first is the place of the first data set.
func (j job) first(scope engine.Scope) (place, error) {
	sets, err := j.sets(scope)
	if err != nil {
		return place{}, err
	}
	return place{scope, j.p, sets[0]}, nil
}

// underProfiler puts the profiler before a command.
func underProfiler(at place, file string, command []string) []string {
	return append(at.fill(at.p.Benchmark.Profiler, config.FilePlaceholder, file, config.SecondsPlaceholder, strconv.Itoa(int(profiled.Seconds()))), command...)
}

func profileMeasure(m config.Measure) func(context.Context, place, string) error {
	return func(ctx context.Context, at place, file string) error {
		command := at.fill(m.Command, config.FilePlaceholder, filepath.Join(at.scope.Scratch, "profiled.json"))
		words := underProfiler(at, file, command)
		out, err := at.scope.Run(ctx, engine.Invocation{Program: words[0], Args: words[1:], Env: at.env(m.Env)})
		if err == nil && out.ExitCode != 0 {
			err = python.Failure(words[0], out)
		}
		return err
	}
}

// profileLoad gives a server requests until the profiler has seen enough and ends it.
func profileLoad(l config.LoadTest) func(context.Context, place, string) error {
	return func(ctx context.Context, at place, file string) error {
		bodies, err := at.bodies(l)
		if err != nil {
			return err
		}
		port, err := freeport.Find(ctx)
		if err != nil {
			return err
		}
		words := underProfiler(at, file, at.fill(l.Command, config.PortPlaceholder, strconv.Itoa(port)))
		s, err := startServer(ctx, at.scope, engine.Invocation{Program: words[0], Args: words[1:], Env: at.env(l.Env)}, port, l.Ready, l.Start.Std())
		if err != nil {
			return err
		}
		defer func() { _ = s.stop() }() // it has ended by itself, or an error tells more
		if err := s.busied(ctx, l, bodies); err != nil {
			return err
		}
		select {
		case <-s.ended:
		case <-time.After(profiled):
			return errors.New("the profiler did not end: see that benchmark.profiler has " + config.SecondsPlaceholder + " where it takes how long to watch")
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if s.err == nil && s.out.ExitCode != 0 {
			return python.Failure(words[0], s.out)
		}
		return s.err
	}
}

// busied gives a server requests for a while, and no longer than it lives.
func (s *server) busied(ctx context.Context, l config.LoadTest, bodies [][]byte) error {
	alive, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-s.ended:
			cancel()
		case <-alive.Done():
		}
	}()
	_, err := attack(alive, s.url+l.Path, bodies, l.Rate, profiled)
	if ctx.Err() == nil && alive.Err() != nil { // the profiler has seen enough
		return nil
	}
	return err
}
