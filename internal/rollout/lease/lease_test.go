package lease

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func desk(dir, holder string) Desk { return Desk{Dir: dir, Holder: holder, Now: time.Now} }

func nobody(Lease) {}

func take(t *testing.T, d Desk) *Held {
	t.Helper()
	h, err := d.Take(t.Context(), 0, nobody)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// Of two contenders one gets it, and the other when it is given back, with a higher epoch.
func TestTwoContenders(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		var wg sync.WaitGroup
		var mu sync.Mutex
		var inside int
		var epochs []uint64
		for _, name := range []string{"a", "b", "c"} {
			wg.Go(func() {
				held := take(t, desk(dir, name))
				_, stop := held.Keep(t.Context())
				mu.Lock()
				inside++
				if inside != 1 {
					t.Errorf("%d at once", inside)
				}
				epochs = append(epochs, held.Epoch())
				mu.Unlock()
				time.Sleep(5 * time.Minute)
				mu.Lock()
				inside--
				mu.Unlock()
				stop()
				if err := held.Release(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		began := time.Now()
		wg.Wait()
		if len(epochs) != 3 || epochs[0] != 1 || epochs[1] != 2 || epochs[2] != 3 {
			t.Errorf("epochs %v", epochs)
		}
		if took := time.Since(began); took > 15*time.Minute+3*time.Second {
			t.Errorf("the three took %v: nobody waits for a lease that was given back", took)
		}
	})
}

// Killed at any time between two renewals, its lease is free within 30 seconds.
func TestKilledHolder(t *testing.T) {
	for lived := time.Duration(0); lived < 25*time.Second; lived += 3 * time.Second {
		dir := t.TempDir()
		synctest.Test(t, func(t *testing.T) {
			held := take(t, desk(dir, "killed"))
			ctx, kill := context.WithCancel(t.Context())
			_, stop := held.Keep(ctx)
			time.Sleep(lived)
			kill() // no Release: a kill gives nothing back
			stop()
			killed := time.Now()
			told := ""
			next, err := desk(dir, "next").Take(t.Context(), 0, func(l Lease) { told += l.Holder })
			if err != nil || next.Epoch() != 2 || told != "killed" {
				t.Fatalf("%+v, %v, %q", next, err, told)
			}
			if took := time.Since(killed); took > Expiry || took < Expiry-Renewal-time.Second {
				t.Errorf("killed after %v: replaced after %v", lived, took)
			}
		})
	}
}

// A holder that was paused for 60 seconds wakes up with an old epoch, and is refused by everything.
func TestPausedHolder(t *testing.T) {
	for _, taken := range []bool{true, false} {
		dir := t.TempDir()
		synctest.Test(t, func(t *testing.T) {
			paused := take(t, desk(dir, "paused"))
			if err := paused.Check(t.Context()); err != nil {
				t.Error(err)
			}
			time.Sleep(31 * time.Second) // without Keep: it does nothing at all
			var next *Held
			if taken {
				next = take(t, desk(dir, "next"))
			}
			time.Sleep(29 * time.Second)
			for name, err := range map[string]error{"check": paused.Check(t.Context()), "renew": paused.Renew(t.Context())} {
				if !errors.Is(err, ErrLost) {
					t.Errorf("taken %v: %s: %v", taken, name, err)
				}
			}
			kept, stop := paused.Keep(t.Context())
			<-kept.Done()
			stop()
			if !errors.Is(context.Cause(kept), ErrLost) {
				t.Error(context.Cause(kept))
			}
			if err := paused.Release(t.Context()); err != nil {
				t.Error(err)
			}
			if last, err := Read(dir); err != nil || taken && last.Epoch != next.Epoch() || !taken && last.Epoch != 1 {
				t.Errorf("%+v, %v: the late one changed it", last, err)
			}
		})
	}
}

func TestKeep(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		held := take(t, desk(dir, "a"))
		kept, stop := held.Keep(t.Context())
		for range 100 {
			time.Sleep(7 * time.Second)
			if _, err := desk(dir, "b").Try(t.Context(), 0); !errors.Is(err, ErrHeld) || !strings.Contains(err.Error(), "a, until") {
				t.Fatal(err)
			}
			if err := errors.Join(held.Check(t.Context()), kept.Err()); err != nil {
				t.Fatal(err)
			}
		}
		stop()
	})
}

// A disk that takes no renewal costs the lease, at its end and not before.
func TestDiskTakesNothing(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		held := take(t, desk(dir, "a"))
		began := time.Now()
		kept, stop := held.Keep(t.Context())
		away := dir + "-away"
		if err := os.Rename(dir, away); err != nil {
			t.Fatal(err)
		}
		<-kept.Done()
		stop()
		if err := context.Cause(kept); !errors.Is(err, ErrLost) {
			t.Error(err)
		}
		if after := time.Since(began); after < Expiry || after > Expiry+2*glance {
			t.Errorf("lost after %v", after)
		}
		if err := os.Rename(away, dir); err != nil {
			t.Fatal(err)
		}
	})
}

// A clock that was set back by an hour makes a dead holder's lease an hour longer, but nobody waits for that.
func TestClockSetBack(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		ahead := Desk{Dir: dir, Holder: "dead", Now: func() time.Time { return time.Now().Add(time.Hour) }}
		take(t, ahead)
		began := time.Now()
		next := take(t, desk(dir, "next"))
		if took := time.Since(began); took < Expiry || took > Expiry+2*glance || next.Epoch() != 2 {
			t.Errorf("epoch %d after %v", next.Epoch(), took)
		}
	})
}

func TestFloor(t *testing.T) {
	dir := t.TempDir()
	held, err := desk(dir, "a\nb").Try(t.Context(), 41)
	if err != nil || held.Epoch() != 42 {
		t.Fatal(held, err)
	}
	if last, _ := Read(dir); last.Holder != "a b" {
		t.Errorf("%q", last.Holder)
	}
	for _, content := range []string{"", "{}", `{"schema":1,"epoch":3,"else":1}`, strings.Repeat("[", 10000), "\x00"} {
		if err := os.WriteFile(filepath.Join(dir, leaseFile), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, err := range []error{held.Check(t.Context()), held.Renew(t.Context()), held.Release(t.Context())} {
			if err == nil || errors.Is(err, ErrLost) {
				t.Errorf("%.20q: %v", content, err)
			}
		}
		if _, err := desk(dir, "b").Take(t.Context(), 0, nobody); err == nil || !strings.HasSuffix(err.Error(), "remove it; the journal knows the epoch") {
			t.Errorf("%.20q: %v", content, err)
		}
	}
}

func TestCancelled(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		take(t, desk(dir, "a"))
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		if _, err := desk(dir, "b").Take(ctx, 0, nobody); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
}
