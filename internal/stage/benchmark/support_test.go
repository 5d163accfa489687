package benchmark

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/handover"
	"github.com/meter-ml/meter-pipeline/internal/stage/python"
	"github.com/meter-ml/meter-pipeline/internal/tool/tooltest"
)

// recorded are the rounds of ten processes, each 40 single predictions, on a machine with a lot to do.
func recorded(t *testing.T) [][]float64 {
	t.Helper()
	content, err := os.ReadFile("testdata/single.json")
	if err != nil {
		t.Fatal(err)
	}
	var processes [][]float64
	if err := json.Unmarshal(content, &processes); err != nil {
		t.Fatal(err)
	}
	return processes
}

// bench is a project with one measure, on a machine of a test's own.
type bench struct {
	project *config.Project
	stage   stage
	scope   engine.Scope
	said    func() string // the step's log
}

func newBench(t *testing.T, run func(context.Context, engine.Invocation) (engine.Output, error), models bool) *bench {
	t.Helper()
	root, machine := t.TempDir(), t.TempDir()
	for path, content := range map[string]string{
		cpuFile: "processor\t: 0\nmodel name\t: Test CPU\n", systemFile: "PRETTY_NAME=\"Test OS 1\"\n", loadFile: "0.25 0.1 0.1 1/2 3\n",
	} {
		lay(t, filepath.Join(machine, path), content)
	}
	p := config.Default(root)
	p.Source, p.Benchmark.Busy = []string{"src"}, 20
	p.Benchmark.Measures = []config.Measure{{
		Name: "single", Judges: "a single prediction", Command: []string{"python", "tests/measure.py", "{file}"}, Limit: config.Duration(5 * time.Millisecond),
	}}
	if models {
		p.Benchmark.Measures[0].Env = map[string]string{"MODEL_DIR": "{models}"}
	}
	lay(t, filepath.Join(root, "tests/measure.py"), "# a program\n")
	lay(t, filepath.Join(root, p.Python.Requirements), "numpy==2.1.0 \\\n    --hash=sha256:aa\n")
	quiet := &meter{shares: []float64{0.03}}
	b := &bench{project: p, stage: stage{options: Options{Models: "integration:train", Now: time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)}, root: machine, gauge: quiet.gauge, sleep: noSleep}}
	var mu sync.Mutex
	var log strings.Builder
	b.said = func() string { mu.Lock(); defer mu.Unlock(); return log.String() }
	runner := tooltest.New(t,
		tooltest.Stub{Program: "python", Args: []string{"-I", "-V"}, Times: -1, Output: engine.Output{Stdout: []byte("Python 3.11.7\n")}},
		tooltest.Stub{Program: "python", Times: -1, Do: run},
	)
	b.scope = engine.Scope{
		Root: root, Artifacts: t.TempDir(), Scratch: t.TempDir(), Env: map[string]string{"PATH": "/bin", "PYTHONPATH": "elsewhere"},
		Run: runner.Run, Progress: func(int, int, string) {},
		Log: func(format string, args ...any) {
			mu.Lock()
			defer mu.Unlock()
			fmt.Fprintf(&log, format+"\n", args...)
		},
	}
	return b
}

func lay(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// step runs one step in a fresh run's artifacts, and decides as the engine does.
func (b *bench) step(t *testing.T, name string) (engine.Judgement, error) {
	t.Helper()
	steps, err := b.stage.Steps(b.project)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range steps {
		if s.Name == name {
			return s.Func(t.Context(), b.scope)
		}
	}
	t.Fatalf("there is no step %s", name)
	return engine.Judgement{}, nil
}

func (b *bench) fresh(t *testing.T) {
	t.Helper()
	b.scope.Artifacts = t.TempDir()
}

// program writes the rounds of one recorded process after the other, each by that factor slower.
func program(t *testing.T, processes [][]float64, factor *float64) func(context.Context, engine.Invocation) (engine.Output, error) {
	t.Helper()
	n := 0
	return func(_ context.Context, i engine.Invocation) (engine.Output, error) {
		rounds := scaled(processes[n%len(processes)], *factor)
		n++
		content, err := json.Marshal(map[string]any{"schema": 1, "unit": "s", "rounds": rounds})
		if err != nil {
			t.Error(err)
		}
		return engine.Output{}, os.WriteFile(i.Args[len(i.Args)-1], content, 0o600)
	}
}

// hand over models of these data sets.
func (b *bench) handOver(t *testing.T, sets ...string) {
	t.Helper()
	m := handover.Model{}
	for _, name := range sets {
		lay(t, filepath.Join(b.scope.Artifacts, name, "models", "m", "model.onnx"), name)
		lay(t, filepath.Join(b.scope.Artifacts, name, "requests.json"), `[{"a": 1}, {"a": 2}]`)
		m.Sets = append(m.Sets, handover.Set{
			Name: name, Data: name + ".csv", DataSHA256: name, Models: name + "/models", Requests: name + "/requests.json",
			Trained: []handover.Trained{{Name: "m"}},
		})
	}
	if _, err := handover.WriteModel(b.scope.Artifacts, m); err != nil {
		t.Fatal(err)
	}
}

// text is what a person reads of a judgement.
func text(j engine.Judgement) string {
	var b strings.Builder
	fmt.Fprintf(&b, "judged %s\n", python.Count(j.Judged, strings.TrimSuffix(j.Unit, "s")))
	for _, m := range j.Metrics {
		if !m.Met() {
			fmt.Fprintf(&b, "missed %s %v > %v\n", m.Name, m.Value, m.Threshold)
		}
	}
	for _, f := range j.Findings {
		fmt.Fprintf(&b, "finding %s %s\n", f.Rule, f.Message)
	}
	for _, n := range j.Notes {
		fmt.Fprintf(&b, "note %s\n", n)
	}
	for _, w := range j.Warnings {
		fmt.Fprintf(&b, "warning %s\n", w)
	}
	return b.String()
}
