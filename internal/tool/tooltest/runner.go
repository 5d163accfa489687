// Package tooltest is a strict fake of the one runner, for tests of steps and of the provisioner.
//
// A program that no stub expects fails the test, and so does a stub that nobody used: a test says exactly what runs.
package tooltest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/meter-ml/meter-pipeline/internal/engine"
)

// A Stub answers for one program.
type Stub struct {
	Program string   // its base name
	Args    []string // must all be among the arguments, in this order; others may stand between them
	Times   int      // how often it must be started; 0 is once, -1 is any number, none included

	Output engine.Output
	Err    error
	// Files are written before it returns. A key is the end of the path, as one of the arguments names it:
	// "bandit-report.json" for --output=/somewhere/bandit-report.json. A key that is an absolute path is taken as it is.
	Files map[string]string
	// Do, if set, answers instead of Output and Err.
	Do func(context.Context, engine.Invocation) (engine.Output, error)
}

// A Runner answers from its stubs.
type Runner struct {
	t     testing.TB
	mu    sync.Mutex
	stubs []Stub
	used  []int
	calls []engine.Invocation
}

var _ engine.Runner = (*Runner)(nil)

// New returns a runner that knows the given programs. The first stub that fits and is not used up answers.
func New(t testing.TB, stubs ...Stub) *Runner {
	t.Helper()
	r := &Runner{t: t, stubs: stubs, used: make([]int, len(stubs))}
	t.Cleanup(r.check)
	return r
}

// Calls returns what was started so far, in order.
func (r *Runner) Calls() []engine.Invocation {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.calls)
}

// Run answers for one start of a program. Like the real runner it passes the output on line by line.
func (r *Runner) Run(ctx context.Context, i engine.Invocation) (engine.Output, error) {
	stub, ok := r.take(i)
	if !ok {
		err := fmt.Errorf("no stub expects %s %s", i.Program, strings.Join(i.Args, " "))
		r.t.Error(err)
		return engine.Output{}, err
	}
	if err := write(stub.Files, i.Args); err != nil {
		r.t.Error(err)
		return engine.Output{}, err
	}
	if stub.Do != nil {
		return stub.Do(ctx, i)
	}
	if i.Line != nil {
		for _, b := range [][]byte{stub.Output.Stdout, stub.Output.Stderr} {
			for line := range strings.Lines(string(b)) {
				i.Line(strings.TrimRight(line, "\r\n"))
			}
		}
	}
	return stub.Output, stub.Err
}

func (r *Runner) take(i engine.Invocation) (Stub, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls = append(r.calls, i)
	for n, stub := range r.stubs {
		if stub.fits(i) && (stub.Times < 0 || r.used[n] < max(stub.Times, 1)) {
			r.used[n]++
			return stub, true
		}
	}
	return Stub{}, false
}

func (s Stub) fits(i engine.Invocation) bool {
	if filepath.Base(i.Program) != s.Program {
		return false
	}
	rest := i.Args
	for _, want := range s.Args {
		at := slices.Index(rest, want)
		if at < 0 {
			return false
		}
		rest = rest[at+1:]
	}
	return true
}

func write(files map[string]string, args []string) error {
	for name, content := range files {
		path := name
		if !filepath.IsAbs(name) {
			path = named(name, args)
		}
		if path == "" {
			return fmt.Errorf("no argument names a file that ends in %s: %q", name, args)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// named finds the absolute path at the end of an argument: alone, or behind "=" or ":".
func named(name string, args []string) string {
	for _, arg := range args {
		if !strings.HasSuffix(arg, name) {
			continue
		}
		if at := strings.Index(arg, string(filepath.Separator)); at >= 0 {
			return arg[at:]
		}
	}
	return ""
}

func (r *Runner) check() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for n, stub := range r.stubs {
		if want := max(stub.Times, 1); stub.Times >= 0 && r.used[n] != want {
			r.t.Errorf("the stub for %s %s was used %d times, want %d", stub.Program, strings.Join(stub.Args, " "), r.used[n], want)
		}
	}
}
