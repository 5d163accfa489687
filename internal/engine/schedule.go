package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/plain"
)

// errDeadline, errTimeout and errSkipped are causes of a cancelled context: they tell why a step had to end.
var (
	errDeadline = errors.New("the run's deadline passed")
	errTimeout  = errors.New("the step's time limit passed")
	errSkipped  = errors.New("the step does not run")
)

// execution is one run on its way. Only the goroutine of run touches nodes and counters; the steps' goroutines hand
// their results over a channel.
type execution struct {
	opts  Options
	plan  Plan
	g     *graph
	order []*node
	dir   runDir
	mask  *plain.Mask
	emit  *emitter
	needs *provisioner

	record   *Run
	done     chan outcome
	used     int // slots
	active   int // steps
	alone    bool
	left     int    // steps that have not finished
	stopping string // why no other step starts; empty as long as they do
}

func newExecution(g *graph, plan Plan, opts Options, dir runDir) *execution {
	mask := plain.NewMask(opts.Secrets...)
	emit := newEmitter(opts.Reporters, mask, opts.Now)
	x := &execution{
		opts: opts, plan: plan, g: g, dir: dir, emit: emit,
		order: g.prioritise(opts.Limit, opts.Expected),
		mask:  mask,
		done:  make(chan outcome, len(g.nodes)),
		left:  len(g.nodes),
		record: &Run{
			ID: opts.ID, Target: opts.Target, Root: opts.Root, Dir: opts.Dir, Limit: opts.Limit,
			Commit: opts.Commit, Branch: opts.Branch, Dirty: opts.Dirty, Origin: opts.Origin,
		},
	}
	x.needs = newProvisioner(opts, emit, x.mask, len(g.nodes))
	return x
}

func (x *execution) run(parent context.Context) (*Run, error) {
	ctx, cancel := withLimit(parent, x.opts.Deadline, errDeadline)
	defer cancel()
	x.record.Started = x.opts.Now()
	begun := *x.record
	x.emit.send(Event{Kind: EventRunStarted, Plan: x.plan.Stages, Run: &begun})
	for _, n := range x.order {
		if n.step.Skip != "" {
			x.finish(n, StepResult{Status: StatusSkipped, Reason: n.step.Skip})
		}
	}
	for _, n := range x.order {
		if n.state == waiting {
			n.provision = x.needs.begin(ctx, n)
		}
	}
	x.loop(ctx)
	x.needs.releaseUnclaimed(ctx, x.g.nodes)
	x.conclude()
	return x.record, errors.Join(x.emit.errs...)
}

// withLimit is context.WithTimeoutCause, where no limit is none.
func withLimit(ctx context.Context, limit time.Duration, cause error) (context.Context, context.CancelFunc) {
	if limit <= 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeoutCause(ctx, limit, cause)
}

func (x *execution) loop(ctx context.Context) {
	ended := ctx.Done()
	for {
		// Looked at first, so that nothing starts in a run that has been told to stop.
		if ended != nil && ctx.Err() != nil {
			ended = nil
			x.stop(ctx)
		}
		x.settle()
		for n := x.next(); n != nil; n = x.next() {
			x.start(ctx, n)
		}
		if x.left == 0 {
			return
		}
		select {
		case o := <-x.done:
			x.free(o.node)
			x.finish(o.node, o.result)
		case n := <-x.needs.ready:
			n.provision.ready = true
		case <-ended:
		}
	}
}

// stop is called once, when the context ends.
func (x *execution) stop(ctx context.Context) {
	if deadlinePassed(ctx) {
		x.record.DeadlineExceeded = true
		x.stopping = "the run's deadline passed before it started"
		x.emit.send(Event{Kind: EventMessage, Text: "the run's deadline passed: stopping what is running"})
		return
	}
	x.record.Interrupted = true
	x.stopping = "the run was interrupted before it started"
	x.emit.send(Event{Kind: EventMessage, Text: "stopping, press Ctrl-C again to kill"})
}

// deadlinePassed tells a deadline, the run's own or its caller's, from an interrupt.
func deadlinePassed(ctx context.Context) bool {
	cause := context.Cause(ctx)
	return errors.Is(cause, errDeadline) || errors.Is(cause, context.DeadlineExceeded)
}

// settle finishes the steps that will not start: the run stops, what they need did not pass, or could not be had.
// One step that is settled may settle others.
func (x *execution) settle() {
	for again := true; again; {
		again = false
		for _, n := range x.order {
			if n.state != waiting {
				continue
			}
			if result, final := x.settled(n); final {
				x.finish(n, result)
				again = true
			}
		}
	}
}

func (x *execution) settled(n *node) (StepResult, bool) {
	if x.stopping != "" {
		return StepResult{Status: StatusSkipped, Reason: x.stopping}, true
	}
	for _, before := range n.after {
		if before.state == finished && before.result.Status != StatusPassed {
			return StepResult{Status: StatusSkipped, Reason: because(before)}, true
		}
	}
	if n.provision.ready && n.provision.err != nil {
		return StepResult{Status: StatusError, Reason: n.provision.err.Error()}, true
	}
	return StepResult{}, false
}

func because(before *node) string {
	switch before.result.Status {
	case StatusSkipped:
		return fmt.Sprintf("it runs after %s, which was skipped: %s", before.id(), before.result.Reason)
	case StatusFailed:
		return fmt.Sprintf("it runs after %s, which failed", before.id())
	default:
		return fmt.Sprintf("it runs after %s, which could not be judged", before.id())
	}
}

// next picks the step to start now, or nil. The first by priority that is ready goes first. If it does not fit, a
// smaller one may pass it only if it is expected to be done by the time that there is room for the first.
func (x *execution) next() *node {
	if x.alone {
		return nil
	}
	var first, alone *node
	pending := false // a step that runs beside others is yet to start
	for _, n := range x.order {
		if n.state != waiting || !x.unblocked(n) {
			continue
		}
		if n.step.Alone {
			if alone == nil && n.provision.ready {
				alone = n
			}
			continue
		}
		pending = true
		switch {
		case !n.provision.ready:
		case first == nil && n.slots <= x.opts.Limit-x.used:
			return n
		case first == nil:
			first = n
		case n.slots <= x.opts.Limit-x.used && n.expected <= x.room(first):
			return n
		}
	}
	if pending || x.active > 0 {
		return nil
	}
	return alone
}

func (x *execution) unblocked(n *node) bool {
	for _, before := range n.after {
		if before.state != finished {
			return false
		}
	}
	return true
}

// room says how long it takes, as far as is known, until there are slots enough for n.
func (x *execution) room(n *node) time.Duration {
	now := x.opts.Now()
	free := x.opts.Limit - x.used
	var wait time.Duration
	for counted := map[*node]bool{}; free < n.slots; {
		var soonest *node
		var least time.Duration
		for _, m := range x.order {
			if m.state != running || counted[m] {
				continue
			}
			if left := max(m.expected-now.Sub(m.result.Started), 0); soonest == nil || left < least {
				soonest, least = m, left
			}
		}
		if soonest == nil {
			return wait
		}
		counted[soonest] = true
		free += soonest.slots
		wait = least
	}
	return wait
}

func (x *execution) start(ctx context.Context, n *node) {
	n.state = running
	n.result.Started = x.opts.Now()
	x.used += n.slots
	x.active++
	x.alone = n.step.Alone
	x.emit.send(Event{Kind: EventStepStarted, Stage: n.stageName, Step: n.step.Name, Expected: n.expected})
	n.provision.claimed = true
	w := &worker{x: x, node: n, started: n.result.Started}
	go func() { x.done <- outcome{n, w.run(ctx)} }()
}

func (x *execution) free(n *node) {
	x.used -= n.slots
	x.active--
	x.alone = false
}
