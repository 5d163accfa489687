package unit

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/stage/stagetest"
	"github.com/meter-ml/meter-pipeline/internal/tool"
)

const (
	source = "def double(x):\n    if x is None:\n        return 0\n    return 2 * x\n"
	tests  = "from app import double\n\n\ndef test_double():\n    assert double(2) == 4\n\n\ndef test_none():\n    assert double(None) == 0\n"
)

// A seen is what the real pytest left behind on a small project, and what the engine made of it.
type seen struct {
	project *config.Project
	step    engine.StepResult
	out     engine.Output
}

// spy keeps what the one program of the step wrote.
type spy struct {
	engine.Runner
	out engine.Output
}

func (s *spy) Run(ctx context.Context, i engine.Invocation) (engine.Output, error) {
	out, err := s.Runner.Run(ctx, i)
	s.out = out
	return out, err
}

// run runs the stage on a project of these files with the repository's own environment.
func run(t *testing.T, files map[string]string, change func(*config.Project)) seen {
	t.Helper()
	bin := filepath.Join(stagetest.Repository(t), ".venv", "bin")
	if _, err := os.Stat(filepath.Join(bin, "python")); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("find pytest: %v: run `mage setup` first", err)
		}
		t.Skipf("pytest is not here: %v: run `mage setup` first", err)
	}
	root := t.TempDir()
	files["pyproject.toml"] += "[tool.pytest.ini_options]\npythonpath = [\"src\"]\n"
	for name, content := range files {
		path := filepath.Join(root, filepath.FromSlash(name))
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	project, err := config.Load(root)
	if err != nil {
		t.Fatal(err)
	}
	project.Unit.Workers = 1
	if change != nil {
		change(project)
	}
	plan, err := engine.NewPlan(project, []engine.Stage{New()})
	if err != nil {
		t.Fatal(err)
	}
	runner := tool.NewRunner(tool.Options{State: filepath.Join(root, ".pipeline"), Run: fmt.Sprintf("unit-%d-%d", os.Getpid(), time.Now().UnixNano())})
	t.Cleanup(func() { _ = runner.Close() })
	watch := &spy{Runner: runner}
	dir := filepath.Join(t.TempDir(), "run")
	result, err := engine.Execute(t.Context(), plan, engine.Options{
		Target: "unit", Root: root, Dir: dir, ID: "test", Runner: watch, Provider: environment(bin),
		Env: []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir()},
	})
	if err != nil {
		t.Fatal(err)
	}
	s := seen{project: project, step: result.Stages[0].Steps[0], out: watch.out}
	s.out.Root, s.out.Reports = root, map[string][]byte{}
	for name, file := range pytestCommand(project, 1).Reports {
		if content, err := os.ReadFile(filepath.Join(dir, "artifacts", file)); err == nil {
			s.out.Reports[name] = content
		}
	}
	return s
}

// environment gives the programs in a directory, and no database: these small projects have no use for one.
type environment string

func (e environment) Provide(context.Context, engine.Need, func(string)) (engine.Provision, error) {
	return engine.Provision{Programs: string(e)}, nil
}

func TestPytest(t *testing.T) {
	with := func(more map[string]string) map[string]string {
		files := map[string]string{"src/app.py": source, "tests/unit/test_app.py": tests}
		for name, content := range more {
			files[name] = content
		}
		return files
	}
	for _, tc := range []struct {
		name   string
		files  map[string]string
		change func(*config.Project)
		status engine.Status
		want   string // in the reason, in a finding, or in a missed metric's name
	}{
		{name: "passes", files: with(nil), status: engine.StatusPassed},
		{name: "assertion", files: with(map[string]string{"tests/unit/test_app.py": tests + "\n\ndef test_wrong():\n    assert double(2) == 5\n"}), status: engine.StatusFailed, want: "tests/unit/test_app.py:13: tests/unit/test_app.py::test_wrong failed: assert 4 == 5"},
		{name: "fixture", files: with(map[string]string{"tests/unit/test_b.py": "import pytest\n\n\n@pytest.fixture\ndef broken():\n    raise OSError('no database')\n\n\ndef test_b(broken):\n    pass\n"}), status: engine.StatusFailed, want: "broke outside of its own body"},
		{name: "below the floor", files: with(map[string]string{"src/more.py": strings.Repeat("print('x')\n", 40)}), status: engine.StatusFailed, want: "coverage"},
		{name: "no test", files: map[string]string{"src/app.py": source, "tests/unit/readme.txt": ""}, status: engine.StatusError, want: "no test was collected in [tests/unit]"},
		{name: "only skipped", files: map[string]string{"src/app.py": source, "tests/unit/test_s.py": "import pytest\nimport app\n\n\n@pytest.mark.skip(reason='moon')\ndef test_s():\n    app.double(1)\n"}, status: engine.StatusError, want: "judged"},
		{name: "import error", files: with(map[string]string{"tests/unit/test_i.py": "import nonesuch\n"}), status: engine.StatusError, want: "could not be collected, so not every test ran: E ModuleNotFoundError: No module named 'nonesuch'"},
		{name: "syntax error", files: with(map[string]string{"tests/unit/test_i.py": "def x(:\n"}), status: engine.StatusError, want: "could not be collected"},
		{name: "broken conftest", files: with(map[string]string{"tests/unit/conftest.py": "raise RuntimeError('no')\n"}), status: engine.StatusError, want: "RuntimeError: no"},
		{name: "unknown setting", files: with(map[string]string{"pytest.ini": "[pytest]\naddopts = --nonesuch\n"}), status: engine.StatusError, want: "--nonesuch"},
		{name: "nothing measured", files: map[string]string{"src/app.py": "", "tests/unit/test_e.py": "def test_e():\n    pass\n"}, status: engine.StatusError, want: "coverage measured no statement"},
		{name: "branches switched off by the settings", files: with(map[string]string{".coveragerc": "[run]\nbranch = false\n"}), status: engine.StatusPassed},
		{name: "leaves early", files: with(map[string]string{"tests/unit/test_z.py": "import os\n\n\ndef test_z():\n    os._exit(0)\n"}), status: engine.StatusFailed, want: "crashed"},
		{name: "own floor", files: with(map[string]string{"src/more.py": "print('x')\n", ".coveragerc": "[report]\nfail_under = 99\n"}), status: engine.StatusFailed, want: "below 99.0 %, the floor in the project's own settings"},
		{name: "test that hangs", files: with(map[string]string{"tests/unit/test_h.py": "import time\n\n\ndef test_h():\n    time.sleep(60)\n"}), change: func(p *config.Project) { p.Unit.TestTimeout = config.Duration(time.Second) }, status: engine.StatusFailed, want: "Timeout"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := run(t, tc.files, tc.change)
			said := []string{s.step.Reason}
			for _, f := range s.step.Judgement.Findings {
				said = append(said, fmt.Sprintf("%s:%d: %s", f.Path, f.Line, f.Message))
			}
			for _, m := range s.step.Judgement.Metrics {
				if !m.Met() {
					said = append(said, m.Name)
				}
			}
			if s.step.Status != tc.status {
				t.Fatalf("status is %s, want %s: %q\n%s%s", s.step.Status, tc.status, said, s.out.Stdout, s.out.Stderr)
			}
			if !strings.Contains(strings.Join(said, "\n"), tc.want) {
				t.Errorf("it says\n%q\nwant it to hold\n%q", said, tc.want)
			}
		})
	}
}

// What a real run left behind, tampered with: nothing of it may pass.
func TestParseRefusesWhatIsTampered(t *testing.T) {
	green := run(t, map[string]string{"src/app.py": source, "tests/unit/test_app.py": tests}, nil)
	if green.step.Status != engine.StatusPassed {
		t.Fatalf("the untouched run is %s: %s", green.step.Status, green.step.Reason)
	}
	for _, tc := range []struct {
		name   string
		tamper func(*engine.Output)
	}{
		{"no JUnit report", func(o *engine.Output) { delete(o.Reports, "JUnit") }},
		{"empty JUnit report", func(o *engine.Output) { o.Reports["JUnit"] = nil }},
		{"torn JUnit report", func(o *engine.Output) { o.Reports["JUnit"] = o.Reports["JUnit"][:120] }},
		{"counts that do not add up", func(o *engine.Output) {
			o.Reports["JUnit"] = []byte(strings.Replace(string(o.Reports["JUnit"]), `tests="2"`, `tests="9"`, 1))
		}},
		{"no coverage report", func(o *engine.Output) { delete(o.Reports, "coverage") }},
		{"torn coverage report", func(o *engine.Output) { o.Reports["coverage"] = o.Reports["coverage"][:40] }},
		{"coverage report of another kind", func(o *engine.Output) { o.Reports["coverage"] = []byte(`{}`) }},
		{"no XML", func(o *engine.Output) { delete(o.Reports, "coverage XML") }},
		{"failed without a failure", func(o *engine.Output) { o.ExitCode = exitFailed }},
		{"interrupted", func(o *engine.Output) { o.ExitCode = exitInterrupt }},
		{"broke down", func(o *engine.Output) { o.ExitCode = exitInternal }},
		{"usage", func(o *engine.Output) { o.ExitCode = exitUsage }},
		{"no tests", func(o *engine.Output) { o.ExitCode = exitNoTests }},
		{"another exit code", func(o *engine.Output) { o.ExitCode = 77 }},
		{"without pytest", func(o *engine.Output) {
			*o = engine.Output{ExitCode: 1, Stderr: []byte("/x/python: No module named pytest\n")}
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			out := green.out
			out.Reports = map[string][]byte{}
			for name, content := range green.out.Reports {
				out.Reports[name] = content
			}
			tc.tamper(&out)
			if j, err := parse(green.project, out); err == nil {
				t.Errorf("judged %+v", j)
			}
		})
	}
}

func TestRanges(t *testing.T) {
	for want, lines := range map[string][]int{"branches only": nil, "3": {3}, "3-5, 9": {3, 4, 5, 9}} {
		if got := ranges(lines); got != want {
			t.Errorf("ranges(%v) = %q, want %q", lines, got, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(0, `<testsuites><testsuite tests="1" failures="0" errors="0" skipped="0"><testcase classname="a" name="b" file="a.py" line="1" time="0"/></testsuite></testsuites>`,
		`{"meta":{"branch_coverage":true},"files":{"a.py":{"missing_lines":[1],"summary":{"percent_covered":0}}},"totals":{"num_statements":1,"percent_covered":90}}`)
	f.Add(1, `<testsuites><testsuite tests="1" failures="1" errors="0" skipped="0"><testcase classname="a" name="b"><failure message="m">a.py:3: X</failure></testcase></testsuite></testsuites>`, `{}`)
	project := &config.Project{Unit: config.Unit{Slowest: 3, LeastCover: 3, Coverage: config.Coverage{Minimum: 80}}}
	f.Fuzz(func(t *testing.T, code int, junit, coverage string) {
		out := engine.Output{ExitCode: code, Reports: map[string][]byte{"JUnit": []byte(junit), "coverage": []byte(coverage), "coverage XML": []byte("x")}}
		j, err := parse(project, out)
		if err == nil && code != 0 && code != exitFailed {
			t.Errorf("exit code %d was judged: %+v", code, j)
		}
	})
}
