package github

import (
	"bytes"
	"fmt"
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

// names are what a file, a branch, a test or a line of a tool's output may be called.
func names() []string {
	return []string{
		"::add-mask::e", "  ::error file=a.py,line=1::x", "::set-output name=x::y", "::save-state name=x::y", "::set-env name=PATH::/tmp",
		"::add-path::/tmp", "::endgroup::", "::stop-commands::", "::end-000102030405060708090a0b0c0d0e0f::", "##[add-mask]e",
		"a ##[error]b", "##[command]rm", "a\n::add-mask::e", "a\r::add-mask::e", "a\r\n##[add-mask]e", "a\u2028::add-mask::e",
		"\x1b[2K::add-mask::e", "\x1b]0;::add-mask::e\x07", "\u00a0::add-mask::e", "\ufeff::add-mask::e", "%0A::add-mask::e",
		"a,line=1::b", "zzz\";echo${IFS}\"hello\";#", "::group::" + strings.Repeat("x", 9000), "\xff\xfe::warning::x",
	}
}

// speak plays a run, in which everything that a stranger can name is called like that, with the reporter for a person.
func speak(t *testing.T, name string) string {
	t.Helper()
	dir := t.TempDir()
	run := reporttest.Run(dir)
	run.Branch, run.Problems = name, []string{name}
	for i := range run.Stages {
		for j := range run.Stages[i].Steps {
			s := &run.Stages[i].Steps[j]
			s.Reason = strings.ReplaceAll(s.Reason, s.Reason, name)
			s.Judgement.Warnings, s.Judgement.Notes = []string{name}, []string{name}
			for k := range s.Judgement.Findings {
				f := &s.Judgement.Findings[k]
				f.Path, f.Message, f.Rule, f.Help, f.Frame = name, name, name, name, name
			}
		}
	}
	if err := reporttest.WriteLogs(run); err != nil {
		t.Fatal(err)
	}
	for _, stage := range run.Stages {
		for _, step := range stage.Steps {
			if step.Log != "" {
				if err := os.WriteFile(filepath.Join(dir, step.Log), []byte(name+"\n"+name+"\n"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	var out bytes.Buffer
	person := terminal.New(terminal.Options{Out: terminal.Stream{W: &out}, Err: terminal.Stream{W: &out}, Now: reporttest.Start, Verbose: true})
	play(t, Options{Enabled: true, Out: &out, Random: new(counter), Inner: person, Logs: true, Masks: []string{"the secret"}}, run)
	return out.String()
}

var ours = regexp.MustCompile(`^::(error|warning|notice|group|endgroup|add-mask)( |::)`)

func TestHostileNamesAreHarmless(t *testing.T) {
	kinds := func(obeyed []string) map[string]int {
		count := map[string]int{}
		for _, command := range obeyed {
			m := ours.FindStringSubmatch(command)
			if m == nil {
				t.Errorf("the runner obeys %q", command)
				continue
			}
			count[m[1]]++
		}
		return count
	}
	want := kinds(runner(speak(t, "harmless.py")))
	if want["add-mask"] != 1 || want["group"] == 0 || want["group"] != want["endgroup"] || want["error"] != maxErrors {
		t.Fatalf("a harmless name has %v", want)
	}
	for _, name := range names() {
		log := speak(t, name)
		if got := kinds(runner(log)); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%q: %v, want %v", name, got, want)
		}
		for _, command := range runner(log) {
			if strings.HasPrefix(command, "::error ") && strings.Count(command, "::") > 2 && strings.Contains(strings.SplitN(command[2:], "::", 2)[0], "::") {
				t.Errorf("%q: properties of %q end early", name, command)
			}
		}
		if masks := strings.Count(log, "\n::add-mask::the secret\n") + strings.Count(log[:30], "::add-mask::the secret\n"); masks != 1 {
			t.Errorf("%q: the mask is set %d times", name, masks)
		}
	}
	if len(names()) < 20 {
		t.Errorf("only %d names", len(names()))
	}
}

// The last word of a session is printed when nothing guards it any more.
func TestHarmless(t *testing.T) {
	for _, name := range names() {
		text := "failed: " + name + "\n" + name
		if obeyed := asGitHub(Harmless(text)); len(obeyed) > 0 {
			t.Errorf("%q: the runner obeys %q", name, obeyed)
		}
	}
	for _, text := range []string{"", "plain", "a::b", "src/a.py::test_x failed", "{\"a\": \"b::c\"}\n"} {
		if got := Harmless(text); got != text {
			t.Errorf("%q became %q", text, got)
		}
	}
	if len(asGitHub("  ::add-mask::x\na ##[error]b")) != 2 {
		t.Error("the test's runner obeys nothing")
	}
}

// asGitHub reads as GitHub's runner does: two colons at the start of a line, after space of any kind, or ##[ anywhere.
func asGitHub(log string) []string {
	var obeyed []string
	for _, line := range strings.FieldsFunc(log, func(r rune) bool { return r == '\n' || r == '\r' }) {
		if strings.HasPrefix(strings.TrimSpace(strings.TrimLeft(line, "\ufeff ")), "::") || strings.Contains(line, "##[") {
			obeyed = append(obeyed, line)
		}
	}
	return obeyed
}

func TestLogsAreFoldedWhereStepsPassed(t *testing.T) {
	dir := t.TempDir()
	run := reporttest.Run(dir)
	if err := reporttest.WriteLogs(run); err != nil {
		t.Fatal(err)
	}
	long := filepath.Join(dir, run.Stages[0].Steps[0].Log)
	if err := os.WriteFile(long, []byte(strings.Repeat("a line of a long log\n", 10_000)), 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	output := filepath.Join(t.TempDir(), "output")
	play(t, Options{Enabled: true, Out: &out, Random: new(counter), Inner: quiet{}, Logs: true, Output: output}, run)
	log := out.String()
	for _, stage := range run.Stages {
		for _, step := range stage.Steps {
			if step.Log == "" {
				continue
			}
			folded, open := "::group::"+stage.Name+"/"+step.Name+": passed, log\n", "── "+stage.Name+"/"+step.Name+": "
			if step.Status == engine.StatusPassed && !strings.Contains(log, folded) || step.Status != engine.StatusPassed && (strings.Contains(log, folded) || !strings.Contains(log, open)) {
				t.Errorf("%s/%s, %s, is not shown as it should be", stage.Name, step.Name, step.Status)
			}
		}
	}
	if !strings.Contains(log, "bytes are in the artifacts") || len(log) > 4*longestLog {
		t.Errorf("a long log takes %d bytes", len(log))
	}
	if content, err := os.ReadFile(output); err != nil || string(content) != "run="+run.ID+"\n" {
		t.Errorf("output %q, %v", content, err)
	}
}

type quiet struct{}

func (quiet) Event(engine.Event) error { return nil }

func TestChangedLinesComeFirst(t *testing.T) {
	run := reporttest.Many("/run")
	r := report.New(run, reporttest.Plan())
	last := run.Stages[0].Steps[2].Judgement.Findings
	touched := last[len(last)-1]
	is := func(a annotation) bool { return a.finding.Path == touched.Path && a.finding.Line == touched.Line }
	has := func(all []annotation) int {
		for i, a := range all {
			if is(a) {
				return i
			}
		}
		return -1
	}
	if at := has(choose(r, Options{})); at >= 0 {
		t.Fatalf("the last finding is shown anyhow, at %d", at)
	}
	chosen := choose(r, Options{Changed: func(path string, line int) bool { return path == touched.Path && line == touched.Line }})
	if at := has(chosen); at < 0 || at > 4 {
		t.Errorf("what is on a changed line is at %d", at)
	}
	if notice := chosen[len(chosen)-1].message; !strings.Contains(notice, "those on changed lines first") {
		t.Errorf("the notice says %q", notice)
	}
	chosen = choose(r, Options{Why: "no event"})
	if notice := chosen[len(chosen)-1].message; !strings.Contains(notice, "not known: no event") {
		t.Errorf("the notice says %q", notice)
	}
}

func TestSummaryIsNeverDroppedWhole(t *testing.T) {
	summary := filepath.Join(t.TempDir(), "summary.md")
	if err := os.WriteFile(summary, bytes.Repeat([]byte("x"), longestSummary-1000), 0o600); err != nil {
		t.Fatal(err)
	}
	play(t, Options{Enabled: true, Out: &bytes.Buffer{}, Random: new(counter), Summary: summary, Inner: quiet{}}, reporttest.Run("/run"))
	content, err := os.ReadFile(summary)
	if err != nil || len(content) > longestSummary || !strings.Contains(string(content[longestSummary-1000:]), "There is no room for the rest") {
		t.Errorf("%d bytes, %v", len(content), err)
	}
}
