package engine_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

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
		o.Env = []string{"OMP_NUM_THREADS=3", "PATH=/usr/bin", "HOME=/home/x", "HOME=/home/y", "DATABASE_URL=mine", "=odd"}
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
	if got, want := strings.Join(i.Env, " "), "DATABASE_URL=postgres://u:s3cr3t-pw@h/db HOME=/home/y LINT_HOME="+scratch+" OMP_NUM_THREADS=3 PATH=/provided/python:/usr/bin"; got != want {
		t.Errorf("environment %q, want %q", got, want)
	}
	if i.Dir != x.opts.Root || i.Program != "lint" || len(i.Secrets) != 1 {
		t.Errorf("%+v", i)
	}
	if _, err := os.Stat(scratch); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("scratch directory is left: %v", err)
	}
	r := x.result("lint")
	const near = ".pipeline/runs/1/scratch/s/lint"
	if want := "LINT_HOME=" + near + " lint --out=.pipeline/runs/1/artifacts/sub/lint.json --cache " + near + ` 'it'\''s'`; r.CommandLine != want {
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
	if i := x.opts.Runner.(*tooltest.Runner).Calls()[0]; i.Dir != x.opts.Root || len(i.Env) != 2 || len(i.Secrets) != 1 {
		t.Errorf("%+v", i)
	}
}

func TestNativeThreadsAreAShareOfTheCores(t *testing.T) {
	cores := runtime.GOMAXPROCS(0)
	for _, tt := range []struct {
		limit, slots int
		alone        bool
		want         int
	}{
		{limit: 1, want: cores},
		{limit: cores, want: 1},
		{limit: 2 * cores, want: 1},
		{limit: cores, slots: cores, want: cores},
		{limit: cores, slots: 99, want: cores},
		{limit: cores, alone: true, want: cores},
	} {
		got := ""
		x := newTrial(t, func(o *engine.Options) { o.Limit = tt.limit })
		x.execute(t.Context(), one(engine.Step{Name: "s", Slots: tt.slots, Alone: tt.alone, Func: func(_ context.Context, s engine.Scope) (engine.Judgement, error) {
			got = s.Env["OMP_NUM_THREADS"]
			return engine.Judgement{Judged: 1, Unit: "files"}, nil
		}})).want(0)
		if got != strconv.Itoa(tt.want) {
			t.Errorf("%+v: %s", tt, got)
		}
	}
}

// What a step's function says at once, and what it shows for as long as it runs, is harmless and without secrets.
func TestSayAndPanel(t *testing.T) {
	const secret = "s3cr3t-of-the-run"
	x := newTrial(t, func(o *engine.Options) { o.Secrets = []string{secret} })
	x.execute(t.Context(), one(engine.Step{Name: "watch", Judges: "x", Func: func(_ context.Context, s engine.Scope) (engine.Judgement, error) {
		s.Say("at %d %%: %s\x1b[2J", 5, secret)
		s.Panel([]string{"blue 95 %", "green\n5 % " + secret})
		return engine.Judgement{Judged: 1, Unit: "things"}, nil
	}})).want(0)
	var said, shown string
	for _, e := range x.seen.events {
		if e.Kind == engine.EventMessage {
			said += e.Text
		}
		if e.Kind == engine.EventPanel {
			shown = e.Text
		}
	}
	if !strings.Contains(said, "at 5 %: ") || strings.ContainsAny(said, "\x1b") || strings.Contains(said, secret) {
		t.Errorf("said %q", said)
	}
	if lines := strings.Split(shown, "\n"); len(lines) != 2 || lines[0] != "blue 95 %" || strings.Contains(shown, secret) {
		t.Errorf("shown %q", shown)
	}
}
