package engine_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/tool/tooltest"
)

// stage is a stage with fixed steps.
type stage struct {
	name  string
	steps []engine.Step
	err   error
}

func (s stage) Name() string { return s.name }

func (s stage) Steps(*config.Project) ([]engine.Step, error) { return s.steps, s.err }

// one is a stage s with the given steps.
func one(steps ...engine.Step) []engine.Stage { return []engine.Stage{stage{name: "s", steps: steps}} }

var judged = engine.Judgement{Judged: 1, Unit: "files"}

func finding(severity engine.Severity) engine.Judgement {
	return engine.Judgement{Judged: 1, Findings: []engine.Finding{{Rule: "R", Message: "wrong", Severity: severity}}}
}

// do is a step whose function takes some time, heeding its context, and then answers.
func do(name string, takes time.Duration, j engine.Judgement, change ...func(*engine.Step)) engine.Step {
	step := engine.Step{Name: name, Func: func(ctx context.Context, _ engine.Scope) (engine.Judgement, error) {
		select {
		case <-time.After(takes):
			return j, nil
		case <-ctx.Done():
			return engine.Judgement{}, ctx.Err()
		}
	}}
	for _, f := range change {
		f(&step)
	}
	return step
}

func after(names ...string) func(*engine.Step) { return func(s *engine.Step) { s.After = names } }
func slots(n int) func(*engine.Step)           { return func(s *engine.Step) { s.Slots = n } }
func alone(s *engine.Step)                     { s.Alone = true }
func needs(n ...engine.Need) func(*engine.Step) {
	return func(s *engine.Step) { s.Needs = n }
}
func limit(d time.Duration) func(*engine.Step) { return func(s *engine.Step) { s.Timeout = d } }

// recorder is a reporter that remembers, and checks that calls do not overlap.
type recorder struct {
	t      *testing.T
	busy   sync.Mutex
	events []engine.Event
	active map[string]bool
	order  []string // steps, as they started
	most   int      // steps that ran at the same time
}

func (r *recorder) Event(e engine.Event) error {
	if !r.busy.TryLock() {
		r.t.Error("events overlap")
		return nil
	}
	defer r.busy.Unlock()
	r.events = append(r.events, e)
	id := e.Stage + ":" + e.Step
	switch e.Kind {
	case engine.EventStepStarted:
		r.active[id] = true
		r.order = append(r.order, e.Step)
		r.most = max(r.most, len(r.active))
	case engine.EventStepFinished:
		delete(r.active, id)
	default:
	}
	return nil
}

func (r *recorder) texts(kind engine.EventKind) []string {
	var all []string
	for _, e := range r.events {
		if e.Kind == kind {
			all = append(all, e.Text)
		}
	}
	return all
}

// trial runs stages and keeps what was seen.
type trial struct {
	t    *testing.T
	opts engine.Options
	seen *recorder
	run  *engine.Run
	err  error
}

func newTrial(t *testing.T, change ...func(*engine.Options)) *trial {
	t.Helper()
	root := t.TempDir()
	x := &trial{t: t, seen: &recorder{t: t, active: map[string]bool{}}}
	x.opts = engine.Options{
		Target: "check", Root: root, Dir: filepath.Join(root, ".pipeline", "runs", "1"), ID: "1", Limit: 2,
		Runner: tooltest.New(t), Reporters: []engine.Reporter{x.seen},
	}
	for _, f := range change {
		f(&x.opts)
	}
	return x
}

func (x *trial) execute(ctx context.Context, stages []engine.Stage) *trial {
	x.t.Helper()
	plan, err := engine.NewPlan(&config.Project{Root: x.opts.Root}, stages)
	if err != nil {
		x.t.Fatal(err)
	}
	x.run, x.err = engine.Execute(ctx, plan, x.opts)
	if x.run == nil {
		x.t.Fatalf("no run: %v", x.err)
	}
	return x
}

// summary is one line a step: its status and its reason.
func (x *trial) summary() string {
	var b strings.Builder
	for _, s := range x.run.Stages {
		for _, r := range s.Steps {
			fmt.Fprintf(&b, "%s:%s %s", s.Name, r.Name, r.Status)
			if r.Reason != "" {
				fmt.Fprintf(&b, " (%s)", r.Reason)
			}
			b.WriteByte('\n')
		}
	}
	return b.String()
}

func (x *trial) want(code int, lines ...string) *trial {
	x.t.Helper()
	if x.run.ExitCode != code {
		x.t.Errorf("exit code %d, want %d", x.run.ExitCode, code)
	}
	if want := strings.Join(lines, "\n") + "\n"; lines != nil && x.summary() != want {
		x.t.Errorf("got\n%swant\n%s", x.summary(), want)
	}
	return x
}

func (x *trial) wantOrder(names ...string) *trial {
	x.t.Helper()
	if !slices.Equal(x.seen.order, names) {
		x.t.Errorf("started in the order %v, want %v", x.seen.order, names)
	}
	return x
}

func (x *trial) result(name string) engine.StepResult {
	x.t.Helper()
	for _, s := range x.run.Stages {
		for _, r := range s.Steps {
			if r.Name == name {
				return r
			}
		}
	}
	x.t.Fatalf("no step %s", name)
	return engine.StepResult{}
}

func (x *trial) read(path ...string) string {
	x.t.Helper()
	b, err := os.ReadFile(filepath.Join(append([]string{x.opts.Dir}, path...)...))
	if err != nil {
		x.t.Fatal(err)
	}
	return string(b)
}

func expect(durations map[string]time.Duration) func(*engine.Options) {
	return func(o *engine.Options) {
		o.Expected = func(_, step string) time.Duration { return durations[step] }
	}
}
