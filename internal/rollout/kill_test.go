package rollout_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/rollout"
	"github.com/meter-ml/meter-pipeline/internal/rollout/journal"
	"github.com/meter-ml/meter-pipeline/internal/rollout/judge"
	"github.com/meter-ml/meter-pipeline/internal/rollout/lease"
	"github.com/meter-ml/meter-pipeline/internal/rollout/rollouttest"
)

func (h *host) when(action string) time.Time {
	h.Helper()
	var at time.Time
	err := journal.Read(h.Context(), h.dir, func(e journal.Entry) error {
		if e.Action == action {
			at = e.Time
		}
		return nil
	})
	if err != nil {
		h.Error(err)
	}
	return at
}

// killable runs a driver that may die; it says where.
func (h *host) killable(points *rollouttest.Points, begin bool) (end rollout.Ending, killed string, err error) {
	h.Helper()
	l := h.take()
	defer func() {
		if r := recover(); r != nil {
			k, ok := r.(rollouttest.Killed)
			if !ok {
				panic(r)
			}
			killed = k.Point
			l.die()
		}
	}()
	if err = h.open(l, points); err == nil && begin {
		err = l.Begin(h.Context(), rollout.Order{Target: revision("v2"), Actor: "ada", Reason: "as planned"})
	}
	if err == nil {
		end, err = l.Run(h.Context())
	}
	h.end(l)
	return end, "", err
}

// A scenario is a roll-out that is done, or one that goes back from somewhere.
type scenario struct {
	name    string
	manner  rollouttest.Manner
	weights []int
	ends    string // where a driver that was killed leaves it to, but before it has begun
}

func scenarios() []scenario {
	return []scenario{
		{"healthy", rollouttest.Manner{ReadyAfter: 3 * time.Second}, []int{5, 25, 50, 100}, "v2"},
		{"errors at 5 %", rollouttest.Manner{Errors: 0.3}, []int{5, 25, 50, 100}, "v1"},
		{"fails at smoke", rollouttest.Manner{SmokeFails: errors.New("wrong answer")}, []int{5, 100}, "v1"},
		{"fails as a whole", rollouttest.Manner{VerifyFails: errors.New("no DAG is loaded")}, []int{5, 100}, "v1"},
		{"dies in bake", rollouttest.Manner{CrashAfter: 80 * time.Second}, []int{5, 100}, "v1"},
	}
}

// short is a roll-out in two steps, which has every kind of point that one in four has.
func short() scenario { return scenario{"short", rollouttest.Manner{}, []int{5, 100}, "v2"} }

func (s scenario) on(t *testing.T, do func(t *testing.T, h *host)) {
	t.Helper()
	on(t, func(t *testing.T, h *host) {
		h.settings.Judge.Steps = slices.DeleteFunc(h.settings.Judge.Steps, func(step judge.Step) bool {
			return !slices.Contains(s.weights, step.Weight)
		})
		h.world.Behave("v2", s.manner)
		do(t, h)
	})
}

// points are those that a driver passes that nobody kills.
func (s scenario) points(t *testing.T) []string {
	t.Helper()
	all := rollouttest.KillAt(0)
	s.on(t, func(t *testing.T, h *host) {
		if _, killed, err := h.killable(all, true); killed != "" || err != nil {
			t.Fatal(killed, err)
		}
	})
	return all.Passed()
}

// Killed before and after every side effect, and every write to its journal, of a whole roll-out and of every way
// back: the next driver is at work within 30 seconds and brings it to one revision with all traffic, healthy, with an
// unbroken chain and without a request that found nobody.
func TestKilledEverywhere(t *testing.T) {
	t.Parallel()
	for _, s := range scenarios() {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			ends := map[string]int{}
			all := s.points(t)
			for i, point := range all {
				s.on(t, func(t *testing.T, h *host) {
					_, killed, err := h.killable(rollouttest.KillAt(i+1), true)
					if err != nil || killed != point {
						t.Fatalf("not killed %s, but %q, %v", point, killed, err)
					}
					h.goOn(fmt.Sprintf("killed at %d of %d, %s", i+1, len(all), killed), s, ends)
				})
			}
			t.Logf("killed at each of %d points: %v", len(all), ends)
			// Before the roll-out is in release.json, there is none.
			begun := slices.Index(all, "after swap")
			if want := map[string]int{"v1": begun, "v2": len(all) - begun}; s.ends == "v2" && !maps.Equal(ends, want) {
				t.Errorf("ended with %v, not %v", ends, want)
			}
			if s.ends == "v1" && ends["v1"] != len(all) {
				t.Errorf("ended with %v", ends)
			}
		})
	}
}

// The intent is on the disk right before each side effect, and the result right after it.
func TestIntentComesFirst(t *testing.T) {
	for _, s := range scenarios() {
		all := s.points(t)
		effects := 0
		for i, point := range all {
			effect, ok := strings.CutPrefix(point, "before ")
			if !ok || effect == "swap" || strings.Contains(effect, " of ") {
				continue
			}
			effects++
			result := "before done of " + effect
			if s.manner.SmokeFails != nil && effect == "smoke" || s.manner.VerifyFails != nil && effect == "verify" {
				result = "before failed of " + effect
			}
			if all[i-1] != "after intent of "+effect || all[i+2] != result {
				t.Errorf("%s: %q", s.name, all[i-1:i+3])
			}
		}
		if effects < 4 {
			t.Errorf("%s: only %d side effects", s.name, effects)
		}
	}
}

// goOn lets the next driver do what the killed one has left, and looks at the end.
func (h *host) goOn(where string, s scenario, ends map[string]int) {
	h.Helper()
	began := time.Now()
	l := h.live()
	if took := time.Since(began); took > lease.Expiry {
		h.Errorf("%s: the lease was free after %v", where, took)
	}
	if l.State().Roll != nil {
		if _, err := l.Run(h.Context()); err != nil {
			h.Errorf("%s: %v", where, err)
		}
	}
	h.end(l)
	got, err := h.world.Serving()
	current := h.state().Current
	if err != nil || current == nil || current.Release != got {
		h.Errorf("%s: %q serves, release.json says %+v, %v", where, got, current, err)
	}
	ends[got]++
	if _, dropped := h.world.Traffic(); dropped > 0 && s.manner.CrashAfter == 0 {
		h.Errorf("%s: %.0f requests found nobody", where, dropped)
	}
	if wrong := h.world.Wrong(); len(wrong) > 0 {
		h.Errorf("%s: %q", where, wrong)
	}
}

// Killed a second time, at every third point of the driver that took over from one killed in mid-shift.
func TestKilledTwice(t *testing.T) {
	t.Parallel()
	s := short()
	first := len(s.points(t)) / 2
	ends := map[string]int{}
	for at := 1; ; at += 3 {
		more := true
		s.on(t, func(t *testing.T, h *host) {
			if _, killed, err := h.killable(rollouttest.KillAt(first), true); killed == "" {
				t.Fatal(err)
			}
			_, killed, err := h.killable(rollouttest.KillAt(at), false)
			if more = killed != ""; !more {
				if err != nil {
					t.Error(err)
				}
				return
			}
			h.goOn(fmt.Sprintf("killed at %d, then at %d, %s", first, at, killed), s, ends)
		})
		if !more || t.Failed() {
			break
		}
	}
	t.Logf("ended with %v", ends)
	if len(ends) != 1 || ends["v2"] < 10 {
		t.Errorf("ended with %v", ends)
	}
}

// A driver that is stopped at any point, for longer than its lease, and wakes up when another has done its work: it
// changes nothing any more, neither on the target nor in the journal.
func TestPausedEverywhere(t *testing.T) {
	t.Parallel()
	s := short()
	for at := range len(s.points(t)) {
		s.on(t, func(t *testing.T, h *host) {
			p, stopped, goOn := rollouttest.StopAt(at + 1)
			l := h.take()
			woke := make(chan error)
			go func() {
				err := h.open(l, p)
				if err == nil {
					err = l.Begin(t.Context(), rollout.Order{Target: revision("v2"), Actor: "ada"})
				}
				if err == nil {
					_, err = l.Run(t.Context())
				}
				woke <- err
			}()
			<-stopped
			l.stop() // nor does it renew its lease
			next := h.live()
			if next.State().Roll != nil {
				if end, err := next.Run(t.Context()); err != nil || end.Kind != rollout.Forward {
					t.Errorf("point %d: %+v, %v", at, end, err)
				}
			}
			h.end(next)
			mutations, told := strings.Join(h.world.Mutations(), ";"), h.told()
			state := h.state()
			close(goOn)
			err := <-woke
			finished := strings.Contains(told, "done:note v2 serves\n") // it may have been stopped behind its last word
			if !errors.Is(err, lease.ErrLost) && !errors.Is(err, journal.ErrStale) && (err != nil || !finished) {
				t.Errorf("point %d: it was not refused: %v", at, err)
			}
			if after := strings.Join(h.world.Mutations(), ";"); after != mutations {
				t.Errorf("point %d: it changed the target: %s", at, strings.TrimPrefix(after, mutations))
			}
			if after := h.told(); after != told {
				t.Errorf("point %d: it wrote to the log: %s", at, strings.TrimPrefix(after, told))
			}
			if after := h.state(); after.Current.Release != state.Current.Release {
				t.Errorf("point %d: it changed release.json", at)
			}
			_ = l.journal.Close()
		})
	}
}

// Green dies while nobody drives: the next driver does not go on with it.
func TestGreenDiesWithItsDriver(t *testing.T) {
	s := short()
	n := len(s.points(t))
	for _, at := range []int{n / 3, n / 2, n * 3 / 4} {
		s.on(t, func(t *testing.T, h *host) {
			if _, killed, err := h.killable(rollouttest.KillAt(at), true); killed == "" {
				t.Fatal(err)
			}
			h.world.Behave("v2", rollouttest.Manner{CrashAfter: time.Millisecond})
			l := h.live()
			end, err := l.Run(t.Context())
			h.end(l)
			if err != nil || end.Kind != rollout.Recovery || !strings.HasPrefix(end.Reason, "taken up again: v2 is not healthy") {
				t.Errorf("at %d of %d: %+v, %v", at, n, end, err)
			}
			h.serves("v1")
		})
	}
}

// No weight rises without a window that began under the driver that raises it.
func TestFreshWindowAfterTakeOver(t *testing.T) {
	t.Parallel()
	s := scenario{"three steps", rollouttest.Manner{}, []int{5, 50, 100}, "v2"}
	all := s.points(t)
	// From the first weight on, which needs no window, through the second.
	from := slices.Index(all, "after weights")
	for at := from + 1; at < from+80; at++ {
		s.on(t, func(t *testing.T, h *host) {
			if _, killed, err := h.killable(rollouttest.KillAt(at), true); killed == "" {
				t.Fatal(err)
			}
			before := h.world.Mutations()
			l := h.live()
			began := time.Now()
			go func() {
				for len(h.world.Mutations()) == len(before) {
					time.Sleep(time.Second)
				}
				if waited := time.Since(began); waited < time.Minute && strings.Contains(h.world.Mutations()[len(before)], "green") {
					t.Errorf("at %d: %q after %v", at, h.world.Mutations()[len(before)], waited)
				}
			}()
			if _, err := l.Run(t.Context()); err != nil {
				t.Error(err)
			}
			h.end(l)
			time.Sleep(2 * time.Second)
			synctest.Wait()
			h.serves("v2")
		})
	}
}
