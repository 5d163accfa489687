package dashboard

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/history"
)

func page(t testing.TB, records history.Records) string {
	t.Helper()
	var b bytes.Buffer
	if err := Render(&b, records, options()); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func full(t testing.TB, n int) string {
	t.Helper()
	records, err := history.Read(stored(t, n))
	if err != nil {
		t.Fatal(err)
	}
	return page(t, records)
}

func TestSaysWhatNeedsAttention(t *testing.T) {
	got := full(t, 500)
	for _, want := range []string{
		"Stage integration takes longer than its budget of 1 min 00 s: 10 of its last 10 runs were more than 10 % over it",
		"Features p95 went up",
		"of the last 100 runs passed",
		"Flaky in 6 runs: tests/unit/test_api.py::test_timeout",
		"The quarantine of tests/unit/test_api.py::test_timeout ends on 2026-12-04: ada mends it",
		"Change lead time", "Deployment frequency", "Failed-deployment recovery time", "Change fail rate", "Deployment rework rate",
		"the band its 95 % interval", "on GitHub", "Ada Lovelace",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	if strings.Contains(got, "<script") || strings.Contains(got, "\u202e") || strings.Contains(got, "ZgotmplZ") {
		t.Error("something got through that must not")
	}
}

// A history that holds little makes a page that says so.
func TestLittle(t *testing.T) {
	opts := options()
	opts.Quarantine = nil
	var b bytes.Buffer
	if err := Render(&b, history.Records{}, opts); err != nil {
		t.Fatal(err)
	}
	empty := b.String()
	for _, want := range []string{"No whole run yet", "No deploys yet", "Nothing was judged yet"} {
		if !strings.Contains(empty, want) {
			t.Errorf("the empty page does not say %q", want)
		}
	}
	red := made(1)[0]
	red.Status, red.Stages[0].Steps[0].Status, red.Stages[0].Status = engine.StatusError, engine.StatusError, engine.StatusError
	one := page(t, history.Records{Runs: []history.Run{history.Of(red)}, Warnings: []string{"history history.jsonl: its last line is torn"}})
	for _, want := range []string{"The last run could not be judged", "In the last run, quality/black could not be judged", "its last line is torn", "95 % interval 0 to 79 %"} {
		if !strings.Contains(one, want) {
			t.Errorf("the page of one run does not say %q", want)
		}
	}
	old := page(t, history.Records{Runs: []history.Run{{}}})
	if !strings.Contains(old, "No whole run yet") {
		t.Error("a run without details counts")
	}
}

func TestWhatIsWellNeedsNoAttention(t *testing.T) {
	opts := options()
	opts.Quarantine = nil
	var runs []history.Run
	for _, run := range made(40) {
		run.Status, run.ExitCode = engine.StatusPassed, 0
		for i := range run.Stages {
			run.Stages[i].Duration = time.Second
		}
		run.Stages[2].Steps[0].Judgement.Findings = nil
		for i := range run.Stages {
			for j := range run.Stages[i].Steps {
				run.Stages[i].Steps[j].Status, run.Stages[i].Status = "passed", "passed"
				for k := range run.Stages[i].Steps[j].Judgement.Metrics {
					m := &run.Stages[i].Steps[j].Judgement.Metrics[k]
					if m.Name == "p95" {
						m.Value = 1
					}
				}
			}
		}
		run.Duration = time.Minute
		runs = append(runs, history.Of(run))
	}
	var b bytes.Buffer
	if err := Render(&b, history.Records{Runs: runs}, opts); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.String(), "Nothing does.") {
		_, rest, _ := strings.Cut(b.String(), `id="attention"`)
		section, _, _ := strings.Cut(rest, "</section>")
		t.Errorf("something does: %s", section)
	}
}

// Links within the page lead somewhere, ids are there once, and nothing is loaded.
func TestPageIsWhole(t *testing.T) {
	got := full(t, 60)
	ids := map[string]bool{}
	for _, m := range regexp.MustCompile(`\sid="([^"]*)"`).FindAllStringSubmatch(got, -1) {
		if ids[m[1]] {
			t.Errorf("id %s is there twice", m[1])
		}
		ids[m[1]] = true
	}
	for _, m := range regexp.MustCompile(`(?:href="#|aria-labelledby=")([^"]*)"`).FindAllStringSubmatch(got, -1) {
		if !ids[m[1]] {
			t.Errorf("#%s is nowhere", m[1])
		}
	}
	if m := regexp.MustCompile(`<[a-z]+[^>]*\s(?:src|srcset|style|on[a-z]+)=`).FindString(got); m != "" {
		t.Errorf("the policy refuses %s", m)
	}
	if !strings.Contains(got, `content="default-src &#39;none&#39;; style-src &#39;sha256-`) {
		t.Error("the policy is lax")
	}
}

// 500 runs of history: the file read, everything computed, the page written. docs/reports.md has the figure.
func BenchmarkDashboard500(b *testing.B) {
	path := stored(b, 500)
	for b.Loop() {
		records, err := history.Read(path)
		if err != nil {
			b.Fatal(err)
		}
		if err := Render(io.Discard, records, options()); err != nil {
			b.Fatal(err)
		}
	}
}

// write stores a page for the browser, or for a person: go test ./internal/report/dashboard -run TestPage -keep=DIR.
func write(t *testing.T, name, content string) string {
	t.Helper()
	dir := *keep
	if dir == "" {
		dir = t.TempDir()
	}
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}
