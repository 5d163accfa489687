package rollouttest

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/meter-ml/meter-pipeline/internal/rollout"
	"github.com/meter-ml/meter-pipeline/internal/rollout/journal"
)

// Killed is what a driver panics with at its point.
type Killed struct{ Point string }

// Points count what a driver does to the world and to its journal, each before and after it happens, and do something
// at one of them.
type Points struct {
	mu    sync.Mutex
	trace []string
	at    int // 1 is the first
	do    func(point string)
}

// KillAt lets a driver die at its nth point; 0 never.
func KillAt(n int) *Points {
	return &Points{at: n, do: func(point string) { panic(Killed{point}) }}
}

// StopAt makes a driver wait at its nth point, as SIGSTOP does, until goOn is closed. Stopped is closed when it is there.
func StopAt(n int) (p *Points, stopped <-chan struct{}, goOn chan<- struct{}) {
	there, on := make(chan struct{}), make(chan struct{})
	return &Points{at: n, do: func(string) {
		close(there)
		<-on
	}}, there, on
}

// Passed are the points that were passed, in their order.
func (p *Points) Passed() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.trace)
}

// Pass is for whoever else has points.
func (p *Points) Pass(point string) { p.pass("%s", point) }

func (p *Points) pass(format string, args ...any) {
	point := fmt.Sprintf(format, args...)
	p.mu.Lock()
	p.trace = append(p.trace, point)
	here := len(p.trace) == p.at
	p.mu.Unlock()
	if here {
		p.do(point)
	}
}

func (p *Points) around(what string, do func() error) error {
	p.pass("before %s", what)
	err := do()
	p.pass("after %s", what)
	return err
}

// Log is a journal with points.
func (p *Points) Log(l rollout.Log) rollout.Log { return pointedLog{l, p} }

type pointedLog struct {
	rollout.Log
	points *Points
}

func (l pointedLog) Append(ctx context.Context, e journal.Entry) (written journal.Entry, err error) {
	err = l.points.around(fmt.Sprintf("%s of %s", e.Kind, e.Action), func() error {
		written, err = l.Log.Append(ctx, e)
		return err
	})
	return written, err
}

func (l pointedLog) Swap(ctx context.Context, seen journal.Release, epoch uint64, state any) (next journal.Release, err error) {
	err = l.points.around("swap", func() error {
		next, err = l.Log.Swap(ctx, seen, epoch, state)
		return err
	})
	return next, err
}

// Backend is a back end with points around each of its side effects.
func (p *Points) Backend(b rollout.Backend) rollout.Backend { return pointedBackend{b, p} }

type pointedBackend struct {
	rollout.Backend
	points *Points
}

func (b pointedBackend) Pull(ctx context.Context, f rollout.Fence, r rollout.Revision) error {
	return b.points.around("pull", func() error { return b.Backend.Pull(ctx, f, r) })
}

func (b pointedBackend) Migrate(ctx context.Context, f rollout.Fence, r rollout.Revision) error {
	return b.points.around("migrate", func() error { return b.Backend.Migrate(ctx, f, r) })
}

func (b pointedBackend) Start(ctx context.Context, f rollout.Fence, r rollout.Revision) error {
	return b.points.around("start", func() error { return b.Backend.Start(ctx, f, r) })
}

func (b pointedBackend) Smoke(ctx context.Context, r rollout.Revision) error {
	return b.points.around("smoke", func() error { return b.Backend.Smoke(ctx, r) })
}

func (b pointedBackend) SetWeights(ctx context.Context, f rollout.Fence, w rollout.Weights) error {
	return b.points.around("weights", func() error { return b.Backend.SetWeights(ctx, f, w) })
}

func (b pointedBackend) Replace(ctx context.Context, f rollout.Fence, r rollout.Revision) error {
	return b.points.around("replace", func() error { return b.Backend.Replace(ctx, f, r) })
}

func (b pointedBackend) Verify(ctx context.Context, r rollout.Revision) error {
	return b.points.around("verify", func() error { return b.Backend.Verify(ctx, r) })
}

func (b pointedBackend) Stop(ctx context.Context, f rollout.Fence, s rollout.Slot) error {
	return b.points.around("stop", func() error { return b.Backend.Stop(ctx, f, s) })
}
