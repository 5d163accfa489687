package unit

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/plain"
	"github.com/meter-ml/meter-pipeline/internal/stage/python"
)

// suite is what the one step runs and judges.
type suite struct {
	project       *config.Project
	workers       int
	tests, source python.Tree
	namespaces    bool // coverage finds files in folders without an __init__.py
}

// Reports of pytest and coverage, by the names of their files.
const (
	junitReport = "junit-pytest.xml"
	jsonReport  = "coverage.json"
	xmlReport   = "coverage.xml"
	htmlReport  = "htmlcov/index.html"
)

// pytestArgs: the older family of JUnit reports has each test's file. Everything else that is set here is what this
// stage is about, or only how it looks; what is tested and how is the project's.
func (s suite) pytestArgs() []string {
	artifact := func(name string) string { return engine.ArtifactsDir + "/" + name }
	args := []string{
		"-I", "-m", "pytest", "-q", "--color=no", "--tb=short",
		"--override-ini=junit_family=xunit1", "--junit-xml=" + artifact(junitReport),
		"--cov-branch", "--cov-report=", "--cov-report=json:" + artifact(jsonReport), "--cov-report=xml:" + artifact(xmlReport),
		"--cov-report=html:" + artifact("htmlcov"),
	}
	for _, source := range s.project.Unit.Coverage.Source {
		args = append(args, "--cov="+source)
	}
	if limit := s.project.Unit.TestTimeout.Std(); limit > 0 {
		args = append(args, "--timeout="+strconv.Itoa(int(max(limit, time.Second).Seconds())))
	}
	workers := s.workers
	if workers == 1 {
		workers = 0 // without another process
	}
	return append(append(args, "--numprocesses="+strconv.Itoa(workers), "--"), s.project.Tests.Unit...)
}

// command clears the variables with which a person's shell could choose other tests, leave assertions out, or have
// coverage read another file. Coverage's own data are scratch: what an earlier run left can't be read.
func (s suite) command() *engine.Command {
	return &engine.Command{
		Program: python.Program,
		Args:    s.pytestArgs(),
		Env: map[string]string{
			"COVERAGE_FILE": engine.ScratchDir + "/coverage", "COVERAGE_RCFILE": "",
			"PYTEST_ADDOPTS": "", "PYTEST_PLUGINS": "", "PYTHONOPTIMIZE": "", "PYTHONPATH": "",
		},
		Reports:  map[string]string{junitReport: junitReport, jsonReport: jsonReport, xmlReport: xmlReport, htmlReport: htmlReport},
		Progress: progress,
		Parse:    s.parse,
	}
}

var share = regexp.MustCompile(`\[ *(\d{1,3})%\]$`)

// progress reads the share at the end of a line of dots.
func progress(line string) (done, total int, ok bool) {
	m := share.FindStringSubmatch(line)
	if m == nil {
		return 0, 0, false
	}
	done, err := strconv.Atoi(m[1])
	return min(done, 100), 100, err == nil
}

// Exit codes of pytest (https://docs.pytest.org/en/stable/reference/exit-codes.html).
const (
	exitPassed    = 0
	exitFailed    = 1
	exitInterrupt = 2 // also: a test file could not be imported
	exitInternal  = 3
	exitUsage     = 4
	exitNoTests   = 5
)

// parse judges the tests and the coverage, from the reports of this very run.
func (s suite) parse(out engine.Output) (engine.Judgement, error) {
	if err := errors.Join(s.tests.Problem, s.source.Problem); err != nil {
		return engine.Judgement{}, err
	}
	tests, err := ran(out)
	if err != nil {
		return engine.Judgement{}, err
	}
	if m := ended.FindSubmatch(out.Stdout); m != nil {
		return engine.Judgement{}, fmt.Errorf("pytest was ended before all tests had run: %s", python.Shorten(string(m[1]), 200))
	}
	j := python.JudgeTests(tests, s.project.Unit.Slowest)
	if j.Judged == 0 {
		return j, whyNone(tests)
	}
	if out.ExitCode == exitPassed && len(j.Findings) > 0 {
		return engine.Judgement{}, python.ErrDisagrees
	}
	if out.ExitCode == exitFailed && len(j.Findings) == 0 {
		if j.Findings, err = otherFailure(out); err != nil {
			return engine.Judgement{}, err
		}
	}
	measured, err := readCoverage(out)
	if err != nil {
		return engine.Judgement{}, err
	}
	s.unmeasured(measured, out.Root, &j)
	j.Metrics = append(j.Metrics, measured.metrics(s.project.Unit.Coverage.Minimum)...)
	j.Tables = append(j.Tables, measured.leastCovered(s.project.Unit.LeastCover, out.Root)...)
	if n := deselected(out.Stdout); n > 0 {
		j.Warnings = append(j.Warnings, fmt.Sprintf("the project's own settings of pytest left out %s", python.Count(n, "test")))
	}
	return j, nil
}

// ended is what pytest says if a test or a plug-in ends it; the exit code is then what they choose.
var ended = regexp.MustCompile(`(?m)^!+ _pytest\.outcomes\.Exit: (.*?) !+$`)

// ran returns the tests of a run that came to its end.
func ran(out engine.Output) ([]python.Test, error) {
	report, reportErr := out.Report(junitReport)
	tests, readErr := python.Tests(report)
	switch out.ExitCode {
	case exitPassed, exitFailed:
		if reportErr != nil {
			return nil, python.Failure("pytest", out)
		}
		return tests, cmp.Or(readErr, uncollected(tests, out.Root))
	case exitNoTests:
		text := "no test was run"
		if n := deselected(out.Stdout); n > 0 {
			text += fmt.Sprintf(", the project's own settings of pytest left out all %d", n)
		}
		return nil, errors.New(text + ": pytest takes test_* in files test_*.py for tests, where its settings name no others")
	case exitInterrupt:
		return nil, cmp.Or(uncollected(tests, out.Root), fmt.Errorf("pytest was interrupted: %s", lastSaid(out, "!!!")))
	case exitInternal:
		return nil, fmt.Errorf("pytest itself failed: %s", lastSaid(out, "INTERNALERROR>"))
	case exitUsage:
		return nil, fmt.Errorf("pytest can't run as it is asked to, or lacks a plug-in (pytest-cov, pytest-xdist, pytest-timeout): %s",
			lastSaid(out, "ERROR:", "error:", "E  "))
	default:
		return nil, python.Failure("pytest", out)
	}
}

// uncollected is the error for test files that could not be imported: their tests did not run.
func uncollected(tests []python.Test, root string) error {
	var all []string
	for _, t := range tests {
		if t.Outcome != python.Broken || t.Message != "collection failure" {
			continue
		}
		lines := strings.Split(strings.TrimSpace(t.Detail), "\n")
		last := lines[len(lines)-1]
		for _, line := range slices.Backward(lines) {
			if said, ok := strings.CutPrefix(line, "E "); ok {
				last = said
				break
			}
		}
		all = append(all, fmt.Sprintf("%s (%s)", cmp.Or(t.Path, t.ID), python.Shorten(strings.ReplaceAll(last, root+"/", ""), 200)))
	}
	if len(all) == 0 {
		return nil
	}
	return fmt.Errorf("pytest could not collect every test: %s: correct this first, since what is in there did not run", python.List(all, 3))
}

// whyNone says why nothing ran although pytest ended well.
func whyNone(tests []python.Test) error {
	if len(tests) == 0 {
		return errors.New("no test was run: pytest ended well, but its report has no test in it")
	}
	return fmt.Errorf("no test was run: all %d were skipped, the first because: %s", len(tests), python.Shorten(tests[0].Message, 200))
}

var deselections = regexp.MustCompile(`(?m)^(?:=.*\b)?(?:\d+ [a-z]+, )*(\d+) deselected\b`)

// deselected is how many tests pytest's last line says that it left out.
func deselected(stdout []byte) int {
	m := deselections.FindSubmatch(stdout)
	if m == nil {
		return 0
	}
	n, err := strconv.Atoi(string(m[1]))
	if err != nil {
		return 0
	}
	return n
}

// lastSaid returns the last line that has one of the marks, without it, or else the last line of all.
func lastSaid(out engine.Output, marks ...string) string {
	for _, text := range [][]byte{out.Stderr, out.Stdout} {
		lines := strings.Split(plain.Text(string(text)), "\n")
		for _, line := range slices.Backward(lines) {
			for _, mark := range marks {
				if _, rest, ok := strings.Cut(line, mark); ok {
					if rest = strings.Trim(rest, "! "); rest != "" {
						return python.Shorten(strings.ReplaceAll(rest, out.Root+"/", ""), 300)
					}
				}
			}
		}
	}
	return python.LastLine(out.Stderr, out.Stdout)
}

// ownFloor is what pytest-cov says of the floor in the project's own settings.
var ownFloor = regexp.MustCompile(`(?m)^(?:FAIL |ERROR: )?(?:Required test coverage of|Coverage failure:) .*$`)

// otherFailure explains exit code 1 where no test failed.
func otherFailure(out engine.Output) ([]engine.Finding, error) {
	for _, text := range [][]byte{out.Stdout, out.Stderr} {
		if m := ownFloor.Find(text); m != nil {
			return []engine.Finding{{
				Rule: "fail-under", Severity: engine.SeverityHigh,
				Message: "the floor in the project's own settings of coverage is not reached: " + python.Shorten(string(m), 200),
				Help:    "test the lines that the table of the least covered files names, or change fail_under in the settings of coverage",
			}}, nil
		}
	}
	return nil, fmt.Errorf("pytest ended with exit code 1, but no test failed: %s", python.LastLine(out.Stdout, out.Stderr))
}
