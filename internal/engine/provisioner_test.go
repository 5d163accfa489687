package engine_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/engine"
)

// slow provides after a while, heeding its context.
type slow struct{ takes time.Duration }

func (s slow) Provide(ctx context.Context, need engine.Need, say func(string)) (engine.Provision, error) {
	say("making " + string(need))
	select {
	case <-time.After(s.takes):
		return engine.Provision{Detail: "made " + string(need)}, nil
	case <-ctx.Done():
		return engine.Provision{}, ctx.Err()
	}
}

func TestProvisioningTakesNoSlot(t *testing.T) {
	in(t, func(t *testing.T) {
		x := newTrial(t, func(o *engine.Options) { o.Limit = 1; o.Provider = slow{10 * time.Second} })
		x.execute(t.Context(), one(do("a", 5*time.Second, judged, needs("python")), do("b", 5*time.Second, judged, needs("python", "postgres")),
			do("c", 11*time.Second, judged))).want(0).wantOrder("c", "a", "b")
		if x.run.Duration != 21*time.Second {
			t.Errorf("took %s", x.run.Duration)
		}
		if said := strings.Join(x.seen.texts(engine.EventProvisioned), ", "); said != "made python, made postgres" && said != "made postgres, made python" {
			t.Errorf("said %q", said)
		}
	})
}

// ledger counts what is provided and given back.
type ledger struct {
	mu       sync.Mutex
	provided int
	released int

	cancelled int
	fail      error
	takes     time.Duration
	deaf      bool
}

func (l *ledger) Provide(ctx context.Context, need engine.Need, _ func(string)) (engine.Provision, error) {
	if l.deaf {
		time.Sleep(l.takes)
	}
	select {
	case <-time.After(l.takes):
	case <-ctx.Done():
		return engine.Provision{}, ctx.Err()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if need == "panic" {
		panic("oh")
	}
	if need == "none" {
		return engine.Provision{}, errors.New("not found: install it")
	}
	l.provided++
	return engine.Provision{
		Programs: "/provided/" + string(need), Env: map[string]string{"DATABASE_URL": "postgres://u:s3cr3t-pw@h/db"},
		Secrets: []string{"s3cr3t-pw"},
		Release: func(ctx context.Context) error {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.released++
			if ctx.Err() != nil {
				l.cancelled++ // nothing could be given back with such a context
			}
			return l.fail
		},
	}, nil
}

func TestNeedsThatCantBeHad(t *testing.T) {
	l := &ledger{}
	x := newTrial(t, func(o *engine.Options) { o.Provider = l })
	x.execute(t.Context(), one(do("a", 0, judged, needs("python", "none")), do("b", 0, judged, needs("panic")), do("c", 0, judged, needs("python"))))
	x.want(3, "s:a error (provide none: not found: install it)",
		"s:b error (provide panic: panic: oh: this is a defect of the provisioner, please report it)", "s:c passed")
	if l.provided != 2 || l.released != 2 {
		t.Errorf("provided %d, released %d", l.provided, l.released)
	}
	newTrial(t).execute(t.Context(), one(do("a", 0, judged, needs("python")))).want(3, "s:a error (provide python: no provider is given)")
}

func TestEverythingProvidedIsReleased(t *testing.T) {
	in(t, func(t *testing.T) {
		l := &ledger{takes: time.Second}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(90*time.Second, cancel)
		x := newTrial(t, func(o *engine.Options) { o.Provider = l; o.Limit = 1 })
		x.execute(ctx, one(do("a", time.Minute, judged, needs("python", "postgres")), do("b", time.Hour, judged, needs("python")),
			do("c", time.Hour, judged, needs("python", "postgres")))).want(130)
		if l.provided != 5 || l.released != 5 || l.cancelled != 0 {
			t.Errorf("provided %d, released %d, %d of them in vain", l.provided, l.released, l.cancelled)
		}
	})
}

func TestInterruptWhileProviding(t *testing.T) {
	for _, deaf := range []bool{false, true} {
		in(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Second, cancel)
			x := newTrial(t, func(o *engine.Options) { o.Provider = &ledger{takes: time.Hour, deaf: deaf}; o.Grace = 2 * time.Second })
			x.execute(ctx, one(do("a", time.Minute, judged, needs("python")), do("b", time.Hour, judged, needs("python"))))
			x.want(130, "s:a skipped (the run was interrupted before it started)", "s:b skipped (the run was interrupted before it started)")
			want := time.Second
			if deaf {
				want += 2 * time.Second
			}
			if x.run.Duration != want {
				t.Errorf("took %s, want %s", x.run.Duration, want)
			}
			time.Sleep(3 * time.Hour) // let the deaf one end
		})
	}
}

func TestFailedReleaseIsAWarning(t *testing.T) {
	x := newTrial(t, func(o *engine.Options) { o.Provider = &ledger{fail: errors.New("drop database: gone, s3cr3t-pw")} })
	x.execute(t.Context(), one(do("a", 0, judged, needs("postgres")))).want(0, "s:a passed")
	if w := x.result("a").Judgement.Warnings; len(w) != 1 || w[0] != "clean up: drop database: gone, ***" {
		t.Errorf("%q", w)
	}
}
