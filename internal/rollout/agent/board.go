package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/plain"
	"github.com/meter-ml/meter-pipeline/internal/rollout"
	"github.com/meter-ml/meter-pipeline/internal/rollout/agent/wire"
	"github.com/meter-ml/meter-pipeline/internal/rollout/compose"
	"github.com/meter-ml/meter-pipeline/internal/rollout/journal"
	"github.com/meter-ml/meter-pipeline/internal/rollout/judge"
	"github.com/meter-ml/meter-pipeline/internal/rollout/lease"
	"github.com/meter-ml/meter-pipeline/internal/wholefile"
)

// statusMode lets the group read: there is nothing in it that is not shown anyway.
const statusMode = fs.FileMode(0o640)

// A board is what the leading agent knows, and writes to status.json. Its methods may be called at the same time: by the
// driver's goroutine, through its journal and its target, and by those that look at the traffic.
type board struct {
	mu      sync.Mutex
	status  wire.Status
	steps   []int // weights of the bundle's plan
	totals  map[string]total
	changed chan struct{}
	hide    func(string) string
}

// A total is what a release did since this agent leads.
type total struct{ requests, errors int64 }

func newBoard(s wire.Status, hide func(string) string) *board {
	s.Schema = wire.Schema
	return &board{status: s, totals: map[string]total{}, changed: make(chan struct{}, 1), hide: hide}
}

// text makes what others say harmless.
func (b *board) text(s string) string { return cut(plain.Line(b.hide(s)), longestTold) }

// set changes the status, and has it written soon.
func (b *board) set(change func(*wire.Status)) {
	b.mu.Lock()
	change(&b.status)
	b.mu.Unlock()
	b.signal()
}

// signal has the status written soon. What only counts on is written with the next.
func (b *board) signal() {
	select {
	case b.changed <- struct{}{}:
	default: // somebody has said so already
	}
}

// trouble says why nothing can be seen or done; nil: all is well.
func (b *board) trouble(err error) {
	what := ""
	if err != nil {
		what = b.text(err.Error())
	}
	b.mu.Lock()
	same := b.status.Trouble == what
	b.mu.Unlock()
	if !same {
		b.set(func(s *wire.Status) { s.Trouble = what })
	}
}

// entry takes in what was written to the audit log.
func (b *board) entry(e journal.Entry) {
	b.set(func(s *wire.Status) {
		s.Audit = journal.Anchor{Sequence: e.Sequence, Hash: e.Hash}
		if s.Roll == nil {
			return
		}
		switch e.Kind {
		case journal.Intent:
			s.Roll.Doing = e.Action
		case journal.Done, journal.Failed:
			s.Roll.Doing = ""
		case journal.Note: // nothing begins or ends with it
		}
		if e.Action != "judge" {
			return
		}
		d := wire.Decision{Time: e.Time, Text: e.Message}
		if json.Unmarshal(e.Detail, &d.Decision) == nil {
			s.Roll.Decision = &d
		}
	})
}

// state takes in what release.json says.
func (b *board) state(now time.Time, state rollout.State) {
	b.set(func(s *wire.Status) {
		s.Current, s.Last, s.Previous = state.Current, state.Last, nil
		for _, r := range state.Previous {
			s.Previous = append(s.Previous, r.Release)
		}
		s.Activity = wire.Idle
		if state.Roll == nil {
			s.Roll = nil
			return
		}
		s.Activity = wire.Rolling
		s.Roll = roll(now, s.Roll, state.Roll, b.steps)
	})
}

func roll(now time.Time, old *wire.Roll, r *rollout.Roll, steps []int) *wire.Roll {
	next := &wire.Roll{
		ID: r.ID, Order: r.Order, Kind: r.Kind, Actor: r.Actor, Reason: r.Reason, Began: r.Began,
		Phase: r.Phase, Since: now, Step: r.Step, Weights: steps, Paused: r.Paused,
	}
	if r.Target != nil {
		next.Target, next.Slot = r.Target.Release, r.Target.Slot
	}
	if r.From != nil {
		next.From = r.From.Release
	}
	if old != nil && old.ID == r.ID && old.Kind == r.Kind {
		next.Window, next.Decision, next.Doing = old.Window, old.Decision, old.Doing
		if old.Phase == r.Phase {
			next.Since = old.Since
		}
	}
	return next
}

// plan says which weights there will be.
func (b *board) plan(steps []judge.Step) {
	b.set(func(s *wire.Status) {
		b.steps = nil
		for _, step := range steps {
			b.steps = append(b.steps, step.Weight)
		}
		if s.Roll != nil {
			s.Roll.Weights = b.steps
		}
	})
}

// window says what becomes of the open one; nil: none is open.
func (b *board) window(w *wire.Window) {
	b.set(func(s *wire.Status) {
		if s.Roll != nil {
			s.Roll.Window = w
		}
	})
}

// observed takes in what was seen on the target.
func (b *board) observed(now time.Time, o rollout.Observation) {
	b.mu.Lock()
	before, s := b.status, &b.status
	s.Observed, s.Trouble, s.Schemas = now.UTC(), "", o.Schema
	slots := map[rollout.Slot]wire.Slot{}
	for slot, seen := range o.Slots {
		slots[slot] = wire.Slot{
			Release: plain.Line(seen.Release), Digest: plain.Line(seen.Digest), Healthy: seen.Healthy,
			Reason: b.text(seen.Reason), Restarts: seen.Restarts,
			Weight: seen.Weight, Sessions: seen.Sessions, Traffic: s.Slots[slot].Traffic,
		}
	}
	s.Slots, s.Services = slots, map[string]wire.Service{}
	for name, seen := range o.Services {
		s.Services[plain.Line(name)] = wire.Service{
			Image: plain.Line(seen.Image), Healthy: seen.Healthy, Reason: b.text(seen.Reason),
		}
	}
	news := before.Trouble != "" || !maps.Equal(before.Services, s.Services) || !maps.EqualFunc(before.Slots, s.Slots, alikeSlots)
	b.mu.Unlock()
	if news {
		b.signal()
	}
}

// alikeSlots reports whether only counts differ.
func alikeSlots(a, b wire.Slot) bool {
	a.Sessions, a.Traffic, b.Sessions, b.Traffic = 0, nil, 0, nil
	return a == b
}

// traffic takes in what passed through lately, and what since the last time for the totals. Nil is that nobody knows.
func (b *board) traffic(from, to time.Time, lately, since *compose.Live) {
	b.mu.Lock()
	defer b.mu.Unlock()
	slots := maps.Clone(b.status.Slots)
	for slot, seen := range slots {
		seen.Traffic = nil
		if lately != nil {
			seen.Traffic = traffic(from, to, lately.Slots[slot])
		}
		slots[slot] = seen
		if since != nil && seen.Release != "" {
			t := b.totals[seen.Release]
			t.requests += since.Slots[slot].Requests
			t.errors += since.Slots[slot].Errors
			b.totals[seen.Release] = t
		}
	}
	b.status.Slots = slots
}

func traffic(from, to time.Time, t compose.Traffic) *wire.Traffic {
	out := &wire.Traffic{
		From: from.UTC(), To: to.UTC(), Requests: t.Requests, Errors: t.Errors,
		P50: t.Median.Seconds(), P95: t.P95.Seconds(), P99: t.P99.Seconds(),
	}
	if seconds := to.Sub(from).Seconds(); seconds > 0 {
		out.Rate = float64(t.Requests) / seconds
	}
	if t.Requests > 0 {
		out.Failing = float64(t.Errors) / float64(t.Requests)
	}
	return out
}

// seen is a copy of what is known now.
func (b *board) seen(now time.Time) (wire.Status, map[string]total) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.status
	s.Written = now.UTC()
	s.Alerts, s.Waiting = slices.Clone(s.Alerts), slices.Clone(s.Waiting)
	s.Slots, s.Services = maps.Clone(s.Slots), maps.Clone(s.Services)
	if s.Roll != nil {
		r := *s.Roll
		if r.Window != nil {
			w := *r.Window
			r.Window = &w
		}
		s.Roll = &r
	}
	return s, maps.Clone(b.totals)
}

// show writes status.json, if this agent still leads: one that slept must not overwrite what another says. Whoever was
// overtaken between the question and the write is overwritten itself within seconds.
func (l *leader) show(ctx context.Context) error {
	l.showing <- struct{}{} // one at a time: what is older must not be written later
	defer func() { <-l.showing }()
	if err := l.held.Check(ctx); err != nil {
		return err
	}
	now, err := lease.Read(l.State)
	if err != nil {
		return err
	}
	s, _ := l.board.seen(l.Now())
	s.Alerts, s.Lease.Expires = l.alerts.recent(), now.Expires
	content, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("write status: %w", err)
	}
	if err := l.whole(l.layout.Status(), append(content, '\n'), statusMode); err != nil {
		return fmt.Errorf("write status: %w", err)
	}
	return nil
}

// whole replaces a file; on a full disk with the room of the reserve.
func (l *leader) whole(path string, content []byte, mode fs.FileMode) error {
	err := wholefile.Write(path, content, mode)
	if l.reserve.give(err) {
		l.say("the disk is full: the reserve is given up")
		err = wholefile.Write(path, content, mode)
	}
	return err
}
