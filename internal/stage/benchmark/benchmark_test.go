package benchmark

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/meter-ml/meter-pipeline/internal/engine"
)

func demand(t *testing.T, got string, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if !strings.Contains(got, want) {
			t.Errorf("there is no %q in\n%s", want, got)
		}
	}
}

func TestLimitIsJudgedOnP95(t *testing.T) {
	factor := 1.0
	b := newBench(t, program(t, recorded(t), &factor), false)
	j, err := b.step(t, "single")
	if err != nil {
		t.Fatal(err)
	}
	demand(t, text(j), "judged 400 rounds\n", "p95 is of 400 rounds in 10 processes; not compared: there is no baseline yet: `mage benchmark:baseline` stores one",
		"Test CPU), Test OS 1, frequency governor not adjustable; load average 0.25; others had 3 % of the cores' time (at most 3 %)\n")
	if got := text(j); strings.Contains(got, "missed") || strings.Contains(got, "finding") {
		t.Error(got)
	}
	table := j.Tables[0]
	if table.Title != "A single prediction" || len(table.Rows) != 1 || len(table.Spreads) != 1 || len(table.Spreads[0].Shares) != bins {
		t.Errorf("%+v", table)
	}

	b.fresh(t)
	factor = 60
	j, err = b.step(t, "single")
	if err != nil {
		t.Fatal(err)
	}
	demand(t, text(j), "missed p95 ")
	if m := j.Metrics[0]; m.Threshold != 5 || m.Unit != "ms" || m.Direction != engine.DirectionAtMost || !strings.Contains(m.Help, "judged on the 95th percentile") {
		t.Errorf("%+v", m)
	}
}

// A baseline is stored, and later runs are compared with it: unchanged, slower within the limit, on another machine,
// with another program, on other packages.
func TestBaseline(t *testing.T) {
	processes, factor := recorded(t), 1.0
	b := newBench(t, program(t, processes, &factor), false)
	b.stage.baseline = true
	if _, err := b.step(t, "single"); err != nil {
		t.Fatal(err)
	}
	if doc, err := readDocument(b.scope.Artifacts); err != nil || len(doc.Measures[0].Repetitions) != 30 {
		t.Fatalf("%d repetitions, %v: a baseline has three times as many", len(doc.Measures[0].Repetitions), err)
	}
	if j, err := b.step(t, "store"); err != nil || j.Judged != 1 {
		t.Fatalf("%+v, %v", j, err)
	}
	b.stage.baseline = false
	judged := func(name string, wants ...string) {
		t.Helper()
		b.fresh(t)
		j, err := b.step(t, "single")
		if err != nil {
			t.Fatal(name, err)
		}
		demand(t, text(j), wants...)
		if slices.ContainsFunc(wants, func(w string) bool { return strings.HasPrefix(w, "finding") }) != (len(j.Findings) > 0) {
			t.Errorf("%s:\n%s", name, text(j))
		}
	}
	judged("unchanged", "; compared: median ", "baseline of 2026-11-23: ", "within the 15 % that may be (10 repetitions against 30)")
	factor = 3
	judged("slower", "finding regression a single prediction has become slower: median ", "200 % above that of the baseline of 2026-11-23", "beyond the 15 % that may be with p = ")
	factor = 0.3
	judged("faster", "; faster than before: ", "`mage benchmark:baseline` makes that the new baseline")
	factor = 1

	lay(t, filepath.Join(b.project.Root, b.project.Python.Requirements), "numpy==2.2.0\n")
	judged("other packages", "since when numpy 2.1.0 → 2.2.0: ")

	lay(t, filepath.Join(b.project.Root, "tests/measure.py"), "# another program\n")
	judged("another program", "not compared: it is not what was measured on 2026-11-23")
	lay(t, filepath.Join(b.project.Root, "tests/measure.py"), "# a program\n")

	lay(t, filepath.Join(b.stage.root, cpuFile), "model name : Other CPU\n")
	factor = 3
	judged("another machine", "not compared: the baseline is of another machine: its CPU is Test CPU, this machine's is Other CPU")

	path := filepath.Join(b.project.Root, b.project.Benchmark.Baseline)
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for torn, want := range map[string]string{
		"": "EOF", string(content[:len(content)/2]): "unexpected EOF", "{}": "its schema is 0", string(content) + "x": "something follows",
		strings.Replace(string(content), `"medians": [`, `"medians": [0, `, 1): "holds a time of 0 s", `{"schema_version": 1, "machines": [{"measures": {"a": {}}}]}`: "is not whole",
	} {
		lay(t, path, torn)
		if _, err := b.step(t, "single"); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "mage benchmark:baseline") {
			t.Errorf("%.40q: %v, want %q", torn, err, want)
		}
	}
}

// Baselines of several machines stand side by side, each once.
func TestBaselinesOfMachines(t *testing.T) {
	factor := 1.0
	b := newBench(t, program(t, recorded(t), &factor), false)
	b.stage.baseline = true
	for _, cpu := range []string{"A", "B", "A"} {
		lay(t, filepath.Join(b.stage.root, cpuFile), "model name : "+cpu+"\n")
		b.fresh(t)
		for _, name := range []string{"single", "store"} {
			if _, err := b.step(t, name); err != nil {
				t.Fatal(err)
			}
		}
	}
	all, err := readBaselines(b.project)
	if err != nil || len(all.Machines) != 2 || all.Machines[0].Machine.CPU != "A" || all.Machines[1].Machine.CPU != "B" {
		t.Errorf("%+v, %v", all, err)
	}
	if _, why := all.of(Machine{CPU: "C"}); why != "none of the 2 baselines is of this machine" {
		t.Error(why)
	}
}

func TestBusyMachineIsNotJudged(t *testing.T) {
	factor := 1.0
	b := newBench(t, program(t, recorded(t), &factor), false)
	m := &meter{shares: []float64{0.02, 0.5}}
	b.stage.gauge = m.gauge
	_, err := b.step(t, "single")
	if err == nil || !strings.Contains(err.Error(), "the machine was too busy to measure: in 11 of 12 repetitions others had 50 to 50 % of its cores' time") ||
		!strings.Contains(err.Error(), "raise benchmark.busy in pipeline.yaml") {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(b.scope.Artifacts, documentFile)); err == nil {
		t.Error("what was not judged was written down")
	}

	m = &meter{shares: []float64{0.5, 0.02}}
	b.stage.gauge = m.gauge
	j, err := b.step(t, "single")
	if err != nil {
		t.Fatal(err)
	}
	demand(t, text(j), "judged 400 rounds", "1 process repeated, since they had more than 20 %")
}

func TestUnknownBusyness(t *testing.T) {
	factor := 1.0
	b := newBench(t, program(t, recorded(t), &factor), false)
	b.stage.gauge = func() (account, error) { return account{}, os.ErrNotExist }
	j, err := b.step(t, "single")
	if err != nil {
		t.Fatal(err)
	}
	demand(t, text(j), "warning nobody knows how busy the machine was meanwhile: file does not exist")
}

func TestEveryDataSetIsMeasured(t *testing.T) {
	var models []string
	factor := 1.0
	write := program(t, recorded(t), &factor)
	b := newBench(t, func(ctx context.Context, i engine.Invocation) (engine.Output, error) {
		for _, entry := range i.Env {
			if dir, ok := strings.CutPrefix(entry, "MODEL_DIR="); ok {
				models = append(models, filepath.Base(filepath.Dir(dir)))
			}
			if path, ok := strings.CutPrefix(entry, "PYTHONPATH="); ok && filepath.Base(path) != "src" {
				t.Errorf("PYTHONPATH is %s", path)
			}
		}
		return write(ctx, i)
	}, true)
	if _, err := b.step(t, "single"); err == nil || !strings.Contains(err.Error(), "run `mage integration`") {
		t.Errorf("without models: %v", err)
	}
	b.handOver(t, "sample", "plant")
	j, err := b.step(t, "single")
	if err != nil {
		t.Fatal(err)
	}
	demand(t, text(j), "judged 440 rounds", "400 rounds in 10 processes on sample", "40 rounds in 1 process on plant")
	if strings.Join(slices.Compact(models), " ") != "sample plant" || len(models) != 11 {
		t.Error(models)
	}
	if steps, err := b.stage.Steps(b.project); err != nil || strings.Join(steps[0].After, "") != "integration:train" || !steps[0].Alone {
		t.Errorf("%+v, %v", steps, err)
	}
}

func TestProgramThatDoesNotMeasure(t *testing.T) {
	for _, tc := range []struct {
		name string
		out  engine.Output
		err  error
		file string
		want string
	}{
		{"no file", engine.Output{}, nil, "-", "wrote no rounds"},
		{"empty file", engine.Output{}, nil, "", "the file is empty"},
		{"torn file", engine.Output{}, nil, `{"schema": 1,`, "unexpected EOF"},
		{"wrong answers", engine.Output{ExitCode: 1, Stderr: []byte("measure: every request gets the same prediction\n")}, nil, "-", "exit code 1 and without a result: measure: every request gets the same prediction"},
		{"killed", engine.Output{}, errors.New("run python: signal 9"), "-", "signal 9"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBench(t, func(_ context.Context, i engine.Invocation) (engine.Output, error) {
				if tc.file != "-" {
					lay(t, i.Args[len(i.Args)-1], tc.file)
				}
				return tc.out, tc.err
			}, false)
			if j, err := b.step(t, "single"); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%+v, %v, want %q", j, err, tc.want)
			}
		})
	}
}

func TestNothingToTime(t *testing.T) {
	b := newBench(t, nil, false)
	b.project.Benchmark.Measures = nil
	steps, err := b.stage.Steps(b.project)
	if err != nil || len(steps) != 1 || !strings.Contains(steps[0].Skip, "benchmark.measures") {
		t.Errorf("%+v, %v", steps, err)
	}
}
