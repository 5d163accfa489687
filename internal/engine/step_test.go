package engine_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/tool/tooltest"
)

// linter is a step that reads a report of the program lint.
func linter(change ...func(*engine.Step)) engine.Step {
	step := engine.Step{
		Name: "lint", Judges: "style", Rerun: "mage s:lint", Fix: "mage fix",
		Command: &engine.Command{
			Program: "lint", Args: []string{"--out=" + engine.ArtifactsDir + "/sub/lint.json", "--cache", engine.ScratchDir, "it's"},
			Env: map[string]string{"LINT_HOME": engine.ScratchDir}, Reports: map[string]string{"json": "sub/lint.json"},
			Parse: func(o engine.Output) (engine.Judgement, error) {
				b, err := o.Report("json")
				if err != nil {
					return engine.Judgement{}, err
				}
				if string(b) != "ok" {
					return engine.Judgement{}, fmt.Errorf("parse report: %q is not what lint writes", b)
				}
				return judged, nil
			},
		},
	}
	for _, f := range change {
		f(&step)
	}
	return step
}

func with(stubs ...tooltest.Stub) func(*engine.Options) {
	return func(o *engine.Options) {
		for _, r := range o.Reporters {
			if rec, ok := r.(*recorder); ok {
				o.Runner = tooltest.New(rec.t, stubs...)
			}
		}
	}
}

func report(content string) map[string]string { return map[string]string{"sub/lint.json": content} }

func TestCommand(t *testing.T) {
	tests := []struct {
		name string
		stub tooltest.Stub
		code int
		want string
	}{
		{"passed", tooltest.Stub{Files: report("ok")}, 0, "passed"},
		{"exit code is data", tooltest.Stub{Files: report("ok"), Output: engine.Output{ExitCode: 64}}, 0, "passed"},
		{"no report", tooltest.Stub{Output: engine.Output{ExitCode: 2}}, 3, "error (read json report: the program did not write it (exit code 2))"},
		{
			"last words",
			tooltest.Stub{Output: engine.Output{ExitCode: 1, Stderr: []byte("Traceback\n\x1b[31mImportError: no lint\x1b[0m\n\n")}},
			3,
			"error (read json report: the program did not write it (exit code 1); the program's last words: ImportError: no lint)",
		},
		{"empty report", tooltest.Stub{Files: report("")}, 3, "error (read json report: the file is empty (exit code 0))"},
		{"parse error", tooltest.Stub{Files: report("{")}, 3, `error (parse report: "{" is not what lint writes)`},
		{"not started", tooltest.Stub{Err: errors.New("find lint: there is no such program")}, 3, "error (find lint: there is no such program)"},
		{
			"runner panics",
			tooltest.Stub{Do: func(context.Context, engine.Invocation) (engine.Output, error) { panic("oh") }},
			3,
			"error (panic: oh: this is a defect of the step, please report it with its log)",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.stub.Program = "lint"
			newTrial(t, with(tt.stub)).execute(t.Context(), one(linter())).want(tt.code, "s:lint "+tt.want)
		})
	}
}

func TestStaleReportIsNotRead(t *testing.T) {
	x := newTrial(t, with(tooltest.Stub{Program: "lint"}))
	plant := engine.Step{Name: "plant", Func: func(_ context.Context, s engine.Scope) (engine.Judgement, error) {
		path := filepath.Join(s.Artifacts, "sub", "lint.json")
		return judged, errors.Join(os.MkdirAll(filepath.Dir(path), 0o750), os.WriteFile(path, []byte("ok"), 0o600))
	}}
	x.execute(t.Context(), one(plant, linter(after("plant")))).want(3, "s:plant passed",
		"s:lint error (read json report: the program did not write it (exit code 0))")
}

func TestReportThatIsNoFile(t *testing.T) {
	for name, make := range map[string]func(path string) error{
		"directory":    func(path string) error { return os.Mkdir(path, 0o750) },
		"link outside": func(path string) error { return os.Symlink("/etc/passwd", path) },
	} {
		t.Run(name, func(t *testing.T) {
			x := newTrial(t, with(tooltest.Stub{Program: "lint", Do: func(_ context.Context, i engine.Invocation) (engine.Output, error) {
				return engine.Output{}, make(strings.TrimPrefix(i.Args[0], "--out="))
			}}))
			x.execute(t.Context(), one(linter())).want(3)
			if r := x.result("lint").Reason; !strings.HasPrefix(r, "read json report: ") {
				t.Error(r)
			}
		})
	}
}

func TestInvocation(t *testing.T) {
	x := newTrial(t, with(tooltest.Stub{Program: "lint", Do: func(_ context.Context, i engine.Invocation) (engine.Output, error) {
		path := strings.TrimPrefix(i.Args[0], "--out=")
		if info, err := os.Stat(i.Args[2]); err != nil || !info.IsDir() {
			t.Errorf("scratch directory: %v", err)
		}
		if err := os.MkdirAll(filepath.Join(i.Args[2], "read-only", "deep"), 0o500); err != nil {
			t.Error(err)
		}
		i.Line("a line")
		return engine.Output{}, os.WriteFile(path, []byte("ok"), 0o600)
	}}), func(o *engine.Options) {
		o.Env = []string{"PATH=/usr/bin", "HOME=/home/x", "HOME=/home/y", "DATABASE_URL=mine", "=odd"}
		o.Provider = &ledger{}
	})
	x.execute(t.Context(), one(linter(needs("python")))).want(0)
	calls := x.opts.Runner.(*tooltest.Runner).Calls()
	if len(calls) != 1 {
		t.Fatal(calls)
	}
	scratch := filepath.Join(x.opts.Dir, "scratch", "s", "lint")
	i := calls[0]
	if got, want := strings.Join(i.Args, " "), "--out="+x.opts.Dir+"/artifacts/sub/lint.json --cache "+scratch+" it's"; got != want {
		t.Errorf("arguments %q, want %q", got, want)
	}
	if got, want := strings.Join(i.Env, " "), "DATABASE_URL=postgres://u:s3cr3t-pw@h/db HOME=/home/y LINT_HOME="+scratch+" PATH=/provided/python:/usr/bin"; got != want {
		t.Errorf("environment %q, want %q", got, want)
	}
	if i.Dir != x.opts.Root || i.Program != "lint" || len(i.Secrets) != 1 {
		t.Errorf("%+v", i)
	}
	if _, err := os.Stat(scratch); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("scratch directory is left: %v", err)
	}
	r := x.result("lint")
	if want := "LINT_HOME=" + scratch + " lint --out=" + x.opts.Dir + `/artifacts/sub/lint.json --cache ` + scratch + ` 'it'\''s'`; r.CommandLine != want {
		t.Errorf("command line %q, want %q", r.CommandLine, want)
	}
	if r.Log != "logs/s/lint.log" || r.Rerun != "mage s:lint" || r.Fix != "mage fix" || r.Judges != "style" {
		t.Errorf("%+v", r)
	}
	if got, want := x.read("logs", "s", "lint.log"), "$ "+r.CommandLine+"\na line\n# exit code 0\n# passed\n"; got != want {
		t.Errorf("log %q, want %q", got, want)
	}
}

func TestProvidedProgramsComeFirst(t *testing.T) {
	x := newTrial(t, with(tooltest.Stub{Program: "lint", Files: report("ok")}))
	bin := filepath.Join(x.opts.Root, ".venv", "bin")
	if err := errors.Join(os.MkdirAll(bin, 0o750), os.WriteFile(filepath.Join(bin, "lint"), nil, 0o700)); err != nil {
		t.Fatal(err)
	}
	x.opts.Provider = fixed{engine.Provision{Programs: bin}}
	x.execute(t.Context(), one(linter(needs("python")))).want(0)
	if i := x.opts.Runner.(*tooltest.Runner).Calls()[0]; i.Program != filepath.Join(bin, "lint") {
		t.Errorf("program %q", i.Program)
	}
	if line := x.result("lint").CommandLine; !strings.Contains(line, " .venv/bin/lint ") {
		t.Errorf("command line %q", line)
	}
}

// fixed always provides the same.
type fixed struct{ engine.Provision }

func (f fixed) Provide(context.Context, engine.Need, func(string)) (engine.Provision, error) {
	return f.Provision, nil
}

func TestDecide(t *testing.T) {
	metric := func(value float64, d engine.Direction) engine.Judgement {
		return engine.Judgement{Judged: 1, Metrics: []engine.Metric{{Name: "coverage", Value: value, Threshold: 80, Direction: d}}}
	}
	at := func(s engine.Severity) func(*engine.Step) { return func(step *engine.Step) { step.FailAt = s } }
	informational := func(step *engine.Step) { step.Informational = true }
	tests := []struct {
		name string
		step engine.Step
		want string
		code int
	}{
		{"clean", do("a", 0, judged), "passed", 0},
		{"nothing judged", do("a", 0, engine.Judgement{}), "error (it judged no files, and a gate that looks at nothing is no gate: check the paths in pipeline.yaml)", 3},
		{"finding", do("a", 0, finding(engine.SeverityInfo)), "failed", 1},
		{"below the threshold", do("a", 0, finding(engine.SeverityLow), at(engine.SeverityMedium)), "passed", 0},
		{"at the threshold", do("a", 0, finding(engine.SeverityMedium), at(engine.SeverityMedium)), "failed", 1},
		{"no severity is not low", do("a", 0, finding(engine.SeverityNone), at(engine.SeverityCritical)), "failed", 1},
		{"informational", do("a", 0, finding(engine.SeverityCritical), informational), "passed", 0},
		{"metric met", do("a", 0, metric(80, engine.DirectionAtLeast)), "passed", 0},
		{"metric missed", do("a", 0, metric(79.99, engine.DirectionAtLeast)), "failed", 1},
		{"metric missed, informational findings", do("a", 0, metric(81, engine.DirectionAtMost), informational), "failed", 1},
		{"metric without threshold", do("a", 0, metric(1, engine.DirectionNone)), "passed", 0},
		{"no number", do("a", 0, metric(math.NaN(), engine.DirectionNone)), "error (its metric coverage is not a number)", 3},
		{"no number but large", do("a", 0, metric(math.Inf(1), engine.DirectionAtLeast)), "error (its metric coverage is not a number)", 3},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			newTrial(t).execute(t.Context(), one(tt.step)).want(tt.code, "s:a "+tt.want)
		})
	}
}

func TestPanicIsContained(t *testing.T) {
	x := newTrial(t)
	boom := engine.Step{Name: "boom", Func: func(context.Context, engine.Scope) (engine.Judgement, error) { panic("oh") }}
	lint := linter(func(s *engine.Step) {
		s.Command.Parse = func(engine.Output) (engine.Judgement, error) { panic("ah") }
		s.Command.Progress = func(string) (int, int, bool) { panic("eh") }
	})
	with(tooltest.Stub{Program: "lint", Output: engine.Output{Stdout: []byte("one\ntwo\n")}})(&x.opts)
	x.execute(t.Context(), one(boom, lint, do("other", 0, judged)))
	x.want(3, "s:boom error (panic: oh: this is a defect of the step, please report it with its log)",
		"s:lint error (panic: ah: this is a defect of the step, please report it with its log)", "s:other passed")
	if log := x.read("logs", "s", "boom.log"); !strings.Contains(log, "step_test.go") {
		t.Errorf("the log has no stack: %s", log)
	}
	if log := x.read("logs", "s", "lint.log"); !strings.Contains(log, "\none\n") || !strings.Contains(log, "\ntwo\n") {
		t.Errorf("the output is not logged: %s", log)
	}
}

func TestProgress(t *testing.T) {
	x := newTrial(t, with(tooltest.Stub{Program: "lint", Files: report("ok"), Output: engine.Output{Stdout: []byte("1/3\nother\n2/3\n")}}))
	x.execute(t.Context(), one(linter(func(s *engine.Step) {
		s.Command.Progress = func(line string) (done, total int, ok bool) {
			n, err := fmt.Sscanf(line, "%d/%d", &done, &total)
			return done, total, n == 2 && err == nil
		}
	}), engine.Step{Name: "func", Func: func(_ context.Context, s engine.Scope) (engine.Judgement, error) {
		s.Progress(7, 9, "rows")
		return judged, nil
	}})).want(0)
	var got []string
	for _, e := range x.seen.events {
		if e.Kind == engine.EventProgress {
			got = append(got, fmt.Sprintf("%s %d/%d%s", e.Step, e.Done, e.Total, e.Text))
		}
	}
	for _, want := range []string{"lint 1/3", "lint 2/3", "func 7/9rows"} {
		if !strings.Contains(strings.Join(got, ","), want) {
			t.Errorf("%v: no %s", got, want)
		}
	}
}

func TestScopeRuns(t *testing.T) {
	x := newTrial(t, with(tooltest.Stub{Program: "git", Output: engine.Output{Stdout: []byte("abc s3cr3t-pw\n")}}), func(o *engine.Options) {
		o.Env = []string{"A=b"}
		o.Secrets = []string{"s3cr3t-pw"}
	})
	x.execute(t.Context(), one(engine.Step{Name: "f", Func: func(ctx context.Context, s engine.Scope) (engine.Judgement, error) {
		out, err := s.Run(ctx, engine.Invocation{Program: "git"})
		if s.Env["A"] != "b" || out.Root != s.Root || string(out.Stdout) != "abc s3cr3t-pw\n" {
			t.Errorf("%v, %+v", s.Env, out)
		}
		s.Log("said %d", 3)
		return judged, err
	}})).want(0)
	if log := x.read("logs", "s", "f.log"); log != "abc ***\nsaid 3\n# passed\n" {
		t.Errorf("log %q", log)
	}
	if i := x.opts.Runner.(*tooltest.Runner).Calls()[0]; i.Dir != x.opts.Root || len(i.Env) != 1 || len(i.Secrets) != 1 {
		t.Errorf("%+v", i)
	}
}

// TestNothingUnsafeGetsOut lets a step say a secret and escape sequences wherever it can say anything.
func TestNothingUnsafeGetsOut(t *testing.T) {
	const canary, bad = "c4nary-s3cret", "\x1b]0;x\x07\x1b[31mc4nary-s3cret\u009b0m"
	f := engine.Finding{Rule: bad, Path: bad, Message: bad, Help: bad, HelpURL: bad, Frame: bad, Fingerprint: bad}
	j := engine.Judgement{
		Judged: 1, Unit: bad, Findings: []engine.Finding{f}, Allowed: []engine.Allowed{{Finding: f, Reason: bad}},
		Metrics: []engine.Metric{{Name: bad, Unit: bad, Help: bad}}, Notes: []string{bad}, Warnings: []string{bad},
		Tables: []engine.Table{{Title: bad, Columns: []string{bad}, Rows: [][]string{{bad}}}},
	}
	stub := tooltest.Stub{Program: "lint", Files: report(bad), Output: engine.Output{Stdout: []byte(bad + "\n"), Stderr: []byte(bad + "\n")}}
	x := newTrial(t, with(stub), func(o *engine.Options) { o.Secrets = []string{canary}; o.Provider = slow{} })
	x.execute(t.Context(), one(do("a", 0, j), linter(), engine.Step{Name: "skip", Skip: bad},
		engine.Step{Name: "f", Needs: []engine.Need{"python"}, Func: func(_ context.Context, s engine.Scope) (engine.Judgement, error) {
			s.Log(bad)
			s.Progress(1, 2, bad)
			return engine.Judgement{}, errors.New(bad)
		}}, engine.Step{Name: "boom", Func: func(context.Context, engine.Scope) (engine.Judgement, error) { panic(bad) }},
	)).want(3)
	all := fmt.Sprintf("%+v", *x.run)
	for _, e := range x.seen.events {
		all += fmt.Sprintf("%+v %+v %+v\n", e.Text, e.Result, e.StageResult)
	}
	for _, err := range []error{filepath.WalkDir(x.opts.Dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if !strings.HasSuffix(path, "lint.json") {
			all += path + ": " + string(b)
		} else if strings.Contains(string(b), canary) {
			t.Errorf("the report shows the secret: %q", b)
		}
		return err
	})} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, unsafe := range []string{canary, "\x1b", "\u009b", "\x07"} {
		if at := strings.Index(all, unsafe); at >= 0 {
			t.Errorf("%q gets out: …%q…", unsafe, all[max(0, at-100):min(len(all), at+50)])
		}
	}
	if !strings.Contains(all, "***") {
		t.Error("nothing was said at all")
	}
}

func TestFindingsAreCompleted(t *testing.T) {
	x := newTrial(t)
	source := "import os\n\x1b[31mdef f():\r\n" + strings.Repeat("x", 600) + "\nimport os\nimport os\n"
	if err := errors.Join(os.Mkdir(filepath.Join(x.opts.Root, "src"), 0o750), os.WriteFile(filepath.Join(x.opts.Root, "src", "a.py"), []byte(source), 0o600),
		os.Symlink("/etc/passwd", filepath.Join(x.opts.Root, "link"))); err != nil {
		t.Fatal(err)
	}
	at := func(path string, line int) engine.Finding {
		return engine.Finding{Rule: "R1", Path: path, Line: line, Message: "m"}
	}
	absolute := filepath.Join(x.opts.Root, "src", "a.py")
	x.execute(t.Context(), one(do("a", 0, engine.Judgement{Judged: 1, Findings: []engine.Finding{
		at("src/b.py", 1), at(absolute, 4), at("./src/a.py", 1), at("src/a.py", 2), at("src/a.py", 3), at("src/a.py", 99),
		at("/etc/passwd", 1), at("../x", 1), at("link", 1), at("", 0),
		{Rule: "R1", Path: "src/a.py", Line: 1, Column: 9, Fingerprint: "own", Frame: "own"},
	}}))).want(1)
	var got []string
	prints := map[string]int{}
	for _, f := range x.result("a").Judgement.Findings {
		if f.Stage != "s" || f.Step != "a" {
			t.Errorf("%+v", f)
		}
		prints[f.Fingerprint]++
		got = append(got, fmt.Sprintf("%s:%d %s", f.Path, f.Line, f.Frame))
	}
	want := []string{
		":0 ", "../x:1 ", "/etc/passwd:1 ", "link:1 ", "src/a.py:1 import os", "src/a.py:1 own", "src/a.py:2 def f():",
		"src/a.py:3 " + strings.Repeat("x", 512) + "…", "src/a.py:4 import os", "src/a.py:99 ", "src/b.py:1 ",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if len(prints) != len(want) {
		t.Errorf("fingerprints are not unique: %v", prints)
	}
}

func TestFingerprintFollowsTheLine(t *testing.T) {
	prints := func(source string, line int) string {
		x := newTrial(t)
		if err := os.WriteFile(filepath.Join(x.opts.Root, "a.py"), []byte(source), 0o600); err != nil {
			t.Fatal(err)
		}
		x.execute(t.Context(), one(do("a", 0, engine.Judgement{Judged: 1, Findings: []engine.Finding{{Rule: "R", Path: "a.py", Line: line, Message: fmt.Sprint(line)}}})))
		return x.result("a").Judgement.Findings[0].Fingerprint
	}
	first := prints("x = 1\n", 1)
	if moved := prints("\n\n  x = 1\n", 3); moved != first {
		t.Errorf("moved: %s, before %s", moved, first)
	}
	if changed := prints("x = 2\n", 1); changed == first {
		t.Error("changed, and the same")
	}
}

func TestHiddenFrames(t *testing.T) {
	x := newTrial(t)
	if err := os.WriteFile(filepath.Join(x.opts.Root, "a.py"), []byte("password = 'hunter2'\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	x.execute(t.Context(), one(do("a", 0, engine.Judgement{Judged: 1, Findings: []engine.Finding{{Rule: "R", Path: "a.py", Line: 1, Frame: "hunter2"}}},
		func(s *engine.Step) { s.HideFrames = true })))
	if f := x.result("a").Judgement.Findings[0]; f.Frame != "" || f.Fingerprint == "" {
		t.Errorf("%+v", f)
	}
}

// failing is a reporter that fails, or panics, at one kind of event.
type failing struct {
	at     engine.EventKind
	panics bool
	seen   *[]*engine.Run
}

func (f failing) Event(e engine.Event) error {
	if e.Kind == engine.EventRunFinished && f.seen != nil {
		*f.seen = append(*f.seen, e.Run)
	}
	switch {
	case e.Kind != f.at:
		return nil
	case f.panics:
		panic("oh")
	default:
		return errors.New("write junit.xml: no space left on device")
	}
}

func TestReporterThatFails(t *testing.T) {
	for _, at := range []engine.EventKind{engine.EventStepFinished, engine.EventRunFinished} {
		for _, panics := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/%v", at, panics), func(t *testing.T) {
				x := newTrial(t)
				var seen []*engine.Run
				x.opts.Reporters = []engine.Reporter{failing{at: at, panics: panics}, x.seen, failing{seen: &seen}}
				x.execute(t.Context(), one(do("a", 0, judged), do("b", 0, judged))).want(3)
				if x.err == nil || len(x.run.Problems) != 1 || x.run.Status != engine.StatusError {
					t.Errorf("%v, %q, %s", x.err, x.run.Problems, x.run.Status)
				}
				// One that comes later knows already.
				if len(seen) != 1 || seen[0].ExitCode != engine.ExitError {
					t.Errorf("%+v", seen)
				}
			})
		}
	}
}

func TestEventsOfARun(t *testing.T) {
	x := newTrial(t, func(o *engine.Options) { o.Limit = 1; o.Commit, o.Branch, o.Dirty = "abc", "main", true })
	x.execute(t.Context(), []engine.Stage{
		stage{name: "s", steps: []engine.Step{do("a", 0, judged), {Name: "b", Skip: "off"}}},
		stage{name: "t", steps: []engine.Step{do("c", 0, judged)}},
	}).want(0)
	var got []string
	for _, e := range x.seen.events {
		got = append(got, strings.TrimRight(fmt.Sprintf("%s %s %s", e.Kind, e.Stage, e.Step), " "))
		if e.Time.IsZero() {
			t.Errorf("%s has no time", e.Kind)
		}
	}
	want := "run_started, step_finished s b, step_started s a, step_finished s a, stage_done s, step_started t c, step_finished t c, stage_done t, run_finished"
	if strings.Join(got, ", ") != want {
		t.Errorf("got %s", strings.Join(got, ", "))
	}
	first := x.seen.events[0]
	if len(first.Plan) != 2 || first.Run.Target != "check" || first.Run.Commit != "abc" || !first.Run.Dirty {
		t.Errorf("%+v", first)
	}
	if x.run.Branch != "main" || x.run.Status != engine.StatusPassed || x.run.Stages[0].Status != engine.StatusPassed {
		t.Errorf("%+v", x.run)
	}
}

func TestExitCodes(t *testing.T) {
	failed, wrong := do("a", 0, finding(engine.SeverityHigh)), do("b", 0, engine.Judgement{})
	newTrial(t).execute(t.Context(), one(failed, do("c", 0, judged))).want(1)
	x := newTrial(t).execute(t.Context(), one(failed, wrong)).want(3)
	if x.run.Stages[0].Status != engine.StatusError {
		t.Error(x.run.Stages[0].Status)
	}
}

func TestExecuteRefuses(t *testing.T) {
	plan, err := engine.NewPlan(&config.Project{}, one(do("a", 0, judged)))
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name   string
		change func(*engine.Options)
		want   string
	}{
		{"no runner", func(o *engine.Options) { o.Runner = nil }, "no runner"},
		{"no ID", func(o *engine.Options) { o.ID = "" }, "no run ID"},
		{"relative directory", func(o *engine.Options) { o.Dir = "runs" }, "must be absolute"},
		{"no root", func(o *engine.Options) { o.Root = "/no/such" }, "is no directory"},
		{"another run's directory", func(o *engine.Options) { _ = os.MkdirAll(filepath.Join(o.Dir, "x"), 0o750) }, "is not empty"},
		{"a file in the way", func(o *engine.Options) { _ = os.WriteFile(filepath.Join(o.Root, ".pipeline"), nil, 0o600) }, "check that the disk has room"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			x := newTrial(t, tt.change)
			run, err := engine.Execute(t.Context(), plan, x.opts)
			if run != nil || err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, %v", run, err)
			}
		})
	}
}

// TestFullDisk lets a log be a device that is always full.
func TestFullDisk(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		return // no such device on this system
	}
	x := newTrial(t)
	plant := engine.Step{Name: "plant", Func: func(_ context.Context, s engine.Scope) (engine.Judgement, error) {
		return judged, os.Symlink("/dev/full", filepath.Join(filepath.Dir(s.Artifacts), "logs", "s", "a.log"))
	}}
	x.execute(t.Context(), one(plant, do("a", 0, judged, after("plant"))))
	x.want(3, "s:plant passed", "s:a error (write log: write "+filepath.Join(x.opts.Dir, "logs", "s", "a.log")+
		": no space left on device: check that the disk has room)")
}

func TestUnwritableRunDirectory(t *testing.T) {
	x := newTrial(t)
	spoil := engine.Step{Name: "spoil", Func: func(_ context.Context, s engine.Scope) (engine.Judgement, error) {
		scratch := filepath.Dir(filepath.Dir(s.Scratch))
		return judged, errors.Join(os.RemoveAll(scratch), os.WriteFile(scratch, nil, 0o600))
	}}
	x.execute(t.Context(), one(spoil, do("a", 0, judged, after("spoil")))).want(3)
	if r := x.result("a"); r.Status != engine.StatusError || !strings.Contains(r.Reason, "make scratch directory") {
		t.Errorf("%+v", r)
	}
}
