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

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/tool/tooltest"
)

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
