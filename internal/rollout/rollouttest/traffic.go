package rollouttest

import (
	"context"
	"errors"
	"slices"
	"sort"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/rollout"
	"github.com/meter-ml/meter-pipeline/internal/rollout/judge"
)

// A sample is what each slot has done up to a time.
type sample struct {
	at   time.Time
	side map[rollout.Slot]counted
}

type counted struct{ requests, errors, dropped float64 }

// count brings the traffic up to now. Between two samples weights and manners don't change; health may, by itself.
func (w *World) count() {
	now := time.Now()
	if len(w.traffic) == 0 {
		w.traffic = []sample{{now, map[rollout.Slot]counted{}}}
		return
	}
	last := w.traffic[len(w.traffic)-1]
	past := now.Sub(last.at).Seconds()
	if past <= 0 {
		return
	}
	next := sample{now, map[rollout.Slot]counted{}}
	for _, slot := range []rollout.Slot{rollout.Blue, rollout.Green} {
		c := last.side[slot]
		n := w.rate * past * float64(w.weights[slot]) / 100
		c.requests += n
		if r := w.slots[slot]; r != nil {
			c.errors += n * w.manners[r.revision.Release].Errors
		}
		c.dropped += n * w.down(slot, last.at, now)
		next.side[slot] = c
	}
	w.traffic = append(w.traffic, next)
}

// down is the part of that time in which a slot answered nobody.
func (w *World) down(slot rollout.Slot, from, to time.Time) float64 {
	r := w.slots[slot]
	if r == nil {
		return 1
	}
	m := w.manners[r.revision.Release]
	up, end := r.started.Add(m.ReadyAfter), to
	if m.CrashAfter > 0 {
		end = r.started.Add(m.CrashAfter)
	}
	if m.Never {
		return 1
	}
	if up.Before(from) {
		up = from
	}
	if end.After(to) {
		end = to
	}
	return 1 - max(0, end.Sub(up).Seconds())/to.Sub(from).Seconds()
}

// Traffic is how many requests there were in all, and how many found nobody.
func (w *World) Traffic() (requests, dropped float64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.count()
	for _, c := range w.traffic[len(w.traffic)-1].side {
		requests += c.requests
		dropped += c.dropped
	}
	return requests, dropped
}

func (w *World) until(slot rollout.Slot, at time.Time) counted {
	i := sort.Search(len(w.traffic), func(i int) bool { return !w.traffic[i].at.Before(at) })
	if i == 0 || i == len(w.traffic) {
		return w.traffic[min(i, len(w.traffic)-1)].side[slot]
	}
	a, b := w.traffic[i-1], w.traffic[i]
	part := at.Sub(a.at).Seconds() / b.at.Sub(a.at).Seconds()
	x, y := a.side[slot], b.side[slot]
	return counted{requests: x.requests + part*(y.requests-x.requests), errors: x.errors + part*(y.errors-x.errors)}
}

// Metrics implements rollout.Backend.
func (w *World) Metrics(_ context.Context, from, to time.Time) (map[rollout.Slot]judge.Side, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.blind:
		return nil, errors.New("no metrics")
	case w.away:
		return nil, errAway
	case slices.ContainsFunc(w.torn, func(at time.Time) bool { return !at.Before(from) && at.Before(to) }):
		return nil, rollout.ErrGap
	}
	w.count()
	sides := map[rollout.Slot]judge.Side{}
	for _, slot := range []rollout.Slot{rollout.Blue, rollout.Green} {
		a, b := w.until(slot, from), w.until(slot, to)
		s := judge.Side{Requests: int64(b.requests) - int64(a.requests), Errors: int64(b.errors) - int64(a.errors)}
		var m Manner
		if r := w.slots[slot]; r != nil {
			m = w.manners[r.revision.Release]
		}
		slow := max(m.Slow, 0.001)
		if m.Slow == 0 {
			slow = 1
		}
		var predictions []float64
		for i := range min(s.Requests, 300) {
			spread := float64(i*7919%300) / 300
			s.Seconds = append(s.Seconds, 0.005*slow*(1+spread))
			predictions = append(predictions, spread+m.Shift)
		}
		s.Predictions = map[string][]float64{"consumption": predictions}
		sides[slot] = s
	}
	return sides, nil
}
