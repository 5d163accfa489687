package github

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/report"
	"github.com/meter-ml/meter-pipeline/internal/report/reporttest"
	"github.com/meter-ml/meter-pipeline/internal/report/terminal"
)

var update = reporttest.Update()

// counter is a source of bytes that every run of the test has.
type counter byte

func (c *counter) Read(p []byte) (int, error) {
	for i := range p {
		*c++
		p[i] = byte(*c)
	}
	return len(p), nil
}

// hostile prints a command with every event, as a tool under -v may.
type hostile struct{ w io.Writer }

func (h hostile) Event(e engine.Event) error {
	_, err := fmt.Fprintf(h.w, "::add-mask::a\nsay ##[add-mask]b\n::end-00::\n(%s)\n", e.Kind)
	return err
}

func play(t *testing.T, opts Options, run *engine.Run) {
	t.Helper()
	g := New(opts)
	for _, e := range reporttest.Events(run, reporttest.Plan()) {
		if err := g.Event(e); err != nil {
			t.Fatal(err)
		}
	}
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
}

// runner reads a log as the one of GitHub does, and returns the commands that it obeys.
func runner(log string) []string {
	var obeyed []string
	stop := ""
	anywhere := regexp.MustCompile(`::[a-z-]+( [^:]*)?::|##\[[a-z-]+`)
	for _, line := range strings.Split(log, "\n") {
		line = strings.TrimSpace(line)
		switch word, found := strings.CutPrefix(line, "::stop-commands::"); {
		case stop != "" && line == "::"+stop+"::":
			stop = ""
		case stop != "":
		case found:
			stop = word
		case anywhere.MatchString(line):
			obeyed = append(obeyed, line)
		}
	}
	if stop != "" {
		obeyed = append(obeyed, "commands are left off")
	}
	return obeyed
}

func TestNoOtherCommandIsObeyed(t *testing.T) {
	var out bytes.Buffer
	play(t, Options{Enabled: true, Out: &out, Random: new(counter), Inner: hostile{&out}}, reporttest.Many("/run"))
	obeyed := runner(out.String())
	for _, command := range obeyed {
		if !regexp.MustCompile(`^::(error|warning|notice) `).MatchString(command) {
			t.Errorf("the runner obeys %q", command)
		}
	}
	if len(obeyed) != maxErrors+4 {
		t.Errorf("%d annotations:\n%s", len(obeyed), strings.Join(obeyed, "\n"))
	}
	if !strings.HasSuffix(out.String(), "(run_finished)\n::end-1112131415161718191a1b1c1d1e1f20::\n") {
		t.Errorf("the person's reporter does not have the last word: %q", out.String()[out.Len()-100:])
	}
	// The control: without the guard the runner would obey.
	if len(runner("::add-mask::a\nsay ##[add-mask]b")) != 2 {
		t.Error("the test's runner obeys nothing at all")
	}
}

func TestGolden(t *testing.T) {
	for name, run := range map[string]*engine.Run{"many": reporttest.Many("/run"), "passed": reporttest.Passed("/run"), "interrupted": reporttest.Interrupted("/run")} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			silent := terminal.New(terminal.Options{Out: terminal.Stream{W: io.Discard}, Err: terminal.Stream{W: io.Discard}, Now: reporttest.Start})
			play(t, Options{Enabled: true, Out: &out, Random: new(counter), Inner: silent}, run)
			reporttest.Golden(t, *update, name+".golden.txt", out.String())
		})
	}
}

func TestLimits(t *testing.T) {
	run := reporttest.Many("/run")
	for i := range 40 {
		step := &run.Stages[1].Steps[2].Judgement
		step.Warnings = append(step.Warnings, fmt.Sprint("warning ", i))
		run.Problems = append(run.Problems, fmt.Sprint("problem ", i))
	}
	kinds := map[string]int{}
	chosen := choose(report.New(run, reporttest.Plan()), Options{})
	for _, a := range chosen {
		kinds[a.kind]++
	}
	if kinds["error"] != maxErrors || kinds["warning"] != maxWarnings || kinds["notice"] != 1 {
		t.Errorf("chosen: %v", kinds)
	}
	if want := "20 of 292 shown"; !strings.HasPrefix(chosen[len(chosen)-1].message, want) {
		t.Errorf("the notice says %q, want %q", chosen[len(chosen)-1].message, want)
	}
}

func TestDisabledSaysNothing(t *testing.T) {
	var out, inner bytes.Buffer
	summary := filepath.Join(t.TempDir(), "summary.md")
	play(t, Options{Out: &out, Summary: summary, Inner: hostile{&inner}}, reporttest.Run("/run"))
	if out.Len() > 0 || inner.Len() == 0 {
		t.Errorf("out %q, inner has %d bytes", out.String(), inner.Len())
	}
	if _, err := os.Stat(summary); err == nil {
		t.Error("a summary was written")
	}
}

func TestSummaryIsAppended(t *testing.T) {
	summary := filepath.Join(t.TempDir(), "summary.md")
	if err := os.WriteFile(summary, []byte("before\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	play(t, Options{Enabled: true, Out: io.Discard, Random: new(counter), Summary: summary, Inner: hostile{io.Discard}}, reporttest.Run("/run"))
	b, err := os.ReadFile(summary)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(string(b), "before\n## ⚠️ check failed in 41 s") {
		t.Errorf("summary begins with %.60q", b)
	}
}

func TestCloseSwitchesCommandsOn(t *testing.T) {
	var out bytes.Buffer
	g := New(Options{Enabled: true, Out: &out, Random: new(counter), Inner: hostile{io.Discard}})
	if err := g.Event(engine.Event{Kind: engine.EventRunStarted}); err != nil {
		t.Fatal(err)
	}
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	if obeyed := runner(out.String()); len(obeyed) > 0 {
		t.Errorf("%v", obeyed)
	}
}

func FuzzEscape(f *testing.F) {
	for _, s := range []string{"plain", "100 %", "a\nb\r\nc", "a::b,c", "%0A", "::error::x", "%%25"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		back := strings.NewReplacer("%0D", "\r", "%0A", "\n", "%3A", ":", "%2C", ",", "%25", "%")
		if d := data(s); strings.ContainsAny(d, "\r\n") || back.Replace(d) != s {
			t.Fatalf("data(%q) = %q", s, d)
		}
		if p := property(s); strings.ContainsAny(p, "\r\n:,") || back.Replace(p) != s {
			t.Fatalf("property(%q) = %q", s, p)
		}
		line := annotation{kind: "error", title: s, message: s, finding: engine.Finding{Path: s, Line: 1}}.command()
		if strings.Count(line, "\n") != 1 || !strings.HasPrefix(line, "::error ") {
			t.Fatalf("command of %q is %q", s, line)
		}
		props, _, _ := strings.Cut(strings.TrimPrefix(line, "::error "), "::")
		if n := strings.Count(props, ","); s != "" && n != 3 {
			t.Fatalf("%q makes %d separators in %q", s, n, props)
		}
	})
}
