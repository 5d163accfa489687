package rollout

import (
	"context"
	"fmt"
	"maps"
	"slices"
)

// A Drift is something on the target that is not as the journal says.
type Drift struct {
	Part string // what drifted: weights, blue, green, or the name of a service
	What string
}

// Tend looks after the target while no roll-out is under way, and says what it found wrong. Of that it mends the weights
// only, which a proxy can lose: they are one call, and which are right is beyond doubt. What does not run or is not
// healthy is left to the engine's restart policy and to people: who stopped it by hand had a reason, and what crashes
// again and again is not made better by a start.
func (d *Driver) Tend(ctx context.Context) (Observation, []Drift, error) {
	if d.state.Roll != nil {
		return Observation{}, nil, fmt.Errorf("tend: %w: %s", ErrBusy, d.state.Roll.ID)
	}
	o, err := d.Backend.Observe(ctx)
	if err != nil {
		return o, nil, fmt.Errorf("tend: %w", err)
	}
	drifts := d.drifts(o)
	current := d.state.Current
	if current == nil {
		return o, drifts, nil
	}
	want := Weights{current.Slot: 100, current.Slot.Other(): 0}
	if seen := o.Slots[current.Slot]; o.weighs(want) || !seen.runs(*current) || !seen.Healthy {
		return o, drifts, nil
	}
	err = d.act(ctx, "mend weights", o.Slots, func(ctx context.Context) error { return d.Backend.SetWeights(ctx, d.Fence, want) })
	if err != nil {
		return o, drifts, fmt.Errorf("tend: %w", err)
	}
	return o, drifts, nil
}

func (d *Driver) drifts(o Observation) []Drift {
	var drifts []Drift
	add := func(part, format string, args ...any) {
		drifts = append(drifts, Drift{part, fmt.Sprintf(format, args...)})
	}
	current := d.state.Current
	for _, slot := range []Slot{Blue, Green} {
		seen := o.Slots[slot]
		switch {
		case current == nil || current.Slot != slot:
			if !seen.empty() {
				add(string(slot), "%s runs in slot %s, and nothing should", seen.Release, slot)
			}
		case seen.empty():
			add(string(slot), "%s does not run in slot %s", current.Release, slot)
		case !seen.runs(*current):
			add(string(slot), "%s runs in slot %s, and %s should", seen.Release, slot, current.Release)
		case !seen.Healthy:
			add(string(slot), "%s is not healthy: %s", seen.Release, seen.Reason)
		}
	}
	if current == nil {
		return drifts
	}
	if want := (Weights{current.Slot: 100, current.Slot.Other(): 0}); !o.weighs(want) {
		add("weights", "blue has %d and green %d, and %s should have 100", o.Slots[Blue].Weight, o.Slots[Green].Weight, current.Slot)
	}
	for _, name := range slices.Sorted(maps.Keys(o.Services)) {
		switch s := o.Services[name]; {
		case s.Image == "":
			add(name, "%s does not run", name)
		case current.Images[s.Of] != "" && s.Image != current.Images[s.Of]:
			add(name, "%s does not run the image of %s", name, current.Release)
		case !s.Healthy:
			add(name, "%s is not healthy: %s", name, s.Reason)
		}
	}
	return drifts
}
