package rollout_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/rollout"
	"github.com/meter-ml/meter-pipeline/internal/rollout/journal"
	"github.com/meter-ml/meter-pipeline/internal/rollout/judge"
	"github.com/meter-ml/meter-pipeline/internal/rollout/rollouttest"
)

// Weights that were lost while nothing is under way are set again; everything else is only told.
func TestTend(t *testing.T) {
	on(t, func(t *testing.T, h *host) {
		l := h.live()
		defer h.end(l)
		parts := func() string {
			t.Helper()
			_, drifts, err := l.Tend(t.Context())
			if err != nil {
				t.Error(err)
			}
			var parts []string
			for _, d := range drifts {
				parts = append(parts, d.Part)
			}
			return strings.Join(parts, " ")
		}
		if got := parts(); got != "" {
			t.Errorf("%q drifted by itself", got)
		}
		h.world.Upset(rollout.Weights{rollout.Blue: 0, rollout.Green: 100})
		if got := parts(); got != "weights" {
			t.Errorf("%q drifted", got)
		}
		h.serves("v1")
		h.tells("mend weights:intent", "mend weights:done")
		h.world.Behave("v1", rollouttest.Manner{Sick: true})
		if got := parts(); got != "mlflow" {
			t.Errorf("%q drifted", got)
		}
		h.world.Lose(rollout.Blue)
		before := len(h.world.Mutations())
		if got := parts(); got != "blue mlflow" || len(h.world.Mutations()) != before {
			t.Errorf("%q drifted, %q was done", got, h.world.Mutations()[before:])
		}
		if err := l.Begin(t.Context(), rollout.Order{Target: revision("v2")}); err != nil {
			t.Fatal(err)
		}
		if _, _, err := l.Tend(t.Context()); !errors.Is(err, rollout.ErrBusy) {
			t.Error(err)
		}
		h.world.Behave("v1", rollouttest.Manner{})
		if _, err := l.Run(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// Blue is taken away while it has most of the traffic: the way back starts it again, without traffic until it is healthy.
func TestBlueIsLost(t *testing.T) {
	on(t, func(t *testing.T, h *host) {
		h.world.Behave("v1", rollouttest.Manner{ReadyAfter: 3 * time.Second})
		go func() {
			time.Sleep(20 * time.Second)
			h.world.Lose(rollout.Blue)
			h.ask(time.Second, rollout.Abort)
		}()
		end, err := h.roll("v2")
		if err != nil || end.Kind != rollout.Recovery {
			t.Errorf("%+v, %v", end, err)
		}
		h.serves("v1")
		done := h.world.Mutations()
		from := slices.Index(done, "blue 95, green 5")
		if got := strings.Join(done[from:], "; "); got != "blue 95, green 5; blue 0, green 100; start v1 in blue; blue 100, green 0; stop green" {
			t.Errorf("it did %s", got)
		}
	})
}

// A driver that is asked to stop ends between two actions, and leaves an intent nowhere without its result.
func TestStop(t *testing.T) {
	for _, after := range []time.Duration{0, time.Second, 30 * time.Second, 130 * time.Second} {
		on(t, func(t *testing.T, h *host) {
			h.world.Behave("v2", rollouttest.Manner{ReadyAfter: 3 * time.Second})
			l := h.live()
			stop := make(chan struct{})
			l.Stop = stop
			if err := l.Begin(t.Context(), rollout.Order{ID: "7", Target: revision("v2"), Actor: "ada"}); err != nil {
				t.Fatal(err)
			}
			time.AfterFunc(after, func() { close(stop) })
			if _, err := l.Run(t.Context()); !errors.Is(err, rollout.ErrStopped) {
				t.Errorf("after %v: %v", after, err)
			}
			h.end(l)
			if told := h.told(); strings.Count(told, ":intent ") != strings.Count(told, ":done ") {
				t.Errorf("an intent has no result:\n%s", told)
			}
			next := h.live()
			if end, err := next.Run(t.Context()); err != nil || end.Kind != rollout.Forward || end.Order != "7" {
				t.Errorf("%+v, %v", end, err)
			}
			h.end(next)
			h.serves("v2")
		})
	}
}

// Each window is told of, with its end, also that of one which fails; an end that can't be written stops the driver.
func TestWindows(t *testing.T) {
	on(t, func(t *testing.T, h *host) {
		h.world.Behave("v2", rollouttest.Manner{CrashAfter: 90 * time.Second})
		l := h.live()
		var seen []int
		l.Window = func(_ context.Context, step judge.Step) func(context.Context) error {
			seen = append(seen, step.Weight)
			return func(context.Context) error {
				seen = append(seen, -step.Weight)
				return nil
			}
		}
		if err := l.Begin(t.Context(), rollout.Order{Target: revision("v2")}); err != nil {
			t.Fatal(err)
		}
		if end, err := l.Run(t.Context()); err != nil || end.Kind != rollout.Recovery {
			t.Errorf("%+v, %v", end, err)
		}
		if want := []int{5, -5, 25, -25}; !slices.Equal(seen, want) {
			t.Errorf("%v", seen)
		}
		full := errors.New("no space left")
		l.Window = func(context.Context, judge.Step) func(context.Context) error {
			return func(context.Context) error { return full }
		}
		if err := l.Begin(t.Context(), rollout.Order{Target: revision("v3")}); err != nil {
			t.Fatal(err)
		}
		if _, err := l.Run(t.Context()); !errors.Is(err, full) {
			t.Error(err)
		}
		l.Window = nil
		if end, err := l.Run(t.Context()); err != nil || end.Kind != rollout.Forward {
			t.Errorf("%+v, %v", end, err)
		}
		h.end(l)
	})
}

func TestFollow(t *testing.T) {
	on(t, func(t *testing.T, h *host) {
		tail, seen := journal.Follow(h.dir), 0
		read := func() int {
			t.Helper()
			before := seen
			if err := tail.Read(t.Context(), func(journal.Entry) error { seen++; return nil }); err != nil {
				t.Error(err)
			}
			return seen - before
		}
		if n := read(); n != strings.Count(h.told(), "\n")+1 {
			t.Errorf("%d entries at first", n)
		}
		if n := read(); n != 0 {
			t.Errorf("%d entries again", n)
		}
		h.end(h.live())
		if n := read(); n != 1 {
			t.Errorf("%d entries of a lease that was taken", n)
		}
	})
	if err := journal.Follow(t.TempDir()).Read(t.Context(), nil); err != nil {
		t.Error(err)
	}
}
