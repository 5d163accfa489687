package trial

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/rollout"
	"github.com/meter-ml/meter-pipeline/internal/rollout/agent/wire"
	"github.com/meter-ml/meter-pipeline/internal/rollout/journal"
)

// releases makes releases of a kind that differ by their name only.
type releases func(ctx context.Context, l *Lab, name string) (rollout.Revision, error)

// A kind is what is deployed in a trial, and how.
type kind struct {
	stack    func(*Lab) stack
	release  releases
	settings wire.Settings
}

func trivialKind(window time.Duration) kind {
	return kind{(*Lab).trivial, trivialRelease, settings(window)}
}

func realKind(window time.Duration) kind { return kind{(*Lab).real, realRelease, realSettings(window)} }

func trivialRelease(ctx context.Context, l *Lab, name string) (rollout.Revision, error) {
	return l.release(ctx, name, nil)
}

// started is a site on which a first release serves.
func (l *Lab) started(ctx context.Context, k stack, settings wire.Settings, make releases) (*Site, error) {
	s, err := l.Site(ctx, k, settings)
	if err != nil {
		return s, err
	}
	first, err := make(ctx, l, "v1")
	if err != nil {
		return s, err
	}
	return s, s.becomes(ctx, first)
}

// shiftTrial is a whole roll-out under load.
func shiftTrial(name string, rate, least int, how kind) Trial {
	return Trial{"shift", name, func(ctx context.Context, l *Lab, r *Report) (err error) {
		s, err := l.started(ctx, how.stack(l), how.settings, how.release)
		defer closing(s, &err)
		if err != nil {
			return err
		}
		next, err := how.release(ctx, l, "v2")
		if err != nil {
			return err
		}
		c, err := s.under(ctx, rate, func(ctx context.Context) error { return s.becomes(ctx, next) })
		c.report(r)
		if err != nil {
			return err
		}
		r.weighed(c)
		r.seconds("roll-out", c.ended.Sub(c.began)-margin)
		r.say("%d of %d requests failed", len(c.shots.Failed()), len(c.shots))
		return errors.Join(c.spotless(least), s.consistent(ctx, "v2"))
	}}
}

// weighed shows how long changes of weights took, with the journal.
func (r *Report) weighed(c course) {
	if times := c.weighing(); len(times) > 0 {
		slices.Sort(times)
		r.milliseconds("weight, median", times[len(times)/2])
		r.milliseconds("weight, longest", times[len(times)-1])
	}
}

// backTrial aborts a roll-out at a weight, or goes back by hand when it is done, and measures from the request on.
func backTrial(name string, rate, weight, least int, how kind) Trial {
	return Trial{"shift", name, func(ctx context.Context, l *Lab, r *Report) (err error) {
		s, err := l.started(ctx, how.stack(l), how.settings, how.release)
		defer closing(s, &err)
		if err != nil {
			return err
		}
		next, err := how.release(ctx, l, "v2")
		if err != nil {
			return err
		}
		var asked time.Time
		c, err := s.under(ctx, rate, func(ctx context.Context) error {
			id, err := s.order(ctx, next)
			if err != nil {
				return err
			}
			if asked, err = s.abortAt(ctx, weight); err != nil {
				return err
			}
			result, err := s.result(ctx, id)
			if err == nil && result.State != wire.RolledBack {
				err = fmt.Errorf("it was aborted, and is %s", result.State)
			}
			return s.forAtLeast(ctx, rate, least, err)
		})
		c.report(r)
		if err != nil {
			return err
		}
		if err := r.wentBack(c, asked); err != nil {
			return err
		}
		r.say("%d of %d requests failed", len(c.shots.Failed()), len(c.shots))
		return errors.Join(c.spotless(least), s.consistent(ctx, "v1"))
	}}
}

// forAtLeast lets the load go on until there are enough requests to say something.
func (s *Site) forAtLeast(ctx context.Context, rate, least int, err error) error {
	if err != nil || least == 0 {
		return err
	}
	return pause(ctx, time.Duration(least/4)*time.Second/time.Duration(rate))
}

// abortAt waits until the new release has a weight, and aborts. It returns when it began to ask.
func (s *Site) abortAt(ctx context.Context, weight int) (time.Time, error) {
	began := time.Now()
	want := fmt.Sprintf(`"%s":%d`, rollout.Green, weight)
	weighs := false
	_, err := s.awaits(ctx, began.Add(-margin), fmt.Sprintf("a weight of %d", weight), func(e journal.Entry) bool {
		if e.Action == "weights" && e.Kind == journal.Intent {
			weighs = strings.Contains(string(e.Detail), want)
		}
		return weighs && e.Action == "weights" && e.Kind == journal.Done
	})
	if err == nil {
		err = pause(ctx, margin)
	}
	if err != nil {
		return began, err
	}
	asked := time.Now()
	_, err = s.target.Request(ctx, rollout.Abort, actor, "a trial")
	return asked, err
}

// wentBack shows how long the way back took: from the asking, which starts a program in the agent's container, and from
// the decision in the journal, to the result of the weights in the journal.
func (r *Report) wentBack(c course, asked time.Time) error {
	decided := slices.IndexFunc(c.entries, func(e journal.Entry) bool { return e.Action == "roll back" })
	if decided < 0 {
		return errors.New("the audit log has no decision to roll back")
	}
	after := c.entries[decided:]
	done := slices.IndexFunc(after, func(e journal.Entry) bool { return e.Action == "weights" && e.Kind == journal.Done })
	if done < 0 {
		return errors.New("the audit log has no weights after the decision to roll back")
	}
	if !asked.IsZero() {
		r.milliseconds("asked to back", after[done].Time.Sub(asked))
	}
	r.milliseconds("decided to back", after[done].Time.Sub(c.entries[decided].Time))
	if shot, ok := c.shots.Last("v2"); ok {
		// A request that was sent before may be answered after.
		r.milliseconds("decided to last answer of the bad", shot.At.Sub(c.entries[decided].Time))
	}
	return nil
}

// closing takes a site away when a trial ends, and says if it could not.
func closing(s *Site, err *error) {
	if s != nil {
		*err = errors.Join(*err, s.Close())
	}
}
