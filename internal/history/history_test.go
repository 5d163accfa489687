package history

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/engine"
)

func run(id string, took time.Duration, status engine.Status) *engine.Run {
	return &engine.Run{
		ID: id, Target: "check", Commit: "abc", Started: time.Date(2026, 11, 23, 14, 25, 1, 5e8, time.UTC), Duration: took,
		Status: status, Limit: 2,
		Stages: []engine.StageResult{{Name: "quality", Status: status, Duration: took, Steps: []engine.StepResult{{
			Stage: "quality", Name: "pylint", Status: status, Duration: took, Judgement: engine.Judgement{
				Metrics:  []engine.Metric{{Name: "pylint_score", Value: 8.61, Threshold: 7, Direction: engine.DirectionAtLeast}},
				Findings: []engine.Finding{{Rule: "W0611", Severity: engine.SeverityLow}},
			},
		}}}},
	}
}

func open(t *testing.T, path string) *History {
	t.Helper()
	h, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func add(t *testing.T, h *History, r *engine.Run) {
	t.Helper()
	if err := h.Append(t.Context(), r, 0); err != nil {
		t.Fatal(err)
	}
}

// past is an earlier run of a step.
type past struct {
	took   time.Duration
	status engine.Status
}

func TestExpected(t *testing.T) {
	const passed, failed = engine.StatusPassed, engine.StatusFailed
	tests := []struct {
		name string
		past []past
		want time.Duration
	}{
		{"nothing", nil, 0},
		{"one", []past{{3 * time.Second, passed}}, 3 * time.Second},
		{"a failed run was judged", []past{{3 * time.Second, failed}}, 3 * time.Second},
		{"one that was not judged does not count", []past{{3 * time.Second, passed}, {time.Hour, engine.StatusError}, {0, engine.StatusSkipped}}, 3 * time.Second},
		{"median of three", []past{{9 * time.Second, passed}, {time.Second, passed}, {4 * time.Second, passed}}, 4 * time.Second},
		{"median of two", []past{{2 * time.Second, passed}, {time.Second, passed}}, 1500 * time.Millisecond},
		{"the last ten", append(many(20, time.Hour), many(10, time.Minute)...), time.Minute},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), ".pipeline", "history.jsonl")
			for i, p := range tt.past {
				add(t, open(t, path), run(fmt.Sprint(i), p.took, p.status))
			}
			h := open(t, path)
			if got := h.Expected("quality", "pylint"); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
			if h.Expected("quality", "black") != 0 || h.Warnings() != nil {
				t.Errorf("%s, %q", h.Expected("quality", "black"), h.Warnings())
			}
		})
	}
}

func many(n int, took time.Duration) []past {
	return slices.Repeat([]past{{took, engine.StatusPassed}}, n)
}

func TestCachedDoesNotCount(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.jsonl")
	r := run("1", time.Millisecond, engine.StatusPassed)
	r.Stages[0].Steps[0].Cached = true
	add(t, open(t, path), r)
	if got := open(t, path).Expected("quality", "pylint"); got != 0 {
		t.Errorf("got %s", got)
	}
}

func TestFormat(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.jsonl")
	add(t, open(t, path), run("20261123-142501-3f9c", 1234567*time.Microsecond, engine.StatusPassed))
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	got := string(b)
	from := strings.Index(got, `"cores":`)
	to := from + strings.IndexByte(got[from:], ',')
	got = got[:from] + `"cores":N` + got[to:]
	want := `{"schema":1,"run":"20261123-142501-3f9c","time":"2026-11-23T14:25:01.5Z","target":"check","commit":"abc","cores":N,"slots":2,` +
		`"status":"passed","exit_code":0,"seconds":1.235,"steps":[{"stage":"quality","step":"pylint","status":"passed","cached":false,"seconds":1.235}],` +
		`"detail":{"stages":[{"stage":"quality","status":"passed","seconds":1.235}],"results":[{"stage":"quality","step":"pylint","at":0,` +
		`"metrics":[{"name":"pylint_score","value":8.61,"threshold":7,"direction":"at_least"}],"findings":{"low":1}}]}}` + "\n"
	if got != want {
		t.Errorf("got  %swant %s", got, want)
	}
}

// TestTornAtEveryByte cuts the file everywhere: what is whole still counts, what is torn is said, and after the next
// run all is well.
func TestTornAtEveryByte(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.jsonl")
	add(t, open(t, path), run("1", time.Second, engine.StatusPassed))
	first, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	add(t, open(t, path), run("2", 3*time.Second, engine.StatusPassed))
	both, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for at := range len(both) + 1 {
		if err := os.WriteFile(path, both[:at], 0o600); err != nil {
			t.Fatal(err)
		}
		h := open(t, path)
		lineEnd := at == 0 || both[at-1] == '\n'
		complete := lineEnd || at == len(first)-1 || at == len(both)-1 // only the line end is missing
		if torn := len(h.Warnings()) == 1 && strings.Contains(h.Warnings()[0], "torn"); torn == complete {
			t.Errorf("at %d: warnings %q", at, h.Warnings())
		}
		want := time.Duration(0)
		switch {
		case at >= len(both)-1:
			want = 2 * time.Second
		case at >= len(first)-1:
			want = time.Second
		}
		if got := h.Expected("quality", "pylint"); got != want {
			t.Errorf("at %d: expected %s, want %s", at, got, want)
		}
		add(t, h, run("3", time.Second, engine.StatusPassed))
		if h := open(t, path); h.Warnings() != nil || len(h.took[[2]string{"quality", "pylint"}]) != samplesAt(at, first, both)+1 {
			t.Errorf("at %d, after the next run: %q, %v", at, h.Warnings(), h.took)
		}
	}
}

func samplesAt(at int, first, both []byte) int {
	switch {
	case at >= len(both)-1:
		return 2
	case at >= len(first)-1:
		return 1
	default:
		return 0
	}
}

func TestUnreadableLinesAreSaid(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.jsonl")
	add(t, open(t, path), run("1", time.Second, engine.StatusPassed))
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text := "\n{\n\x00\n{}\n" + `{"schema":99}` + "\n" + string(b)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	h := open(t, path)
	want := []string{
		"history history.jsonl: 3 of its lines can't be read, and do not count: remove them, or the file, to be rid of this warning",
		"history history.jsonl: 1 of its lines were written by a newer version of the pipeline, and do not count",
	}
	if fmt.Sprint(h.Warnings()) != fmt.Sprint(want) || h.Expected("quality", "pylint") != time.Second {
		t.Errorf("%q, %s", h.Warnings(), h.Expected("quality", "pylint"))
	}
}

func TestLongFileIsReadFromItsEnd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.jsonl")
	add(t, open(t, path), run("1", time.Second, engine.StatusPassed))
	line, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, bytes.Repeat(line, window/len(line)+100), 0o600); err != nil {
		t.Fatal(err)
	}
	if h := open(t, path); h.Warnings() != nil || h.Expected("quality", "pylint") != time.Second || len(h.took[[2]string{"quality", "pylint"}]) > window/len(line) {
		t.Errorf("%q", h.Warnings())
	}
}

func TestManyRunsAppendAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.jsonl")
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			h, err := Open(path)
			if err == nil {
				err = h.Append(t.Context(), run(fmt.Sprint(i), time.Second, engine.StatusPassed), 0)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	b, err := os.ReadFile(path)
	if err != nil || bytes.Count(b, []byte("\n")) != 50 || open(t, path).Warnings() != nil {
		t.Errorf("%d lines, %v, %q", bytes.Count(b, []byte("\n")), err, open(t, path).Warnings())
	}
}

func TestErrors(t *testing.T) {
	dir := t.TempDir()
	if _, err := Open(dir); err == nil || !strings.HasPrefix(err.Error(), "read history: ") {
		t.Errorf("got %v", err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	h := &History{path: filepath.Join(file, "history.jsonl")}
	if err := h.Append(t.Context(), run("1", 0, engine.StatusPassed), 0); err == nil || !strings.Contains(err.Error(), "check that the disk has room") {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat("/dev/full"); err != nil {
		return // no device that is always full on this system
	}
	if err := (&History{path: "/dev/full"}).Append(t.Context(), run("1", 0, engine.StatusPassed), 0); err == nil || !strings.Contains(err.Error(), "no space left") {
		t.Errorf("got %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"schema":1,"steps":[{"stage":"a","step":"b","status":"passed","seconds":1e300}]}`+"\n{"), true)
	f.Fuzz(func(t *testing.T, b []byte, whole bool) {
		h := &History{path: "history.jsonl"}
		h.parse(b, whole)
		for key := range h.took {
			if h.Expected(key[0], key[1]) < 0 {
				t.Errorf("negative: %q", b)
			}
		}
	})
}
