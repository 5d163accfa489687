package history

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/wholefile"
)

func TestReadTellsAllThatWasJudged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.jsonl")
	r := run("20261123-142501-3f9c", 3*time.Second, engine.StatusFailed)
	r.Branch, r.Origin = "develop", engine.Origin{Author: "Ada", Builder: "laptop", URL: "https://ci.example/1"}
	r.Warnings = []string{"slow\x1b[31m"}
	s := &r.Stages[0].Steps[0]
	s.Started = r.Started.Add(1500 * time.Millisecond)
	s.Judgement.Findings = append(s.Judgement.Findings, engine.Finding{Rule: engine.RuleFlaky, Severity: engine.SeverityInfo, Message: engine.FlakyMessage("tests/a.py::test_b")})
	add(t, open(t, path), r)
	got, err := Read(path)
	if err != nil || len(got.Runs) != 1 || got.Warnings != nil {
		t.Fatalf("%+v, %v", got, err)
	}
	d := got.Runs[0].Detail
	if d.Branch != "develop" || d.Author != "Ada" || d.Builder != "laptop" || d.URL != "https://ci.example/1" || fmt.Sprint(d.Warnings) != "[slow]" {
		t.Errorf("detail %+v", d)
	}
	result := d.Results[0]
	if result.At != 1.5 || result.Metrics[0].Value != 8.61 || result.Findings["low"] != 1 || result.Findings["info"] != 1 || fmt.Sprint(result.Flaky) != "[tests/a.py::test_b]" {
		t.Errorf("result %+v", result)
	}
}

// What was written before details were kept is still read, by both readers.
func TestOldLinesAreRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.jsonl")
	old := `{"schema":1,"run":"1","time":"2026-11-23T14:25:01.5Z","target":"check","cores":2,"slots":2,"status":"passed","exit_code":0,"seconds":2,` +
		`"steps":[{"stage":"quality","step":"pylint","status":"passed","cached":false,"seconds":2}]}` + "\n"
	if err := os.WriteFile(path, []byte(old), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := Read(path)
	if err != nil || len(got.Runs) != 1 || got.Runs[0].Detail != nil || got.Runs[0].Steps[0].Seconds != 2 {
		t.Errorf("%+v, %v", got, err)
	}
	if h := open(t, path); h.Expected("quality", "pylint") != 2*time.Second {
		t.Errorf("expected %s", h.Expected("quality", "pylint"))
	}
}

func TestReadSaysWhatIsMissing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.jsonl")
	add(t, open(t, path), run("1", time.Second, engine.StatusPassed))
	add(t, open(t, path), run("2", time.Second, engine.StatusPassed))
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	hostile := "{}\n" + `{"schema":9,"run":"x"}` + "\n" + `{"schema":1,"deploy":{"environment":"staging"}}` + "\n"
	if err := os.WriteFile(path, append([]byte(hostile), append(b, b[:len(b)-9]...)...), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := Read(path)
	want := "history history.jsonl: its last line is torn, since a run was killed as it was written: that run is missing" +
		"|history history.jsonl: 2 of its lines can't be read, and are missing" +
		"|history history.jsonl: 1 of its lines were written by a newer version of the pipeline, and are missing"
	if err != nil || len(got.Runs) != 2 || strings.Join(got.Warnings, "|") != want {
		t.Errorf("%d runs, %q, %v", len(got.Runs), got.Warnings, err)
	}
}

func TestDeploysOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.jsonl")
	began := time.Date(2026, 11, 23, 14, 0, 0, 0, time.UTC)
	d := Deploy{Environment: "production", Release: "r1", Status: DeployDone, Started: began, Finished: began.Add(time.Minute)}
	for _, want := range []int{2, 0} {
		other := d
		other.Environment = "staging"
		if n, err := AppendDeploys(t.Context(), path, 0, d, other, d); err != nil || n != want {
			t.Errorf("%d appended, %v; want %d", n, err, want)
		}
	}
	got, err := Read(path)
	if err != nil || len(got.Deploys) != 2 || got.Warnings != nil || open(t, path).Warnings() != nil {
		t.Errorf("%+v, %v, %q", got, err, open(t, path).Warnings())
	}
	// The same release once more is another deploy.
	again := d
	again.Started, again.Finished = began.Add(time.Hour), began.Add(2*time.Hour)
	if n, err := AppendDeploys(t.Context(), path, 0, d, again); err != nil || n != 1 {
		t.Errorf("%d appended, %v; want 1", n, err)
	}
	for _, bad := range []Deploy{{}, {Environment: "a", Release: "b", Status: "well", Started: began, Finished: began}, {Environment: "a", Release: "b", Status: DeployDone, Started: began}} {
		if _, err := AppendDeploys(t.Context(), path, 0, bad); err == nil {
			t.Errorf("%+v was taken", bad)
		}
	}
}

func TestPruneKeepsTheNewest(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.jsonl")
	for i := range 111 {
		if err := open(t, path).Append(t.Context(), run(fmt.Sprint(i), time.Second, engine.StatusPassed), 100); err != nil {
			t.Fatal(err)
		}
	}
	got, err := Read(path)
	if err != nil || len(got.Runs) != 100 {
		t.Fatalf("%d runs, %v", len(got.Runs), err)
	}
	first := "999"
	for _, r := range got.Runs {
		if len(r.Run) < len(first) || len(r.Run) == len(first) && r.Run < first {
			first = r.Run
		}
	}
	if first != "11" {
		t.Errorf("the oldest that is left is %s", first)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

// A run that waits for the lock of a file that is replaced meanwhile must not be lost.
func TestWaitsForTheFileThatIsThere(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.jsonl")
	add(t, open(t, path), run("1", time.Second, engine.StatusPassed))
	held, err := openLocked(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() { add(t, &History{path: path}, run("2", time.Second, engine.StatusPassed)) })
	time.Sleep(50 * time.Millisecond) // it waits for the lock by now; if not, the test is only weaker
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := wholefile.Write(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := held.Close(); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	if got, err := Read(path); err != nil || len(got.Runs) != 2 {
		t.Errorf("%d runs, %v", len(got.Runs), err)
	}
}

func TestManyAppendWhilePruning(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.jsonl")
	const writers, each, keep = 8, 40, 100
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				if err := (&History{path: path}).Append(t.Context(), run(fmt.Sprintf("%d-%d", w, i), time.Second, engine.StatusPassed), keep); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	// 320 were written: after each time that 111 were too many, 100 stayed.
	if n := bytes.Count(b, []byte("\n")); n != keep+(writers*each-keep)%(keep/10+1) {
		t.Errorf("%d lines are left", n)
	}
	if got, err := Read(path); err != nil || got.Warnings != nil {
		t.Errorf("%q, %v", got.Warnings, err)
	}
}

// The reader before each run does not parse details: it is as fast as it was without them.
func BenchmarkOpen(b *testing.B) {
	path := filepath.Join(b.TempDir(), "history.jsonl")
	r := run("1", time.Second, engine.StatusPassed)
	for range 30 {
		r.Stages[0].Steps = append(r.Stages[0].Steps, r.Stages[0].Steps[0])
	}
	for range 500 {
		if err := (&History{path: path}).Append(b.Context(), r, 0); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		if _, err := Open(path); err != nil {
			b.Fatal(err)
		}
	}
}
