package terminal

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unicode"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/report/reporttest"
)

var update = reporttest.Update()

// A clock is moved by the events, so that what a test sees depends on nothing else.
type clock struct{ now time.Time }

func (c *clock) Now() time.Time { return c.now }

// play sends a run to a terminal, and calls after, if set, after each event.
func play(t *testing.T, opts Options, run *engine.Run, after func(engine.Event)) {
	t.Helper()
	c := &clock{}
	opts.Now = c.Now
	term := New(opts)
	defer term.Close()
	for _, e := range reporttest.Events(run, reporttest.Plan()) {
		c.now = e.Time
		if err := term.Event(e); err != nil {
			t.Fatalf("%s: %v", e.Kind, err)
		}
		if after != nil {
			after(e)
		}
	}
}

func withLogs(t *testing.T, run func(dir string) *engine.Run) *engine.Run {
	t.Helper()
	root := t.TempDir()
	r := run(filepath.Join(root, ".pipeline", "runs", "20261123-142501-3f9c"))
	r.Root = root
	if err := reporttest.WriteLogs(r); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestPlain(t *testing.T) {
	unprovided := reporttest.Interrupted("")
	unprovided.Interrupted = false
	for i := range unprovided.Stages {
		for j := range unprovided.Stages[i].Steps {
			if s := &unprovided.Stages[i].Steps[j]; s.Status == engine.StatusError {
				s.Reason = "provide python: uv is not installed: run mage doctor"
			}
		}
	}
	unprovided.Problems = []string{"write junit.xml: no space left on device"}
	tests := []struct {
		name string
		run  func(dir string) *engine.Run
		opts Options
	}{
		{"failed", reporttest.Many, Options{}},
		{"passed", reporttest.Passed, Options{}},
		{"interrupted", reporttest.Interrupted, Options{}},
		{"unprovided", func(dir string) *engine.Run { unprovided.Dir = dir; return unprovided }, Options{}},
		{"verbose", reporttest.Passed, Options{Verbose: true}},
		{"ascii", reporttest.Passed, Options{ASCII: true}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var out, messages bytes.Buffer
			run := withLogs(t, test.run)
			test.opts.Out.W, test.opts.Err.W = &out, &messages
			play(t, test.opts, run, nil)
			for _, text := range []string{out.String(), messages.String()} {
				if i := strings.IndexFunc(text, func(r rune) bool { return r != '\n' && unicode.IsControl(r) }); i >= 0 {
					t.Errorf("a control character reaches the output: %q", text[max(0, i-20):i+20])
				}
			}
			reporttest.Golden(t, *update, test.name+".golden.txt",
				"--- standard output\n"+out.String()+"--- standard error\n"+messages.String())
		})
	}
}

// On a screen: what stands on it in the middle of the run, and what is left at the end.
func TestScreen(t *testing.T) {
	for _, columns := range []int{80, 40} {
		t.Run(fmt.Sprint(columns), func(t *testing.T) {
			screen := newEmulator(columns)
			run := withLogs(t, reporttest.Run)
			s := Stream{W: screen, TTY: true, Color: true}
			var middle string
			play(t, Options{Out: s, Err: s, OneScreen: true, Size: func() (int, int) { return columns, 30 }}, run, func(e engine.Event) {
				if e.Kind == engine.EventProgress && e.Done > 200 && middle == "" {
					middle = screen.String()
				}
			})
			if strings.Contains(screen.String(), "of 9 steps ·") {
				t.Error("the live view is left on the screen")
			}
			reporttest.Golden(t, *update, fmt.Sprintf("screen-%d.golden.txt", columns),
				"--- while it runs\n"+middle+"--- at the end\n"+screen.String())
		})
	}
}

// A file gets the result while the screen has the live view, and neither gets what is the other's.
func TestOneOfTwoIsAScreen(t *testing.T) {
	var file bytes.Buffer
	screen := newEmulator(80)
	run := withLogs(t, reporttest.Passed)
	opts := Options{Out: Stream{W: &file}, Err: Stream{W: screen, TTY: true, Color: true}, Size: func() (int, int) { return 80, 30 }}
	play(t, opts, run, nil)
	if strings.ContainsRune(file.String(), '\x1b') {
		t.Errorf("an escape sequence is in the file: %q", file.String())
	}
	for name, text := range map[string]string{"file": file.String(), "screen": screen.String()} {
		if !strings.HasSuffix(text, "check passed in 41 s: all 8 steps passed\n") {
			t.Errorf("the %s does not end with the verdict: %q", name, text)
		}
	}
	if strings.Contains(screen.String(), "quality") {
		t.Errorf("the result is on the screen too:\n%s", screen.String())
	}
}

func TestSaysSomethingAtOnce(t *testing.T) {
	started := reporttest.Events(reporttest.Run(""), reporttest.Plan())[0]
	for _, tty := range []bool{true, false} {
		var messages bytes.Buffer
		term := New(Options{Out: Stream{W: io.Discard}, Err: Stream{W: &messages, TTY: tty}, Now: reporttest.Start})
		if err := term.Event(started); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(messages.String(), "check") {
			t.Errorf("TTY %v: the first event wrote %q", tty, messages.String())
		}
		term.Close()
	}
}

func TestANeedThatCannotBeHadLeavesTheView(t *testing.T) {
	plan := []engine.PlannedStage{{Name: "unit", Steps: []engine.Step{{Name: "pytest", Needs: []engine.Need{engine.NeedPostgres}}, {Name: "other"}}}}
	for name, end := range map[string]engine.Event{
		"error":   {Kind: engine.EventStepFinished, Stage: "unit", Step: "pytest", Result: &engine.StepResult{Status: engine.StatusError}},
		"started": {Kind: engine.EventStepStarted, Stage: "unit", Step: "pytest"},
	} {
		t.Run(name, func(t *testing.T) {
			screen := newEmulator(80)
			s := Stream{W: screen, TTY: true}
			term := New(Options{Out: s, Err: s, OneScreen: true, Now: reporttest.Start})
			defer term.Close()
			send(t, term, engine.Event{Kind: engine.EventRunStarted, Time: reporttest.Start(), Plan: plan})
			send(t, term, engine.Event{Kind: engine.EventProvisioning, Time: reporttest.Start(), Step: "postgres", Text: "initdb"})
			if !strings.Contains(screen.String(), "initdb") {
				t.Fatalf("the view does not show the need:\n%s", screen)
			}
			send(t, term, end)
			if strings.Contains(screen.String(), "initdb") {
				t.Errorf("the view still shows the need:\n%s", screen)
			}
		})
	}
}

func TestVerboseMarksEveryLine(t *testing.T) {
	var messages bytes.Buffer
	term := New(Options{Out: Stream{W: io.Discard}, Err: Stream{W: &messages}, Verbose: true, Now: reporttest.Start})
	defer term.Close()
	for _, e := range []engine.Event{
		{Kind: engine.EventRunStarted, Plan: reporttest.Plan()},
		{Kind: engine.EventOutput, Stage: "unit", Step: "pytest", Text: "one\rtwo\x1b[2K\tthree" + reporttest.Hostile},
		{Kind: engine.EventOutput, Stage: "quality", Step: "black", Text: ""},
	} {
		if err := term.Event(e); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{
		"run: 9 steps in 4 stages",
		"unit/pytest      │ one",
		"unit/pytest      │ two    threetest_namegnp.exe",
		"unit/pytest      │ ::add-mask::x ##[error]y <script>alert(1)</script> | `a` ]]> \ufffd",
		"quality/black    │ ",
	}
	if got := strings.TrimSuffix(messages.String(), "\n"); got != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
}

// counting counts writes.
type counting struct{ writes atomic.Int64 }

func (c *counting) Write(p []byte) (int, error) {
	c.writes.Add(1)
	return len(p), nil
}

func TestDrawsAtMostTenTimesASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w counting
		s := Stream{W: &w, TTY: true}
		term := New(Options{Out: s, Err: s, OneScreen: true, Verbose: true})
		defer term.Close()
		send(t, term, engine.Event{Kind: engine.EventRunStarted, Time: time.Now(), Plan: reporttest.Plan()})
		send(t, term, engine.Event{Kind: engine.EventStepStarted, Time: time.Now(), Stage: "unit", Step: "pytest"})
		before := w.writes.Load()
		for i := range 2000 { // two seconds of a tool that says much
			time.Sleep(time.Millisecond)
			send(t, term, engine.Event{Kind: engine.EventOutput, Stage: "unit", Step: "pytest", Text: "line"})
			send(t, term, engine.Event{Kind: engine.EventProgress, Stage: "unit", Step: "pytest", Done: i, Total: 2000})
		}
		if n := w.writes.Load() - before; n < 10 || n > 21 {
			t.Errorf("%d writes in two seconds, want about 20", n)
		}
	})
}

func TestAnUnchangedViewWritesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w counting
		s := Stream{W: &w, TTY: true}
		term := New(Options{Out: s, Err: s, OneScreen: true})
		defer term.Close()
		send(t, term, engine.Event{Kind: engine.EventRunStarted, Time: time.Now(), Plan: reporttest.Plan()})
		send(t, term, engine.Event{Kind: engine.EventStepStarted, Time: time.Now(), Stage: "unit", Step: "pytest"})
		before := w.writes.Load()
		time.Sleep(5*time.Second + 10*time.Millisecond)
		synctest.Wait()
		if n := w.writes.Load() - before; n != 5 { // the seconds
			t.Errorf("%d writes in five quiet seconds, want 5", n)
		}
	})
}

func TestHeartbeatOffAScreen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w bytes.Buffer
		term := New(Options{Out: Stream{W: io.Discard}, Err: Stream{W: &w}})
		send(t, term, engine.Event{Kind: engine.EventRunStarted, Time: time.Now(), Plan: reporttest.Plan()})
		send(t, term, engine.Event{Kind: engine.EventStepStarted, Time: time.Now(), Stage: "unit", Step: "pytest", Expected: 90 * time.Second})
		time.Sleep(65 * time.Second)
		if err := term.Close(); err != nil {
			t.Fatal(err)
		}
		want := "run: 9 steps in 4 stages\n" +
			"still running: unit/pytest 30 s (about 1 min 30 s)\n" +
			"still running: unit/pytest 1 min 00 s (about 1 min 30 s)\n"
		if w.String() != want {
			t.Errorf("got\n%s\nwant\n%s", w.String(), want)
		}
	})
}

func send(t *testing.T, term *Terminal, e engine.Event) {
	t.Helper()
	if err := term.Event(e); err != nil {
		t.Fatal(err)
	}
}

func TestCloseLeavesACleanScreen(t *testing.T) {
	screen := newEmulator(60)
	s := Stream{W: screen, TTY: true}
	term := New(Options{Out: s, Err: s, OneScreen: true, Size: func() (int, int) { return 60, 20 }, Now: reporttest.Start})
	send(t, term, engine.Event{Kind: engine.EventRunStarted, Time: reporttest.Start(), Plan: reporttest.Plan()})
	send(t, term, engine.Event{Kind: engine.EventStepStarted, Time: reporttest.Start(), Stage: "unit", Step: "pytest"})
	io.WriteString(screen, "^C") // which the terminal echoes
	for range 2 {
		if err := term.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if got := strings.TrimSpace(screen.String()); got != "" {
		t.Errorf("left on the screen: %q", got)
	}
	if strings.Contains(screen.raw.String(), "\x1b[?25l") {
		t.Error("the cursor is hidden: who kills this process keeps a terminal without one")
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

func TestAWriteThatFailsIsAnError(t *testing.T) {
	term := New(Options{Out: Stream{W: brokenWriter{}}, Err: Stream{W: io.Discard}, Now: reporttest.Start})
	defer term.Close()
	run := reporttest.Run("")
	err := term.Event(engine.Event{Kind: engine.EventRunFinished, Run: run})
	if err == nil || !strings.Contains(err.Error(), "no space left") {
		t.Errorf("error = %v", err)
	}
}
