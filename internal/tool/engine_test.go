package tool_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/tool"
)

// Here engine and runner are together, with real programs.

// script is a step that runs a shell script, which finds its report's path in $1.
func script(name, text string, change ...func(*engine.Step)) engine.Step {
	step := engine.Step{Name: name, Command: &engine.Command{
		Program: "sh", Args: []string{"-c", text, "sh", engine.ArtifactsDir + "/" + name + ".txt"},
		Reports: map[string]string{"text": name + ".txt"},
		Parse: func(o engine.Output) (engine.Judgement, error) {
			b, err := o.Report("text")
			if err != nil {
				return engine.Judgement{}, err
			}
			return engine.Judgement{Judged: len(strings.Fields(string(b))), Unit: "words"}, nil
		},
	}}
	for _, f := range change {
		f(&step)
	}
	return step
}

type steps []engine.Step

func (steps) Name() string { return "s" }

func (s steps) Steps(*config.Project) ([]engine.Step, error) { return s, nil }

// execute runs steps with a runner of their own, as pipeline does.
func execute(ctx context.Context, t *testing.T, root, id string, secrets []string, s ...engine.Step) *engine.Run {
	t.Helper()
	state := filepath.Join(root, ".pipeline")
	runner := tool.NewRunner(tool.Options{State: state, Run: id, Grace: 300 * time.Millisecond})
	defer func() {
		if err := runner.Close(); err != nil {
			t.Error(err)
		}
	}()
	plan, err := engine.NewPlan(&config.Project{Root: root}, []engine.Stage{steps(s)})
	if err != nil {
		t.Fatal(err)
	}
	run, err := engine.Execute(ctx, plan, engine.Options{
		Root: root, Dir: filepath.Join(state, "runs", id), ID: id, Runner: runner, Limit: 4, Secrets: secrets,
		Env: []string{"PATH=" + os.Getenv("PATH")},
	})
	if err != nil {
		t.Fatal(err)
	}
	return run
}

func summary(run *engine.Run) string {
	var b strings.Builder
	for _, r := range run.Stages[0].Steps {
		fmt.Fprintf(&b, "%s %s", r.Name, r.Status)
		if r.Reason != "" {
			fmt.Fprintf(&b, " (%s)", r.Reason)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func TestRealPrograms(t *testing.T) {
	root := filepath.Join(t.TempDir(), "größe und mehr")
	if err := os.Mkdir(root, 0o750); err != nil {
		t.Fatal(err)
	}
	unknown := script("unknown", "")
	unknown.Command.Program = "no-such-linter"
	run := execute(t.Context(), t, root, "1", []string{"p4ss w0rd"},
		script("passes", `echo "two words" >"$1"`),
		script("nonzero", `echo words >"$1"; exit 3`),
		script("silent", `exit 0`),
		script("crashes", `echo "Traceback: boom" >&2; exit 1`),
		script("empty", `: >"$1"`),
		script("nothing", `echo " " >"$1"`),
		script("killed", `echo words >"$1"; kill -KILL $$`),
		script("hangs", `trap "" TERM; echo words >"$1"; sleep 60 & wait; wait`, func(s *engine.Step) { s.Timeout = 100 * time.Millisecond }),
		unknown,
		script("leaks", `echo "p4ss w0rd" >"$1"; echo "it is p4ss"; printf 'it is p4ss '; sleep 0.05; echo w0rd`),
		script("daemon", `echo words >"$1"; sleep 60 & echo "started"`),
	)
	want := `passes passed
nonzero passed
silent error (read text report: the program did not write it (exit code 0))
crashes error (read text report: the program did not write it (exit code 1); the program's last words: Traceback: boom)
empty error (read text report: the file is empty (exit code 0))
nothing error (it judged no words, and a gate that looks at nothing is no gate: check the paths in pipeline.yaml)
killed error (run sh: signal 9 (killed) ended it: out of memory, perhaps, or somebody killed it)
hangs error (it took longer than its limit of 100ms: see its log, or raise run.budgets.s in pipeline.yaml)
unknown error (find no-such-linter: there is no such program, neither in what was provided nor on PATH: "mage doctor" says how to get it)
leaks passed
daemon passed
`
	if got := summary(run); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if run.ExitCode != engine.ExitError {
		t.Errorf("exit code %d", run.ExitCode)
	}
	logs := map[string]string{"leaks": "\nit is p4ss\nit is ***\n", "daemon": "[pipeline] sh ended and left 1 running: killed\n", "hangs": "# error: it took longer"}
	for name, want := range logs {
		b, err := os.ReadFile(filepath.Join(run.Dir, "logs", "s", name+".log"))
		if err != nil || !strings.Contains(string(b), want) {
			t.Errorf("log of %s: %q, %v", name, b, err)
		}
	}
	if b, err := os.ReadFile(filepath.Join(run.Dir, "artifacts", "leaks.txt")); err != nil || string(b) != "***\n" {
		t.Errorf("report with a secret: %q, %v", b, err)
	}
}

// TestInterruptedRun interrupts one of two runs in the same checkout: the other one goes on undisturbed, also by the
// sweep with which a third would begin.
func TestInterruptedRun(t *testing.T) {
	root := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	started := func(name string) bool { _, err := os.Stat(filepath.Join(root, name)); return err == nil }
	await := func(name string) {
		for !started(name) {
			time.Sleep(10 * time.Millisecond)
		}
	}
	var first, second *engine.Run
	var wg sync.WaitGroup
	wg.Go(func() {
		first = execute(ctx, t, root, "first", nil, script("a", `trap "" TERM; touch first; sleep 60; sleep 60`))
	})
	wg.Go(func() {
		second = execute(t.Context(), t, root, "second", nil, script("a", `touch second; while ! test -e go; do sleep 0.02; done; echo x >"$1"`))
	})
	await("first")
	await("second")
	if said, err := tool.Sweep(t.Context(), filepath.Join(root, ".pipeline")); err != nil || said != nil {
		t.Errorf("swept living runs: %q, %v", said, err)
	}
	if living, err := tool.Living(filepath.Join(root, ".pipeline")); err != nil || len(living) != 2 {
		t.Errorf("living: %q, %v", living, err)
	}
	cancel()
	for {
		if living, err := tool.Living(filepath.Join(root, ".pipeline")); err != nil || len(living) == 1 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if err := os.WriteFile(filepath.Join(root, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	if first.ExitCode != engine.ExitInterrupted || summary(first) != "a error (interrupted)\n" {
		t.Errorf("exit code %d, %s", first.ExitCode, summary(first))
	}
	if second.ExitCode != engine.ExitPassed {
		t.Errorf("exit code %d, %s", second.ExitCode, summary(second))
	}
}
