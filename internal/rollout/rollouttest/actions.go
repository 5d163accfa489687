package rollouttest

import (
	"context"
	"maps"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/rollout"
)

// Pull implements rollout.Backend.
func (w *World) Pull(ctx context.Context, fence rollout.Fence, r rollout.Revision) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.mutate(ctx, fence, "pull %s", r.Release); err != nil {
		return err
	}
	if err := w.manners[r.Release].PullFails; err != nil {
		return err
	}
	w.images[r.Digest] = true
	for _, digest := range r.Images {
		w.images[digest] = true
	}
	return nil
}

// Migrate implements rollout.Backend.
func (w *World) Migrate(ctx context.Context, fence rollout.Fence, r rollout.Revision) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.mutate(ctx, fence, "migrate to %s", r.Schema); err != nil {
		return err
	}
	if err := w.manners[r.Release].SchemaFails; err != nil {
		return err
	}
	switch {
	case w.schema == r.Schema:
		return w.refuse("migrate to %s, which is there", r.Schema)
	case w.schema > r.Schema: // they are named in their order here
		return w.refuse("migrate from %s back to %s", w.schema, r.Schema)
	case !w.images[r.Digest]:
		return w.refuse("migrate for %s, whose image is not there", r.Release)
	}
	w.schema = r.Schema
	return nil
}

// Start implements rollout.Backend.
func (w *World) Start(ctx context.Context, fence rollout.Fence, r rollout.Revision) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.mutate(ctx, fence, "start %s in %s", r.Release, r.Slot); err != nil {
		return err
	}
	now := w.slots[r.Slot]
	switch {
	case !w.images[r.Digest]:
		return w.refuse("start %s, whose image is not there", r.Release)
	case w.schema < r.Schema:
		return w.refuse("start %s, which needs schema %s, on schema %q", r.Release, r.Schema, w.schema)
	case w.weights[r.Slot] > 0:
		return w.refuse("start %s in slot %s, which has a weight of %d", r.Release, r.Slot, w.weights[r.Slot])
	case now != nil && now.revision.Digest == r.Digest:
		return nil
	}
	w.slots[r.Slot] = &running{r, time.Now()}
	return nil
}

// Replace implements rollout.Backend.
func (w *World) Replace(ctx context.Context, fence rollout.Fence, r rollout.Revision) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.mutate(ctx, fence, "replace by %s", r.Release); err != nil {
		return err
	}
	for _, image := range r.Images {
		if !w.images[image] {
			return w.refuse("replace by %s, whose images are not there", r.Release)
		}
	}
	w.beside, w.besideOf = maps.Clone(r.Images), r.Release
	return nil
}

// Verify implements rollout.Backend.
func (w *World) Verify(_ context.Context, r rollout.Revision) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.away:
		return errAway
	case w.weights[r.Slot] != 100 || w.besideOf != r.Release:
		return w.refuse("verify %s with a weight of %d beside services of %q", r.Release, w.weights[r.Slot], w.besideOf)
	}
	return w.manners[r.Release].VerifyFails
}

// Smoke implements rollout.Backend.
func (w *World) Smoke(_ context.Context, r rollout.Revision) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.away {
		return errAway
	}
	if !w.seen(r.Slot).Healthy {
		return w.refuse("smoke test of %s, which is not healthy", r.Release)
	}
	return w.manners[r.Release].SmokeFails
}

// SetWeights implements rollout.Backend.
func (w *World) SetWeights(ctx context.Context, fence rollout.Fence, weights rollout.Weights) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.mutate(ctx, fence, "blue %d, green %d", weights[rollout.Blue], weights[rollout.Green]); err != nil {
		return err
	}
	if sum := weights[rollout.Blue] + weights[rollout.Green]; sum != 100 && sum != 0 {
		return w.refuse("weights add up to %d", sum)
	}
	for slot, weight := range weights {
		before := w.weights[slot]
		if weight > before && !w.seen(slot).Healthy {
			return w.refuse("weight %d to slot %s, which is not healthy", weight, slot)
		}
	}
	for slot, weight := range weights {
		if weight == 0 && w.weights[slot] > 0 {
			w.emptied[slot] = time.Now()
		}
	}
	w.weights = maps.Clone(weights)
	return nil
}

// Stop implements rollout.Backend.
func (w *World) Stop(ctx context.Context, fence rollout.Fence, slot rollout.Slot) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.mutate(ctx, fence, "stop %s", slot); err != nil {
		return err
	}
	seen := w.seen(slot)
	switch {
	case seen.Weight > 0:
		return w.refuse("stop slot %s, which has a weight of %d", slot, seen.Weight)
	case seen.Healthy && seen.Sessions > 0:
		return w.refuse("stop slot %s, which has %d open sessions", slot, seen.Sessions)
	}
	delete(w.slots, slot)
	return nil
}
