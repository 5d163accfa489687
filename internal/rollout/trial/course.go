package trial

import (
	"context"
	"fmt"
	"math"
	"path/filepath"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/plain"
	"github.com/meter-ml/meter-pipeline/internal/retry"
	"github.com/meter-ml/meter-pipeline/internal/rollout/journal"
	"github.com/meter-ml/meter-pipeline/internal/rollout/trial/load"
	"github.com/meter-ml/meter-pipeline/internal/rollout/trial/record"
)

// margin is how long the load goes on before and after what is tried.
const margin = 2 * time.Second

// A course is what went on at a site while something was done to it.
type course struct {
	began   time.Time
	ended   time.Time // of what was done; the load goes on
	shots   load.Shots
	behind  time.Duration
	entries []journal.Entry
}

// under does something while so many requests a second come in.
func (s *Site) under(ctx context.Context, rate int, do func(ctx context.Context) error) (course, error) {
	c := course{began: time.Now()}
	l, err := load.Start(ctx, load.Options{URL: s.URL() + "/predict", Questions: s.questions, Rate: rate, Release: releaseHeader})
	if err != nil {
		return c, err
	}
	err = retry.Sleep(ctx, margin)
	if err == nil {
		err = do(ctx)
	}
	c.ended = time.Now()
	if wait := retry.Sleep(ctx, margin); err == nil {
		err = wait
	}
	c.shots, c.behind = l.Stop(), l.Behind()
	if entries, readErr := s.entries(context.WithoutCancel(ctx), c.began); readErr == nil {
		c.entries = entries
	} else if err == nil {
		err = readErr
	}
	return c, err
}

// throughout is under load while it does something again and again, at least once, until there were so many requests.
func (s *Site) throughout(ctx context.Context, rate, least int, do func(ctx context.Context) error) (course, error) {
	return s.under(ctx, rate, func(ctx context.Context) error {
		enough := time.Now().Add(time.Duration(least) * time.Second / time.Duration(rate))
		for {
			if err := do(ctx); err != nil || time.Now().After(enough) {
				return err
			}
		}
	})
}

// entries are those of the audit log since then.
func (s *Site) entries(ctx context.Context, since time.Time) ([]journal.Entry, error) {
	var all []journal.Entry
	err := journal.Read(ctx, s.state, func(e journal.Entry) error {
		if !e.Time.Before(since) {
			all = append(all, e)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", filepath.Join(s.state, journal.LogFile), err)
	}
	return all, nil
}

// report adds what is common to all trials: how many requests there were, and what became of them.
func (c course) report(r *Report) {
	failed := c.shots.Failed()
	r.figure("requests", float64(len(c.shots)), "")
	r.figure("failed", float64(len(failed)), "")
	r.milliseconds("p50", c.shots.Took(0.5))
	r.milliseconds("p99", c.shots.Took(0.99))
	if len(c.shots) > 1 {
		took := c.shots[len(c.shots)-1].At.Sub(c.shots[0].At)
		r.figure("rate", math.Round(float64(len(c.shots)-1)/took.Seconds()), "1/s")
	}
	r.events = append(r.events, c.events()...)
}

// spotless demands that no request failed, of so many at least.
func (c course) spotless(least int) error {
	failed := c.shots.Failed()
	switch {
	case len(c.shots) < least:
		return fmt.Errorf("only %d requests were sent: %d are needed", len(c.shots), least)
	case len(failed) > 0:
		return fmt.Errorf("%d of %d requests failed: %s; the first %s", len(failed), len(c.shots), failed.Faults(), c.where(failed[0]))
	}
	return nil
}

// where places a request on the time line.
func (c course) where(shot load.Shot) string {
	last := "before anything was done"
	for _, e := range c.entries {
		if e.Time.After(shot.At) {
			break
		}
		last = fmt.Sprintf("%d ms after %s", shot.At.Sub(e.Time).Milliseconds(), word(e))
	}
	return last
}

func word(e journal.Entry) string { return string(e.Kind) + " of " + e.Action }

// events are the time line: the audit log, and the requests that failed between two entries.
func (c course) events() []record.Event {
	var events []record.Event
	failed := c.shots.Failed()
	at := func(t time.Time) float64 { return float64(t.Sub(c.began).Milliseconds()) / 1000 }
	failures := func(until time.Time) {
		n := 0
		for n < len(failed) && failed[n].At.Before(until) {
			n++
		}
		if n > 0 {
			events = append(events, record.Event{At: at(failed[0].At), What: fmt.Sprintf("%d requests fail: %s", n, failed[:n].Faults())})
			failed = failed[n:]
		}
	}
	for _, e := range c.entries {
		failures(e.Time)
		what := word(e)
		if e.Message != "" {
			what += ": " + shorten(plain.Line(e.Message), 120)
		}
		events = append(events, record.Event{At: at(e.Time), What: what})
	}
	failures(time.Now().Add(time.Hour))
	return events
}

func shorten(text string, most int) string {
	runes := []rune(text)
	if len(runes) <= most {
		return text
	}
	return string(runes[:most]) + "…"
}

// last is the last entry of an action and kind; false if there is none.
func (c course) last(action string, kind journal.Kind) (journal.Entry, bool) {
	for i := len(c.entries) - 1; i >= 0; i-- {
		if c.entries[i].Action == action && c.entries[i].Kind == kind {
			return c.entries[i], true
		}
	}
	return journal.Entry{}, false
}

// weighing are the times from the intent of each change of weights to its result.
func (c course) weighing() []time.Duration {
	var times []time.Duration
	var intent time.Time
	for _, e := range c.entries {
		switch {
		case e.Action != "weights":
		case e.Kind == journal.Intent:
			intent = e.Time
		case e.Kind == journal.Done && !intent.IsZero():
			times = append(times, e.Time.Sub(intent))
		}
	}
	return times
}
