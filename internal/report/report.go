// Package report holds what all renderers of a run share: the run made fit to be read, which findings fail a step and
// which are only shown, the words of the verdict, and how a report file is written.
//
// It stands between the engine, which sends events, and the packages below it, each of which speaks one format:
// terminal, github, html, markdown, jsonreport, junit, sarif. A renderer judges nothing: it says what the engine found.
package report

import (
	"cmp"
	"slices"

	"github.com/meter-ml/meter-pipeline/internal/engine"
)

// A Report is a finished run with what renderers must know of its plan.
type Report struct {
	Run  *engine.Run // a copy in which every string is plain, findings name their step, and the worst come first
	plan map[stepKey]engine.Step
}

type stepKey struct{ stage, step string }

// New copies a run. Without a plan, as for a run read from a file, each finding of a failed step counts as its cause.
func New(run *engine.Run, plan []engine.PlannedStage) Report {
	r := Report{Run: plainRun(run), plan: map[stepKey]engine.Step{}}
	for _, stage := range plan {
		for _, step := range stage.Steps {
			r.plan[stepKey{stage.Name, step.Name}] = step
		}
	}
	for i := range r.Run.Stages {
		for j := range r.Run.Stages[i].Steps {
			r.sort(r.Run.Stages[i].Steps[j].Judgement.Findings)
		}
	}
	return r
}

// sort puts what fails first, then the more severe, then by place.
func (r Report) sort(findings []engine.Finding) {
	slices.SortStableFunc(findings, func(a, b engine.Finding) int {
		if fa, fb := r.Fails(a), r.Fails(b); fa != fb {
			if fa {
				return -1
			}
			return 1
		}
		return cmp.Or(
			-cmp.Compare(a.Severity, b.Severity),
			cmp.Compare(a.Path, b.Path),
			cmp.Compare(a.Line, b.Line),
			cmp.Compare(a.Column, b.Column),
			cmp.Compare(a.Rule, b.Rule),
		)
	})
}

// Fails reports whether a finding fails its step, by the rule of the engine. The rule of a step that is not in the
// plan is the strictest.
func (r Report) Fails(f engine.Finding) bool {
	return r.plan[stepKey{f.Stage, f.Step}].Fails(f)
}

// Inputs are what a step was planned to read; empty if the plan is not known.
func (r Report) Inputs(step engine.StepResult) []string {
	return r.plan[stepKey{step.Stage, step.Name}].Inputs
}

// Failing are the findings that fail a step, the worst first.
func (r Report) Failing(step engine.StepResult) []engine.Finding {
	return r.split(step, true)
}

// Shown are the findings of a step that fail nothing.
func (r Report) Shown(step engine.StepResult) []engine.Finding {
	return r.split(step, false)
}

func (r Report) split(step engine.StepResult, fails bool) []engine.Finding {
	var out []engine.Finding
	for _, f := range step.Judgement.Findings {
		if r.Fails(f) == fails {
			out = append(out, f)
		}
	}
	return out
}

// Missed are the metrics of a step that do not meet their threshold.
func Missed(step engine.StepResult) []engine.Metric {
	var out []engine.Metric
	for _, m := range step.Judgement.Metrics {
		if !m.Met() {
			out = append(out, m)
		}
	}
	return out
}

// Steps are all steps of the run, in the order of the plan.
func (r Report) Steps() []engine.StepResult {
	var out []engine.StepResult
	for _, stage := range r.Run.Stages {
		out = append(out, stage.Steps...)
	}
	return out
}

// With are the steps of one status, in the order of the plan.
func (r Report) With(status engine.Status) []engine.StepResult {
	return slices.DeleteFunc(r.Steps(), func(s engine.StepResult) bool { return s.Status != status })
}

// A Tally counts steps by status, and findings.
type Tally struct {
	Steps, Passed, Failed, Errors, Skipped, Cached int
	Findings                                       int // that fail a step
	Shown                                          int // that fail nothing
	Allowed                                        int
}

// Tally counts the run.
func (r Report) Tally() Tally {
	var t Tally
	for _, step := range r.Steps() {
		t.Steps++
		switch step.Status {
		case engine.StatusPassed:
			t.Passed++
		case engine.StatusFailed:
			t.Failed++
		case engine.StatusSkipped:
			t.Skipped++
		default: // what is of no known status was not judged
			t.Errors++
		}
		if step.Cached {
			t.Cached++
		}
		t.Findings += len(r.Failing(step))
		t.Shown += len(r.Shown(step))
		t.Allowed += len(step.Judgement.Allowed)
	}
	return t
}
