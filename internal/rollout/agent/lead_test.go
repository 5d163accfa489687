package agent

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/rollout"
	"github.com/meter-ml/meter-pipeline/internal/rollout/agent/wire"
	"github.com/meter-ml/meter-pipeline/internal/rollout/compose"
	"github.com/meter-ml/meter-pipeline/internal/rollout/rollouttest"
	"github.com/meter-ml/meter-pipeline/internal/wholefile"
)

// What can be refused is, before it changes anything, with who asked for it in the audit log.
func TestRefusals(t *testing.T) {
	forward := func(change func(*wire.Order)) func(*site) wire.Order {
		return func(s *site) wire.Order {
			o := wire.Order{Kind: rollout.Forward, Revision: revision("v2", s.bundle), Gate: evidence("v2")}
			change(&o)
			return o
		}
	}
	tests := map[string]struct {
		order  func(*site) wire.Order
		reason string
	}{
		"no evidence": {forward(func(o *wire.Order) { o.Gate = wire.Gate{} }), "production needs evidence, and the order of v2 has none"},
		"of another":  {forward(func(o *wire.Order) { o.Gate = evidence("v1") }), "none of the 1 accepted statements is about sha256:"},
		"what serves": {func(s *site) wire.Order {
			return wire.Order{Kind: rollout.Forward, Revision: revision("v1", s.bundle), Gate: evidence("v1")}
		}, "it is what serves already"},
		"never was":      {func(*site) wire.Order { return wire.Order{Kind: rollout.Back, Release: "v0"} }, `release "v0" was not done on this target`},
		"nothing before": {func(*site) wire.Order { return wire.Order{Kind: rollout.Back} }, "no other release was done on this target before"},
		"serves another": {forward(func(o *wire.Order) { o.Revision.Digest, o.Gate = sum("mlflow v2"), evidence("mlflow v2") }), "its image model_api does not have the digest that is to serve"},
		"bundle is gone": {forward(func(o *wire.Order) { o.Revision.Bundle = sum("gone") }), "the files of v2 are not on the target any more"},
		"another target's": {func(s *site) wire.Order {
			staging := settings()
			staging.Environment = "staging"
			return wire.Order{Kind: rollout.Forward, Revision: revision("v2", s.put(staging)), Gate: evidence("v2")}
		}, "the settings of its bundle are for staging, and this is production"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			on(t, func(t *testing.T, s *site) {
				a := s.serve("a", nil)
				before := len(s.world.Mutations())
				r := s.wait(s.place(tt.order(s)))
				if r.State != wire.Refused || !strings.Contains(r.Reason, tt.reason) || r.Target != "v1" {
					t.Errorf("%+v", r)
				}
				if after := s.world.Mutations(); len(after) != before {
					t.Errorf("it did %q", after[before:])
				}
				s.tells("refuse:note ", tt.reason)
				a.stop()
			})
		})
	}
}

// A release before is gone back to with its own files; without them the order is refused, and says so.
func TestBackWithoutItsBundle(t *testing.T) {
	on(t, func(t *testing.T, s *site) {
		a := s.serve("a", nil)
		old := s.bundle
		changed := settings()
		changed.Judge.Guard = 0.06
		s.bundle = s.put(changed)
		s.wait(s.order("v2"))
		if err := os.RemoveAll(s.layout.Bundle(old)); err != nil {
			t.Fatal(err)
		}
		r := s.wait(s.place(wire.Order{Kind: rollout.Back}))
		if r.State != wire.Refused || !strings.Contains(r.Reason, "the files of v1 are not on the target any more (bundle "+old+")") {
			t.Errorf("%+v", r)
		}
		s.serves("v2")
		a.stop()
	})
}

func TestBreakGlass(t *testing.T) {
	on(t, func(t *testing.T, s *site) {
		a := s.serve("a", nil)
		r := s.wait(s.place(wire.Order{Kind: rollout.Forward, Revision: revision("v2", s.bundle), Gate: wire.Gate{BreakGlass: "the meter is on fire"}}))
		if r.State != wire.Succeeded {
			t.Errorf("%+v", r)
		}
		a.stop()
		s.tells("gate:note ada broke the glass: the meter is on fire")
		if got := s.raised(); got != "BreakGlass" {
			t.Errorf("alerts: %s", got)
		}
	})
}

// What lies in the orders' directory and is none is thrown away and told; a second order is answered at once.
func TestFilesThatAreNoOrders(t *testing.T) {
	on(t, func(t *testing.T, s *site) {
		a := s.serve("a", nil)
		id := s.order("v2")
		time.Sleep(5 * time.Second)
		second := "20200101T000000.000000000Z-0123abcd"
		for name, content := range map[string]string{"README": "x", second + ".json": `{"schema":1,"else":2}`, "x\x1b[31m.json": "{}"} {
			if err := os.WriteFile(filepath.Join(s.layout.Orders(), name), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(3 * time.Second)
		if r, there, err := readResult(s.layout, second); !there || r.State != wire.Refused || err != nil || !strings.Contains(r.Reason, "v2 is under way") {
			t.Errorf("%+v, %v", r, err)
		}
		if _, err := place(t.Context(), s.layout, time.Now(), wire.Order{}); !errors.Is(err, errTaken) || !strings.Contains(err.Error(), "forward to v2 is under way (roll-") {
			t.Error(err)
		}
		if r := s.wait(id); r.State != wire.Succeeded {
			t.Errorf("%+v", r)
		}
		s.tells(`discard order:note "README": it is no order`)
		if strings.Contains(s.told(), "\x1b") || strings.Contains(s.log.String(), "\x1b") {
			t.Error("an escape sequence went through")
		}
		a.stop()
	})
}

// SIGTERM in mid-shift: the roll-out stays where it is, the lease is free at once, and the other agent goes on.
func TestStopInMidShift(t *testing.T) {
	on(t, func(t *testing.T, s *site) {
		a := s.serve("a", nil)
		id := s.order("v2")
		time.Sleep(10 * time.Second)
		b := s.serve("b", nil)
		time.Sleep(time.Second)
		began := time.Now()
		a.stop()
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("it took %v to stop", took)
		}
		if status := s.status(); status.Activity != wire.Stopped || status.Roll == nil || status.Roll.Phase != rollout.Smoked {
			t.Errorf("%+v", status)
		}
		time.Sleep(3 * time.Second)
		status := s.status()
		if status.Lease.Holder != "b" || status.Lease.Epoch != 3 || status.Roll == nil || status.Roll.Window == nil || status.Roll.Window.Weight != 5 {
			t.Errorf("%+v", status)
		}
		if r := s.wait(id); r.State != wire.Succeeded {
			t.Errorf("%+v", r)
		}
		b.stop()
		s.serves("v2")
		s.tells("give back lease:note", "take up:note left at smoked, step 0")
		if got := s.raised(); got != "" {
			t.Errorf("alerts: %s", got)
		}
	})
}

// While it goes on the status says where it is, with both sides' traffic and the judge's numbers.
func TestStatusOfARoll(t *testing.T) {
	on(t, func(t *testing.T, s *site) {
		a := s.serve("a", nil)
		id := s.order("v2")
		time.Sleep(12 * time.Second)
		got := s.status()
		if age := time.Since(got.Written); age > 1500*time.Millisecond {
			t.Errorf("it is %v old", age)
		}
		r := got.Roll
		if got.Activity != wire.Rolling || r == nil || r.Order != id || r.Phase != rollout.Smoked || r.Target != "v2" || r.From != "v1" || r.Slot != rollout.Green {
			t.Fatalf("%+v", got)
		}
		if r.Window == nil || r.Window.Weight != 5 || r.Decision == nil || r.Decision.Guard.Requests == 0 || len(r.Decision.Waits) == 0 || len(r.Weights) != 2 {
			t.Errorf("%+v", r)
		}
		blue, green := got.Slots[rollout.Blue], got.Slots[rollout.Green]
		if blue.Weight != 95 || green.Weight != 5 || blue.Traffic == nil || green.Traffic == nil || green.Traffic.Rate < 1 || blue.Traffic.P95 != 0.009 {
			t.Errorf("%+v %+v", blue, green)
		}
		for _, part := range []string{"under way: roll-", "window: 5 %", "judge: 5 % at ", "blue: v1, healthy, weight 95", "p99 10 ms"} {
			if text := tellStatus(got, time.Now()); !strings.Contains(text, part) {
				t.Errorf("%q is not in\n%s", part, text)
			}
		}
		s.wait(id)
		a.stop()
		if text := tellStatus(s.status(), time.Now().Add(time.Minute)); !strings.Contains(text, "NO AGENT LEADS: this is 1m") {
			t.Error(text)
		}
	})
}

// Thin traffic is filled up, and said to be; where there is enough of it nothing is added.
func TestSyntheticLoad(t *testing.T) {
	tests := map[string]struct {
		users  float64
		reason string // of the answers
		state  wire.State
		told   string
	}{
		"thin":       {0.1, "", wire.Succeeded, "synthetic requests at 5 %, 0 of them failed"},
		"enough":     {users, "", wire.Succeeded, ""},
		"no answers": {0.1, "no such file", wire.RolledBack, "0 synthetic requests at 5 %, 0 of them failed; there were no more: the known answers of v2 can't be read: no such file"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			on(t, func(t *testing.T, s *site) {
				a := s.start(Config{Holder: "a", Target: func(context.Context) (Target, error) {
					return struct {
						rollout.Backend
						compose.Listener
					}{s.world, unknowing{listener{s}, tt.reason}}, nil
				}}, nil)
				s.users(tt.users)
				time.Sleep(time.Minute)
				id := s.order("v2")
				time.Sleep(12 * time.Second)
				if w := s.status().Roll.Window; w == nil || (w.Synthetic > 500) != (name == "thin") {
					t.Errorf("%+v", w)
				}
				if r := s.wait(id); r.State != tt.state {
					t.Errorf("%+v", r)
				}
				a.stop()
				if tt.told == "" && strings.Contains(s.told(), "synthetic") {
					t.Error(s.told())
				}
				s.tells(tt.told)
				want := map[wire.State]string{wire.Succeeded: "", wire.RolledBack: "RolledBack Inconclusive"}[tt.state]
				if got := s.raised(); got != want {
					t.Errorf("alerts: %s", got)
				}
			})
		})
	}
}

// unknowing has no known answers.
type unknowing struct {
	listener
	reason string
}

func (u unknowing) Answers(ctx context.Context, r rollout.Revision) ([]compose.Answer, error) {
	if u.reason != "" {
		return nil, errors.New(u.reason)
	}
	return u.listener.Answers(ctx, r)
}

// An idle agent puts lost weights right within seconds, and tells what it leaves to others once that has lasted.
func TestWatchdog(t *testing.T) {
	on(t, func(t *testing.T, s *site) {
		a := s.serve("a", nil)
		time.Sleep(time.Second)
		s.world.Upset(rollout.Weights{rollout.Blue: 0, rollout.Green: 100})
		time.Sleep(tending + time.Second)
		s.serves("v1")
		if got := s.raised(); got != "WeightsMended" {
			t.Errorf("alerts: %s", got)
		}
		s.world.Behave("v1", rollouttest.Manner{Sick: true})
		time.Sleep(10 * time.Second)
		if got := s.raised(); got != "WeightsMended" {
			t.Errorf("alerts after 10 s: %s", got)
		}
		time.Sleep(2 * time.Minute)
		if got := s.raised(); got != "WeightsMended Drift Drift" { // the world has what serves among its services, too
			t.Errorf("alerts after two minutes: %s", got)
		}
		if status := s.status(); status.Services["mlflow"].Healthy || len(status.Alerts) != 3 || !strings.HasPrefix(status.Alerts[1].Summary, "mlflow is not healthy") {
			t.Errorf("%+v", status)
		}
		s.world.Behave("v1", rollouttest.Manner{})
		s.world.Away(true)
		time.Sleep(10 * time.Second)
		if status := s.status(); !strings.Contains(status.Trouble, "the engine does not answer") || time.Since(status.Written) > 6*time.Second {
			t.Errorf("%+v", status)
		}
		time.Sleep(time.Minute)
		s.world.Away(false)
		time.Sleep(10 * time.Second)
		if status := s.status(); status.Trouble != "" || s.raised() != "WeightsMended Drift Drift Drift" {
			t.Errorf("%+v, %s", status, s.raised())
		}
		a.stop()
	})
}

// A journal that was edited lets nobody lead, and is told; the agents go on as soon as it is whole again.
func TestDamagedJournal(t *testing.T) {
	on(t, func(t *testing.T, s *site) {
		log := filepath.Join(s.layout.Dir, "audit.jsonl")
		content, err := os.ReadFile(log)
		if err != nil {
			t.Fatal(err)
		}
		if err := wholefile.Write(log, []byte(strings.Replace(string(content), "as planned", "as PLANNED", 1)), 0o600); err != nil {
			t.Fatal(err)
		}
		a, b := s.serve("a", nil), s.serve("b", nil)
		id := s.order("v2")
		time.Sleep(time.Minute)
		if status := s.status(); !strings.Contains(status.Trouble, "it was edited") || s.raised() != "JournalDamaged" {
			t.Errorf("%+v, %s", status, s.raised())
		}
		if err := wholefile.Write(log, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if r := s.wait(id); r.State != wire.Succeeded {
			t.Errorf("%+v", r)
		}
		a.stop()
		b.stop()
		if status := s.status(); status.Trouble != "" {
			t.Errorf("%+v", status)
		}
	})
}

// An engine that is not there when an agent begins to lead: it says so, and begins again and again.
func TestTargetIsAwayAtFirst(t *testing.T) {
	on(t, func(t *testing.T, s *site) {
		tries := 0
		a := s.start(Config{Holder: "a", Target: func(context.Context) (Target, error) {
			if tries++; tries < 4 {
				return nil, errors.New("no such socket")
			}
			return struct {
				rollout.Backend
				compose.Listener
			}{s.world, listener{s}}, nil
		}}, nil)
		synctest.Wait()
		if status := s.status(); status.Trouble != "no such socket" {
			t.Errorf("%+v", status)
		}
		if r := s.wait(s.order("v2")); r.State != wire.Succeeded {
			t.Errorf("%+v", r)
		}
		a.stop()
		if tries != 4 {
			t.Errorf("%d tries", tries)
		}
	})
}

// A lease file that is lost while another stands by must not give an epoch out twice.
func TestLostLease(t *testing.T) {
	on(t, func(t *testing.T, s *site) {
		a := s.serve("a", nil)
		synctest.Wait()
		b := s.serve("b", nil)
		time.Sleep(3 * time.Second)
		if err := os.Remove(filepath.Join(s.layout.Dir, "lease.json")); err != nil {
			t.Fatal(err)
		}
		id := s.order("v2")
		if r := s.wait(id); r.State != wire.Succeeded {
			t.Errorf("%+v\n%s", r, s.log)
		}
		a.stop()
		b.stop()
	})
}
