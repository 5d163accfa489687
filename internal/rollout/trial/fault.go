package trial

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/meter-ml/meter-pipeline/internal/retry"
	"github.com/meter-ml/meter-pipeline/internal/rollout"
	"github.com/meter-ml/meter-pipeline/internal/rollout/agent/wire"
	"github.com/meter-ml/meter-pipeline/internal/rollout/journal"
	"github.com/meter-ml/meter-pipeline/internal/rollout/lease"
)

// A fault is something that happens in mid-shift.
type fault struct {
	name  string
	place func(dir string) error // puts the state directory somewhere else, before anything is in it
	// happen does it, when the new release has a quarter of the traffic.
	happen func(ctx context.Context, s *Site, r *Report) error
	ends   []wire.State // how it may end
	drops  bool         // requests fail meanwhile, which nobody can help
}

func faults() []fault {
	return []fault{
		{name: "agent stopped for 60 s wakes up with an old epoch", happen: stopAgent, ends: []wire.State{wire.Succeeded}},
		{name: "both agents killed", happen: killAgents, ends: []wire.State{wire.Succeeded}},
		// What the proxy had counted is gone with it: a window that can't be judged in its time goes back.
		{name: "proxy killed in mid-shift", happen: killProxy, ends: []wire.State{wire.Succeeded, wire.RolledBack}, drops: true},
		{name: "old release killed in mid-shift", happen: killSlot(rollout.Slot.Other), ends: []wire.State{wire.Succeeded, wire.RolledBack}, drops: true},
		{name: "new release killed in mid-shift", happen: killSlot(func(incoming rollout.Slot) rollout.Slot { return incoming }), ends: []wire.State{wire.RolledBack}, drops: true},
		{name: "registry gone in mid-shift", happen: stopRegistry, ends: []wire.State{wire.Succeeded}},
		{name: "disk of the state directory full for 15 s", place: tiny, happen: fillDisk, ends: []wire.State{wire.Succeeded, wire.RolledBack}},
	}
}

// faultTrial lets something happen in mid-shift.
func faultTrial(f fault) Trial {
	return Trial{"fault", f.name, func(ctx context.Context, l *Lab, r *Report) error {
		l.place = f.place
		defer func() { l.place = nil }()
		return l.at(ctx, trivialKind(5*time.Second), func(s *Site, _ string) (err error) {
			defer func() { err = errors.Join(err, l.wakeRegistry(ctx)) }()
			next, err := s.next(ctx, nil)
			if err != nil {
				return err
			}
			var result wire.Result
			c, err := s.under(ctx, 200, func(ctx context.Context) error {
				began := time.Now()
				id, err := s.order(ctx, next)
				if err == nil {
					err = s.untilWeight(ctx, began, 25)
				}
				if err == nil {
					err = f.happen(ctx, s, r)
				}
				if err == nil {
					result, err = s.result(ctx, id)
				}
				return err
			})
			c.report(r)
			if err != nil {
				return err
			}
			r.say("%s; %d of %d requests failed", ending(result), len(c.shots.Failed()), len(c.shots))
			return errors.Join(f.judge(c, result), s.consistent(ctx, result.Target))
		})
	}}
}

func ending(result wire.Result) string {
	if result.State == wire.Succeeded {
		return "it came through"
	}
	return string(result.State) + ": " + shorten(result.Reason, 120)
}

func (f fault) judge(c course, result wire.Result) error {
	ends := false
	for _, state := range f.ends {
		ends = ends || state == result.State
	}
	var err error
	if !ends {
		err = fmt.Errorf("it ended with %s (%s)", result.State, result.Reason)
	}
	if !f.drops {
		err = errors.Join(err, c.spotless(0))
	}
	return err
}

// untilWeight waits until the new release has so much of the traffic.
func (s *Site) untilWeight(ctx context.Context, since time.Time, weight int) error {
	slot, err := s.incoming()
	if err != nil {
		return err
	}
	want, weighs := fmt.Sprintf(`"%s":%d`, slot, weight), false
	err = s.awaits(ctx, since, fmt.Sprintf("a weight of %d", weight), func(e journal.Entry) bool {
		if e.Action == "weights" && e.Kind == journal.Intent {
			weighs = strings.Contains(string(e.Detail), want)
		}
		return weighs && e.Action == "weights" && e.Kind == journal.Done
	})
	if err != nil {
		return err
	}
	return retry.Sleep(ctx, margin)
}

// stopAgent is what a machine does that swaps, or a virtual one that is moved.
func stopAgent(ctx context.Context, s *Site, r *Report) error {
	pid, epoch, err := s.leader(ctx)
	if err != nil {
		return err
	}
	stopped := time.Now()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		return err
	}
	var taken error
	err = eventually(ctx, 2*lease.Expiry, "another agent leads", func() error {
		now, err := lease.Read(s.state)
		if err == nil && now.Epoch <= epoch {
			err = fmt.Errorf("epoch %d", now.Epoch)
		}
		return err
	})
	taken = err
	r.seconds("taken over after", time.Since(stopped))
	err = retry.Sleep(ctx, time.Until(stopped.Add(time.Minute)))
	woken := time.Now()
	if err := errors.Join(taken, err, syscall.Kill(pid, syscall.SIGCONT)); err != nil {
		return err
	}
	if err := retry.Sleep(ctx, 5*time.Second); err != nil {
		return err
	}
	after, err := s.entries(ctx, woken)
	for _, e := range after {
		if e.Epoch <= epoch {
			err = errors.Join(err, fmt.Errorf("it wrote %s with the old epoch %d after it woke up", word(e), e.Epoch))
		}
	}
	return err
}

func killAgents(ctx context.Context, s *Site, _ *Report) error {
	for _, n := range []string{"1", "2"} {
		out, err := s.lab.docker(ctx, "inspect", "--format", "{{.State.Pid}}", s.target.Project()+"-agent-"+n)
		var pid int
		if err == nil {
			_, err = fmt.Sscan(out, &pid)
		}
		if err == nil {
			err = syscall.Kill(pid, syscall.SIGKILL)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// killProxy kills HAProxy, and demands that it comes back with the weights that it had, whoever leads.
func killProxy(ctx context.Context, s *Site, r *Report) error {
	pid, err := s.process(ctx, "proxy")
	if err != nil {
		return err
	}
	before, err := s.weights(ctx)
	if err != nil {
		return err
	}
	killed := time.Now()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		return err
	}
	if err := eventually(ctx, 30*time.Second, "the proxy is gone", func() error {
		if _, err := os.Stat(fmt.Sprintf("/proc/%d", pid)); err == nil {
			return errors.New("it is still there")
		}
		return nil
	}); err != nil {
		return err
	}
	var after rollout.Weights
	err = eventually(ctx, 30*time.Second, "the proxy is back", func() (err error) {
		after, err = s.weights(ctx)
		return err
	})
	if err != nil {
		return err
	}
	r.seconds("back after", time.Since(killed))
	if fmt.Sprint(after) != fmt.Sprint(before) {
		return fmt.Errorf("the proxy had weights %v, and came back with %v", before, after)
	}
	return nil
}

// killSlot kills what runs in a slot, which is told from that of the new release.
func killSlot(which func(incoming rollout.Slot) rollout.Slot) func(context.Context, *Site, *Report) error {
	return func(ctx context.Context, s *Site, _ *Report) error {
		slot, err := s.incoming()
		if err != nil {
			return err
		}
		pid, err := s.process(ctx, "model-api-"+string(which(slot)))
		if err != nil {
			return err
		}
		return syscall.Kill(pid, syscall.SIGKILL)
	}
}

func stopRegistry(ctx context.Context, s *Site, _ *Report) error {
	_, err := s.lab.docker(ctx, "stop", "--time", "1", s.lab.name("registry"))
	return err
}

// wakeRegistry starts the registry again, if it was stopped.
func (l *Lab) wakeRegistry(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	if _, err := l.docker(ctx, "start", l.name("registry")); err != nil {
		return err
	}
	return l.registryAnswers(ctx)
}

// tiny puts the state directory on a file system of 6 MiB.
func tiny(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return unix.Mount("tmpfs", dir, "tmpfs", 0, "size=6m,mode=755")
}

func fillDisk(ctx context.Context, s *Site, _ *Report) error {
	path := filepath.Join(s.state, "filler")
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	block := make([]byte, 4096)
	for err == nil {
		_, err = file.Write(block)
	}
	if !errors.Is(err, syscall.ENOSPC) {
		return errors.Join(err, file.Close())
	}
	err = retry.Sleep(ctx, 15*time.Second)
	return errors.Join(err, file.Close(), os.Remove(path))
}

// current is the release that serves, by release.json.
func (s *Site) current() (string, error) {
	state, err := rollout.Read(s.state)
	if err != nil {
		return "", err
	}
	if state.Current == nil {
		return "", errors.New("no release serves")
	}
	return state.Current.Release, nil
}

// incoming is the slot of the release that comes next, or is on its way.
func (s *Site) incoming() (rollout.Slot, error) {
	state, err := rollout.Read(s.state)
	if err != nil {
		return "", err
	}
	if state.Current == nil {
		return "", errors.New("no release serves")
	}
	return state.Current.Slot.Other(), nil
}
