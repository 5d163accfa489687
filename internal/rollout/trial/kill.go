package trial

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/retry"
	"github.com/meter-ml/meter-pipeline/internal/rollout/agent/wire"
	"github.com/meter-ml/meter-pipeline/internal/rollout/journal"
	"github.com/meter-ml/meter-pipeline/internal/rollout/lease"
	"github.com/meter-ml/meter-pipeline/internal/rollout/trial/record"
)

const (
	// sitesAtOnce is how many agents are killed at the same time, each at a site of its own.
	sitesAtOnce = 3
	// glance is the pause between two looks at the audit log by who waits to kill its writer.
	glance = 200 * time.Microsecond
)

// A point is an entry of the audit log: the nth of its kind and action in a roll-out.
type point struct {
	action string
	kind   journal.Kind
	nth    int // from 1
}

func (p point) String() string {
	text := string(p.kind) + " of " + p.action
	if p.nth > 1 {
		text += " " + strconv.Itoa(p.nth)
	}
	return text
}

// points are those of a roll-out. Of looks of the judge there are too many, and how often a window begins anew is up to
// chance: the first look stands for all.
func points(entries []journal.Entry) []point {
	var all []point
	count := map[point]int{}
	for _, e := range entries {
		p := point{action: e.Action, kind: e.Kind}
		count[p]++
		p.nth = count[p]
		if e.Action != "window" && (e.Action != "judge" || p.nth == 1) {
			all = append(all, p)
		}
	}
	return all
}

// brisk are two steps with short windows, for what has to be done many times.
func brisk() wire.Settings {
	s := settings(3 * time.Second)
	s.Judge.Steps = []wire.Step{s.Judge.Steps[1], s.Judge.Steps[3]}
	s.Judge.MinRequests = 20
	return s
}

// killTrial kills the leading agent at every entry that a whole roll-out writes: right after an intent, so before or in
// the side effect, and right after its result, so before that is in release.json. The other agent has to take over by
// itself when the lease has ended.
func killTrial() Trial {
	return Trial{"kill", "agent at every entry of its journal", func(ctx context.Context, l *Lab, r *Report) error {
		k := &killer{lab: l, report: r}
		return k.run(ctx)
	}}
}

type killer struct {
	lab    *Lab
	report *Report

	mu       sync.Mutex
	left     []point
	killed   int
	requests int
	failed   int
	ends     map[string]int
	freed    time.Duration // the longest that a lease was not free
	problems []string
}

func (k *killer) run(ctx context.Context) error {
	k.ends = map[string]int{}
	first, err := k.site(ctx)
	defer closing(ctx, first, &err)
	if err != nil {
		return err
	}
	c, err := k.roll(ctx, first, nil)
	if err != nil {
		return fmt.Errorf("without a kill: %w", err)
	}
	k.left = points(c.entries)
	all := len(k.left)
	var group sync.WaitGroup
	for n := range sitesAtOnce {
		group.Go(func() {
			s := first
			if n > 0 {
				var err error
				s, err = k.site(ctx)
				defer closing(ctx, s, &err)
				if err != nil {
					k.problem("%v", err)
					return
				}
			}
			k.work(ctx, s)
		})
	}
	group.Wait()
	r := k.report
	r.figure("kills", float64(k.killed), "")
	r.figure("requests", float64(k.requests), "")
	r.figure("failed", float64(k.failed), "")
	r.seconds("lease free within", k.freed)
	r.say("%d of %d kills ended by themselves: %d with the new release, %d with the old", k.ends["new"]+k.ends["old"], all, k.ends["new"], k.ends["old"])
	if len(k.problems) > 0 {
		return errors.New(strings.Join(k.problems, "; "))
	}
	if k.killed != all {
		return fmt.Errorf("only %d of %d kills took place", k.killed, all)
	}
	return nil
}

func (k *killer) site(ctx context.Context) (*Site, error) {
	how := trivialKind(time.Second).with(brisk())
	how.name = "" // it is for this trial only
	return k.lab.started(ctx, how)
}

func (k *killer) problem(format string, args ...any) {
	k.mu.Lock()
	defer k.mu.Unlock()
	text := fmt.Sprintf(format, args...)
	k.problems = append(k.problems, text)
	k.lab.Log("      %s", text)
}

// work kills at one point after the other until none is left.
func (k *killer) work(ctx context.Context, s *Site) {
	serves, err := s.current()
	if err != nil {
		k.problem("%v", err)
		return
	}
	for ctx.Err() == nil {
		k.mu.Lock()
		if len(k.left) == 0 {
			k.mu.Unlock()
			return
		}
		p := k.left[0]
		k.left = k.left[1:]
		number := len(k.left)
		k.mu.Unlock()
		c, err := k.roll(ctx, s, &p)
		next := s.newest()
		if err != nil {
			k.problem("killed at %s: %v", p, err)
			return // nobody knows in what state it is
		}
		end, err := s.current()
		if err == nil && end != next && end != serves {
			err = fmt.Errorf("%s serves", end)
		}
		if err == nil {
			err = errors.Join(s.consistent(ctx, end), c.spotless(0))
		}
		if err != nil {
			k.problem("killed at %s: %v", p, err)
		}
		k.mu.Lock()
		k.ends[map[bool]string{true: "new", false: "old"}[end == next]]++
		k.report.events = append(k.report.events, record.Event{What: fmt.Sprintf("killed at %s: %s serves, %d of %d requests failed", p,
			map[bool]string{true: "the new release", false: "the old release"}[end == next], len(c.shots.Failed()), len(c.shots))})
		k.mu.Unlock()
		k.lab.Log("      killed at %s (%d left): %s", p, number, map[bool]string{true: "new", false: "old"}[end == next])
		serves = end
	}
}

// roll rolls a release out under a light load, and kills the agent at a point, if there is one.
func (k *killer) roll(ctx context.Context, s *Site, at *point) (course, error) {
	next, err := s.next(ctx, nil)
	if err != nil {
		return course{}, err
	}
	c, err := s.under(ctx, 50, func(ctx context.Context) error {
		seen, err := s.logSize()
		if err != nil {
			return err
		}
		var killing error
		done := make(chan struct{})
		watching, stop := context.WithCancel(ctx)
		go func() {
			defer close(done)
			if at != nil {
				killing = k.killAt(watching, s, seen, *at)
			}
		}()
		id, err := s.order(ctx, next)
		if err == nil {
			_, err = s.result(ctx, id)
		}
		stop()
		<-done
		return errors.Join(err, killing)
	})
	k.mu.Lock()
	k.requests += len(c.shots)
	k.failed += len(c.shots.Failed())
	k.mu.Unlock()
	return c, err
}

// killAt ends the agent that leads as soon as an entry is in the audit log, and measures until another leads.
func (k *killer) killAt(ctx context.Context, s *Site, from int64, p point) error {
	pid, epoch, err := s.leader(ctx)
	if err != nil {
		return err
	}
	if err := s.follow(ctx, from, p); err != nil {
		return fmt.Errorf("the entry never came: %w", err)
	}
	killed := time.Now()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		return fmt.Errorf("kill the agent: %w", err)
	}
	k.mu.Lock()
	k.killed++
	k.mu.Unlock()
	for {
		now, err := lease.Read(s.state)
		if err == nil && now.Epoch > epoch {
			k.mu.Lock()
			k.freed = max(k.freed, time.Since(killed))
			k.mu.Unlock()
			return nil
		}
		if time.Since(killed) > 2*lease.Expiry {
			return fmt.Errorf("nobody has taken the lease for %s", 2*lease.Expiry)
		}
		if err := retry.Sleep(context.WithoutCancel(ctx), 10*time.Millisecond); err != nil {
			return err
		}
	}
}
