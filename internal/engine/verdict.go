package engine

import (
	"fmt"
	"math"
)

// decide turns what a step found into its status. The reason is empty for a step that was judged.
func decide(step Step, j Judgement) (Status, string) {
	if j.Judged <= 0 {
		return StatusError, fmt.Sprintf("it judged no %s, and a gate that looks at nothing is no gate: check the paths in pipeline.yaml",
			orElse(j.Unit, "files"))
	}
	status := StatusPassed
	for _, m := range j.Metrics {
		if math.IsNaN(m.Value) || math.IsInf(m.Value, 0) {
			return StatusError, fmt.Sprintf("its metric %s is not a number", m.Name)
		}
		if !m.Met() {
			status = StatusFailed
		}
	}
	for _, f := range j.Findings {
		if step.Fails(f) {
			status = StatusFailed
		}
	}
	return status, ""
}

// Fails reports whether the finding fails the step, instead of being shown only.
func (s Step) Fails(f Finding) bool {
	if s.Informational {
		return false
	}
	return f.Severity == SeverityNone || f.Severity >= s.FailAt
}

// worst of the steps, or of the stages: what could not be judged weighs more than what failed, since it may hide
// more. Skipped are those of which all were skipped.
func worst(all []Status) Status {
	rank := []Status{StatusSkipped, StatusPassed, StatusFailed, StatusError}
	w := 0
	for _, s := range all {
		for i, r := range rank {
			if s == r {
				w = max(w, i)
			}
		}
	}
	return rank[w]
}

// conclude sets the verdict of the whole run. A run in which everything was skipped has judged nothing.
func (r *Run) conclude() {
	var all []Status
	for _, s := range r.Stages {
		all = append(all, s.Status)
	}
	r.Status = worst(all)
	if r.Status == StatusSkipped && !r.Interrupted && !r.DeadlineExceeded {
		r.blame(fmt.Errorf("every step was skipped, so nothing was judged"))
	}
	if r.Interrupted || r.DeadlineExceeded || len(r.Problems) > 0 {
		r.Status = StatusError
	}
	r.ExitCode = r.exitCode()
}

// blame records an error of the run itself.
func (r *Run) blame(err error) {
	r.Problems = append(r.Problems, err.Error())
	r.Status = StatusError
	r.ExitCode = r.exitCode()
}

func (r *Run) exitCode() int {
	switch {
	case r.Interrupted:
		return ExitInterrupted
	case r.DeadlineExceeded:
		return ExitDeadline
	case r.Status == StatusError:
		return ExitError
	case r.Status == StatusFailed:
		return ExitFailed
	default:
		return ExitPassed
	}
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}
