package trial

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/retry"
	"github.com/meter-ml/meter-pipeline/internal/rollout"
	"github.com/meter-ml/meter-pipeline/internal/rollout/agent/wire"
	"github.com/meter-ml/meter-pipeline/internal/rollout/journal"
	"github.com/meter-ml/meter-pipeline/internal/rollout/remote"
)

// rivals are two deployers that order at the same moment: one is refused, and nothing else happens.
func rivals() Trial {
	return Trial{"fault", "two deployers at once", func(ctx context.Context, l *Lab, r *Report) error {
		return l.at(ctx, trivialKind(time.Second).with(brisk()), func(s *Site, serves string) error {
			const rounds = 5
			c, err := s.under(ctx, 200, func(ctx context.Context) error {
				for round := range rounds {
					won, err := s.race(ctx)
					if err != nil {
						return fmt.Errorf("round %d: %w", round+1, err)
					}
					serves = won
				}
				return nil
			})
			c.report(r)
			if err != nil {
				return err
			}
			r.events = nil
			r.say("%d times one came through, and the other was refused; %d of %d requests failed", rounds, len(c.shots.Failed()), len(c.shots))
			return errors.Join(c.spotless(0), s.consistent(ctx, serves))
		})
	}}
}

// race has two deployers order different releases at once, and returns which of them came through.
func (s *Site) race(ctx context.Context) (string, error) {
	var ids [2]string
	var errs [2]error
	var revisions [2]rollout.Revision
	for i := range 2 {
		var err error
		if revisions[i], err = s.next(ctx, nil); err != nil {
			return "", err
		}
	}
	var group sync.WaitGroup
	for i := range 2 {
		group.Go(func() { ids[i], errs[i] = s.order(ctx, revisions[i]) })
	}
	group.Wait()
	won := 0
	if errs[0] != nil {
		won = 1
	}
	if errs[won] != nil || !errors.Is(errs[1-won], remote.ErrRefused) {
		return "", fmt.Errorf("not one was refused: %w", errors.Join(errs[0], errs[1]))
	}
	result, err := s.result(ctx, ids[won])
	if err == nil && (result.State != wire.Succeeded || result.Target != revisions[won].Release) {
		err = fmt.Errorf("%s: %s %s: %s", revisions[won].Release, result.State, result.Target, result.Reason)
	}
	return result.Target, err
}

// unreached orders a release whose images are not on the target, while the registry is away.
func unreached() Trial {
	settings := settings(3 * time.Second)
	settings.Times.Pull = wire.Duration(15 * time.Second)
	return Trial{"fault", "registry gone before the pull", func(ctx context.Context, l *Lab, r *Report) error {
		return l.at(ctx, trivialKind(time.Second).with(settings), func(s *Site, serves string) (err error) {
			next, err := s.next(ctx, nil)
			if err == nil {
				err = stopRegistry(ctx, s, r)
			}
			defer func() { err = errors.Join(err, l.wakeRegistry(ctx)) }()
			if err != nil {
				return err
			}
			var result wire.Result
			c, err := s.under(ctx, 200, func(ctx context.Context) (err error) {
				result, err = s.roll(ctx, next)
				return err
			})
			c.report(r)
			if err == nil && result.State != wire.RolledBack {
				err = fmt.Errorf("it is %s", result.State)
			}
			if err != nil {
				return err
			}
			r.say("%s; %d of %d requests failed", ending(result), len(c.shots.Failed()), len(c.shots))
			return errors.Join(c.spotless(0), s.consistent(ctx, serves))
		})
	}}
}

// abandoned kills deployers: some while they hand over an order, and others while they watch. What was ordered comes
// through or was never ordered; and there is no lock for them to leave.
func abandoned() Trial {
	return Trial{"kill", "deployer while it orders and watches", func(ctx context.Context, l *Lab, r *Report) error {
		return l.at(ctx, trivialKind(time.Second).with(brisk()), func(s *Site, serves string) error {
			const kills = 10
			ordered := 0
			c, err := s.under(ctx, 100, func(ctx context.Context) error {
				for n := range kills {
					release, err := s.abandon(ctx, time.Duration(n)*40*time.Millisecond)
					if err != nil {
						return fmt.Errorf("killed after %d ms: %w", n*40, err)
					}
					if release != "" {
						ordered++
						serves = release
					}
				}
				return nil
			})
			c.report(r)
			if err != nil {
				return err
			}
			r.events = nil
			r.figure("kills", kills, "")
			r.say("%d orders had been handed over, and came through; %d had not, and nothing happened; %d of %d requests failed",
				ordered, kills-ordered, len(c.shots.Failed()), len(c.shots))
			return errors.Join(c.spotless(0), s.consistent(ctx, serves))
		})
	}}
}

// abandon orders a release and kills the client that does so after a time, or else the one that watches. It returns the
// release if it had been ordered, when that serves.
func (s *Site) abandon(ctx context.Context, after time.Duration) (string, error) {
	next, err := s.next(ctx, nil)
	if err != nil {
		return "", err
	}
	began := time.Now()
	short, cancel := context.WithTimeout(ctx, after)
	id, err := s.order(short, next) // its end kills the client
	cancel()
	if err == nil { // it was faster: so whoever watches is killed
		short, cancel := context.WithTimeout(ctx, time.Second)
		_, _ = s.target.Watch(short, id, func(wire.Event) {})
		cancel()
		result, err := s.result(ctx, id)
		if err == nil && (result.State != wire.Succeeded || result.Target != next.Release) {
			err = fmt.Errorf("%s: %s", result.State, result.Reason)
		}
		return next.Release, err
	}
	// What had been handed over before the client was killed begins at once.
	if err := retry.Sleep(ctx, 3*time.Second); err != nil {
		return "", err
	}
	entries, err := s.entries(ctx, began)
	if err != nil {
		return "", err
	}
	for _, e := range entries {
		if e.Action == "begin" && e.Release == next.Release {
			err := s.awaits(ctx, began, "the end of "+next.Release, func(e journal.Entry) bool { return e.Action == "done" && e.Release == next.Release })
			return next.Release, errors.Join(err, retry.Sleep(ctx, time.Second))
		}
	}
	return "", nil
}
