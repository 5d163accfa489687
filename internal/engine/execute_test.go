package engine_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
)

// failing is a reporter that fails, or panics, at one kind of event.
type failing struct {
	at     engine.EventKind
	panics bool
	seen   *[]*engine.Run
}

func (f failing) Event(e engine.Event) error {
	if e.Kind == engine.EventRunFinished && f.seen != nil {
		*f.seen = append(*f.seen, e.Run)
	}
	switch {
	case e.Kind != f.at:
		return nil
	case f.panics:
		panic("oh")
	default:
		return errors.New("write junit.xml: no space left on device")
	}
}

func TestReporterThatFails(t *testing.T) {
	for _, at := range []engine.EventKind{engine.EventStepFinished, engine.EventRunFinished} {
		for _, panics := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/%v", at, panics), func(t *testing.T) {
				x := newTrial(t)
				var seen []*engine.Run
				x.opts.Reporters = []engine.Reporter{failing{at: at, panics: panics}, x.seen, failing{seen: &seen}}
				x.execute(t.Context(), one(do("a", 0, judged), do("b", 0, judged))).want(3)
				if x.err == nil || len(x.run.Problems) != 1 || x.run.Status != engine.StatusError {
					t.Errorf("%v, %q, %s", x.err, x.run.Problems, x.run.Status)
				}
				// One that comes later knows already.
				if len(seen) != 1 || seen[0].ExitCode != engine.ExitError {
					t.Errorf("%+v", seen)
				}
			})
		}
	}
}

func TestEventsOfARun(t *testing.T) {
	x := newTrial(t, func(o *engine.Options) { o.Limit = 1; o.Commit, o.Branch, o.Dirty = "abc", "main", true })
	x.execute(t.Context(), []engine.Stage{
		stage{name: "s", steps: []engine.Step{do("a", 0, judged), {Name: "b", Skip: "off"}}},
		stage{name: "t", steps: []engine.Step{do("c", 0, judged)}},
	}).want(0)
	var got []string
	for _, e := range x.seen.events {
		got = append(got, strings.TrimRight(fmt.Sprintf("%s %s %s", e.Kind, e.Stage, e.Step), " "))
		if e.Time.IsZero() {
			t.Errorf("%s has no time", e.Kind)
		}
	}
	want := "run_started, step_finished s b, step_started s a, step_finished s a, stage_done s, step_started t c, step_finished t c, stage_done t, run_finished"
	if strings.Join(got, ", ") != want {
		t.Errorf("got %s", strings.Join(got, ", "))
	}
	first := x.seen.events[0]
	if len(first.Plan) != 2 || first.Run.Target != "check" || first.Run.Commit != "abc" || !first.Run.Dirty {
		t.Errorf("%+v", first)
	}
	if x.run.Branch != "main" || x.run.Status != engine.StatusPassed || x.run.Stages[0].Status != engine.StatusPassed {
		t.Errorf("%+v", x.run)
	}
}

func TestExitCodes(t *testing.T) {
	failed, wrong := do("a", 0, finding(engine.SeverityHigh)), do("b", 0, engine.Judgement{})
	newTrial(t).execute(t.Context(), one(failed, do("c", 0, judged))).want(1)
	x := newTrial(t).execute(t.Context(), one(failed, wrong)).want(3)
	if x.run.Stages[0].Status != engine.StatusError {
		t.Error(x.run.Stages[0].Status)
	}
}

func TestExecuteRefuses(t *testing.T) {
	plan, err := engine.NewPlan(&config.Project{}, one(do("a", 0, judged)))
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name   string
		change func(*engine.Options)
		want   string
	}{
		{"no runner", func(o *engine.Options) { o.Runner = nil }, "no runner"},
		{"no ID", func(o *engine.Options) { o.ID = "" }, "no run ID"},
		{"relative directory", func(o *engine.Options) { o.Dir = "runs" }, "must be absolute"},
		{"no root", func(o *engine.Options) { o.Root = "/no/such" }, "is no directory"},
		{"another run's directory", func(o *engine.Options) { _ = os.MkdirAll(filepath.Join(o.Dir, "x"), 0o750) }, "is not empty"},
		{"a file in the way", func(o *engine.Options) { _ = os.WriteFile(filepath.Join(o.Root, ".pipeline"), nil, 0o600) }, "check that the disk has room"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			x := newTrial(t, tt.change)
			run, err := engine.Execute(t.Context(), plan, x.opts)
			if run != nil || err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, %v", run, err)
			}
		})
	}
}

// TestFullDisk lets a log be a device that is always full.
func TestFullDisk(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		return // no such device on this system
	}
	x := newTrial(t)
	plant := engine.Step{Name: "plant", Func: func(_ context.Context, s engine.Scope) (engine.Judgement, error) {
		return judged, os.Symlink("/dev/full", filepath.Join(filepath.Dir(s.Artifacts), "logs", "s", "a.log"))
	}}
	x.execute(t.Context(), one(plant, do("a", 0, judged, after("plant"))))
	x.want(3, "s:plant passed", "s:a error (write log: write "+filepath.Join(x.opts.Dir, "logs", "s", "a.log")+
		": no space left on device: check that the disk has room)")
}

func TestUnwritableRunDirectory(t *testing.T) {
	x := newTrial(t)
	spoil := engine.Step{Name: "spoil", Func: func(_ context.Context, s engine.Scope) (engine.Judgement, error) {
		scratch := filepath.Dir(filepath.Dir(s.Scratch))
		return judged, errors.Join(os.RemoveAll(scratch), os.WriteFile(scratch, nil, 0o600))
	}}
	x.execute(t.Context(), one(spoil, do("a", 0, judged, after("spoil")))).want(3)
	if r := x.result("a"); r.Status != engine.StatusError || !strings.Contains(r.Reason, "make scratch directory") {
		t.Errorf("%+v", r)
	}
}
