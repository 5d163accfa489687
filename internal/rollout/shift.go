package rollout

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/rollout/judge"
)

// errAgain asks for the same window anew.
var errAgain = errors.New("the window begins anew")

// mostGaps is how often a window of one step begins anew because its figures have a gap. Then it waits for them in vain,
// and its deadline decides.
const mostGaps = 2

// shift goes from weight to weight, each with a window of its own that has to pass.
func (d *Driver) shift(ctx context.Context) error {
	roll := d.state.Roll
	steps := d.steps()
	if roll.Kind != Forward || roll.From == nil { // nothing to compare with, or nothing to find out
		if err := d.weigh(ctx, 100); err != nil {
			return err
		}
		return d.advance(ctx, Shifted)
	}
	j, err := judge.New(d.Settings.Judge, roll.Looks)
	if err != nil {
		return err
	}
	gaps := 0
	for roll.Step < len(steps) {
		if err := d.weigh(ctx, steps[roll.Step].Weight); err != nil {
			return err
		}
		switch err := d.window(ctx, j, steps[roll.Step], gaps < mostGaps); {
		case errors.Is(err, ErrGap):
			gaps++
			if err := d.note(ctx, "window", "it begins anew: "+err.Error(), nil); err != nil {
				return err
			}
			continue
		case errors.Is(err, errAgain):
			continue
		case err != nil:
			return err
		}
		roll.Step++
		gaps = 0
		if err := d.save(ctx); err != nil {
			return err
		}
	}
	return d.advance(ctx, Shifted)
}

// weigh gives the target so much of the traffic, if it is well.
func (d *Driver) weigh(ctx context.Context, weight int) error {
	target := *d.state.Roll.Target
	want := Weights{target.Slot: weight, target.Slot.Other(): 100 - weight}
	return d.reach(ctx, "weights", d.Settings.Blind, want, func(o Observation) (bool, error) {
		return o.weighs(want), d.well(o.Slots[target.Slot], target)
	}, func(ctx context.Context) error { return d.Backend.SetWeights(ctx, d.Fence, want) })
}

func (o Observation) weighs(w Weights) bool {
	return o.Slots[Blue].Weight == w[Blue] && o.Slots[Green].Weight == w[Green]
}

// window watches one weight until the judge has decided.
func (d *Driver) window(ctx context.Context, j *judge.Judge, step judge.Step, again bool) error {
	if err := j.Begin(d.state.Roll.Step); err != nil {
		return err
	}
	d.promoted = false
	closed := func(context.Context) error { return nil }
	if d.Window != nil {
		closed = d.Window(ctx, step)
	}
	err := d.looks(ctx, j, step, again)
	// Not deferred: a panic is to leave all as a kill would.
	if after := closed(context.WithoutCancel(ctx)); after != nil {
		return halt{errors.Join(err, after)}
	}
	return err
}

// looks are a window's. Where it may begin again, a gap ends it: no later look could ever see beyond.
func (d *Driver) looks(ctx context.Context, j *judge.Judge, step judge.Step, again bool) error {
	roll := d.state.Roll
	began := d.Now()
	last := began
	for _, at := range step.Looks() {
		if err := d.watch(ctx, began.Add(at), step.Weight); err != nil || d.promoted {
			return err
		}
		now := d.Now()
		sides, err := d.Backend.Metrics(ctx, last, now)
		if again && errors.Is(err, ErrGap) {
			return err
		}
		missing := ""
		if err != nil {
			missing = err.Error()
		} else {
			last = now
		}
		decision := j.Look(now.Sub(began), sides[roll.Target.Slot], sides[roll.Target.Slot.Other()], missing)
		roll.Looks = j.History()
		if err := d.note(ctx, "judge", decision.String(), decision); err != nil {
			return err
		}
		if err := d.save(ctx); err != nil {
			return err
		}
		switch {
		case decision.Verdict == judge.Fail && !decision.Inconclusive:
			return errors.New(decision.Reason)
		case roll.Paused:
		case decision.Verdict == judge.Fail:
			return errors.New(decision.Reason)
		case decision.Verdict == judge.Pass:
			return nil
		}
	}
	return errAgain // only a paused one comes here: the weight stays, and what it is worth is judged afresh
}

// watch waits for the time of a look, and sees to it that all is well meanwhile.
func (d *Driver) watch(ctx context.Context, until time.Time, weight int) error {
	target := *d.state.Roll.Target
	want := Weights{target.Slot: weight, target.Slot.Other(): 100 - weight}
	seen := d.Now()
	for {
		o, err := d.Backend.Observe(ctx)
		switch {
		case ctx.Err() != nil:
			return halt{context.Cause(ctx)}
		case err != nil && d.Now().Sub(seen) > d.Settings.Blind:
			return fmt.Errorf("nothing could be observed for %s: %w", d.Settings.Blind, err)
		case err == nil:
			seen = d.Now()
			if err := d.well(o.Slots[target.Slot], target); err != nil {
				return err
			}
			if !o.weighs(want) {
				// A proxy that came back with other weights: what was measured is not what was meant.
				if err := d.note(ctx, "weights", fmt.Sprintf("blue %d and green %d was set, and is so no more", want[Blue], want[Green]), o.Slots); err != nil {
					return err
				}
				return errAgain
			}
		}
		if err := d.heed(ctx); err != nil || d.promoted {
			return err
		}
		left := until.Sub(d.Now())
		if left <= 0 {
			return nil
		}
		if err := d.sleep(ctx, min(left, d.Settings.Poll)); err != nil {
			return err
		}
	}
}

// heed does what was asked for meanwhile. An abort is an error, so that all goes back.
func (d *Driver) heed(ctx context.Context) error {
	for {
		r, ok, err := d.Inbox.Next(ctx)
		if err != nil || !ok {
			return orHalt(err)
		}
		roll := d.state.Roll
		var answer error
		if r.ID > roll.Handled {
			if answer, err = d.obey(ctx, r); err != nil {
				return err
			}
		}
		if err := d.Inbox.Remove(ctx, r.ID); err != nil {
			return halt{err}
		}
		if answer != nil {
			return answer
		}
	}
}

func orHalt(err error) error {
	if err == nil {
		return nil
	}
	return halt{err}
}

func (d *Driver) obey(ctx context.Context, r Request) (answer, err error) {
	roll := d.state.Roll
	message := fmt.Sprintf("%s asks: %s", r.Actor, r.Reason)
	switch {
	case r.Roll != roll.ID:
		message += fmt.Sprintf(" (not done: it is for %s)", r.Roll)
	case roll.Kind == Recovery:
		message += " (not done: it is on its way back already)"
	case r.Action == Abort:
		answer = fmt.Errorf("aborted by %s: %s", r.Actor, r.Reason)
	case r.Action == Pause:
		roll.Paused = true
	case r.Action == Resume:
		if roll.Paused {
			roll.Paused, answer = false, errAgain
		}
	case r.Action == Promote:
		roll.Paused, d.promoted = false, true
	}
	if err := d.note(ctx, string(r.Action), message, nil); err != nil {
		return nil, err
	}
	roll.Handled = r.ID
	return answer, d.save(ctx)
}
