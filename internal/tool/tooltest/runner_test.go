package tooltest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/meter-ml/meter-pipeline/internal/engine"
)

// witness takes a failure instead of failing.
type witness struct {
	testing.TB
	errors  []string
	cleanup func()
}

func (w *witness) Helper()           {}
func (w *witness) Cleanup(f func())  { w.cleanup = f }
func (w *witness) Error(args ...any) { w.errors = append(w.errors, fmt.Sprint(args...)) }
func (w *witness) Errorf(format string, args ...any) {
	w.errors = append(w.errors, fmt.Sprintf(format, args...))
}

func TestStrict(t *testing.T) {
	call := func(program string, args ...string) engine.Invocation {
		return engine.Invocation{Program: program, Args: args}
	}
	tests := []struct {
		name  string
		stubs []Stub
		calls []engine.Invocation
		want  string
	}{
		{"used", []Stub{{Program: "a"}}, []engine.Invocation{call("/bin/a", "x")}, ""},
		{"unknown", nil, []engine.Invocation{call("a", "x")}, "no stub expects a x"},
		{"unused", []Stub{{Program: "a", Args: []string{"x"}}}, nil, "the stub for a x was used 0 times, want 1"},
		{"too often", []Stub{{Program: "a"}}, []engine.Invocation{call("a"), call("a")}, "no stub expects a "},
		{"too seldom", []Stub{{Program: "a", Times: 2}}, []engine.Invocation{call("a")}, "used 1 times, want 2"},
		{"any number", []Stub{{Program: "a", Times: -1}, {Program: "b", Times: -1}}, []engine.Invocation{call("a"), call("a")}, ""},
		{"arguments in order", []Stub{{Program: "a", Args: []string{"x", "z"}}}, []engine.Invocation{call("a", "x", "y", "z")}, ""},
		{"arguments out of order", []Stub{{Program: "a", Args: []string{"z", "x"}, Times: -1}}, []engine.Invocation{call("a", "x", "y", "z")}, "no stub expects"},
		{"file that nobody names", []Stub{{Program: "a", Files: map[string]string{"r.json": ""}}}, []engine.Invocation{call("a", "x")}, "no argument names a file that ends in r.json"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := &witness{TB: t}
			r := New(w, tt.stubs...)
			for _, i := range tt.calls {
				_, _ = r.Run(t.Context(), i)
			}
			w.cleanup()
			if got := strings.Join(w.errors, "\n"); tt.want == "" && got != "" || !strings.Contains(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if len(r.Calls()) != len(tt.calls) {
				t.Errorf("calls: %v", r.Calls())
			}
		})
	}
}

func TestAnswers(t *testing.T) {
	dir := t.TempDir()
	r := New(t,
		Stub{Program: "a", Output: engine.Output{Stdout: []byte("x\ny"), Stderr: []byte("z\n"), ExitCode: 3}, Files: map[string]string{
			"r.json": "{}", filepath.Join(dir, "absolute"): "b",
		}},
		Stub{Program: "a", Do: func(context.Context, engine.Invocation) (engine.Output, error) { return engine.Output{}, os.ErrClosed }},
	)
	var lines []string
	i := engine.Invocation{Program: "a", Args: []string{"--out=json:" + dir + "/r.json"}, Line: func(l string) { lines = append(lines, l) }}
	out, err := r.Run(t.Context(), i)
	if err != nil || out.ExitCode != 3 || strings.Join(lines, ",") != "x,y,z" {
		t.Errorf("%+v, %v, %q", out, err, lines)
	}
	for name, want := range map[string]string{"r.json": "{}", "absolute": "b"} {
		if b, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(b) != want {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
	if _, err := r.Run(t.Context(), i); !errors.Is(err, os.ErrClosed) {
		t.Error(err)
	}
}
