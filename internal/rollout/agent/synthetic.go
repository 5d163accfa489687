package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/rollout"
	"github.com/meter-ml/meter-pipeline/internal/rollout/agent/wire"
	"github.com/meter-ml/meter-pipeline/internal/rollout/compose"
	"github.com/meter-ml/meter-pipeline/internal/rollout/journal"
	"github.com/meter-ml/meter-pipeline/internal/rollout/judge"
)

const (
	// slice is how long a rate is kept before the users are counted again.
	slice = 2 * time.Second
	// leastTimes are asked of each side by the judge of latency.
	leastTimes = 50
	// margin is for what comes late, and for the luck of which side a request goes to.
	margin = 1.25
)

// A filler adds what users bring too little of while a window is open.
type filler struct {
	l      *leader
	step   judge.Step
	plan   judge.Plan
	rate   float64 // in all, those of users included
	cancel context.CancelFunc
	ended  sync.WaitGroup

	window wire.Window
	users  float64 // requests a second, as last seen
	why    error   // there is no load
}

// window is the driver's: one has opened.
func (l *leader) window(ctx context.Context, step judge.Step) func(context.Context) error {
	now := l.Now().UTC()
	f := &filler{l: l, step: step, plan: l.driver.Settings.Judge, window: wire.Window{
		Weight: step.Weight, Began: now, Ends: now.Add(step.Window), Deadline: now.Add(step.Deadline),
	}}
	l.showWindow(f.window)
	target := *l.driver.State().Roll.Target
	s, err := l.settings(target)
	if err != nil {
		f.why = err
	}
	f.rate = s.Synthetic.Rate
	ctx, f.cancel = context.WithDeadline(ctx, now.Add(step.Deadline))
	if f.rate > 0 && err == nil {
		f.ended.Go(func() { f.fill(ctx, target) })
	}
	return f.close
}

func (l *leader) showWindow(w wire.Window) { l.board.window(&w) }

// close ends the load with its window, and says in the audit log how much of what was judged it was.
func (f *filler) close(ctx context.Context) error {
	f.cancel()
	f.ended.Wait()
	f.l.board.window(nil)
	if f.window.Synthetic == 0 && f.why == nil {
		return nil
	}
	message := fmt.Sprintf("%d synthetic requests at %d %%, %d of them failed", f.window.Synthetic, f.step.Weight, f.window.Failed)
	if f.why != nil {
		message += fmt.Sprintf("; there were no more: %v", f.why)
	}
	detail, err := json.Marshal(map[string]any{"weight": f.step.Weight, "requests": f.window.Synthetic, "failed": f.window.Failed})
	if err != nil {
		return fmt.Errorf("tell of synthetic load: %w", err)
	}
	roll := f.l.driver.State().Roll
	_, err = f.l.audit.Append(ctx, journal.Entry{
		Epoch: f.l.held.Epoch(), Actor: roll.Actor, Release: roll.Target.Release, Action: "synthetic", Kind: journal.Note,
		Message: message, Detail: detail,
	})
	return err
}

// need is how many requests a second, in all, bring each side what the plan asks for within the window.
func (f *filler) need() float64 {
	least := float64(f.plan.MinRequests)
	share := float64(f.step.Weight) / 100
	if f.step.Weight < 100 {
		share = min(share, 1-share)
		if f.plan.Slower > 0 {
			least = max(least, leastTimes)
		}
	}
	return margin * least / share / f.step.Window.Seconds()
}

func (f *filler) fill(ctx context.Context, target rollout.Revision) {
	bodies, err := f.l.bodies(ctx, target)
	if err != nil {
		f.why = fmt.Errorf("the known answers of %s can't be read: %w", target.Release, err)
		return
	}
	for ctx.Err() == nil {
		f.users = f.l.users(ctx)
		rate := f.rate - f.users
		if f.users >= f.need() || rate <= 0 {
			select {
			case <-ctx.Done():
			case <-time.After(slice):
			}
			continue
		}
		f.send(ctx, rate, bodies)
	}
}

func (f *filler) send(ctx context.Context, rate float64, bodies [][]byte) {
	short, cancel := context.WithTimeout(ctx, slice)
	defer cancel()
	sent, err := f.l.target.Synthetic(short, rate, bodies)
	f.window.Synthetic += sent.Requests
	f.window.Failed += sent.Failed
	if ctx.Err() == nil {
		f.l.showWindow(f.window)
	}
	if err != nil && short.Err() == nil {
		f.l.say("synthetic load: %v", err)
		<-short.Done() // not again and again at once
	}
}

// users are the requests a second that are not synthetic. Where nobody knows, there are none.
func (l *leader) users(ctx context.Context) float64 {
	live, span, err := l.live(ctx)
	if err != nil {
		return 0
	}
	return max(0, float64(all(live)-live.Synthetic)) / span.Seconds()
}

func all(live compose.Live) int64 {
	n := live.Unserved
	for _, t := range live.Slots {
		n += t.Requests
	}
	return n
}

// bodies are requests whose answers are known, from the image of the revision.
func (l *leader) bodies(ctx context.Context, r rollout.Revision) ([][]byte, error) {
	if known := l.answers[r.Digest]; len(known) > 0 {
		return known, nil
	}
	answers, err := l.target.Answers(ctx, r)
	if err != nil {
		return nil, err
	}
	var bodies [][]byte
	for _, a := range answers {
		bodies = append(bodies, a.Request)
	}
	if len(bodies) == 0 {
		return nil, fmt.Errorf("there is none in its image")
	}
	l.answers[r.Digest] = bodies
	return bodies, nil
}
