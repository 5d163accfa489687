package agent

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/rollout"
	"github.com/meter-ml/meter-pipeline/internal/rollout/agent/wire"
	"github.com/meter-ml/meter-pipeline/internal/rollout/journal"
	"github.com/meter-ml/meter-pipeline/internal/rollout/lease"
	"github.com/meter-ml/meter-pipeline/internal/rollout/rollouttest"
)

// A scenario is an order, and where it ends whoever is killed.
type scenario struct {
	name   string
	manner rollouttest.Manner
	order  func(s *site) string
	state  wire.State
	serves string
}

func scenarios() []scenario {
	forward := func(s *site) string { return s.order("v2") }
	return []scenario{
		{"forward", rollouttest.Manner{ReadyAfter: 3 * time.Second}, forward, wire.Succeeded, "v2"},
		{"rolled back", rollouttest.Manner{Errors: 0.3}, forward, wire.RolledBack, "v1"},
		{"refused", rollouttest.Manner{}, func(s *site) string {
			return s.place(wire.Order{Kind: rollout.Forward, Revision: revision("v2", s.bundle)})
		}, wire.Refused, "v1"},
		{"wrong answers", rollouttest.Manner{SmokeFails: errors.New("12 is not 13")}, forward, wire.RolledBack, "v1"},
	}
}

// prepare makes the windows short and the traffic heavy: what is killed is the same, and the test takes half the time.
func (c scenario) prepare(s *site) {
	s.Helper()
	short := settings()
	for i := range short.Judge.Steps {
		short.Judge.Steps[i].Window = wire.Duration(8 * time.Second)
	}
	s.bundle = s.put(short)
	s.users(3 * users)
	s.world.Behave("v2", c.manner)
}

// points are all that an agent passes from its start to the result of the order, if nobody kills it.
func (c scenario) points(t *testing.T) []string {
	t.Helper()
	all := rollouttest.KillAt(0)
	on(t, func(t *testing.T, s *site) {
		c.prepare(s)
		a := s.serve("a", all)
		r := s.wait(c.order(s))
		a.stop()
		if r.State != c.state {
			t.Fatalf("%+v\n%s", r, s.log)
		}
	})
	return all.Passed()
}

// An agent that is killed anywhere, from its start through a whole roll-out to its answer and its end: the one that
// stands by leads within 30 seconds, and brings the order to the same end. The chain is whole, nobody's request found
// nobody, and each alert is raised once.
func TestKilledEverywhere(t *testing.T) {
	for _, c := range scenarios() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			all := c.points(t)
			ends := map[string]int{}
			for i, point := range all {
				on(t, func(t *testing.T, s *site) {
					c.killedAt(t, s, i+1, fmt.Sprintf("killed at %d of %d, %s", i+1, len(all), point), ends)
				})
			}
			t.Logf("killed at each of %d points: %v", len(all), ends)
			if want := map[string]int{string(c.state): len(all)}; !maps.Equal(ends, want) {
				t.Errorf("ended with %v", ends)
			}
		})
	}
}

func (c scenario) killedAt(t *testing.T, s *site, n int, where string, ends map[string]int) {
	t.Helper()
	c.prepare(s)
	a := s.serve("a", rollouttest.KillAt(n))
	synctest.Wait() // it leads, or is dead
	b := s.serve("b", nil)
	id := c.order(s)
	r := s.wait(id)
	a.stop() // is dead already, or is stopped and dies at a point of its end
	if a.killed == "" {
		t.Errorf("%s: it was not", where)
	}
	// Whoever died behind the answer leaves the lease to the other.
	status := s.status()
	for range 40 {
		if status = s.status(); status.Lease.Holder == "b" && status.Activity == wire.Idle {
			break
		}
		time.Sleep(time.Second)
	}
	b.stop()
	ends[string(r.State)]++
	if r.State != c.state || r.Target != c.serves {
		t.Errorf("%s: %+v\n%s", where, r, s.log)
	}
	s.serves(c.serves)
	if status.Lease.Holder != "b" || status.Activity != wire.Idle || status.Trouble != "" {
		t.Errorf("%s: %+v\n%s", where, status, s.log)
	}
	if took := s.takenOver(a.died); took > lease.Expiry+time.Second {
		t.Errorf("%s: the lease was taken over after %v", where, took)
	}
	if _, dropped := s.world.Traffic(); dropped > 0 {
		t.Errorf("%s: %.0f requests found nobody", where, dropped)
	}
	if ids, err := orderIDs(s.layout); err != nil || len(ids) > 0 {
		t.Errorf("%s: orders are left: %v, %v", where, ids, err)
	}
	want := ""
	if c.state == wire.RolledBack {
		want = "RolledBack"
	}
	if got := strings.ReplaceAll(s.raised(), "AgentLost", ""); strings.Join(strings.Fields(got), " ") != want {
		t.Errorf("%s: alerts %q", where, s.raised())
	}
	s.sound()
}

// takenOver is the time from a to the first word of the agent after it.
func (s *site) takenOver(a time.Time) time.Duration {
	s.Helper()
	var first time.Time
	err := journal.Read(s.Context(), s.layout.Dir, func(e journal.Entry) error {
		if e.Action == "take lease" {
			first = e.Time
		}
		return nil
	})
	if err != nil {
		s.Error(err)
	}
	return first.Sub(a)
}
