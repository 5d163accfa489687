package trial

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/retry"
	"github.com/meter-ml/meter-pipeline/internal/rollout"
	"github.com/meter-ml/meter-pipeline/internal/rollout/agent/wire"
	"github.com/meter-ml/meter-pipeline/internal/rollout/compose/composetest"
	"github.com/meter-ml/meter-pipeline/internal/rollout/journal"
)

// releases makes releases of a kind; knobs say how one is bad, if it is of the trivial server.
type releases func(l *Lab, ctx context.Context, name string, knobs composetest.Knobs) (rollout.Revision, error)

// A kind is what is deployed in a trial, and how.
type kind struct {
	name     string // of the stack, where sites of it may be used by one trial after the other
	stack    func(*Lab) stack
	release  releases
	settings wire.Settings
}

func trivialKind(window time.Duration) kind {
	return kind{"trivial", (*Lab).trivial, (*Lab).trivialRelease, settings(window)}
}

func realKind(window time.Duration) kind {
	return kind{"real", (*Lab).real, (*Lab).realRelease, realSettings(window)}
}

// with are the same with other settings.
func (k kind) with(s wire.Settings) kind {
	k.settings = s
	return k
}

// at does something at a site on which a release serves: which one, it is told.
func (l *Lab) at(ctx context.Context, how kind, do func(s *Site, serves string) error) (err error) {
	s, err := l.started(ctx, how)
	defer closing(ctx, s, &err)
	if err != nil {
		return err
	}
	serves, err := s.current()
	if err != nil {
		return err
	}
	return do(s, serves)
}

// started is a site on which a release serves, with these settings from the next order on. A site that an earlier trial
// has left as it should be is taken again; leave it with closing.
func (l *Lab) started(ctx context.Context, how kind) (*Site, error) {
	l.mu.Lock()
	s := l.standing[how.name]
	delete(l.standing, how.name)
	l.mu.Unlock()
	if s != nil && l.place == nil {
		s.settings.Judge, s.settings.Times = how.settings.Judge, how.settings.Times
		return s, s.putBundle(ctx)
	}
	s, err := l.Site(ctx, how.stack(l), how.settings)
	if err != nil {
		return s, err
	}
	s.kind = how
	first, err := s.next(ctx, nil)
	if err != nil {
		return s, err
	}
	return s, s.becomes(ctx, first)
}

// next makes a release that no site ever had, so that its image has to be pulled.
func (s *Site) next(ctx context.Context, knobs composetest.Knobs) (rollout.Revision, error) {
	s.releases++
	return s.kind.release(s.lab, ctx, s.newest(), knobs)
}

// newest is the name of the last release that next has made.
func (s *Site) newest() string { return fmt.Sprintf("v%d.%d", s.number, s.releases) }

// closing leaves a site to the next trial, or takes it away if this one failed.
func closing(ctx context.Context, s *Site, err *error) {
	if s == nil {
		return
	}
	if *err == nil && s.kind.name != "" && s.lab.place == nil && s.lab.standing[s.kind.name] == nil {
		s.lab.mu.Lock()
		s.lab.standing[s.kind.name] = s
		s.lab.mu.Unlock()
		return
	}
	if *err != nil {
		s.tellProxy(ctx)
	}
	*err = errors.Join(*err, s.Close(ctx))
}

// tellProxy shows what the proxy last said of its servers, which is gone with it.
func (s *Site) tellProxy(ctx context.Context) {
	said, err := s.lab.both(context.WithoutCancel(ctx), "logs", "--timestamps", "--tail", "12", s.target.Project()+"-proxy-1")
	if err != nil { // there may be none yet
		return
	}
	for line := range strings.Lines(string(said)) {
		s.lab.Log("      proxy: %s", strings.TrimSpace(line))
	}
}

// shiftTrial is a whole roll-out under load.
func shiftTrial(name string, rate, least int, how kind) Trial {
	return Trial{"shift", name, func(ctx context.Context, l *Lab, r *Report) error {
		return l.at(ctx, how, func(s *Site, _ string) error {
			next, err := s.next(ctx, nil)
			if err != nil {
				return err
			}
			var took time.Duration
			c, err := s.under(ctx, rate, func(ctx context.Context) error {
				began := time.Now()
				err := s.becomes(ctx, next)
				took = time.Since(began)
				if enough := time.Duration(least) * time.Second / time.Duration(rate); err == nil && took < enough {
					err = retry.Sleep(ctx, enough-took)
				}
				return err
			})
			c.report(r)
			if err != nil {
				return err
			}
			r.weighed(c)
			r.seconds("roll-out", took)
			r.say("%d of %d requests failed", len(c.shots.Failed()), len(c.shots))
			return errors.Join(c.spotless(least), s.consistent(ctx, next.Release))
		})
	}}
}

// weighed shows how long changes of weights took, with the journal.
func (r *Report) weighed(c course) {
	if times := c.weighing(); len(times) > 0 {
		slices.Sort(times)
		r.milliseconds("weight median", times[len(times)/2])
		r.milliseconds("weight longest", times[len(times)-1])
	}
}

// backTrial aborts roll-outs when they have a weight, one after the other until there were so many requests, and measures
// each from the asking on.
func backTrial(name string, rate, weight, least int, how kind) Trial {
	return Trial{"shift", name, func(ctx context.Context, l *Lab, r *Report) error {
		return l.at(ctx, how, func(s *Site, serves string) error {
			var asked []time.Time
			c, err := s.throughout(ctx, rate, least, func(ctx context.Context) error {
				next, err := s.next(ctx, nil)
				if err != nil {
					return err
				}
				at, err := s.abortAt(ctx, next, weight)
				asked = append(asked, at)
				return err
			})
			c.report(r)
			if err == nil {
				err = r.wentBack(c, asked)
			}
			if err != nil {
				return err
			}
			r.say("%d of %d requests failed", len(c.shots.Failed()), len(c.shots))
			return errors.Join(c.spotless(least), s.consistent(ctx, serves))
		})
	}}
}

// abortAt orders a release, aborts when it has a weight, and waits until all is back. It returns when it began to ask.
func (s *Site) abortAt(ctx context.Context, r rollout.Revision, weight int) (time.Time, error) {
	began := time.Now()
	id, err := s.order(ctx, r)
	if err == nil {
		err = s.untilWeight(ctx, began, weight)
	}
	if err != nil {
		return began, err
	}
	asked := time.Now()
	if _, err := s.target.Request(ctx, rollout.Abort, actor, "a trial"); err != nil {
		return asked, err
	}
	result, err := s.result(ctx, id)
	if err == nil && result.State != wire.RolledBack {
		err = fmt.Errorf("it was aborted, and is %s", result.State)
	}
	return asked, err
}

// manualTrial rolls out, and back by hand when the roll-out is done and the release before is stopped: again and again
// until there were so many requests.
func manualTrial(name string, rate, least int, how kind) Trial {
	return Trial{"shift", name, func(ctx context.Context, l *Lab, r *Report) error {
		return l.at(ctx, how, func(s *Site, serves string) error {
			var took []time.Duration
			c, err := s.throughout(ctx, rate, least, func(ctx context.Context) error {
				next, err := s.next(ctx, nil)
				if err == nil {
					err = s.becomes(ctx, next)
				}
				if err != nil {
					return err
				}
				began := time.Now()
				err = s.backByHand(ctx)
				took = append(took, time.Since(began))
				return err
			})
			c.report(r)
			if err != nil {
				return err
			}
			r.weighed(c)
			r.figure("rollbacks", float64(len(took)), "")
			r.seconds("way back longest", slices.Max(took))
			r.say("%d of %d requests failed", len(c.shots.Failed()), len(c.shots))
			return errors.Join(c.spotless(least), s.consistent(ctx, serves))
		})
	}}
}

func (s *Site) backByHand(ctx context.Context) error {
	id, err := s.target.Order(ctx, wire.Order{Kind: rollout.Back, Actor: actor, Reason: "a trial"})
	if err != nil {
		return err
	}
	result, err := s.result(ctx, id)
	if err == nil && result.State != wire.Succeeded {
		err = fmt.Errorf("it is %s: %s", result.State, result.Reason)
	}
	return err
}

// wentBack shows how long each way back took: from the asking, which starts a program in the agent's container, and from
// the decision in the journal, to the result of the weights in the journal.
func (r *Report) wentBack(c course, asked []time.Time) error {
	var sinceAsked, sinceDecided []time.Duration
	for _, at := range asked {
		decided, back, err := wayBack(c.entries, at)
		if err != nil {
			return err
		}
		sinceAsked, sinceDecided = append(sinceAsked, back.Sub(at)), append(sinceDecided, back.Sub(decided))
	}
	slices.Sort(sinceAsked)
	r.figure("rollbacks", float64(len(asked)), "")
	r.milliseconds("asked to back median", sinceAsked[len(sinceAsked)/2])
	r.milliseconds("asked to back longest", slices.Max(sinceAsked))
	r.milliseconds("decided to back longest", slices.Max(sinceDecided))
	return nil
}

// wayBack is when it was decided to roll back, the first time since then, and when the weights were back.
func wayBack(entries []journal.Entry, since time.Time) (decided, back time.Time, err error) {
	for _, e := range entries {
		switch {
		case e.Time.Before(since):
		case decided.IsZero() && e.Action == "roll back":
			decided = e.Time
		case !decided.IsZero() && e.Action == "weights" && e.Kind == journal.Done:
			return decided, e.Time, nil
		}
	}
	if decided.IsZero() {
		return decided, back, errors.New("the audit log has no decision to roll back")
	}
	return decided, back, errors.New("the audit log has no weights after the decision to roll back")
}
