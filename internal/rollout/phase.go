package rollout

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/rollout/judge"
)

// crashes is how often a revision may restart before it is ready.
const crashes = 3

// next brings the roll-out to its next phase.
func (d *Driver) next(ctx context.Context) error {
	if d.state.Roll.Target == nil {
		return d.withdraw(ctx)
	}
	switch d.state.Roll.Phase {
	case Begun:
		return d.gate(ctx)
	case Gated:
		return d.pull(ctx)
	case Pulled:
		return d.migrate(ctx)
	case Migrated:
		return d.start(ctx)
	case Up:
		return d.ready(ctx)
	case Ready:
		return d.smoke(ctx)
	case Smoked:
		return d.shift(ctx)
	case Shifted:
		return d.replace(ctx)
	default: // Replaced: Run ends with what is behind it
		return d.drain(ctx)
	}
}

// gate judges the evidence. What was done on this target before had it then.
func (d *Driver) gate(ctx context.Context) error {
	if d.state.Roll.Kind == Forward {
		verdict, err := d.Gate(ctx, *d.state.Roll.Target)
		if err != nil {
			return d.orEnd(ctx, fmt.Errorf("gate: %w", err))
		}
		if err := d.note(ctx, "gate", verdict.Message, verdict.Detail); err != nil {
			return err
		}
	}
	return d.advance(ctx, Gated)
}

func (d *Driver) pull(ctx context.Context) error {
	target := *d.state.Roll.Target
	err := d.reach(ctx, "pull", d.Settings.Pull, target, func(o Observation) (bool, error) { return o.present(target), nil },
		func(ctx context.Context) error { return d.Backend.Pull(ctx, d.Fence, target) })
	if err != nil {
		return err
	}
	return d.advance(ctx, Pulled)
}

// migrate expands the database. There is no way back, and none is needed: what is there already fits the older release.
func (d *Driver) migrate(ctx context.Context) error {
	target := *d.state.Roll.Target
	if d.state.Roll.Kind == Forward && target.Schema != "" {
		err := d.reach(ctx, "migrate", d.Settings.Migrate, target, func(o Observation) (bool, error) { return o.Schema == target.Schema, nil },
			func(ctx context.Context) error { return d.Backend.Migrate(ctx, d.Fence, target) })
		if err != nil {
			return err
		}
	}
	return d.advance(ctx, Migrated)
}

// start starts the target; one that runs already, since it was kept warm, is left alone.
func (d *Driver) start(ctx context.Context) error {
	target := *d.state.Roll.Target
	if err := d.unburden(ctx, target.Slot); err != nil {
		return err
	}
	first, warm, restarts := true, false, 0
	err := d.reach(ctx, "start", d.Settings.Ready, target, func(o Observation) (bool, error) {
		seen := o.Slots[target.Slot]
		runs := seen.runs(target)
		if first {
			warm, first = runs && seen.Healthy, false
		}
		if !runs && !seen.empty() && seen.Weight > 0 {
			return false, Permanent(fmt.Errorf("slot %s serves %s with a weight of %d", target.Slot, seen.Release, seen.Weight))
		}
		restarts = seen.Restarts
		return runs, nil
	}, func(ctx context.Context) error { return d.Backend.Start(ctx, d.Fence, target) })
	if err != nil {
		return err
	}
	d.state.Roll.Warm, d.state.Roll.Restarts = warm, restarts
	return d.advance(ctx, Up)
}

// unburden takes the weight from a slot in which nothing runs any more: a blue that was lost on the way is started like
// any other, without traffic. What it had goes to the other slot, if that can take it.
func (d *Driver) unburden(ctx context.Context, slot Slot) error {
	want := Weights{}
	return d.reach(ctx, "weights", d.Settings.Ready, "its slot is empty", func(o Observation) (bool, error) {
		want = Weights{slot: 0, slot.Other(): 0}
		if other := o.Slots[slot.Other()]; other.Healthy {
			want[slot.Other()] = 100
		}
		return !o.Slots[slot].empty() || o.Slots[slot].Weight == 0, nil
	}, func(ctx context.Context) error { return d.Backend.SetWeights(ctx, d.Fence, want) })
}

func (d *Driver) ready(ctx context.Context) error {
	target, restarts := *d.state.Roll.Target, 0
	err := d.reach(ctx, "become healthy", d.Settings.Ready, target, func(o Observation) (bool, error) {
		seen := o.Slots[target.Slot]
		restarts = seen.Restarts
		switch {
		case !seen.runs(target):
			return false, Permanent(fmt.Errorf("%s does not run any more", target.Release))
		case seen.Restarts >= d.state.Roll.Restarts+crashes:
			return false, Permanent(fmt.Errorf("%s crashed %d times as it started", target.Release, seen.Restarts))
		}
		return seen.Healthy, nil
	}, nil)
	if err != nil {
		return err
	}
	d.state.Roll.Restarts = restarts
	return d.advance(ctx, Ready)
}

// smoke asks for known answers before there is traffic. A revision that was warm has given them before, and a rollback
// does not wait for them again.
func (d *Driver) smoke(ctx context.Context) error {
	roll := d.state.Roll
	if roll.Kind != Forward && roll.Warm {
		if err := d.note(ctx, "smoke", "not asked again: it was kept warm, and is healthy", nil); err != nil {
			return err
		}
		return d.advance(ctx, Smoked)
	}
	err := d.act(ctx, "smoke", nil, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, d.Settings.Smoke)
		defer cancel()
		return d.Backend.Smoke(ctx, *roll.Target)
	})
	if err != nil {
		return d.orEnd(ctx, fmt.Errorf("smoke test: %w", err))
	}
	return d.advance(ctx, Smoked)
}

// replace brings along what has no slots. It comes after the traffic, so that on the way back the traffic comes first;
// and before the other slot is stopped, so that there is a way back. All parts together are asked only on the way
// forward: whatever goes back goes to what was asked before.
func (d *Driver) replace(ctx context.Context) error {
	roll := d.state.Roll
	target := *roll.Target
	var waits error
	err := d.reach(ctx, "replace", d.Settings.Replace, target, func(o Observation) (bool, error) {
		if waits = o.replaced(target); errors.Is(waits, ErrPermanent) {
			return false, waits
		}
		return waits == nil, d.serves(o, target)
	}, func(ctx context.Context) error { return d.Backend.Replace(ctx, d.Fence, target) })
	if err != nil && waits != nil && !errors.Is(err, waits) {
		err = fmt.Errorf("%w (%w)", err, waits)
	}
	if err == nil && roll.Kind == Forward {
		err = d.act(ctx, "verify", nil, func(ctx context.Context) error {
			ctx, cancel := context.WithTimeout(ctx, d.Settings.Verify)
			defer cancel()
			return d.Backend.Verify(ctx, target)
		})
		if err != nil {
			err = d.orEnd(ctx, fmt.Errorf("verify: %w", err))
		}
	}
	if err != nil {
		return err
	}
	return d.advance(ctx, Replaced)
}

// drain waits until nobody uses what has no weight any more, and stops it.
func (d *Driver) drain(ctx context.Context) error {
	roll := d.state.Roll
	if roll.From == nil {
		return d.advance(ctx, Drained)
	}
	slot, until := roll.From.Slot, d.Now().Add(d.Settings.Drain)
	quiet := func(o Observation) (bool, error) {
		return o.Slots[slot].Sessions == 0 || !d.Now().Before(until), d.serves(o, *roll.Target)
	}
	if err := d.reach(ctx, "drain", d.Settings.Drain+d.Settings.Blind, *roll.Target, quiet, nil); err != nil {
		return err
	}
	err := d.reach(ctx, "stop", d.Settings.Ready, *roll.Target, func(o Observation) (bool, error) {
		return o.Slots[slot].empty(), d.serves(o, *roll.Target)
	}, func(ctx context.Context) error { return d.Backend.Stop(ctx, d.Fence, slot) })
	if err != nil {
		return err
	}
	return d.advance(ctx, Drained)
}

// serves demands that the target has all the traffic and is healthy: only then may the other go.
func (d *Driver) serves(o Observation, target Revision) error {
	seen := o.Slots[target.Slot]
	if err := d.well(seen, target); err != nil {
		return err
	}
	if seen.Weight != 100 {
		return Permanent(fmt.Errorf("%s has a weight of %d, not 100", target.Release, seen.Weight))
	}
	return nil
}

// well demands that the target runs, is healthy, and has not restarted since it became ready.
func (d *Driver) well(seen Seen, target Revision) error {
	switch {
	case !seen.runs(target):
		return Permanent(fmt.Errorf("%s does not run any more", target.Release))
	case !seen.Healthy:
		return Permanent(fmt.Errorf("%s is not healthy: %s", target.Release, seen.Reason))
	case seen.Restarts > d.state.Roll.Restarts:
		return Permanent(fmt.Errorf("%s crashed and was restarted", target.Release))
	}
	return nil
}

// withdraw takes a first release away that failed: nothing served before it.
func (d *Driver) withdraw(ctx context.Context) error {
	slot := d.state.Roll.From.Slot
	err := d.reach(ctx, "weights", d.Settings.Ready, nil, func(o Observation) (bool, error) { return o.Slots[slot].Weight == 0, nil },
		func(ctx context.Context) error { return d.Backend.SetWeights(ctx, d.Fence, Weights{Blue: 0, Green: 0}) })
	if err == nil {
		err = d.reach(ctx, "stop", d.Settings.Ready, nil, func(o Observation) (bool, error) { return o.Slots[slot].empty(), nil },
			func(ctx context.Context) error { return d.Backend.Stop(ctx, d.Fence, slot) })
	}
	if err != nil {
		return err
	}
	return d.advance(ctx, Drained)
}

// reach observes until it is met, acting (if there is anything to do) where it is not. An action that fails is tried
// again until the deadline; so is an observation.
func (d *Driver) reach(ctx context.Context, what string, within time.Duration, detail any,
	met func(Observation) (bool, error), act func(context.Context) error,
) error {
	until, pause, acted := d.Now().Add(within), d.Settings.Poll, false
	for {
		ok, err := d.look(ctx, met)
		if ok {
			return nil
		}
		if err == nil && act != nil && !acted {
			if err = d.within(ctx, until, what, detail, act); err == nil {
				acted = true
				continue
			}
		}
		if end := d.hopeless(ctx, err, until, within); end != nil {
			return fmt.Errorf("%s: %w", what, end)
		}
		if err := d.heed(ctx); err != nil && !errors.Is(err, errAgain) { // outside of a window nothing begins anew
			return err
		}
		if err := d.sleep(ctx, pause); err != nil {
			return err
		}
		if err != nil {
			pause = min(2*pause, 5*time.Second)
		}
	}
}

func (d *Driver) look(ctx context.Context, met func(Observation) (bool, error)) (bool, error) {
	o, err := d.Backend.Observe(ctx)
	if err != nil {
		return false, err
	}
	ok, err := met(o)
	return ok && err == nil, err
}

// hopeless is why it is no use to go on trying, nil if it is.
func (d *Driver) hopeless(ctx context.Context, err error, until time.Time, within time.Duration) error {
	_, stop := errors.AsType[halt](err)
	switch {
	case stop:
		return err
	case ctx.Err() != nil:
		return halt{context.Cause(ctx)}
	case errors.Is(err, ErrPermanent):
		return err
	case d.Now().Before(until):
		return nil
	case err == nil:
		return fmt.Errorf("it did not happen within %s", within)
	default:
		return err
	}
}

func (d *Driver) within(ctx context.Context, until time.Time, what string, detail any, act func(context.Context) error) error {
	return d.act(ctx, what, detail, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, max(until.Sub(d.Now()), time.Millisecond))
		defer cancel()
		return act(ctx)
	})
}

// orEnd tells a failure from an end of the context.
func (d *Driver) orEnd(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return halt{context.Cause(ctx)}
	}
	return err
}

// steps of a roll-out: all at once where there is nothing to compare with, or nothing to find out.
func (d *Driver) steps() []judge.Step {
	all := d.Settings.Judge.Steps
	if d.state.Roll.Kind != Forward || d.state.Roll.From == nil {
		return all[len(all)-1:]
	}
	return all
}
