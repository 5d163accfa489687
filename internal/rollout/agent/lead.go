package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/rollout"
	"github.com/meter-ml/meter-pipeline/internal/rollout/agent/wire"
	"github.com/meter-ml/meter-pipeline/internal/rollout/lease"
)

// work leads until ctx ends, which is no error, or until it can't go on.
func (l *leader) work(ctx, kept context.Context) error {
	inner, cancel := context.WithCancel(kept)
	defer cancel()
	var helpers sync.WaitGroup
	helpers.Go(func() { l.showAlways(inner) })
	helpers.Go(func() { l.lookAtTraffic(inner) })
	err := l.turns(ctx, kept)
	cancel()
	helpers.Wait()
	if cause := context.Cause(kept); errors.Is(cause, lease.ErrLost) {
		return errors.Join(cause, err)
	}
	if errors.Is(err, rollout.ErrStopped) {
		return nil
	}
	return err
}

// turns does one thing after the other: the roll-out under way, the oldest order, a look at the target.
func (l *leader) turns(ctx, kept context.Context) error {
	l.driver.Stop = ctx.Done()
	var tended time.Time
	for ctx.Err() == nil {
		waiting, err := l.settle(kept)
		if err != nil {
			return err
		}
		if l.driver.State().Roll == nil && len(waiting) > 0 {
			if err := l.take(kept, waiting[0]); err != nil {
				return err
			}
			waiting = nil // the others are turned away as soon as this one runs, or are the next
		}
		if l.driver.State().Roll != nil {
			if err := l.roll(kept); err != nil {
				return err
			}
			continue
		}
		if now := l.Now(); len(waiting) == 0 && now.Sub(tended) >= tending {
			tended = now
			if err := l.tend(kept); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
		case <-kept.Done():
			return context.Cause(kept)
		case <-time.After(glance):
		}
	}
	return nil
}

// take begins what an order wants, or refuses it.
func (l *leader) take(ctx context.Context, id string) error {
	o, err := readOrder(l.layout, id)
	if err != nil {
		return l.refuse(ctx, id, o, err)
	}
	// What came with the order may have brought new secrets.
	if err := l.mask.renew(l.layout.Secrets()); err != nil {
		return l.refuse(ctx, id, o, err)
	}
	revision, err := l.acceptable(o)
	if err != nil {
		return l.refuse(ctx, id, o, err)
	}
	order := rollout.Order{ID: id, Target: revision, Actor: o.Actor, Reason: o.Reason, Committed: o.Committed}
	if o.Kind == rollout.Back {
		err = l.driver.BeginBack(ctx, revision.Release, order)
	} else {
		err = l.driver.Begin(ctx, order)
	}
	if errors.Is(err, rollout.ErrServes) {
		return l.refuse(ctx, id, o, err)
	}
	return err
}

// acceptable says where an order goes to, or why it can't be begun. Whatever can be refused is, before it changes anything.
func (l *leader) acceptable(o wire.Order) (rollout.Revision, error) {
	var r rollout.Revision
	if o.Kind == rollout.Back {
		state := l.driver.State()
		before, err := state.Before(o.Release)
		if err != nil {
			return r, err
		}
		r = before
	} else {
		r = *o.Revision
	}
	s, err := l.settings(r)
	if err != nil {
		return r, err
	}
	if s.Environment != l.Environment {
		return r, fmt.Errorf("the settings of its bundle are for %s, and this is %s", s.Environment, l.Environment)
	}
	if !strings.HasSuffix(r.Images[s.Serving], "@"+r.Digest) {
		return r, fmt.Errorf("its image %s does not have the digest that is to serve", s.Serving)
	}
	if o.Kind == rollout.Forward {
		_, err = judgeGate(s, o)
	}
	return r, err
}

// settings are those of a revision's bundle.
func (l *leader) settings(r rollout.Revision) (wire.Settings, error) {
	file, err := os.Open(l.layout.Settings(r.Bundle))
	if err != nil {
		return wire.Settings{}, fmt.Errorf("the files of %s are not on the target any more (bundle %s): roll out the release that has them", r.Release, r.Bundle)
	}
	s, err := wire.ReadSettings(file)
	return s, errors.Join(err, file.Close())
}

// roll brings the roll-out under way to its end.
func (l *leader) roll(ctx context.Context) error {
	state := l.driver.State()
	s, err := l.rollSettings(*state.Roll)
	if err != nil {
		return err
	}
	l.driver.Settings = s.Rollout()
	l.board.plan(l.driver.Settings.Judge.Steps)
	l.say("rolls %s", describe(state.Roll))
	end, err := l.driver.Run(ctx)
	if err != nil {
		return err
	}
	l.say("%s: %s serves (%s)", end.ID, orNothing(end.Target), end.Kind)
	l.point("after end")
	// Whoever sees the result finds a status that fits.
	if err := l.show(ctx); err != nil {
		return err
	}
	if _, err := l.settle(ctx); err != nil {
		return err
	}
	if err := prune(l.layout, l.driver.State(), l.Now()); err != nil {
		l.say("%v", err)
	}
	return l.writeMetrics(ctx)
}

// rollSettings are of the release to which it goes; on the way back to nothing, of the one from which.
func (l *leader) rollSettings(r rollout.Roll) (wire.Settings, error) {
	if r.Target == nil {
		return l.settings(*r.From)
	}
	s, err := l.settings(*r.Target)
	if err != nil && r.Kind == rollout.Recovery && r.From != nil {
		// Its own are lost. The times of the other are as good, and the windows don't matter on the way back.
		return l.settings(*r.From)
	}
	return s, err
}

func describe(r *rollout.Roll) string {
	to, from := "", ""
	if r.Target != nil {
		to = r.Target.Release
	}
	if r.From != nil {
		from = r.From.Release
	}
	return fmt.Sprintf("%s (%s) from %s to %s, at phase %s", r.ID, r.Kind, orNothing(from), orNothing(to), r.Phase)
}

func orNothing(release string) string {
	if release == "" {
		return "nothing"
	}
	return release
}

// gate is the driver's: it asks the order again, whichever agent took it.
func (l *leader) gate(_ context.Context, r rollout.Revision) (rollout.Verdict, error) {
	o, err := readOrder(l.layout, l.driver.State().Roll.Order)
	if err != nil {
		return rollout.Verdict{}, err
	}
	s, err := l.settings(r)
	if err != nil {
		return rollout.Verdict{}, err
	}
	return judgeGate(s, o)
}

// A watchedTarget tells the board what was seen.
type watchedTarget struct {
	rollout.Backend
	l *leader
}

// Observe implements rollout.Backend. It is also when orders are turned away that come during a roll-out: it is called
// again and again, in the goroutine that may write to the journal, and never between an intent and its effect.
func (w watchedTarget) Observe(ctx context.Context) (rollout.Observation, error) {
	o, err := w.Backend.Observe(ctx)
	if err != nil {
		w.l.board.trouble(err)
	} else {
		w.l.board.observed(w.l.Now(), o)
	}
	if w.l.driver != nil && w.l.driver.State().Roll != nil {
		w.l.turnAway(ctx)
	}
	return o, err
}

func (l *leader) turnAway(ctx context.Context) {
	waiting, err := l.settle(ctx)
	for _, id := range waiting {
		if err == nil {
			o, _ := readOrder(l.layout, id) // whether it can be read or not, it is refused
			err = l.refuse(ctx, id, o, free(l.layout))
		}
	}
	if err != nil { // the journal's errors come back to the driver by its own next entry
		l.say("%v", err)
	}
}
