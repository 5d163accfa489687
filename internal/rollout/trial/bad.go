package trial

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/rollout"
	"github.com/meter-ml/meter-pipeline/internal/rollout/agent/wire"
	"github.com/meter-ml/meter-pipeline/internal/rollout/compose/composetest"
	"github.com/meter-ml/meter-pipeline/internal/rollout/journal"
)

// A bad is a release that must not come through.
type bad struct {
	name   string
	knobs  composetest.Knobs
	before composetest.Knobs                       // of the release before it, which is good
	change func(rollout.Revision) rollout.Revision // what else is wrong with it
	why    string                                  // part of the reason for which it is to be rolled back
	clean  bool                                    // it is seen before it has any traffic
}

func bads() []bad {
	errorsAt := func(rate string) composetest.Knobs { return composetest.Knobs{"SERVER_ERRORS": rate} }
	slow := func(d string) composetest.Knobs { return composetest.Knobs{"SERVER_LATENCY": d} }
	return []bad{
		{name: "30 % errors", knobs: errorsAt("0.3"), why: "fails"},
		{name: "10 % errors", knobs: errorsAt("0.1"), why: "fails"},
		{name: "5 % errors", knobs: errorsAt("0.05"), why: "fails"},
		{name: "2 % errors", knobs: errorsAt("0.02"), why: "fails"},
		{name: "latency × 3", knobs: slow("30ms"), before: slow("10ms"), why: "takes"},
		{name: "crash at start", knobs: composetest.Knobs{"SERVER_CRASH": "1"}, why: "", clean: true},
		{name: "crash after 20 s", knobs: composetest.Knobs{"SERVER_CRASH_AFTER": "20s"}, why: ""},
		{name: "unhealthy but answering from the start", knobs: composetest.Knobs{"SERVER_READY_AFTER": "1h"}, why: "become healthy", clean: true},
		{name: "unhealthy but answering after 15 s", knobs: composetest.Knobs{"SERVER_SICK_AFTER": "15s"}, why: "not healthy"},
		{name: "wrong predictions with 200", knobs: composetest.Knobs{"SERVER_WRONG": "0.5"}, why: "smoke", clean: true},
		{name: "wrong predictions with 200 but known answers right", knobs: composetest.Knobs{"SERVER_SHIFT": "0.5"}, why: "predicts something else"},
		{name: "memory leak to the limit", knobs: composetest.Knobs{"SERVER_LEAK": "65536"}, why: ""},
		{name: "migration that fails", knobs: composetest.Knobs{"SERVER_MIGRATION_FAILS": "no such column", "SERVER_SCHEMA": "0002"}, change: func(r rollout.Revision) rollout.Revision {
			r.Schema = "0002"
			return r
		}, why: "migrate", clean: true},
		{name: "image that does not exist", change: missing, why: "pull", clean: true},
		{name: "wrong environment variable", knobs: composetest.Knobs{"SERVER_NEEDS": "NOBODY_SETS_THIS"}, why: "", clean: true},
	}
}

// missing names an image that no registry has.
func missing(r rollout.Revision) rollout.Revision {
	absent := "sha256:" + strings.Repeat("ab", 32)
	images := map[string]string{}
	for name, image := range r.Images {
		images[name] = strings.TrimSuffix(image, r.Digest) + absent
	}
	r.Images, r.Digest = images, absent
	return r
}

// badTrial rolls a bad release out under load and lets nobody intervene.
func badTrial(b bad) Trial {
	how := trivialKind(15 * time.Second)
	return Trial{"bad", b.name, func(ctx context.Context, l *Lab, r *Report) error {
		return l.at(ctx, how, func(s *Site, serves string) error {
			if b.before != nil {
				before, err := s.next(ctx, b.before)
				if err == nil {
					err = s.quickly(ctx, before)
				}
				if err != nil {
					return err
				}
				serves = before.Release
			}
			next, err := s.next(ctx, b.knobs)
			if err != nil {
				return err
			}
			if b.change != nil {
				next = b.change(next)
			}
			var result wire.Result
			c, err := s.under(ctx, 200, func(ctx context.Context) (err error) {
				result, err = s.roll(ctx, next)
				return err
			})
			c.report(r)
			if err != nil {
				return err
			}
			return errors.Join(b.judge(c, result, r), s.consistent(ctx, serves))
		})
	}}
}

// quickly goes to a release without looking much: it is not what is tried.
func (s *Site) quickly(ctx context.Context, r rollout.Revision) error {
	slow := s.settings
	defer func() { s.settings = slow }()
	s.settings.Judge.Steps = []wire.Step{{Weight: 100, Window: wire.Duration(time.Second), Deadline: wire.Duration(10 * time.Second)}}
	s.settings.Judge.MinRequests = 1
	if err := s.putBundle(ctx); err != nil {
		return err
	}
	_, err := s.under(ctx, 50, func(ctx context.Context) error { return s.becomes(ctx, r) })
	s.settings = slow
	return errors.Join(err, s.putBundle(ctx))
}

func (b bad) judge(c course, result wire.Result, r *Report) error {
	if result.State != wire.RolledBack {
		return fmt.Errorf("it was not rolled back, but is %s", result.State)
	}
	r.noticed(c)
	r.say("%s", shorten(result.Reason, 200))
	var err error
	if !strings.Contains(result.Reason, b.why) {
		err = fmt.Errorf("it was rolled back since %q, not for what is wrong with it (%s)", result.Reason, b.why)
	}
	if b.clean {
		err = errors.Join(err, c.spotless(0))
	}
	return err
}

// noticed shows how long it took from the first weight, or else from the order, to the decision, and to the end.
func (r *Report) noticed(c course) {
	from := c.began.Add(margin)
	weighted := false
	for _, e := range c.entries {
		switch {
		case e.Action == "weights" && e.Kind == journal.Done && !weighted:
			from, weighted = e.Time, true
		case e.Action == "roll back":
			name := "order to decision"
			if weighted {
				name = "first weight to decision"
			}
			r.seconds(name, e.Time.Sub(from))
			if done, ok := c.last("weights", journal.Done); ok && weighted && done.Time.After(e.Time) {
				r.milliseconds("decided to back", done.Time.Sub(e.Time))
			}
			return
		}
	}
}

// healthyTrial is a number of good releases, one after the other.
func healthyTrial(count int) Trial {
	how := trivialKind(2500 * time.Millisecond)
	return Trial{"bad", fmt.Sprintf("none: %d good releases in a row", count), func(ctx context.Context, l *Lab, r *Report) error {
		return l.at(ctx, how, func(s *Site, serves string) error {
			done := 0
			c, err := s.under(ctx, 500, func(ctx context.Context) error {
				for i := range count {
					next, err := s.next(ctx, nil)
					if err == nil {
						err = s.becomes(ctx, next)
					}
					if err != nil {
						return fmt.Errorf("release %d of %d: %w", i+1, count, err)
					}
					done, serves = done+1, next.Release
				}
				return nil
			})
			r.figure("releases", float64(done), "")
			c.report(r)
			if err != nil {
				return err
			}
			r.events = nil // they say the same twenty times
			r.weighed(c)
			r.say("all came through; %d of %d requests failed", len(c.shots.Failed()), len(c.shots))
			return errors.Join(c.spotless(0), s.consistent(ctx, serves))
		})
	}}
}
