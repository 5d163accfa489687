package compose

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/rollout"
	"github.com/meter-ml/meter-pipeline/internal/rollout/compose/haproxy"
	"github.com/meter-ml/meter-pipeline/internal/rollout/judge"
)

var errDeaf = errors.New("nobody listens to the proxy's log")

func (t *Target) logNow() (*haproxy.Log, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.log == nil {
		return nil, errDeaf
	}
	return t.log, nil
}

// Metrics implements rollout.Backend. Requests, errors and times are those of the proxy's log, exactly from <= t < to.
// Predictions are the differences of two scrapes: the first after from, and one now.
func (t *Target) Metrics(ctx context.Context, from, to time.Time) (map[rollout.Slot]judge.Side, error) {
	log, err := t.logNow()
	if err != nil {
		return nil, fmt.Errorf("measure: %w", err)
	}
	in, err := log.Between(ctx, from, to)
	if errors.Is(err, haproxy.ErrGap) {
		err = fmt.Errorf("%w: %w", rollout.ErrGap, err)
	}
	if err != nil {
		return nil, fmt.Errorf("measure: %w", err)
	}
	v, err := t.look(ctx)
	if err != nil {
		return nil, fmt.Errorf("measure: %w", err)
	}
	predictions, err := t.predictions(ctx, v, from)
	if err != nil {
		return nil, fmt.Errorf("measure: %w", err)
	}
	sides := map[rollout.Slot]judge.Side{}
	for _, slot := range []rollout.Slot{rollout.Blue, rollout.Green} {
		side := judge.Side{Predictions: predictions[slot]}
		if c := in.Servers[string(slot)]; c != nil {
			side.Requests, side.Errors, side.Seconds = c.Requests, c.Errors, c.Seconds
		}
		sides[slot] = side
	}
	return sides, nil
}

// Live implements Listener.
func (t *Target) Live(ctx context.Context, last time.Duration) (Live, error) {
	log, err := t.logNow()
	if err != nil {
		return Live{}, err
	}
	now := time.Now()
	in, err := log.Between(ctx, now.Add(-last), now)
	if err != nil {
		return Live{}, err
	}
	live := Live{Slots: map[rollout.Slot]Traffic{}, Unserved: in.Unserved, Synthetic: in.Synthetic}
	for name, c := range in.Servers {
		slices.Sort(c.Seconds)
		live.Slots[rollout.Slot(name)] = Traffic{
			Requests: c.Requests, Errors: c.Errors,
			Median: quantile(c.Seconds, 0.5), P95: quantile(c.Seconds, 0.95), P99: quantile(c.Seconds, 0.99),
		}
	}
	return live, nil
}

// quantile is the nearest rank's.
func quantile(sorted []float64, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	rank := max(1, int(math.Ceil(q*float64(len(sorted)))))
	return time.Duration(sorted[rank-1] * float64(time.Second))
}
