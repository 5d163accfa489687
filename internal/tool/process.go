package tool

import (
	"context"
	"fmt"
	"os/exec"
	"syscall"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/engine"
)

// lastOutput is how long output may still come after every process that was found has ended.
const lastOutput = 500 * time.Millisecond

// process is one started program with its group.
type process struct {
	runner  *Runner
	cmd     *exec.Cmd
	name    string
	capture *capture
}

// follow sees the program to its end, by itself or not, and ends what it left.
func (p *process) follow(ctx context.Context) (engine.Output, error) {
	exited := make(chan struct{})
	go func() { awaitExit(p.cmd.Process.Pid); close(exited) }()
	var stopped error
	select {
	case <-exited:
	case <-p.runner.kill:
		stopped = fmt.Errorf("run %s: killed", p.name)
	case <-p.capture.over:
		stopped = fmt.Errorf("run %s: it wrote more than %d bytes of output: make it less talkative", p.name, p.runner.opts.MaxOutput)
		p.terminate(exited)
	case <-ctx.Done():
		stopped = fmt.Errorf("run %s: stopped: %w", p.name, context.Cause(ctx))
		p.terminate(exited)
	}
	left := p.end(syscall.SIGKILL)
	<-exited
	if stopped == nil && left > 0 {
		p.capture.say("%s ended, but left %d processes running: they were killed", p.name, left)
	}
	if p.capture.finish(lastOutput) {
		p.capture.say("%s ended, but something that it started and that could not be found still holds its output", p.name)
	}
	return p.result(stopped)
}

// wait is for a program whose fate is sealed.
func (p *process) wait() {
	_ = p.cmd.Wait()
	p.capture.finish(lastOutput)
}

func (p *process) result(stopped error) (engine.Output, error) {
	err := p.cmd.Wait()
	state := p.cmd.ProcessState
	if state == nil {
		return engine.Output{}, fmt.Errorf("run %s: %w", p.name, err)
	}
	out, broken := p.capture.output(state.ExitCode())
	switch status, _ := state.Sys().(syscall.WaitStatus); {
	case stopped != nil:
		return out, stopped
	case status.Signaled():
		return out, fmt.Errorf("run %s: it was ended by signal %d (%s): out of memory, perhaps, or somebody killed it",
			p.name, int(status.Signal()), status.Signal())
	case broken != nil:
		return out, fmt.Errorf("run %s: %w", p.name, broken)
	}
	return out, nil
}

// terminate asks the group to end, and waits for it as long as the grace lasts.
func (p *process) terminate(exited <-chan struct{}) {
	p.end(syscall.SIGTERM)
	grace := time.NewTimer(p.runner.opts.Grace)
	defer grace.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-grace.C:
			return
		case <-p.runner.kill:
			return
		case <-tick.C:
		}
		select {
		case <-exited:
			if !p.remains() {
				return
			}
		default:
		}
	}
}
