package unit

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"regexp"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/stage/python"
)

// Exit codes of pytest (https://docs.pytest.org/en/stable/reference/exit-codes.html).
const (
	exitFailed    = 1
	exitInterrupt = 2 // also: a test file could not be imported
	exitInternal  = 3
	exitUsage     = 4
	exitNoTests   = 5
)

// parse judges the tests and the coverage, from the reports of this very run.
func parse(p *config.Project, out engine.Output) (engine.Judgement, error) {
	tests, err := ran(p, out)
	if err != nil {
		return engine.Judgement{}, err
	}
	j := python.JudgeTests(tests, p.Unit.Slowest)
	if floor := ownFloor.FindSubmatch(out.Stdout); floor != nil {
		j.Findings = append(j.Findings, engine.Finding{
			Rule: "fail-under", Severity: engine.SeverityMedium,
			Message: fmt.Sprintf("coverage is below %s %%, the floor in the project's own settings (fail_under)", floor[1]),
			Help:    "test the lines that the table of the least covered files names",
		})
	}
	if out.ExitCode == exitFailed && len(j.Findings) == 0 {
		return engine.Judgement{}, fmt.Errorf("pytest: %w", python.ErrDisagrees)
	}
	if out.ExitCode == 0 && len(j.Findings) > 0 {
		return engine.Judgement{}, fmt.Errorf("pytest: %w", python.ErrDisagrees)
	}
	if _, err := out.Report("coverage XML"); err != nil {
		return engine.Judgement{}, err
	}
	report, err := out.Report("coverage")
	if err != nil {
		return engine.Judgement{}, fmt.Errorf("%w: nothing of %v was measured", err, p.Unit.Coverage.Source)
	}
	return judgeCoverage(p, report, j)
}

// ran returns the tests of a run that came to its end.
func ran(p *config.Project, out engine.Output) ([]python.Test, error) {
	report, reportErr := out.Report("JUnit")
	tests, readErr := python.Tests(report)
	switch out.ExitCode {
	case 0, exitFailed:
		return tests, cmp.Or(reportErr, readErr, uncollected(tests))
	case exitNoTests:
		return nil, fmt.Errorf("no test was collected in %v: name test files test_*.py, or correct tests.unit in pipeline.yaml", p.Tests.Unit)
	case exitInterrupt:
		return nil, cmp.Or(uncollected(tests), fmt.Errorf("the tests were interrupted: %s", python.LastLine(out.Stdout, out.Stderr)))
	case exitInternal:
		return nil, fmt.Errorf("pytest broke down: %s", python.LastLine(out.Stdout, out.Stderr))
	case exitUsage:
		return nil, fmt.Errorf("pytest does not know what to run, or lacks a plug-in (pytest-cov, pytest-xdist, pytest-timeout): %s", usageError(out))
	default:
		return nil, python.Failure("pytest", out)
	}
}

var errNothingMeasured = errors.New("coverage measured no statement")

// uncollected is the error for a test file that could not be imported: its tests did not run.
func uncollected(tests []python.Test) error {
	for _, t := range tests {
		if t.Outcome == python.Broken && t.Message == "collection failure" {
			return fmt.Errorf("%s could not be collected, so not every test ran: %s", cmp.Or(t.Path, t.ID), python.LastLine([]byte(t.Detail)))
		}
	}
	return nil
}

// ownFloor is what pytest-cov says of the floor in the project's own settings.
var ownFloor = regexp.MustCompile(`(?m)^FAIL Required test coverage of ([\d.]+)% not reached`)

// usageError is what pytest has against its command line: not the last line, which names the root directory.
func usageError(out engine.Output) string {
	for line := range bytes.Lines(out.Stderr) {
		if _, message, ok := bytes.Cut(line, []byte("rror: ")); ok {
			return python.Shorten(string(message), 300)
		}
	}
	return python.LastLine(out.Stderr, out.Stdout)
}
