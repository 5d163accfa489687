package tool

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/engine"
)

func TestRun(t *testing.T) {
	tests := []struct {
		name, script   string
		stdout, stderr string
		code           int
	}{
		{"output", "echo out; echo err >&2", "out\n", "err\n", 0},
		{"exit code is data", "exit 64", "", "", 64},
		{"no standard input", "cat; echo end", "end\n", "", 0},
		{"no terminal", "(: </dev/tty) 2>/dev/null || echo none", "none\n", "", 0},
		{"own session", `test "$(ps -o sid= -p $$ 2>/dev/null || echo $$)" -eq $$ && echo own`, "own\n", "", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newStage(t)
			out, err := s.runner().Run(t.Context(), s.sh(tt.script))
			if err != nil {
				t.Fatal(err)
			}
			if string(out.Stdout) != tt.stdout || string(out.Stderr) != tt.stderr || out.ExitCode != tt.code {
				t.Errorf("got %q, %q, exit code %d", out.Stdout, out.Stderr, out.ExitCode)
			}
		})
	}
}

func TestRunPassesArgumentsUntouched(t *testing.T) {
	s := newStage(t)
	args := []string{`zzz";echo${IFS}"hello";#`, "$HOME", "a b", "*", "", "ü"}
	i := s.sh(`printf '<%s>' "$@"`)
	i.Args = append(append(i.Args, "sh"), args...)
	out, err := s.runner().Run(t.Context(), i)
	if err != nil {
		t.Fatal(err)
	}
	if want := "<" + strings.Join(args, "><") + ">"; string(out.Stdout) != want {
		t.Errorf("got %q, want %q", out.Stdout, want)
	}
}

func TestRunErrors(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	tests := []struct {
		name string
		i    engine.Invocation
		want string
	}{
		{"unknown name", engine.Invocation{Program: "no-such-tool", Env: []string{"PATH=/bin:/usr/bin"}}, "find no-such-tool: there is no such program"},
		{"no PATH", engine.Invocation{Program: "sh"}, "find sh: there is no such program"},
		{"relative PATH does not count", engine.Invocation{Program: "tool", Dir: dir, Env: []string{"PATH=.:" + "sub"}}, "find tool: there is no such"},
		{"relative program", engine.Invocation{Program: "bin/tool"}, "absolute path or its bare name"},
		{"gone program", engine.Invocation{Program: filepath.Join(dir, "gone")}, "mage setup"},
		{"gone interpreter", engine.Invocation{Program: write("script", "#!/no/such/python\n", 0o755)}, "interpreter"},
		{"not executable", engine.Invocation{Program: write("data", "x", 0o644)}, "permission denied"},
		{"gone directory", engine.Invocation{Program: "/bin/sh", Dir: filepath.Join(dir, "none")}, "none does not exist"},
		{"killed by a signal", engine.Invocation{Program: "/bin/sh", Args: []string{"-c", "kill -SEGV $$"}}, "signal 11"},
		{"arguments too long", engine.Invocation{Program: "/bin/sh", Args: []string{strings.Repeat("x", 8<<20)}}, "too long"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := newStage(t).runner().Run(t.Context(), tt.i)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestRunFindsProgramsInOrderOfPath(t *testing.T) {
	s := newStage(t)
	first, second := t.TempDir(), t.TempDir()
	for dir, text := range map[string]string{first: "first", second: "second"} {
		if err := os.WriteFile(filepath.Join(dir, "tool"), []byte("#!/bin/sh\necho "+text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	out, err := s.runner().Run(t.Context(), engine.Invocation{Program: "tool", Env: []string{"PATH=" + first + ":" + second}})
	if err != nil || string(out.Stdout) != "first\n" {
		t.Errorf("got %q, %v", out.Stdout, err)
	}
}

func TestRunNeedsARecord(t *testing.T) {
	s := newStage(t)
	if _, err := NewRunner(Options{}).Run(t.Context(), s.sh("true")); err == nil || !strings.Contains(err.Error(), "no state directory") {
		t.Errorf("got %v", err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := NewRunner(Options{State: file, Run: "x"}).Run(t.Context(), s.sh("true"))
	if err == nil || !strings.Contains(err.Error(), "check that the disk has room") {
		t.Errorf("got %v", err)
	}
}

func TestRunEndsAllWhenCancelled(t *testing.T) {
	tests := []struct {
		role      string
		processes int
	}{
		{"sleep", 1},
		{"stubborn", 2},
		{"tree", 3},
		{"double-fork", 3},
		{"runaway", 3},
		{"stripped", 2},
		{"stripped-stubborn", 2},
	}
	for _, tt := range tests {
		t.Run(tt.role, func(t *testing.T) {
			if linuxOnly := tt.role == "runaway" || strings.HasPrefix(tt.role, "stripped"); linuxOnly && runtime.GOOS != "linux" {
				return // without /proc these are not found, as README says
			}
			s := newStage(t)
			ctx, cancel := context.WithCancel(t.Context())
			go func() {
				defer cancel()
				s.await(tt.processes)
			}()
			_, err := s.runner().Run(ctx, s.invocation(tt.role))
			if !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
			if n := len(s.signed()); n != tt.processes {
				t.Errorf("%d processes were started, want %d", n, tt.processes)
			}
			s.gone()
		})
	}
}

// TestWorstCase adds up what a cancelled program may take by itself: it must leave some of the five seconds in which
// everything has to be over.
func TestWorstCase(t *testing.T) {
	grace := NewRunner(Options{}).opts.Grace
	if sum := grace + 100*lookAgain + lastOutput; sum > 4*time.Second {
		t.Errorf("a cancelled program may take %s", sum)
	}
}

func TestKillDoesNotWaitForGrace(t *testing.T) {
	for _, cancelFirst := range []bool{false, true} {
		s := newStage(t)
		r := s.runner(func(o *Options) { o.Grace = time.Hour })
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() {
			s.await(2)
			if cancelFirst {
				cancel()
				time.Sleep(50 * time.Millisecond)
			}
			r.Kill()
			r.Kill()
		}()
		if _, err := r.Run(ctx, s.invocation("stubborn")); err == nil {
			t.Error("a killed program is no success")
		}
		s.gone()
		if _, err := r.Run(t.Context(), s.sh("true")); err == nil || !strings.Contains(err.Error(), "killed") {
			t.Errorf("started after the kill: %v", err)
		}
	}
}

func TestRunDoesNotStartWhenCancelled(t *testing.T) {
	s := newStage(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("the reason")
	cancel(cause)
	if _, err := s.runner().Run(ctx, s.invocation("sleep")); !errors.Is(err, cause) {
		t.Errorf("got %v", err)
	}
	if n := len(s.signed()); n > 0 {
		t.Errorf("%d processes were started", n)
	}
}

func TestRunEndsWhatIsLeft(t *testing.T) {
	tests := []struct{ role, said string }{
		{"leaves-child", "left 1 running: killed"},
		{"leaves-runaway", "left 1 running: killed"},
		{"leaves-unknown", "holds its output open"},
	}
	for _, tt := range tests {
		t.Run(tt.role, func(t *testing.T) {
			if tt.role == "leaves-runaway" && runtime.GOOS != "linux" {
				return
			}
			s := newStage(t)
			var lines []string
			i := s.invocation(tt.role)
			i.Line = func(line string) { lines = append(lines, line) }
			out, err := s.runner().Run(t.Context(), i)
			if err != nil || string(out.Stdout) != "done\n" {
				t.Errorf("got %q, %v", out.Stdout, err)
			}
			if said := strings.Join(lines, "\n"); !strings.Contains(said, tt.said) {
				t.Errorf("said %q, want %q", said, tt.said)
			}
			if tt.role != "leaves-unknown" {
				s.gone()
			}
		})
	}
}

// TestRunWaitsForStragglers: the right side of a pipe may end a moment after the left one; that is nothing to tell.
func TestRunWaitsForStragglers(t *testing.T) {
	s := newStage(t)
	var lines []string
	i := s.sh("(sleep 0.05; echo late) & echo early")
	i.Line = func(line string) { lines = append(lines, line) }
	out, err := s.runner().Run(t.Context(), i)
	if err != nil || string(out.Stdout) != "early\nlate\n" || len(lines) != 2 {
		t.Errorf("got %q, %q, %v", out.Stdout, lines, err)
	}
}

func TestRunMarksProcesses(t *testing.T) {
	s := newStage(t)
	r := s.runner(func(o *Options) { o.Run, o.Outer = "inner", "outer/7" })
	i := s.sh("echo $" + RunVariable)
	i.Env = append(i.Env, RunVariable+"=outer/7")
	for _, want := range []string{"outer/7,inner/1\n", "outer/7,inner/2\n"} {
		if out, err := r.Run(t.Context(), i); err != nil || string(out.Stdout) != want {
			t.Errorf("got %q, %v", out.Stdout, err)
		}
	}
}

func TestRunInParallel(t *testing.T) {
	s := newStage(t)
	r := s.runner()
	errs := make(chan error, 20)
	for range cap(errs) {
		go func() {
			out, err := r.Run(t.Context(), s.sh("sleep 0.05; echo x"))
			if err == nil && string(out.Stdout) != "x\n" {
				err = errors.New("no output")
			}
			errs <- err
		}()
	}
	for range cap(errs) {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}

func TestStoppedProcessIsEnded(t *testing.T) {
	s := newStage(t)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		defer cancel()
		s.await(1)
		_ = syscall.Kill(s.signed()[0], syscall.SIGSTOP)
	}()
	if _, err := s.runner().Run(ctx, s.invocation("sleep")); err == nil {
		t.Error("no error")
	}
	s.gone()
}
