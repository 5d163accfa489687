package unit

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/stage/python"
)

// suite is what the one step runs and judges.
type suite struct {
	project       *config.Project
	workers       int
	tests, source python.Tree
	namespaces    bool // coverage finds files in folders without an __init__.py
	today         time.Time
	again         bool // failed tests are run once more
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
	args = append(args, s.timeout()...)
	workers := s.workers
	if workers == 1 {
		workers = 0 // without another process
	}
	return append(append(args, "--numprocesses="+strconv.Itoa(workers), "--"), s.project.Tests.Unit...)
}

func (s suite) timeout() []string {
	limit := s.project.Unit.TestTimeout.Std()
	if limit <= 0 {
		return nil
	}
	return []string{"--timeout=" + strconv.Itoa(int(max(limit, time.Second).Seconds()))}
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
		Again:    s.rerun,
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

// parse judges the tests and the coverage, from the reports of this very run.
func (s suite) parse(out engine.Output) (engine.Judgement, error) {
	if err := errors.Join(s.tests.Problem, s.source.Problem); err != nil {
		return engine.Judgement{}, err
	}
	tests, err := python.Ran(out, junitReport)
	if err != nil {
		return engine.Judgement{}, err
	}
	failed := failing(tests)
	if out.ExitCode == python.PytestPassed && len(failed) > 0 {
		return engine.Judgement{}, python.ErrDisagrees
	}
	j := s.judgeTests(out, tests)
	if j.Judged == 0 {
		return j, python.WhyNone(tests)
	}
	if out.ExitCode == python.PytestFailed && !stops(j.Findings) {
		other, err := otherFailure(out)
		if err != nil && len(failed) == 0 { // else the tests that were let through explain it
			return engine.Judgement{}, err
		}
		j.Findings = append(j.Findings, other...)
	}
	measured, err := readCoverage(out)
	if err != nil {
		return engine.Judgement{}, err
	}
	s.unmeasured(measured, out.Root, &j)
	j.Metrics = append(j.Metrics, measured.metrics(s.project.Unit.Coverage.Minimum)...)
	j.Tables = append(j.Tables, measured.leastCovered(s.project.Unit.LeastCover, out.Root)...)
	if n := python.Deselected(out.Stdout); n > 0 {
		j.Warnings = append(j.Warnings, fmt.Sprintf("the project's own settings of pytest left out %s", python.Count(n, "test")))
	}
	return j, nil
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
