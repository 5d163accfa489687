package tool

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/engine"
)

// childVariable makes the test binary play a program; its value says which.
const childVariable = "TOOL_TEST_CHILD"

// pidsVariable names the directory in which every process of a test signs with its number.
const pidsVariable = "TOOL_TEST_PIDS"

func TestMain(m *testing.M) {
	if role := os.Getenv(childVariable); role != "" {
		os.Exit(play(role))
	}
	os.Exit(m.Run())
}

// play is the program that the tests start.
func play(role string) int {
	sign()
	switch role {
	case "sleep":
		wait()
	case "stubborn": // ignores SIGTERM, and so does its child
		signal.Ignore(syscall.SIGTERM)
		spawn("stubborn-child", nil, false)
		wait()
	case "stubborn-child":
		signal.Ignore(syscall.SIGTERM)
		wait()
	case "tree":
		spawn("branch", nil, false)
		wait()
	case "branch":
		spawn("sleep", nil, false)
		wait()
	case "double-fork": // the middle one ends at once, so that the last has no parent here
		spawn("orphan", nil, false)
		wait()
	case "orphan":
		spawn("sleep", nil, false)
	case "runaway": // a grandchild with a session of its own and no parent
		spawn("runaway-middle", nil, false)
		wait()
	case "runaway-middle":
		spawn("sleep", nil, true)
	case "stripped": // a child with a session of its own and nothing in its environment, but with a parent
		spawn("sleep", []string{}, true)
		wait()
	case "stripped-stubborn": // the same, and once its parent has ended, nothing tells whose it was
		spawn("stubborn-child", []string{}, true)
		wait()
	case "leaves-child":
		spawn("sleep", nil, false)
		fmt.Println("done")
	case "leaves-runaway":
		spawn("sleep", nil, true)
		fmt.Println("done")
	case "leaves-unknown": // nobody can find this one, and it holds the output
		spawn("sleep", []string{}, true)
		fmt.Println("done")
	case "make-orphan": // of a shell script, in a session of its own, with nothing in its environment
		cmd := exec.Command("/bin/sh", "-c", os.Args[1]+"; :")
		cmd.Env, cmd.SysProcAttr = []string{"PATH=/usr/bin:/bin"}, &syscall.SysProcAttr{Setsid: true}
		if err := cmd.Start(); err != nil {
			panic(err)
		}
		fmt.Print(cmd.Process.Pid)
	case "owner":
		return owner()
	case "interrupted":
		return interrupted()
	default:
		fmt.Fprintln(os.Stderr, "no such role:", role)
		return 99
	}
	return 0
}

func sign() {
	dir := os.Getenv(pidsVariable)
	path := filepath.Join(dir, strconv.Itoa(os.Getpid()))
	if err := os.WriteFile(path+".new", nil, 0o600); err != nil {
		panic(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		panic(err)
	}
}

// wait ends after a minute, so that a failing test leaves nothing for good.
func wait() { time.Sleep(time.Minute) }

// spawn starts another role and waits until that has signed; env nil is the own one.
func spawn(role string, env []string, session bool) {
	cmd := exec.Command(os.Args[0])
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if env == nil {
		env = os.Environ()
	} else {
		env = append(env, pidsVariable+"="+os.Getenv(pidsVariable))
	}
	cmd.Env = append(without(env, childVariable), childVariable+"="+role)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: session}
	if err := cmd.Start(); err != nil {
		panic(err)
	}
	for !exists(filepath.Join(os.Getenv(pidsVariable), strconv.Itoa(cmd.Process.Pid))) {
		time.Sleep(time.Millisecond)
	}
	go func() { _ = cmd.Wait() }()
}

// stage is a directory for one test's programs.
type stage struct {
	t     *testing.T
	state string
	pids  string
}

func newStage(t *testing.T) stage {
	t.Helper()
	s := stage{t: t, state: t.TempDir(), pids: t.TempDir()}
	t.Cleanup(func() {
		for _, pid := range s.living() {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	})
	return s
}

func (s stage) runner(change ...func(*Options)) *Runner {
	s.t.Helper()
	opts := Options{State: s.state, Run: runID("run", s.state), Grace: 300 * time.Millisecond}
	for _, f := range change {
		f(&opts)
	}
	r := NewRunner(opts)
	s.t.Cleanup(func() {
		if err := r.Close(); err != nil {
			s.t.Error(err)
		}
	})
	return r
}

// runID is of one test of one process: a runner ends what has its run's mark, whoever on this machine has started it.
func runID(kind, state string) string { return kind + strings.ReplaceAll(state, "/", "-") }

func (s stage) invocation(role string) engine.Invocation {
	return engine.Invocation{Program: self(s.t), Dir: s.pids, Env: append(os.Environ(),
		childVariable+"="+role, pidsVariable+"="+s.pids)}
}

func (s stage) sh(script string) engine.Invocation {
	return engine.Invocation{Program: "/bin/sh", Args: []string{"-c", script}, Dir: s.pids, Env: os.Environ()}
}

func self(t *testing.T) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// await waits until n processes have signed.
func (s stage) await(n int) {
	s.t.Helper()
	for range 3000 {
		if len(s.signed()) >= n {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	s.t.Fatalf("%d processes started, want %d", len(s.signed()), n)
}

func (s stage) signed() []int {
	entries, err := os.ReadDir(s.pids)
	if err != nil {
		s.t.Fatal(err)
	}
	var pids []int
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// living are those of the test's processes that still run.
func (s stage) living() []int {
	var pids []int
	for _, pid := range s.signed() {
		if alive(pid) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// alive is true for a zombie, too, where nothing else can be known.
func alive(pid int) bool {
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return !exists("/proc") && syscall.Kill(pid, 0) == nil
	}
	after := b[bytes.LastIndexByte(b, ')')+2:]
	return after[0] != 'Z' && after[0] != 'X'
}

func (s stage) gone() {
	s.t.Helper()
	if pids := s.living(); len(pids) > 0 {
		s.t.Errorf("processes %v of %v still run", pids, s.signed())
	}
}
