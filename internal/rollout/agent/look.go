package agent

import (
	"context"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/rollout/agent/wire"
	"github.com/meter-ml/meter-pipeline/internal/rollout/compose"
)

// lately is how far the traffic that is shown goes back, and at least: what was before this agent listened, or before a
// gap in the proxy's log, is not known.
const (
	lately      = 10 * time.Second
	atLeastBack = 2 * time.Second
)

// live is what passes through, and in how long a time.
func (l *leader) live(ctx context.Context) (compose.Live, time.Duration, error) {
	live, err := l.target.Live(ctx, lately)
	if err == nil {
		return live, lately, nil
	}
	live, err = l.target.Live(ctx, atLeastBack)
	return live, atLeastBack, err
}

// lookAtTraffic sees each second what passes through.
func (l *leader) lookAtTraffic(ctx context.Context) {
	last := l.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Second):
		}
		now := l.Now()
		live, span, err := l.live(ctx)
		if err != nil {
			l.board.traffic(now, now, nil, nil)
			continue
		}
		since, err := l.target.Live(ctx, now.Sub(last))
		last = now // what could not be counted is lost to the totals: a gap never closes
		if err != nil {
			l.board.traffic(now.Add(-span), now, &live, nil)
			continue
		}
		l.board.traffic(now.Add(-span), now, &live, &since)
	}
}

// Times of the status: how soon after a change, and how long after the last one.
const (
	soon       = 100 * time.Millisecond
	whileBusy  = time.Second
	whileIdle  = 5 * time.Second
	metricsAge = 5 * time.Second
)

// showAlways writes the status at each change, and else often enough to be believed.
func (l *leader) showAlways(ctx context.Context) {
	var metrics time.Time
	for {
		if err := l.show(ctx); err != nil && ctx.Err() == nil {
			l.say("%v", err)
		}
		l.alerts.flush()
		l.lookAtDisk()
		if now := l.Now(); now.Sub(metrics) >= metricsAge {
			metrics = now
			if err := l.writeMetrics(ctx); err != nil && ctx.Err() == nil {
				l.say("%v", err)
			}
		}
		pause := whileIdle
		if s, _ := l.board.seen(l.Now()); s.Roll != nil {
			pause = whileBusy
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		case <-l.board.changed:
			select {
			case <-ctx.Done():
				return
			case <-time.After(soon):
			}
		}
	}
}

func (l *leader) lookAtDisk() {
	now := l.Now()
	if now.Sub(l.disk) < diskLook {
		return
	}
	l.disk = now
	what, err := scarce(l.State)
	if err != nil {
		l.say("%v", err)
	}
	if what != "" {
		l.alerts.raise(wire.Alert{
			ID: "DiskNearlyFull-" + now.UTC().Format(time.DateOnly), Time: now.UTC(), Severity: wire.Warning, Name: "DiskNearlyFull", Summary: what,
		})
	}
}
