package unit

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/stage/python"
)

const (
	rerunReport = "junit-pytest-rerun.xml"
	// mostReruns bounds what may be called flaky: when more tests than that fail, something is broken.
	mostReruns = 20
)

// failing are the names of the tests that did not pass, each once, in their order.
func failing(tests []python.Test) []string {
	var ids []string
	for _, t := range tests {
		if (t.Outcome == python.Failed || t.Outcome == python.Broken) && !slices.Contains(ids, t.ID) {
			ids = append(ids, t.ID)
		}
	}
	return ids
}

// rerun asks for the failed tests once more, one after the other in one process and without coverage: what the first run
// covered is what counts. Tests in quarantine need no second try.
func (s suite) rerun(out engine.Output) *engine.Command {
	if !s.again || out.ExitCode != python.PytestFailed {
		return nil
	}
	tests, err := python.Ran(out, junitReport)
	if err != nil {
		return nil // parse says why
	}
	ids := slices.DeleteFunc(failing(tests), func(id string) bool { return s.quarantined(id) != nil })
	if len(ids) == 0 || len(ids) > mostReruns {
		return nil
	}
	args := []string{
		"-I", "-m", "pytest", "-q", "--color=no", "--tb=short", "--no-cov", "--numprocesses=0",
		"--override-ini=junit_family=xunit1", "--junit-xml=" + engine.ArtifactsDir + "/" + rerunReport,
	}
	args = append(args, s.timeout()...)
	command := s.command()
	command.Args = append(append(args, "--"), ids...)
	command.Reports = map[string]string{rerunReport: rerunReport}
	return command
}

// judgeTests judges each test by its first run, sorts out those that may fail for now, and those that a second run shows
// to be flaky: neither counts as passed.
func (s suite) judgeTests(out engine.Output, tests []python.Test) engine.Judgement {
	passedAgain, notes := s.secondTry(out, tests)
	var rest, flaky, held []python.Test
	for _, t := range tests {
		failed := t.Outcome == python.Failed || t.Outcome == python.Broken
		switch {
		case failed && s.quarantined(t.ID) != nil:
			held = append(held, t)
		case failed && slices.Contains(passedAgain, t.ID):
			flaky = append(flaky, t)
		default:
			rest = append(rest, t)
		}
	}
	j := python.JudgeTests(rest, s.project.Unit.Slowest)
	j.Judged += len(failing(flaky)) + len(failing(held))
	j.Metrics = append(j.Metrics,
		engine.Metric{Name: "tests_flaky", Value: float64(len(failing(flaky))), Unit: "tests"},
		engine.Metric{Name: "tests_quarantined", Value: float64(len(failing(held))), Unit: "tests"},
	)
	j.Notes = append(j.Notes, notes...)
	sayFlaky(&j, flaky)
	s.sayHeld(&j, held)
	s.staleEntries(&j, tests)
	return j
}

// secondTry is which tests passed when they were run again. Nothing but a report that has each of them, and none but
// them, is believed.
func (s suite) secondTry(out engine.Output, tests []python.Test) (passed, notes []string) {
	failed := slices.DeleteFunc(failing(tests), func(id string) bool { return s.quarantined(id) != nil })
	switch {
	case !s.again || len(failed) == 0:
		return nil, nil
	case len(failed) > mostReruns:
		return nil, []string{fmt.Sprintf("%d tests failed, too many to be flaky: they were not run again", len(failed))}
	case out.Again == nil:
		return nil, nil
	}
	again, err := python.Ran(*out.Again, rerunReport)
	if err != nil {
		return nil, []string{fmt.Sprintf("the failed tests could not be run again, so the first run counts: %v", err)}
	}
	good, bad := map[string]bool{}, map[string]bool{}
	for _, t := range again {
		if t.Outcome == python.Passed {
			good[t.ID] = true
		} else {
			bad[t.ID] = true
		}
	}
	for _, id := range failed {
		if good[id] && !bad[id] {
			passed = append(passed, id)
		}
	}
	return passed, nil
}

func sayFlaky(j *engine.Judgement, tests []python.Test) {
	seen := map[string]bool{}
	for _, t := range tests {
		if seen[t.ID] {
			continue
		}
		seen[t.ID] = true
		path, line := t.FailedAt()
		j.Findings = append(j.Findings, engine.Finding{
			Rule: engine.RuleFlaky, Severity: engine.SeverityInfo, Path: path, Line: line,
			Message: engine.FlakyMessage(t.ID) + "; at first it failed: " + python.Shorten(t.Message, 300),
			Help:    "make it fail or pass every time: look for time, order, randomness, and what tests share",
		})
	}
	if len(seen) > 0 {
		j.Warnings = append(j.Warnings, python.Count(len(seen), "flaky test")+": passed only on the second try, which is not passed")
	}
}

// quarantined is the entry that lets the test fail today.
func (s suite) quarantined(id string) *config.Quarantine {
	for i, q := range s.project.Unit.Quarantine {
		if names(q, id) && !expired(q, s.today) {
			return &s.project.Unit.Quarantine[i]
		}
	}
	return nil
}

// expired is true on the day of the date, as with every exception in pipeline.yaml.
func expired(q config.Quarantine, today time.Time) bool {
	end, err := time.Parse(time.DateOnly, q.Expires)
	return err != nil || !today.Before(end)
}

// names reports whether the entry is about a test: it, or the same without its parameters.
func names(q config.Quarantine, id string) bool {
	bare, _, _ := strings.Cut(id, "[")
	return id == q.Test || bare == q.Test
}

func (s suite) sayHeld(j *engine.Judgement, tests []python.Test) {
	for _, t := range tests {
		q := s.quarantined(t.ID)
		j.Allowed = append(j.Allowed, engine.Allowed{
			Finding: t.Finding(), Reason: fmt.Sprintf("in quarantine, %s mends it: %s", q.Owner, q.Reason), Expires: q.Expires,
		})
	}
	if n := len(failing(tests)); n > 0 {
		j.Warnings = append(j.Warnings, python.Count(n, "test")+" in quarantine failed")
	}
}

// staleEntries warns of entries that are of no use: nobody would take them out.
func (s suite) staleEntries(j *engine.Judgement, tests []python.Test) {
	for _, q := range s.project.Unit.Quarantine {
		there := slices.ContainsFunc(tests, func(t python.Test) bool { return names(q, t.ID) })
		switch {
		case expired(q, s.today):
			j.Warnings = append(j.Warnings, fmt.Sprintf("the quarantine of %s ended on %s, so it counts again: %s was to mend it", q.Test, q.Expires, q.Owner))
		case !there:
			j.Warnings = append(j.Warnings, fmt.Sprintf("unit.quarantine names %s, which is no test that ran: take the entry out", q.Test))
		}
	}
}

// stops reports whether some finding fails the step.
func stops(findings []engine.Finding) bool {
	return slices.ContainsFunc(findings, func(f engine.Finding) bool { return f.Rule != engine.RuleFlaky })
}
