package engine_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/engine"
)

// in runs a test with a clock of its own.
func in(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}

func TestLongestExpectedFirst(t *testing.T) {
	steps := func() []engine.Stage {
		return one(do("short", time.Second, judged), do("long", 9*time.Second, judged), do("middle", 3*time.Second, judged),
			do("new", time.Second, judged), do("first", time.Second, judged), do("chained", 9*time.Second, judged, after("first")))
	}
	in(t, func(t *testing.T) {
		// "first" is short, but a long step waits for it. "new" is in no history, so it may be the longest.
		x := newTrial(t, expect(map[string]time.Duration{
			"short": time.Second, "long": 9 * time.Second, "middle": 3 * time.Second, "first": time.Second, "chained": 9 * time.Second,
		}), func(o *engine.Options) { o.Limit = 1 })
		x.execute(t.Context(), steps()).want(0).wantOrder("new", "first", "long", "chained", "middle", "short")
		if x.run.Duration != 24*time.Second {
			t.Errorf("took %s", x.run.Duration)
		}
	})
	in(t, func(t *testing.T) {
		x := newTrial(t, func(o *engine.Options) { o.Limit = 1 })
		x.execute(t.Context(), steps()).want(0).wantOrder("short", "long", "middle", "new", "first", "chained")
	})
	in(t, func(t *testing.T) {
		x := newTrial(t, func(o *engine.Options) { o.Limit = 2 })
		x.execute(t.Context(), one(do("a", time.Second, judged), do("b", time.Second, judged, limit(time.Minute)),
			do("c", time.Second, judged, slots(2)))).want(0).wantOrder("c", "b", "a")
	})
}

func TestASmallStepPassesOnlyIfItDelaysNobody(t *testing.T) {
	tests := []struct {
		small time.Duration
		want  []string
	}{
		{2 * time.Second, []string{"small", "big"}},
		{5 * time.Second, []string{"big", "small"}},
	}
	for _, tt := range tests {
		in(t, func(t *testing.T) {
			// After seven seconds "big" could start, but it needs both slots, and "first" holds one for two more.
			x := newTrial(t, expect(map[string]time.Duration{
				"first": 9 * time.Second, "big": 8 * time.Second, "small": tt.small, "tiny": 7 * time.Second,
			}))
			x.execute(t.Context(), one(do("small", tt.small, judged), do("big", 8*time.Second, judged, slots(2), after("tiny")),
				do("first", 9*time.Second, judged), do("tiny", 7*time.Second, judged)))
			x.want(0).wantOrder(append([]string{"tiny", "first"}, tt.want...)...)
		})
	}
}

// TestSlots runs random plans, and holds the limit at every moment.
func TestSlots(t *testing.T) {
	for seed := range uint64(100) {
		in(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 1)) // can be repeated
			most := 1 + random.IntN(4)
			var used, lone, active atomic.Int64
			var steps []engine.Step
			for i := range 1 + random.IntN(15) {
				weight := random.IntN(7)
				held := int64(min(weight, most))
				if held == 0 {
					held = 1
				}
				single := random.IntN(6) == 0
				takes := time.Duration(random.IntN(5)) * time.Second
				step := engine.Step{Name: fmt.Sprintf("s%d", i), Slots: weight, Alone: single, Func: func(context.Context, engine.Scope) (engine.Judgement, error) {
					defer used.Add(-held)
					defer active.Add(-1)
					if n := used.Add(held); n > int64(most) {
						t.Errorf("seed %d: %d slots of %d are used", seed, n, most)
					}
					active.Add(1)
					if single {
						lone.Add(1)
						defer lone.Add(-1)
					}
					time.Sleep(takes)
					if lone.Load() > 0 && active.Load() > 1 {
						t.Errorf("seed %d: a step that runs alone has company", seed)
					}
					return judged, nil
				}}
				for range random.IntN(3) {
					if i > 0 {
						step.After = append(step.After, fmt.Sprintf("s%d", random.IntN(i)))
					}
				}
				steps = append(steps, step)
			}
			x := newTrial(t, func(o *engine.Options) { o.Limit = most })
			x.execute(t.Context(), one(steps...)).want(0)
			for _, r := range x.run.Stages[0].Steps {
				if r.Status != engine.StatusPassed {
					t.Errorf("seed %d: %s", seed, x.summary())
				}
			}
		})
	}
}

func TestSlotsAboveTheLimitAreAllThereAre(t *testing.T) {
	in(t, func(t *testing.T) {
		x := newTrial(t)
		x.execute(t.Context(), one(do("a", time.Second, judged, slots(99)), do("b", time.Second, judged, slots(99)))).want(0)
		if x.seen.most != 1 || x.run.Limit != 2 {
			t.Errorf("%d at the same time, limit %d", x.seen.most, x.run.Limit)
		}
	})
}

func TestAlone(t *testing.T) {
	in(t, func(t *testing.T) {
		x := newTrial(t, func(o *engine.Options) { o.Limit = 8; o.Provider = slow{5 * time.Second} })
		x.execute(t.Context(), one(
			do("bench", time.Second, judged, alone),
			do("bench2", time.Second, judged, alone),
			do("a", time.Second, judged),
			do("needy", time.Second, judged, needs("python")), // not ready when "a" ends
			do("b", time.Second, judged, after("a")),
			do("report", time.Second, judged, after("bench")),
		)).want(0)
		x.wantOrder("a", "b", "needy", "bench", "report", "bench2")
	})
}

func TestAfter(t *testing.T) {
	tests := []struct {
		name  string
		first engine.Step
		want  []string
		code  int
	}{
		{"passed", do("a", 0, judged), []string{"s:a passed", "s:b passed", "s:c passed", "s:d passed"}, 0},
		{"failed", do("a", 0, finding(engine.SeverityHigh)), []string{
			"s:a failed", "s:b skipped (it runs after s:a, which failed)",
			"s:c skipped (it runs after s:b, which was skipped: it runs after s:a, which failed)", "s:d passed",
		}, 1},
		{"not judged", do("a", 0, engine.Judgement{Judged: 0, Unit: "tests"}), []string{
			"s:a error (it judged no tests, and a gate that looks at nothing is no gate: check the paths in pipeline.yaml)",
			"s:b skipped (it runs after s:a, which could not be judged)",
			"s:c skipped (it runs after s:b, which was skipped: it runs after s:a, which could not be judged)", "s:d passed",
		}, 3},
		{"skipped", engine.Step{Name: "a", Skip: "it is off"}, []string{
			"s:a skipped (it is off)",
			"s:b skipped (it runs after s:a, which was skipped: it is off)",
			"s:c skipped (it runs after s:b, which was skipped: it runs after s:a, which was skipped: it is off)", "s:d passed",
		}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			x := newTrial(t)
			x.execute(t.Context(), one(tt.first, do("b", 0, judged, after("a")), do("c", 0, judged, after("b", "s:b")), do("d", 0, judged)))
			x.want(tt.code, tt.want...)
		})
	}
}

func TestEverythingSkippedIsAnError(t *testing.T) {
	x := newTrial(t).execute(t.Context(), one(engine.Step{Name: "a", Skip: "it is off"}))
	x.want(3, "s:a skipped (it is off)")
	if x.run.Status != engine.StatusError || len(x.run.Problems) != 1 {
		t.Errorf("%s, %q", x.run.Status, x.run.Problems)
	}
}

func TestFailFast(t *testing.T) {
	steps := one(do("a", time.Second, finding(engine.SeverityLow)), do("b", 2*time.Second, judged), do("c", time.Second, judged),
		do("d", time.Second, judged, after("c")))
	in(t, func(t *testing.T) {
		newTrial(t).execute(t.Context(), steps).want(1, "s:a failed", "s:b passed", "s:c passed", "s:d passed")
	})
	in(t, func(t *testing.T) {
		x := newTrial(t, func(o *engine.Options) { o.FailFast = true })
		const reason = "s:a did not pass, and this run stops at the first step that does not"
		// What already runs is judged: its result is paid for.
		x.execute(t.Context(), steps).want(1, "s:a failed", "s:b passed", "s:c skipped ("+reason+")", "s:d skipped ("+reason+")")
	})
}

func TestStepTimeout(t *testing.T) {
	in(t, func(t *testing.T) {
		x := newTrial(t)
		x.execute(t.Context(), one(do("slow", time.Hour, judged, limit(time.Minute)), do("quick", time.Second, judged, limit(time.Minute))))
		x.want(3, "s:slow error (it took longer than its limit of 1m0s: see its log, or raise run.budgets.s in pipeline.yaml)", "s:quick passed")
		if r := x.result("slow"); r.Duration != time.Minute {
			t.Errorf("took %s", r.Duration)
		}
		if x.run.Interrupted || x.run.DeadlineExceeded {
			t.Error("a step's limit is not the run's")
		}
	})
}

func TestDeadline(t *testing.T) {
	steps := one(do("a", time.Hour, judged), do("b", time.Second, judged), do("c", time.Hour, judged, slots(2)))
	want := []string{
		"s:a error (the run's deadline passed while it was running: raise run.timeout in pipeline.yaml)", "s:b passed",
		"s:c skipped (the run's deadline passed before it started)",
	}
	durations := expect(map[string]time.Duration{"a": time.Hour, "b": 2 * time.Hour, "c": time.Second})
	in(t, func(t *testing.T) {
		x := newTrial(t, durations, func(o *engine.Options) { o.Deadline = time.Minute })
		x.execute(t.Context(), steps).want(124, want...)
		if !x.run.DeadlineExceeded || x.run.Interrupted || x.run.Status != engine.StatusError || x.run.Duration != time.Minute {
			t.Errorf("%+v", x.run)
		}
	})
	in(t, func(t *testing.T) { // mage -t
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		newTrial(t, durations).execute(ctx, steps).want(124, want...)
	})
}

func TestInterrupt(t *testing.T) {
	in(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(90*time.Second, cancel)
		x := newTrial(t, func(o *engine.Options) { o.Deadline = time.Hour })
		x.execute(ctx, one(do("a", time.Minute, finding(engine.SeverityHigh)), do("b", time.Hour, judged), do("c", time.Hour, judged),
			do("d", time.Second, judged)))
		x.want(130, "s:a failed", "s:b error (interrupted)", "s:c error (interrupted)", "s:d skipped (the run was interrupted before it started)")
		if said := x.seen.texts(engine.EventMessage); len(said) != 1 || said[0] != "stopping, press Ctrl-C again to kill" {
			t.Errorf("said %q", said)
		}
		if !x.run.Interrupted || x.run.Duration != 90*time.Second {
			t.Errorf("%+v", x.run)
		}
	})
}

func TestInterruptBeforeTheStart(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	newTrial(t).execute(ctx, one(do("a", 0, judged))).want(130, "s:a skipped (the run was interrupted before it started)")
}

func TestAStepThatDoesNotHeedItsContextIsGivenUp(t *testing.T) {
	in(t, func(t *testing.T) {
		end := make(chan struct{})
		deaf := engine.Step{Name: "deaf", Timeout: time.Minute, Func: func(_ context.Context, s engine.Scope) (engine.Judgement, error) {
			<-end
			s.Log("too late")
			s.Progress(1, 2, "too late")
			return judged, nil
		}}
		x := newTrial(t, func(o *engine.Options) { o.Grace = 2 * time.Second; o.Limit = 1 })
		x.execute(t.Context(), one(deaf, do("next", time.Second, judged, limit(time.Second*2))))
		if r := x.result("deaf"); r.Status != engine.StatusError || r.Duration != 62*time.Second || !strings.Contains(r.Reason, "longer than its limit") {
			t.Errorf("%+v", r)
		}
		x.want(3)
		close(end)
		synctest.Wait()
		if strings.Contains(x.read("logs", "s", "deaf.log"), "too late") || len(x.seen.texts(engine.EventOutput)) > 0 {
			t.Error("it is still heard")
		}
	})
}
