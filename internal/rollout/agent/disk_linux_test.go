package agent

import (
	"context"
	"maps"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/meter-ml/meter-pipeline/internal/disktest"
	"github.com/meter-ml/meter-pipeline/internal/rollout"
	"github.com/meter-ml/meter-pipeline/internal/rollout/agent/wire"
	"github.com/meter-ml/meter-pipeline/internal/rollout/journal"
)

// The disk fills up in mid-shift, once. The reserve is enough for the roll-out to come to its end, also for the worst.
func TestDiskIsFullOnce(t *testing.T) {
	dir := disktest.Small(t, "4m")
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, dir)
		a := s.serve("a", nil)
		s.wait(s.order("v1"))
		id := s.order("v2")
		time.Sleep(10 * time.Second)
		filler := disktest.Fill(t, dir)
		if r := s.wait(id); r.State != wire.Succeeded {
			t.Errorf("%+v\n%s", r, s.log)
		}
		if !strings.Contains(s.log.String(), "the disk is full: the reserve is given up") {
			t.Error("the reserve was not needed")
		}
		a.stop()
		if err := os.Remove(filler); err != nil {
			t.Fatal(err)
		}
		s.serves("v2")
		s.sound()
	})
}

// The disk is full for good: neither agent can write anything down, so neither does anything. The weights stay as they
// are, no request is lost, and as soon as there is room the roll-out goes on.
func TestDiskIsFull(t *testing.T) {
	dir := disktest.Small(t, "4m")
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, dir)
		a := s.serve("a", nil)
		s.wait(s.order("v1"))
		b := s.serve("b", nil)
		id := s.order("v2")
		time.Sleep(10 * time.Second)
		var filler string
		for range 3 { // whatever is given up is gone at once
			filler = disktest.Fill(t, dir)
			time.Sleep(2 * time.Second)
		}
		before := len(s.world.Mutations())
		time.Sleep(5 * time.Minute)
		if after := s.world.Mutations(); len(after) != before {
			t.Errorf("it did %q", after[before:])
		}
		if w := s.weights(); !maps.Equal(w, rollout.Weights{rollout.Blue: 95, rollout.Green: 5}) {
			t.Errorf("weights %v", w)
		}
		if err := os.Remove(filler); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if r := s.wait(id); r.State != wire.Succeeded {
			t.Errorf("%+v\n%s", r, s.log)
		}
		if took := time.Since(began); took > 3*time.Minute {
			t.Errorf("it went on after %v only", took)
		}
		a.stop()
		b.stop()
		s.serves("v2")
		s.sound()
		if _, dropped := s.world.Traffic(); dropped > 0 {
			t.Errorf("%.0f requests found nobody", dropped)
		}
	})
}

// A disk that does not keep what it took: nobody knows then what is on it, so the agent reads everything anew.
func TestSyncFails(t *testing.T) {
	on(t, func(t *testing.T, s *site) {
		failures := 0
		a := s.start(Config{Holder: "a"}, nil)
		a.stop()
		b := s.serveFailing("b", &failures)
		if r := s.wait(s.order("v2")); r.State != wire.Succeeded {
			t.Errorf("%+v\n%s", r, s.log)
		}
		b.stop()
		if failures != 3 || strings.Count(s.log.String(), "input/output error; again in") != 3 {
			t.Errorf("%d failures\n%s", failures, s.log)
		}
		s.serves("v2")
	})
}

// faulty is a log that fails at each fifteenth entry, three times.
type faulty struct {
	rollout.Log
	entries  *int
	failures *int
}

func (f faulty) Append(ctx context.Context, e journal.Entry) (journal.Entry, error) {
	if *f.entries++; *f.entries%15 == 0 && *f.failures < 3 {
		*f.failures++
		return journal.Entry{}, unix.EIO
	}
	return f.Log.Append(ctx, e)
}

func (s *site) serveFailing(name string, failures *int) *running {
	entries := 0
	return s.start(Config{Holder: name, Journal: func(l rollout.Log) rollout.Log { return faulty{l, &entries, failures} }}, nil)
}
