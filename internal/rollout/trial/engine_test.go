package trial

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/rollout/agent/wire"
	"github.com/meter-ml/meter-pipeline/internal/rollout/compose/composetest"
	"github.com/meter-ml/meter-pipeline/internal/stage/image/imagetest"
)

var machine imagetest.Shared

func TestMain(m *testing.M) {
	code := m.Run()
	if err := machine.Close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// The trials in short, for every push: a whole shift, a bad release, and an agent that is killed in mid-shift, one after
// the other at one site, with requests all the time.
func TestEngineTrialsInShort(t *testing.T) {
	root, err := filepath.Abs(filepath.Join("..", "..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	lab, err := Open(ctx, Place{Root: root, Machine: machine.Get(t), Log: t.Logf})
	t.Cleanup(func() {
		if err := lab.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	settings := settings(3 * time.Second)
	settings.Judge.MinRequests = 20
	settings.Judge.Steps = settings.Judge.Steps[1:] // from 25 % on: a short window has requests enough only so
	s, err := lab.started(ctx, trivialKind(time.Second).with(settings))
	t.Cleanup(func() {
		if err := s.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, do := range []func(context.Context, *testing.T, *Site){shiftInShort, badInShort, killInShort} {
		do(ctx, t, s)
		if t.Failed() {
			return
		}
	}
}

func shiftInShort(ctx context.Context, t *testing.T, s *Site) {
	next, err := s.next(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	c, err := s.under(ctx, 200, func(ctx context.Context) error { return s.becomes(ctx, next) })
	if err := errors.Join(err, c.spotless(2500), s.consistent(ctx, next.Release)); err != nil {
		t.Error(err)
	}
	t.Logf("shift: %d requests, %d failed, weights took %v", len(c.shots), len(c.shots.Failed()), c.weighing())
}

func badInShort(ctx context.Context, t *testing.T, s *Site) {
	serves, err := s.current()
	if err != nil {
		t.Fatal(err)
	}
	bad, err := s.next(ctx, composetest.Knobs{"SERVER_ERRORS": "0.3"})
	if err != nil {
		t.Fatal(err)
	}
	var result wire.Result
	c, err := s.under(ctx, 200, func(ctx context.Context) (err error) {
		result, err = s.roll(ctx, bad)
		return err
	})
	if err == nil && result.State != wire.RolledBack {
		err = fmt.Errorf("it is %s", result.State)
	}
	if failed := len(c.shots.Failed()); err == nil && (failed == 0 || failed > 100) {
		err = fmt.Errorf("%d requests failed", failed)
	}
	if err := errors.Join(err, s.consistent(ctx, serves)); err != nil {
		t.Error(err)
	}
	t.Logf("bad release: %d of %d requests failed: %s", len(c.shots.Failed()), len(c.shots), result.Reason)
}

func killInShort(ctx context.Context, t *testing.T, s *Site) {
	next, err := s.next(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	c, err := s.under(ctx, 200, func(ctx context.Context) error {
		began := time.Now()
		id, err := s.order(ctx, next)
		if err == nil {
			err = s.untilWeight(ctx, began, 25)
		}
		if err != nil {
			return err
		}
		pid, _, err := s.leader(ctx)
		if err == nil {
			err = syscall.Kill(pid, syscall.SIGKILL)
		}
		if err != nil {
			return err
		}
		result, err := s.result(ctx, id)
		if err == nil && result.State != wire.Succeeded {
			err = fmt.Errorf("it is %s: %s", result.State, result.Reason)
		}
		return err
	})
	if err := errors.Join(err, c.spotless(3000), s.consistent(ctx, next.Release)); err != nil {
		t.Error(err)
	}
	t.Logf("killed in mid-shift: %d requests, %d failed", len(c.shots), len(c.shots.Failed()))
}
