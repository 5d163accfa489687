package tool

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"syscall"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/engine"
)

const (
	// lastOutput is how long output may still come after every process that was found has ended.
	lastOutput = 500 * time.Millisecond
	// straggling is how long what a program started may take to end after the program itself.
	straggling = 200 * time.Millisecond
	// lookAgain is the time between two looks at what still runs.
	lookAgain = 10 * time.Millisecond
)

// process is one started program with all that it starts.
type process struct {
	runner  *Runner
	cmd     *exec.Cmd
	name    string
	capture *capture
	tree    *tree
	exited  chan struct{}
	reaped  error // from cmd.Wait, where awaitExit has to reap
}

func newProcess(r *Runner, cmd *exec.Cmd, name, marker string, c *capture) *process {
	p := &process{runner: r, cmd: cmd, name: name, capture: c, exited: make(chan struct{})}
	p.tree = newTree(cmd.Process.Pid, marker)
	go func() {
		p.awaitExit()
		close(p.exited)
	}()
	return p
}

// follow sees the program to its end, by itself or not, and ends what it left.
func (p *process) follow(ctx context.Context) (engine.Output, error) {
	stopped := p.await(ctx)
	left := 0
	if stopped == nil {
		left = p.awaitStragglers()
	}
	if stopped != nil || left > 0 {
		p.endTree()
	}
	if left > 0 {
		p.capture.say("%s ended and left %d running: killed", p.name, left)
	}
	if p.capture.finish(lastOutput) {
		p.capture.say("%s ended, but something that it started, and that could not be found, holds its output open", p.name)
	}
	return p.result(stopped)
}

// await waits for the program. If it has to be stopped, the error says why.
func (p *process) await(ctx context.Context) error {
	select {
	case <-p.exited:
		return nil
	case <-p.runner.kill:
		return fmt.Errorf("run %s: killed", p.name)
	case <-p.capture.over:
		p.terminate()
		return fmt.Errorf("run %s: it wrote more than %d bytes of output: make it say less", p.name, p.runner.opts.MaxOutput)
	case <-ctx.Done():
		p.terminate()
		return fmt.Errorf("run %s: stopped: %w", p.name, context.Cause(ctx))
	}
}

// terminate asks all to end, and waits for it as long as the grace lasts.
func (p *process) terminate() {
	p.tree.signal(syscall.SIGTERM)
	p.tree.signal(syscall.SIGCONT) // one that is stopped would not notice
	grace := time.NewTimer(p.runner.opts.Grace)
	defer grace.Stop()
	tick := time.NewTicker(lookAgain)
	defer tick.Stop()
	for {
		select {
		case <-grace.C:
			return
		case <-p.runner.kill:
			return
		case <-tick.C:
			if p.hasExited() && p.tree.others() == 0 {
				return
			}
		}
	}
}

func (p *process) hasExited() bool {
	select {
	case <-p.exited:
		return true
	default:
		return false
	}
}

// awaitStragglers returns how many processes outlive the program for longer than is decent.
func (p *process) awaitStragglers() int {
	limit := time.NewTimer(straggling)
	defer limit.Stop()
	for {
		left := p.tree.others()
		if left == 0 {
			return 0
		}
		select {
		case <-limit.C:
			return left
		case <-p.runner.kill:
			return left
		case <-time.After(lookAgain):
		}
	}
}

// endTree kills all, and looks again until nobody is left: one may have been about to fork.
func (p *process) endTree() {
	for range 100 {
		p.tree.signal(syscall.SIGKILL)
		if p.hasExited() && p.tree.others() == 0 {
			return
		}
		time.Sleep(lookAgain)
	}
}

// kill ends a program that can't be let run.
func (p *process) kill() {
	p.endTree()
	p.capture.finish(lastOutput)
	_, _ = p.result(nil)
}

func (p *process) result(stopped error) (engine.Output, error) {
	err := errors.Join(p.reaped, p.cmd.Wait())
	state := p.cmd.ProcessState
	if state == nil {
		return engine.Output{}, fmt.Errorf("run %s: %w", p.name, err)
	}
	out, broken := p.capture.output(state.ExitCode())
	switch status, _ := state.Sys().(syscall.WaitStatus); {
	case stopped != nil:
		return out, stopped
	case status.Signaled():
		return out, fmt.Errorf("run %s: signal %d (%s) ended it: out of memory, perhaps, or somebody killed it",
			p.name, int(status.Signal()), status.Signal())
	case broken != nil:
		return out, fmt.Errorf("run %s: %w", p.name, broken)
	}
	return out, nil
}
