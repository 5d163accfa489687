package engine

import (
	"fmt"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/plain"
)

// outcome is what a step's goroutine hands to the scheduler.
type outcome struct {
	node   *node
	result StepResult
}

// finish records what became of a step, and of its stage if it was the last one there.
func (x *execution) finish(n *node, result StepResult) {
	if n.provision != nil {
		n.provision.cancel(errSkipped)
	}
	n.state = finished
	x.left--
	result.Stage, result.Name, result.Judges = n.stageName, n.step.Name, n.step.Judges
	result.Rerun, result.Fix = n.step.Rerun, n.step.Fix
	result.Reason = x.mask.String(plain.Text(result.Reason))
	if result.Started.IsZero() {
		result.Started = x.opts.Now()
	}
	n.result = result
	x.emit.send(Event{Kind: EventStepFinished, Stage: n.stageName, Step: n.step.Name, Result: &result})
	if x.opts.FailFast && x.stopping == "" && (result.Status == StatusFailed || result.Status == StatusError) {
		x.stopping = fmt.Sprintf("%s did not pass, and this run stops at the first step that does not", n.id())
	}
	for _, other := range x.g.stages[n.stage] {
		if other.state != finished {
			return
		}
	}
	stage := x.stageResult(n.stage)
	x.emit.send(Event{Kind: EventStageDone, Stage: n.stageName, StageResult: &stage})
}

func (x *execution) stageResult(i int) StageResult {
	s := StageResult{Name: x.plan.Stages[i].Name, Cached: true}
	var all []Status
	var first, last time.Time
	for _, n := range x.g.stages[i] {
		r := n.result
		s.Steps = append(s.Steps, r)
		all = append(all, r.Status)
		s.Cached = s.Cached && r.Cached
		if r.Status == StatusSkipped {
			continue
		}
		if first.IsZero() || r.Started.Before(first) {
			first = r.Started
		}
		if end := r.Started.Add(r.Duration); end.After(last) {
			last = end
		}
	}
	s.Status = worst(all)
	s.Duration = last.Sub(first)
	return s
}

func (x *execution) conclude() {
	for i := range x.plan.Stages {
		x.record.Stages = append(x.record.Stages, x.stageResult(i))
	}
	x.record.Duration = x.opts.Now().Sub(x.record.Started)
	x.record.conclude()
	x.review()
	x.emit.finish(x.record)
}

// review asks for warnings, which change no verdict. Neither does a panic there.
func (x *execution) review() {
	if x.opts.Review == nil {
		return
	}
	err := contained(func() error {
		for _, warning := range x.opts.Review(x.record) {
			x.record.Warnings = append(x.record.Warnings, x.mask.String(plain.Text(warning)))
		}
		return nil
	})
	if err != nil {
		x.record.Warnings = append(x.record.Warnings, fmt.Sprintf("look back at the run: %v", err))
	}
}
