package tool

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/engine"
)

const (
	stateVariable = "TOOL_TEST_STATE"
	roleVariable  = "TOOL_TEST_ROLE"
)

// owner is a process that owns a run: it runs one program, until it is killed.
func owner() int {
	r := NewRunner(Options{
		State: os.Getenv(stateVariable), Run: runID("owner-"+os.Getenv(roleVariable), os.Getenv(stateVariable)), Outer: os.Getenv(RunVariable),
	})
	i := engine.Invocation{Program: os.Args[0], Env: append(without(os.Environ(), childVariable), childVariable+"="+os.Getenv(roleVariable))}
	_, err := r.Run(context.Background(), i)
	fmt.Println(err)
	return 0
}

// own starts an owner whose program plays a role of some processes.
func (s stage) own(role string, processes int) *exec.Cmd {
	s.t.Helper()
	before := len(s.signed())
	cmd := exec.Command(self(s.t))
	cmd.Env = append(without(os.Environ(), RunVariable),
		childVariable+"=owner", roleVariable+"="+role, stateVariable+"="+s.state, pidsVariable+"="+s.pids)
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	s.await(before + 1 + processes)
	return cmd
}

func (s stage) sweep() string {
	s.t.Helper()
	said, err := Sweep(s.t.Context(), s.state)
	if err != nil {
		s.t.Error(err)
	}
	return strings.Join(said, "\n")
}

func TestSweepEndsWhatAKilledRunLeft(t *testing.T) {
	tests := []struct {
		role      string
		processes int
	}{{"sleep", 1}, {"stubborn", 2}, {"tree", 3}, {"double-fork", 3}, {"runaway", 3}, {"stripped", 2}, {"stripped-stubborn", 2}}
	for _, tt := range tests {
		t.Run(tt.role, func(t *testing.T) {
			if linuxOnly := tt.role == "runaway" || strings.HasPrefix(tt.role, "stripped") || tt.role == "double-fork"; linuxOnly && runtime.GOOS != "linux" {
				return
			}
			s := newStage(t)
			cmd := s.own(tt.role, tt.processes)
			if said := s.sweep(); said != "" {
				t.Errorf("swept a living run: %s", said)
			}
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait()
			if len(s.living()) == 0 {
				t.Fatal("the kill left nothing: the test shows nothing")
			}
			said := s.sweep()
			if want := "killed run owner-" + tt.role; !strings.Contains(said, want) {
				t.Errorf("said %q, want %q", said, want)
			}
			s.gone()
			if said := s.sweep(); said != "" {
				t.Errorf("swept again: %s", said)
			}
		})
	}
}

func TestSweepSparesLivingRuns(t *testing.T) {
	s := newStage(t)
	dead, alive := s.own("tree", 3), s.own("stubborn", 2)
	_ = dead.Process.Kill()
	_ = dead.Wait()
	living, err := Living(s.state)
	if err != nil || len(living) != 1 || !strings.HasPrefix(living[0], "owner-stubborn") {
		t.Errorf("living runs: %q, %v", living, err)
	}
	if said := s.sweep(); !strings.Contains(said, "owner-tree") || strings.Contains(said, "owner-stubborn") {
		t.Errorf("said %q", said)
	}
	if n := len(s.living()); n != 3 {
		t.Errorf("%d processes of the living run are left, want 3", n)
	}
	_ = alive.Process.Kill()
	_ = alive.Wait()
	s.sweep()
	s.gone()
}

// TestSweepIsNotFooled writes records of dead runs that name processes that are none of theirs.
func TestSweepIsNotFooled(t *testing.T) {
	s := newStage(t)
	pid := s.orphan("sleep 60") // a child of the test would be spared for that
	tests := []struct{ name, record string }{
		{"number was given to another", fmt.Sprintf(`{"run":"a","owner":{"pid":1,"start":"x"}}`+"\n"+`{"started":{"pid":%d,"start":"boot/1"},"name":"pytest"}`+"\n", pid)},
		{"no start", fmt.Sprintf(`{"run":"a"}`+"\n"+`{"started":{"pid":%d,"start":""}}`+"\n", pid)},
		{"numbers that mean everybody", `{"started":{"pid":-1,"start":""}}` + "\n" + `{"started":{"pid":0,"start":""}}` + "\n" + `{"started":{"pid":1}}` + "\n"},
		{"torn", fmt.Sprintf(`{"run":"a","owner":{"pid":1,"start":"x"}}`+"\n"+`{"started":{"pid":%d,`, pid)},
		{"ended", fmt.Sprintf(`{"started":{"pid":%d,"start":"%s"}}`+"\n"+`{"ended":{"pid":%d,"start":"%s"}}`+"\n", pid, identify(pid).Start, pid, identify(pid).Start)},
		{"empty", ""},
		{"no record", "\x00\xff"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(s.state, runningDir, "fake.jsonl")
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(tt.record), 0o600); err != nil {
				t.Fatal(err)
			}
			if said := s.sweep(); said != "" {
				t.Errorf("said %q", said)
			}
			if !alive(pid) {
				t.Fatal("the bystander was ended")
			}
			if exists(path) {
				t.Error("the record is still there")
			}
		})
	}
}

// orphan runs a script in a session of its own, with nothing in its environment and no parent.
func (s stage) orphan(script string) int {
	s.t.Helper()
	cmd := exec.Command(self(s.t), script)
	cmd.Env = []string{childVariable + "=make-orphan", pidsVariable + "=" + s.pids}
	out, err := cmd.Output()
	if err != nil {
		s.t.Fatal(err)
	}
	pid, err := strconv.Atoi(string(out))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = syscall.Kill(-pid, syscall.SIGKILL) })
	return pid
}

func TestSweepTakesTheSessionOfAGenuineProgram(t *testing.T) {
	// Without a mark: as PostgreSQL, which writes over its environment.
	s := newStage(t)
	pid := s.orphan("sleep 60 & sleep 60")
	r, err := newRecord(s.state, "dead")
	if err != nil {
		t.Fatal(err)
	}
	if err := r.add(identify(pid), "sh"); err != nil {
		t.Fatal(err)
	}
	if err := r.file.Close(); err != nil { // as the kernel does for a dead owner
		t.Fatal(err)
	}
	if said := s.sweep(); !strings.Contains(said, "(process ") {
		t.Errorf("said %q", said)
	}
	if alive(pid) {
		t.Error("it still runs")
	}
}

func TestSweepWithoutState(t *testing.T) {
	said, err := Sweep(t.Context(), filepath.Join(t.TempDir(), "none"))
	if err != nil || said != nil {
		t.Errorf("got %q, %v", said, err)
	}
}

func TestRecordRefusesASecondRunOfTheSameName(t *testing.T) {
	s := newStage(t)
	first, err := newRecord(s.state, "same")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := newRecord(s.state, "same"); err == nil {
		t.Error("no error")
	}
	if err := first.close(); err != nil {
		t.Error(err)
	}
	entries, err := os.ReadDir(filepath.Join(s.state, runningDir))
	if err != nil || len(entries) > 0 {
		t.Errorf("left: %v, %v", entries, err)
	}
}

// interrupted is a process that does what every target does with signals.
func interrupted() int {
	r := NewRunner(Options{State: os.Getenv(stateVariable), Run: runID("signals", os.Getenv(stateVariable)), Grace: time.Hour})
	ctx, stop := Context(context.Background(), r.Kill)
	defer stop()
	role := "sleep"
	if os.Getenv(roleVariable) != "" {
		role = os.Getenv(roleVariable)
	}
	i := engine.Invocation{Program: os.Args[0], Env: append(without(os.Environ(), childVariable), childVariable+"="+role)}
	_, _ = r.Run(ctx, i)
	_ = r.Close()
	if ctx.Err() != nil {
		return engine.ExitInterrupted
	}
	return 0
}

func TestSignals(t *testing.T) {
	// Under nohup SIGHUP is ignored, and programs inherit that, unless whoever starts them listens.
	heard := make(chan os.Signal, 1)
	signal.Notify(heard, syscall.SIGHUP)
	t.Cleanup(func() { signal.Stop(heard) })
	twenty := make([]syscall.Signal, 20)
	for i := range twenty {
		twenty[i] = syscall.SIGINT
	}
	tests := []struct {
		name      string
		role      string
		processes int
		signals   []syscall.Signal
		apart     time.Duration
	}{
		{"one SIGINT", "tree", 3, twenty[:1], 0},
		{"SIGTERM", "tree", 3, []syscall.Signal{syscall.SIGTERM}, 0},
		{"SIGHUP", "tree", 3, []syscall.Signal{syscall.SIGHUP}, 0},
		{"second SIGINT kills the stubborn", "stubborn", 2, twenty[:2], 3 * samePress},
		{"twenty in a second", "stubborn", 2, twenty, 50 * time.Millisecond},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newStage(t)
			cmd := exec.Command(self(t))
			cmd.Env = append(without(os.Environ(), RunVariable), childVariable+"=interrupted",
				roleVariable+"="+tt.role, stateVariable+"="+s.state, pidsVariable+"="+s.pids)
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			s.await(1 + tt.processes)
			for _, sig := range tt.signals {
				_ = cmd.Process.Signal(sig)
				time.Sleep(tt.apart)
			}
			_ = cmd.Wait()
			if code := cmd.ProcessState.ExitCode(); code != engine.ExitInterrupted {
				t.Errorf("exit code %d (%s)", code, cmd.ProcessState)
			}
			s.gone()
			if entries, err := os.ReadDir(filepath.Join(s.state, runningDir)); err != nil || len(entries) > 0 {
				t.Errorf("the record is left: %v, %v", entries, err)
			}
		})
	}
}

func TestHeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		signals, stopped := make(chan os.Signal), make(chan struct{})
		defer close(stopped)
		cancelled, killed := 0, 0
		go heed(signals, stopped, func() { cancelled++ }, func() { killed++ })
		expect := func(wantCancelled, wantKilled int) {
			t.Helper()
			synctest.Wait()
			if cancelled != wantCancelled || killed != wantKilled {
				t.Errorf("cancelled %d times, killed %d times; want %d, %d", cancelled, killed, wantCancelled, wantKilled)
			}
		}
		expect(0, 0)
		signals <- os.Interrupt
		expect(1, 0)
		time.Sleep(samePress - 1)
		signals <- os.Interrupt // passed on by a parent: the same press
		expect(1, 0)
		time.Sleep(time.Nanosecond)
		signals <- os.Interrupt
		expect(1, 1)
	})
}
