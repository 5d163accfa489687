package rollout_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/meter-ml/meter-pipeline/internal/rollout"
	"github.com/meter-ml/meter-pipeline/internal/rollout/rollouttest"
)

func TestFirstRelease(t *testing.T) {
	dir := memory(t)
	synctest.Test(t, func(t *testing.T) {
		h := empty(t, dir)
		end, err := h.roll("v1")
		if err != nil || end.Kind != rollout.Forward || end.Target != "v1" {
			t.Errorf("%+v, %v", end, err)
		}
		h.serves("v1")
		want := []string{"pull v1", "migrate to 001", "start v1 in blue", "blue 100, green 0", "replace by v1"}
		if diff := cmp.Diff(want, h.world.Mutations()); diff != "" {
			t.Error(diff)
		}
		h.sound()
	})
}

func TestFirstReleaseFails(t *testing.T) {
	dir := memory(t)
	synctest.Test(t, func(t *testing.T) {
		h := empty(t, dir)
		h.world.Behave("v1", rollouttest.Manner{SmokeFails: errors.New("wrong answer")})
		end, err := h.roll("v1")
		if err != nil || end.Kind != rollout.Recovery || end.Reason != "smoke test: wrong answer" {
			t.Errorf("%+v, %v", end, err)
		}
		h.serves("")
		h.sound()
	})
}

func TestWholeRollOut(t *testing.T) {
	on(t, func(t *testing.T, h *host) {
		began := time.Now()
		before := len(h.world.Mutations())
		end, err := h.roll("v2")
		if err != nil || end.Kind != rollout.Forward || end.Target != "v2" {
			t.Fatalf("%+v, %v", end, err)
		}
		h.serves("v2")
		want := []string{
			"pull v2", "migrate to 002", "start v2 in green",
			"blue 95, green 5", "blue 75, green 25", "blue 50, green 50", "blue 0, green 100",
			"replace by v2", "stop blue",
		}
		if diff := cmp.Diff(want, h.world.Mutations()[before:]); diff != "" {
			t.Error(diff)
		}
		if took := time.Since(began); took < 4*time.Minute || took > 4*time.Minute+20*time.Second {
			t.Errorf("four windows of a minute took %v", took)
		}
		if requests, dropped := h.world.Traffic(); requests < 40_000 || dropped > 0 {
			t.Errorf("%.0f of %.0f requests found nobody", dropped, requests)
		}
		h.tells("gate:note the evidence was accepted", "smoke:done", "judge:note 5 % at 1m0s of 1m0s, look 11: pass", "done:note v2 serves")
	})
}

func TestTwentyInARow(t *testing.T) {
	on(t, func(t *testing.T, h *host) {
		for i := range 20 {
			release := string(rune('a'+i)) + "2"
			if end, err := h.roll(release); err != nil || end.Kind != rollout.Forward {
				t.Fatalf("%s: %+v, %v", release, end, err)
			}
			h.serves(release)
		}
		if state := h.state(); len(state.Previous) != 10 || state.Previous[0].Release != "s2" {
			t.Errorf("%+v", state.Previous)
		}
	})
}

// Each bad release goes back by itself, and no request found nobody unless it crashed with traffic.
func TestBadReleases(t *testing.T) {
	tests := []struct {
		name   string
		manner rollouttest.Manner
		gate   error
		reason string
		weight string // the most it ever had
		within time.Duration
		drops  float64
	}{
		{"no evidence", rollouttest.Manner{}, errors.New("no attestation"), "gate: no attestation", "none", time.Second, 0},
		{"no image", rollouttest.Manner{PullFails: rollout.Permanent(errors.New("manifest unknown"))}, nil, "pull: manifest unknown", "none", time.Second, 0},
		{"registry away", rollouttest.Manner{PullFails: errors.New("connection refused")}, nil, "pull: connection refused", "none", 70 * time.Second, 0},
		{"migration", rollouttest.Manner{SchemaFails: rollout.Permanent(errors.New("column exists"))}, nil, "migrate: column exists", "none", time.Second, 0},
		{"crashes as it starts", rollouttest.Manner{Never: true, Restarts: 9}, nil, "become healthy: v2 crashed 3 times as it started", "none", 5 * time.Second, 0},
		{"never healthy", rollouttest.Manner{Never: true}, nil, "become healthy: it did not happen within 1m0s", "none", 70 * time.Second, 0},
		{"wrong answers", rollouttest.Manner{SmokeFails: errors.New("12 is not 13")}, nil, "smoke test: 12 is not 13", "none", time.Second, 0},
		{"30 % errors", rollouttest.Manner{Errors: 0.3}, nil, "green fails 30 % of its requests, blue 0 %", "5", 12 * time.Second, 0},
		{"10 % errors", rollouttest.Manner{Errors: 0.1}, nil, "of its requests", "5", 12 * time.Second, 0},
		{"5 % errors", rollouttest.Manner{Errors: 0.05}, nil, "of its requests", "5", 20 * time.Second, 0},
		{"2 % errors", rollouttest.Manner{Errors: 0.02}, nil, "of its requests", "5", 45 * time.Second, 0},
		{"three times as slow", rollouttest.Manner{Slow: 3}, nil, "green takes 22", "5", 15 * time.Second, 0},
		{"other predictions", rollouttest.Manner{Shift: 0.4}, nil, "consumption predicts something else than before", "5", 30 * time.Second, 0},
		{"crashes after 20 s", rollouttest.Manner{CrashAfter: 20 * time.Second}, nil, "v2 is not healthy: it has exited", "5", 30 * time.Second, 10},
		{"what runs beside it is sick", rollouttest.Manner{Sick: true}, nil, "replace: it did not happen within 1m0s (mlflow is not healthy: starting)", "100", 400 * time.Second, 0},
		{"it does not work together", rollouttest.Manner{VerifyFails: errors.New("no DAG is loaded")}, nil, "verify: no DAG is loaded", "100", 400 * time.Second, 0},
		{"crashes in the bake", rollouttest.Manner{CrashAfter: 200 * time.Second}, nil, "v2 is not healthy: it has exited", "100", 220 * time.Second, 200},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			on(t, func(t *testing.T, h *host) {
				h.world.Behave("v2", tt.manner)
				h.gate = func(context.Context, rollout.Revision) (rollout.Verdict, error) { return rollout.Verdict{}, tt.gate }
				began := time.Now()
				end, err := h.roll("v2")
				if err != nil || end.Kind != rollout.Recovery || !strings.Contains(end.Reason, tt.reason) {
					t.Errorf("%+v, %v", end, err)
				}
				h.serves("v1")
				if took := time.Since(began); took > tt.within {
					t.Errorf("it took %v", took)
				}
				all := strings.Join(h.world.Mutations(), "; ")
				most := "none"
				for _, w := range []string{"5", "25", "50", "100"} {
					if strings.Contains(all, "green "+w) {
						most = w
					}
				}
				if most != tt.weight {
					t.Errorf("it had a weight of %s: %s", most, all)
				}
				_, dropped := h.world.Traffic()
				if dropped > tt.drops {
					t.Errorf("%.0f requests found nobody", dropped)
				}
				h.tells("roll back:note", "done:note v1 serves")
			})
		})
	}
}

// With blue warm a rollback takes less than the two seconds that its drain takes anyway.
func TestRollbackIsFast(t *testing.T) {
	on(t, func(t *testing.T, h *host) {
		h.world.Behave("v2", rollouttest.Manner{Errors: 0.3})
		l := h.live()
		if err := l.Begin(t.Context(), rollout.Order{Target: revision("v2"), Actor: "ada"}); err != nil {
			t.Fatal(err)
		}
		done := make(chan time.Time)
		go func() {
			for !strings.HasSuffix(strings.Join(h.world.Mutations(), ";"), "blue 95, green 5;blue 100, green 0") {
				time.Sleep(10 * time.Millisecond)
			}
			done <- time.Now()
		}()
		go func() {
			_, _ = l.Run(t.Context())
			h.end(l)
		}()
		back := <-done
		synctest.Wait()
		time.Sleep(time.Minute)
		var alarm time.Time
		for line := range strings.Lines(h.told()) {
			if strings.HasPrefix(line, "roll back:note") {
				alarm = h.when("roll back")
			}
		}
		if took := back.Sub(alarm); alarm.IsZero() || took > 2*time.Second {
			t.Errorf("%v from alarm to weight", took)
		}
	})
}

func TestRollbackByHand(t *testing.T) {
	on(t, func(t *testing.T, h *host) {
		for _, release := range []string{"v2", "v3"} {
			if _, err := h.roll(release); err != nil {
				t.Fatal(err)
			}
		}
		back := func(to string) (rollout.Ending, error) {
			l := h.live()
			defer h.end(l)
			if err := l.BeginBack(t.Context(), to, rollout.Order{Actor: "ada", Reason: "customers complain"}); err != nil {
				return rollout.Ending{}, err
			}
			return l.Run(t.Context())
		}
		began, before := time.Now(), len(h.world.Mutations())
		if end, err := back("v1"); err != nil || end.Kind != rollout.Back || end.Target != "v1" {
			t.Errorf("%+v, %v", end, err)
		}
		h.serves("v1")
		want := []string{"start v1 in blue", "blue 100, green 0", "replace by v1", "stop green"} // neither a migration nor windows
		if h.state().Current.Slot == rollout.Green {
			want = []string{"start v1 in green", "blue 0, green 100", "replace by v1", "stop blue"}
		}
		if diff := cmp.Diff(want, h.world.Mutations()[before:]); diff != "" {
			t.Error(diff)
		}
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("it took %v", took)
		}
		h.tells("smoke:done")
		if _, err := back("v9"); err == nil {
			t.Error("to a release that never was")
		}
		h.world.Behave("v3", rollouttest.Manner{SmokeFails: errors.New("wrong")})
		if end, err := back(""); err != nil || end.Kind != rollout.Recovery {
			t.Errorf("a rollback that fails goes back, too: %+v, %v", end, err)
		}
		h.serves("v1")
	})
}

func TestBeginRefuses(t *testing.T) {
	on(t, func(t *testing.T, h *host) {
		l := h.live()
		defer h.end(l)
		if _, err := l.Run(t.Context()); !errors.Is(err, rollout.ErrIdle) {
			t.Error(err)
		}
		if err := l.Begin(t.Context(), rollout.Order{Target: revision("v1")}); !errors.Is(err, rollout.ErrServes) {
			t.Error(err)
		}
		if err := l.Begin(t.Context(), rollout.Order{Target: rollout.Revision{Release: "v2"}}); err == nil {
			t.Error("a revision without a digest")
		}
		if err := l.Begin(t.Context(), rollout.Order{Target: revision("v2")}); err != nil {
			t.Error(err)
		}
		if err := l.Begin(t.Context(), rollout.Order{Target: revision("v3")}); !errors.Is(err, rollout.ErrBusy) {
			t.Error(err)
		}
		if _, err := l.Run(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestMissingMetricsAreNoPass(t *testing.T) {
	on(t, func(t *testing.T, h *host) {
		h.world.Blind(true)
		end, err := h.roll("v2")
		if err != nil || end.Kind != rollout.Recovery || end.Reason != "inconclusive at the deadline" {
			t.Errorf("%+v, %v", end, err)
		}
		h.serves("v1")
		h.tells("waits for figures: no metrics")
	})
}

// What the figures lack for good, no later look brings back: the window begins anew. A target that has gaps all the time
// does not come through by that.
func TestGaps(t *testing.T) {
	for gaps, kind := range map[int]rollout.Kind{1: rollout.Forward, 2: rollout.Forward, 20: rollout.Recovery} {
		on(t, func(t *testing.T, h *host) {
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				time.Sleep(90 * time.Second)
				for range gaps {
					h.world.Tear()
					time.Sleep(25 * time.Second)
				}
			}()
			began := time.Now()
			end, err := h.roll("v2")
			if err != nil || end.Kind != kind {
				t.Errorf("%d gaps: %+v, %v", gaps, end, err)
			}
			if took := time.Since(began); kind == rollout.Forward && took < 4*time.Minute+time.Duration(gaps)*20*time.Second {
				t.Errorf("%d gaps: it took %s, so no window began anew", gaps, took)
			}
			h.tells("window:note it begins anew: the figures have a gap")
			h.serves(map[rollout.Kind]string{rollout.Forward: "v2", rollout.Recovery: "v1"}[kind])
			<-ended
		})
	}
}

// The engine is away for a while in mid-shift: shorter than Blind it is waited for, longer it ends the roll-out, and
// the rollback waits until it is there again.
func TestEngineAway(t *testing.T) {
	for gone, kind := range map[time.Duration]rollout.Kind{20 * time.Second: rollout.Forward, 5 * time.Minute: rollout.Recovery} {
		on(t, func(t *testing.T, h *host) {
			go func() {
				time.Sleep(90 * time.Second)
				h.world.Away(true)
				time.Sleep(gone)
				h.world.Away(false)
			}()
			if end, err := h.roll("v2"); err != nil || end.Kind != kind {
				t.Errorf("away for %v: %+v, %v", gone, end, err)
			}
			h.serves(map[rollout.Kind]string{rollout.Forward: "v2", rollout.Recovery: "v1"}[kind])
		})
	}
}

// A proxy that comes back with old weights gets the right ones, and the window begins anew.
func TestProxyForgets(t *testing.T) {
	on(t, func(t *testing.T, h *host) {
		began := time.Now()
		go func() {
			time.Sleep(100 * time.Second)
			h.world.Upset(rollout.Weights{rollout.Blue: 100, rollout.Green: 0})
		}()
		if end, err := h.roll("v2"); err != nil || end.Kind != rollout.Forward {
			t.Errorf("%+v, %v", end, err)
		}
		h.serves("v2")
		if took := time.Since(began); took < 4*time.Minute+30*time.Second {
			t.Errorf("%v: the window did not begin anew", took)
		}
		h.tells("blue 75 and green 25 was set, and is so no more")
	})
}

func (h *host) ask(after time.Duration, actions ...rollout.Action) {
	go func() {
		for _, a := range actions {
			time.Sleep(after)
			roll := h.state().Roll
			if roll == nil {
				return
			}
			if err := h.inbox().Put(time.Now(), rollout.Request{Roll: roll.ID, Action: a, Actor: "bob", Reason: "as I say"}); err != nil {
				h.Error(err)
			}
		}
	}()
}

func TestRequests(t *testing.T) {
	tests := []struct {
		name    string
		actions []rollout.Action // one each 90 seconds
		kind    rollout.Kind
		least   time.Duration
		most    time.Duration
	}{
		{"abort", []rollout.Action{rollout.Abort}, rollout.Recovery, 90 * time.Second, 95 * time.Second},
		{"promote", []rollout.Action{rollout.Promote}, rollout.Forward, 3*time.Minute + 30*time.Second, 3*time.Minute + 40*time.Second},
		{"pause, resume", []rollout.Action{rollout.Pause, rollout.Resume}, rollout.Forward, 6 * time.Minute, 6*time.Minute + 10*time.Second},
		{"pause, abort", []rollout.Action{rollout.Pause, rollout.Abort}, rollout.Recovery, 3 * time.Minute, 3*time.Minute + 5*time.Second},
		{"pause, promote", []rollout.Action{rollout.Pause, rollout.Promote}, rollout.Forward, 5 * time.Minute, 5*time.Minute + 10*time.Second},
		{"pause for long", []rollout.Action{rollout.Pause, "", "", "", "", "", "", "", "", rollout.Abort}, rollout.Recovery, 15 * time.Minute, 15*time.Minute + 5*time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			on(t, func(t *testing.T, h *host) {
				began := time.Now()
				h.ask(90*time.Second, tt.actions...)
				end, err := h.roll("v2")
				took := time.Since(began)
				if err != nil || end.Kind != tt.kind || took < tt.least || took > tt.most {
					t.Errorf("%+v, %v, after %v", end, err, took)
				}
				h.serves(map[rollout.Kind]string{rollout.Forward: "v2", rollout.Recovery: "v1"}[tt.kind])
				h.tells("bob asks: as I say")
			})
		})
	}
}

// A paused roll-out is watched: a defect that shows then takes it back.
func TestPausedIsWatched(t *testing.T) {
	on(t, func(t *testing.T, h *host) {
		h.ask(90*time.Second, rollout.Pause)
		go func() {
			time.Sleep(10 * time.Minute)
			h.world.Behave("v2", rollouttest.Manner{Errors: 0.2})
		}()
		end, err := h.roll("v2")
		if err != nil || end.Kind != rollout.Recovery || !strings.Contains(end.Reason, "never more than 5 % may") && !strings.Contains(end.Reason, "blue 0 %") {
			t.Errorf("%+v, %v", end, err)
		}
		h.serves("v1")
	})
}

func TestRequestsOfOthers(t *testing.T) {
	on(t, func(t *testing.T, h *host) {
		for _, r := range []rollout.Request{{Roll: "roll-0", Action: rollout.Abort, Actor: "bob"}, {Roll: "x", Action: "else"}} {
			if err := h.inbox().Put(time.Now(), r); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		if end, err := h.roll("v2"); err != nil || end.Kind != rollout.Forward {
			t.Errorf("%+v, %v", end, err)
		}
		h.tells("(not done: it is for roll-0)")
		if _, ok, err := h.inbox().Next(t.Context()); ok || err != nil {
			t.Error("a request was left", err)
		}
	})
}

// The context that ends leaves the roll-out where it is, for the next.
func TestInterrupted(t *testing.T) {
	on(t, func(t *testing.T, h *host) {
		l := h.live()
		if err := l.Begin(t.Context(), rollout.Order{Target: revision("v2"), Actor: "ada"}); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Second)
		defer cancel()
		if _, err := l.Run(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		h.end(l)
		if roll := h.state().Roll; roll == nil || roll.Step != 1 {
			t.Errorf("%+v", roll)
		}
		next := h.live()
		if end, err := next.Run(t.Context()); err != nil || end.Kind != rollout.Forward {
			t.Errorf("%+v, %v", end, err)
		}
		h.end(next)
		h.serves("v2")
	})
}
