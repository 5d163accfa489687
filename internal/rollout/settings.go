package rollout

import (
	"context"
	"errors"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/rollout/journal"
	"github.com/meter-ml/meter-pipeline/internal/rollout/judge"
)

// Settings are how long things may take, and what is judged.
type Settings struct {
	Judge   judge.Plan    // its steps are the weights; the last has 100 %, and its window is the bake
	Pull    time.Duration // deadlines of the phases
	Migrate time.Duration
	Ready   time.Duration // from the start on
	Smoke   time.Duration
	Replace time.Duration // until all that runs once is healthy
	Verify  time.Duration
	Drain   time.Duration // then what is still open is cut
	Blind   time.Duration // for so long it may be that nothing can be observed
	Poll    time.Duration // between two observations
}

// Check says what is wrong with them.
func (s Settings) Check() error {
	for _, d := range []time.Duration{s.Pull, s.Migrate, s.Ready, s.Smoke, s.Replace, s.Verify, s.Drain, s.Blind, s.Poll} {
		if d <= 0 {
			return errors.New("check settings of the roll-out: each of its times must be longer than nothing")
		}
	}
	if steps := s.Judge.Steps; len(steps) == 0 || steps[len(steps)-1].Weight != 100 {
		return errors.New("check settings of the roll-out: the last step must have a weight of 100")
	}
	for i, step := range s.Judge.Steps {
		if i > 0 && step.Weight <= s.Judge.Steps[i-1].Weight {
			return errors.New("check settings of the roll-out: each step must have more weight than the one before")
		}
	}
	_, err := judge.New(s.Judge, nil)
	return err
}

// A Log is what the driver needs of a journal.Journal.
type Log interface {
	Append(ctx context.Context, e journal.Entry) (journal.Entry, error)
	Release() (journal.Release, error)
	Swap(ctx context.Context, seen journal.Release, epoch uint64, state any) (journal.Release, error)
}

// A Config is what a driver is made of.
type Config struct {
	Backend  Backend
	Log      Log
	Fence    Fence
	Holder   string // of the lease, for people
	Inbox    Inbox
	Gate     func(ctx context.Context, r Revision) (Verdict, error) // judges the evidence of a release
	Now      func() time.Time
	Settings Settings // may be set until Run
	// Window, if set, hears of each window that opens; what it returns is called when that window ends, however it does.
	Window func(ctx context.Context, step judge.Step) (closed func(context.Context) error)
	// Stop, once closed, ends Run with ErrStopped before its next action: nothing is cut short.
	Stop <-chan struct{}
}

// A Verdict is why a gate lets a release pass, for the audit log.
type Verdict struct {
	Message string
	Detail  any
}
