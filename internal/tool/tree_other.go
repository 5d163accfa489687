//go:build unix && !linux

package tool

import (
	"errors"
	"fmt"
	"syscall"
)

// Without /proc a program's group is all that can be known of what it started: what leaves the group is not found.

// awaitExit waits for the program. It is no zombie afterwards; its group's number is in use as long as the group is.
func (p *process) awaitExit() { p.reaped = p.cmd.Wait() }

type tree struct{ leader identity }

func newTree(pid int, _ string) *tree { return &tree{leader: identify(pid)} }

func (t *tree) signal(sig syscall.Signal) { _ = syscall.Kill(-t.leader.Pid, sig) }

// others is 1 if anybody is left in the group.
func (t *tree) others() int {
	if syscall.Kill(-t.leader.Pid, 0) == nil {
		return 1
	}
	return 0
}

// kin is not needed: nothing but the group is known.
type kin struct{}

type stat struct {
	pid  int
	name string
}

func (s stat) signal(sig syscall.Signal) error {
	if err := syscall.Kill(-s.pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("signal group %d (%s): %w", s.pid, s.name, err)
	}
	return nil
}

// find returns the groups whose leader is provably the program that was started.
func (r *remains) find() []stat {
	var found []stat
	for id, name := range r.programs {
		if id.Start != "" && identify(id.Pid) == id && syscall.Kill(-id.Pid, 0) == nil {
			found = append(found, stat{pid: id.Pid, name: name})
		}
	}
	return found
}
