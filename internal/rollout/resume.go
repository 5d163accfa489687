package rollout

import (
	"context"
	"fmt"
)

// takeUp compares the journal with what really is, where another driver has been at work already. It changes nothing on
// the target: it only decides from where the path is walked again.
func (d *Driver) takeUp(ctx context.Context) error {
	roll := d.state.Roll
	if roll.Phase == Begun || roll.Phase == Drained || roll.Target == nil {
		return nil
	}
	var now Observation
	err := d.reach(ctx, "take up", d.Settings.Blind, nil, func(o Observation) (bool, error) {
		now = o
		return true, nil
	}, nil)
	if err != nil {
		return err
	}
	target := *roll.Target
	seen := now.Slots[target.Slot]
	if err := d.note(ctx, "take up", fmt.Sprintf("left at %s, step %d", roll.Phase, roll.Step), now.Slots); err != nil {
		return err
	}
	switch {
	case roll.Phase.atLeast(Ready) && d.well(seen, target) != nil, roll.Phase == Up && !seen.runs(target):
		if roll.Kind == Forward {
			return fmt.Errorf("taken up again: %w", notWell(d.well(seen, target), target))
		}
		roll.Phase, roll.Step = Begun, 0
	case roll.Phase == Smoked:
		roll.Step = d.backTo(seen.Weight)
	}
	return d.save(ctx)
}

func notWell(err error, target Revision) error {
	if err == nil {
		return fmt.Errorf("%s does not run any more", target.Release)
	}
	return err
}

// backTo is the step whose weight the target really has: no driver goes on to more weight than there is without a
// window that it has seen from its beginning. Between two steps it is the lower.
func (d *Driver) backTo(weight int) int {
	at := 0
	for i, step := range d.steps() {
		if step.Weight <= weight && i <= d.state.Roll.Step {
			at = i
		}
	}
	return at
}
