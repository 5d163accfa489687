package engine

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/plain"
)

// worker takes one step from its start to its result, in a goroutine of its own.
type worker struct {
	x       *execution
	node    *node
	started time.Time
	mask    *plain.Mask
	log     *stepLog
}

// verdict is what the step's work came to.
type verdict struct {
	judgement Judgement
	err       error
}

func (w *worker) run(parent context.Context) StepResult {
	n := w.node
	provisions := n.provision.provisions
	w.mask = w.maskFor(provisions)
	result := StepResult{Started: w.started, Log: w.x.dir.logPath(n.stageName, n.step.Name)}
	log, err := openLog(filepath.Join(w.x.dir.path, filepath.FromSlash(result.Log)), w.mask, w.send)
	if err != nil {
		result.Log = ""
		return w.conclude(result, verdict{err: errors.Join(err, w.x.needs.release(parent, provisions))})
	}
	w.log = log
	ctx, cancel := withLimit(parent, n.step.Timeout, errTimeout)
	defer cancel()
	place, err := w.place(provisions)
	v := verdict{err: err}
	if err == nil {
		result.CommandLine = w.mask.String(place.commandLine())
		v = w.supervise(ctx, place)
	}
	if ctx.Err() != nil && v.err != nil {
		v.err = w.explain(ctx, v.err)
	}
	if err := errors.Join(w.x.needs.release(parent, provisions), place.remove()); err != nil {
		v.judgement.Warnings = append(v.judgement.Warnings, fmt.Sprintf("clean up: %v", err))
	}
	result = w.conclude(result, v)
	w.log.note("# %s%s", result.Status, prefixed(": ", result.Reason))
	if err := w.log.close(); err != nil && result.Status != StatusError {
		result.Status, result.Reason = StatusError, err.Error()
	}
	return result
}

func (w *worker) maskFor(provisions []Provision) *plain.Mask {
	return plain.NewMask(w.secrets(provisions)...)
}

func (w *worker) secrets(provisions []Provision) []string {
	all := slices.Clone(w.x.opts.Secrets)
	for _, p := range provisions {
		all = append(all, p.Secrets...)
	}
	return all
}

func (w *worker) send(e Event) {
	e.Stage, e.Step = w.node.stageName, w.node.step.Name
	w.x.emit.send(e)
}

// supervise waits for the step's work, but not for ever: a function that does not heed its context is given up when
// its grace is over, since a run that can't be stopped is worse than a goroutine that is left behind.
func (w *worker) supervise(ctx context.Context, place place) verdict {
	done := make(chan verdict, 1)
	go func() { done <- w.work(ctx, place) }()
	select {
	case v := <-done:
		return v
	case <-ctx.Done():
	}
	grace := time.NewTimer(w.x.opts.Grace)
	defer grace.Stop()
	select {
	case v := <-done:
		return v
	case <-grace.C:
		return verdict{err: fmt.Errorf("it did not stop within %s of being told to: %w", w.x.opts.Grace, context.Cause(ctx))}
	}
}

// work contains a panic: its stack is for the log, since it means nothing to who reads the report.
func (w *worker) work(ctx context.Context, place place) (v verdict) {
	defer func() {
		if p := recover(); p != nil {
			w.log.note("panic: %v\n%s", p, debug.Stack())
			v = verdict{err: fmt.Errorf("panic: %v: this is a defect of the step, please report it with its log", p)}
		}
	}()
	if w.node.step.Func != nil {
		j, err := w.node.step.Func(ctx, w.scope(place))
		return verdict{j, err}
	}
	j, err := w.command(ctx, place)
	return verdict{j, err}
}

// explain says why a step was ended, instead of how.
func (w *worker) explain(ctx context.Context, err error) error {
	switch cause := context.Cause(ctx); {
	case errors.Is(cause, errTimeout):
		return fmt.Errorf("it took longer than its limit of %s: see its log, or raise run.budgets.%s in pipeline.yaml",
			w.node.step.Timeout, w.node.stageName)
	case deadlinePassed(ctx):
		return errors.New("the run's deadline passed while it was running: raise run.timeout in pipeline.yaml")
	case ctx.Err() != nil:
		return errors.New("interrupted")
	default:
		return err
	}
}

// conclude makes the verdict safe to show, completes its findings and decides.
func (w *worker) conclude(result StepResult, v verdict) StepResult {
	result.Duration = w.x.opts.Now().Sub(w.started)
	if v.err != nil {
		result.Status = StatusError
		result.Reason = w.mask.String(plain.Text(v.err.Error()))
		result.Judgement = Judgement{Warnings: v.judgement.Warnings}
		return result
	}
	v.judgement.Findings = slices.Clone(v.judgement.Findings)
	sources := &sources{root: w.x.opts.Root, files: map[string][][]byte{}}
	sources.complete(w.node, v.judgement.Findings)
	for i := range v.judgement.Allowed {
		one := []Finding{v.judgement.Allowed[i].Finding}
		sources.complete(w.node, one)
		v.judgement.Allowed[i].Finding = one[0]
	}
	safe(&v.judgement, w.mask)
	result.Judgement = v.judgement
	result.Status, result.Reason = decide(w.node.step, v.judgement)
	return result
}

func prefixed(prefix, s string) string {
	if s == "" {
		return ""
	}
	return prefix + strings.TrimSpace(s)
}
