package selftest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/meter-ml/meter-pipeline/internal/engine"
)

// onEngine are the tests that build and run images on a real container engine. They run apart, without the race
// detector: what they wait for is other programs, and it makes the unpacking of images four times as slow.
const onEngine = "^TestEngine"

func goTestStep(module string, ci bool) engine.Step {
	// Two packages a core: about half of their time they wait for programs, servers and clocks, and each ends with the
	// second in which the race detector looks at what is still running.
	step := goTests(module, ci, "-race", "-p", strconv.Itoa(2*runtime.GOMAXPROCS(0)), "-skip", onEngine, "./...")
	step.Name, step.Judges, step.Rerun = "test", "the pipeline's own tests", "go test -tags mage -race -skip "+onEngine+" ./..."
	step.Needs = []engine.Need{engine.NeedPython, "python:peers", engine.NeedGitleaks}
	return step
}

func imageTestStep(module string, ci bool) engine.Step {
	// Those of internal/rollout/stack and internal/pipeline wait for Airflow and for whole deploys: `mage test:deploys` runs
	// them, among its trials.
	packages := []string{"./internal/stage/image", "./internal/rollout/compose", "./internal/rollout/trial"}
	step := goTests(module, ci, append([]string{"-run", onEngine}, packages...)...)
	step.Name, step.Judges, step.Rerun = "images", "images on a real container engine", "go test -run "+onEngine+" "+strings.Join(packages, " ")
	step.Needs = []engine.Need{engine.NeedPython, engine.NeedGitleaks}
	step.Slots = 1 // it often waits for the engine: what takes one core runs beside it
	if ci {        // where one can be started; elsewhere the tests look for it, and are skipped without
		onOneMachine(step.Command)
	}
	return step
}

// onOneMachine starts the tests' engine once. Each package by itself would start its own, and wait until no other has one.
func onOneMachine(c *engine.Command) {
	const report = "gotest-images.json"
	machine := []string{"run", "./internal/stage/image/imagetest/machine", "-output", engine.ArtifactsDir + "/" + report, c.Program}
	c.Args, c.Reports = append(machine, c.Args...), map[string]string{"tests": report}
	parse := c.Parse
	c.Parse = func(out engine.Output) (engine.Judgement, error) {
		content, err := out.Report("tests")
		if err != nil {
			return engine.Judgement{}, err
		}
		out.Stdout = content
		return parse(out)
	}
}

func goTests(module string, ci bool, args ...string) engine.Step {
	return engine.Step{
		Slots: 2, Timeout: timeout,
		Inputs: []string{"go.mod", "go.sum", "internal", "magefiles", "pipeline.yaml", "env", "docker", "requirements", "src", "airflow_dags", "data/schemas", "scripts", "tests", "docs"},
		Command: &engine.Command{
			Program: "go",
			// -count=1: a cached pass says nothing about the tools and servers that these tests drive. -vet=off: go vet is a
			// step of its own, with all analyzers and not only those that go test would run once more.
			Args:  append([]string{"test", "-tags", "mage", "-count=1", "-vet=off", "-timeout", "40m", "-json"}, args...),
			Parse: func(out engine.Output) (engine.Judgement, error) { return parseGoTest(out, module, ci) },
		},
	}
}

// testEvent is a line of test2json (see `go doc test2json`).
type testEvent struct {
	Action, Package, ImportPath, Test, Output, FailedBuild string
	Elapsed                                                float64
}

// testID names a test, or a package where the test is empty.
type testID struct{ pkg, test string }

// goRun is what the event stream amounts to.
type goRun struct {
	module                  string
	passed, failed, skipped int
	packages                int
	output                  map[testID][]string // until the test has passed
	failures                []testID
	skips                   []testID
	builds                  map[string][]string // compiler output by import path
	elapsed                 map[testID]float64
	failedPackages          []testID
}

// parseGoTest counts tests, subtests included, and makes a finding of each failure.
func parseGoTest(out engine.Output, module string, ci bool) (engine.Judgement, error) {
	run := goRun{module: module, output: map[testID][]string{}, builds: map[string][]string{}, elapsed: map[testID]float64{}}
	dec := json.NewDecoder(bytes.NewReader(out.Stdout))
	for {
		var event testEvent
		err := dec.Decode(&event)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return engine.Judgement{}, fmt.Errorf("read go test's output: %w: %s", err, lastLine(out.Stderr))
		}
		run.add(event)
	}
	findings := run.findings()
	if out.ExitCode != 0 && len(findings) == 0 {
		return engine.Judgement{}, fmt.Errorf("go test failed (exit code %d) and names no test: %s", out.ExitCode, lastLine(out.Stderr))
	}
	j := engine.Judgement{
		Judged: run.passed + run.failed, Unit: "tests", Findings: findings,
		Metrics: []engine.Metric{
			{Name: "tests_passed", Value: float64(run.passed), Unit: "tests"},
			{Name: "tests_failed", Value: float64(run.failed), Unit: "tests"},
			{Name: "tests_skipped", Value: float64(run.skipped), Unit: "tests"},
		},
		Notes:  []string{fmt.Sprintf("%d packages", run.packages)},
		Tables: run.tables(),
	}
	if len(findings) > 0 {
		j.Judged = max(j.Judged, 1) // what does not compile was judged, too
	}
	if ci {
		j.Findings = append(j.Findings, run.skipFindings()...)
	}
	return j, nil
}

func (r *goRun) add(e testEvent) {
	id := testID{e.Package, e.Test}
	switch e.Action {
	case "output":
		r.output[id] = append(r.output[id], strings.TrimRight(e.Output, "\n"))
	case "build-output":
		r.builds[e.ImportPath] = append(r.builds[e.ImportPath], strings.TrimRight(e.Output, "\n"))
	case "pass", "fail", "skip":
		r.finish(id, e)
	}
}

func (r *goRun) finish(id testID, e testEvent) {
	r.elapsed[id] = e.Elapsed
	if id.test == "" {
		r.packages++
		if e.Action == "fail" && e.FailedBuild == "" {
			r.failedPackages = append(r.failedPackages, id)
		}
		return
	}
	switch e.Action {
	case "pass":
		r.passed++
		delete(r.output, id)
	case "fail":
		r.failed++
		r.failures = append(r.failures, id)
	case "skip":
		r.skipped++
		r.skips = append(r.skips, id)
	}
}

// findings has one for each failed test that has no failed subtest, for each file that does not compile, and for
// each package that failed without a failed test, as after a panic.
func (r *goRun) findings() []engine.Finding {
	var findings []engine.Finding
	for _, lines := range sortedValues(r.builds) {
		findings = append(findings, compilerFindings(lines)...)
	}
	for _, id := range r.failures {
		parent := slices.ContainsFunc(r.failures, func(other testID) bool {
			return other.pkg == id.pkg && strings.HasPrefix(other.test, id.test+"/")
		})
		if !parent {
			findings = append(findings, r.failure(id, "test", id.test+" failed"))
		}
	}
	for _, id := range r.failedPackages {
		if !slices.ContainsFunc(r.failures, func(f testID) bool { return f.pkg == id.pkg }) {
			findings = append(findings, r.failure(id, "package", "the package's tests ended early"))
		}
	}
	return findings
}

// place finds `file_test.go:12: message` in a test's output.
var place = regexp.MustCompile(`^\s*([\w./-]+\.go):(\d+): ?(.*)$`)

func (r *goRun) failure(id testID, rule, message string) engine.Finding {
	f := engine.Finding{Rule: rule, Message: message, Help: "rerun it: go test -tags mage -run '" + pattern(id.test) + "' " + r.directory(id.pkg)}
	lines := r.output[id]
	for i, line := range lines {
		match := place.FindStringSubmatch(line)
		if match == nil {
			continue
		}
		f.Path = path.Join(r.directory(id.pkg), match[1])
		f.Line, _ = strconv.Atoi(match[2]) // digits only, by the expression
		f.Message = id.test + ": " + strings.TrimSpace(strings.Join(append([]string{match[3]}, lines[i+1:]...), "\n"))
		return f
	}
	if len(lines) > 0 {
		f.Message += ": " + strings.TrimSpace(strings.Join(lines[max(0, len(lines)-20):], "\n"))
	}
	return f
}

// pattern is the -run expression for a test's name.
func pattern(test string) string {
	parts := strings.Split(test, "/")
	for i, part := range parts {
		parts[i] = "^" + regexp.QuoteMeta(part) + "$"
	}
	return strings.Join(parts, "/")
}

func (r *goRun) directory(pkg string) string {
	return "./" + strings.TrimPrefix(strings.TrimPrefix(pkg, r.module), "/")
}

var compilerPlace = regexp.MustCompile(`^([^:\s][^:]*\.go):(\d+):(?:(\d+):)? (.*)$`)

func compilerFindings(lines []string) []engine.Finding {
	var findings []engine.Finding
	for _, line := range lines {
		if match := compilerPlace.FindStringSubmatch(line); match != nil {
			f := engine.Finding{Rule: "build", Path: path.Clean(match[1]), Message: match[4], Help: "it does not compile: go vet -tags mage ./..."}
			f.Line, _ = strconv.Atoi(match[2])
			f.Column, _ = strconv.Atoi(match[3])
			findings = append(findings, f)
		}
	}
	if len(findings) == 0 && len(lines) > 0 {
		findings = append(findings, engine.Finding{Rule: "build", Message: strings.Join(lines, "\n"), Help: "it does not compile: go vet -tags mage ./..."})
	}
	return findings
}

func (r *goRun) skipFindings() []engine.Finding {
	var findings []engine.Finding
	for _, id := range r.skips {
		findings = append(findings, r.failure(id, "skip", id.test+" was skipped, and CI skips nothing"))
	}
	return findings
}

func (r *goRun) tables() []engine.Table {
	var tables []engine.Table
	if len(r.skips) > 0 {
		t := engine.Table{Title: "Skipped tests", Columns: []string{"test", "reason"}}
		for _, id := range r.skips {
			t.Rows = append(t.Rows, []string{id.test, r.failure(id, "", "").Message})
		}
		tables = append(tables, t)
	}
	return append(tables, r.slowest(5))
}

func (r *goRun) slowest(n int) engine.Table {
	t := engine.Table{Title: "Slowest tests", Columns: []string{"test", "seconds"}}
	var ids []testID
	for id := range r.elapsed {
		if id.test != "" && !strings.Contains(id.test, "/") {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(a, b testID) int {
		if r.elapsed[a] != r.elapsed[b] {
			if r.elapsed[a] > r.elapsed[b] {
				return -1
			}
			return 1
		}
		return strings.Compare(a.pkg+a.test, b.pkg+b.test)
	})
	for _, id := range ids[:min(n, len(ids))] {
		t.Rows = append(t.Rows, []string{r.directory(id.pkg) + " " + id.test, strconv.FormatFloat(r.elapsed[id], 'f', 2, 64)})
	}
	return t
}

func sortedValues[V any](m map[string]V) []V {
	var keys []string
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	values := make([]V, len(keys))
	for i, key := range keys {
		values[i] = m[key]
	}
	return values
}
