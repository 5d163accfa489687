package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/rollout"
	"github.com/meter-ml/meter-pipeline/internal/rollout/agent/wire"
	"github.com/meter-ml/meter-pipeline/internal/rollout/journal"
	"github.com/meter-ml/meter-pipeline/internal/rollout/lease"
)

// patience is how long something may be otherwise than the journal says before it is worth an alert: as long as a
// restart by the engine takes.
const patience = 30 * time.Second

// tend looks at the target while nothing is under way. The driver mends the weights; the rest is told. Only what the
// journal or the lease say against it ends the leader: a target that does not answer now will later.
func (l *leader) tend(ctx context.Context) error {
	_, drifts, err := l.driver.Tend(ctx)
	if err != nil {
		l.board.trouble(err)
		if ctx.Err() != nil || errors.Is(err, lease.ErrLost) || errors.Is(err, journal.ErrStale) || errors.Is(err, rollout.ErrStopped) {
			return err
		}
		drifts = append(drifts, rollout.Drift{Part: "target", What: err.Error()})
	}
	l.drift(l.Now(), drifts)
	return nil
}

// drift raises an alert for what has been wrong for longer than a restart takes, once as long as it lasts.
func (l *leader) drift(now time.Time, drifts []rollout.Drift) {
	still := map[string]time.Time{}
	for _, d := range drifts {
		since, known := l.drifting[d.Part]
		if !known {
			since = now
		}
		still[d.Part] = since
		if now.Sub(since) < patience {
			continue
		}
		l.alerts.raise(wire.Alert{
			ID: fmt.Sprintf("Drift-%s-%d", d.Part, since.Unix()), Time: now.UTC(), Severity: wire.Warning, Name: "Drift",
			Summary: l.board.text(d.What), Release: l.current(),
		})
	}
	l.drifting = still
}

func (l *leader) current() string {
	if l.driver == nil {
		return ""
	}
	if c := l.driver.State().Current; c != nil {
		return c.Release
	}
	return ""
}
