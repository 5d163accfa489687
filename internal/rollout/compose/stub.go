package compose

import (
	"context"
	"errors"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/rollout"
	"github.com/meter-ml/meter-pipeline/internal/rollout/judge"
)

var errSoon = errors.New("not built yet")

// New returns the back end. It changes nothing on the target.
func New(c Config) (*Target, error) { return &Target{c}, nil }

// Observe implements rollout.Backend.
func (t *Target) Observe(context.Context) (rollout.Observation, error) {
	return rollout.Observation{}, errSoon
}

// Pull implements rollout.Backend.
func (t *Target) Pull(context.Context, rollout.Fence, rollout.Revision) error { return errSoon }

// Migrate implements rollout.Backend.
func (t *Target) Migrate(context.Context, rollout.Fence, rollout.Revision) error { return errSoon }

// Start implements rollout.Backend.
func (t *Target) Start(context.Context, rollout.Fence, rollout.Revision) error { return errSoon }

// Smoke implements rollout.Backend.
func (t *Target) Smoke(context.Context, rollout.Revision) error { return errSoon }

// SetWeights implements rollout.Backend.
func (t *Target) SetWeights(context.Context, rollout.Fence, rollout.Weights) error { return errSoon }

// Replace implements rollout.Backend.
func (t *Target) Replace(context.Context, rollout.Fence, rollout.Revision) error { return errSoon }

// Verify implements rollout.Backend.
func (t *Target) Verify(context.Context, rollout.Revision) error { return errSoon }

// Stop implements rollout.Backend.
func (t *Target) Stop(context.Context, rollout.Fence, rollout.Slot) error { return errSoon }

// Metrics implements rollout.Backend.
func (t *Target) Metrics(context.Context, time.Time, time.Time) (map[rollout.Slot]judge.Side, error) {
	return nil, errSoon
}

// Listen implements Listener.
func (t *Target) Listen(context.Context) error { return errSoon }

// Live implements Listener.
func (t *Target) Live(context.Context, time.Duration) (Live, error) { return Live{}, errSoon }

// Answers implements Listener.
func (t *Target) Answers(context.Context, rollout.Revision) ([]Answer, error) { return nil, errSoon }

// Synthetic implements Listener.
func (t *Target) Synthetic(context.Context, float64, [][]byte) (Sent, error) { return Sent{}, errSoon }

// Close implements Listener.
func (t *Target) Close() error { return nil }
