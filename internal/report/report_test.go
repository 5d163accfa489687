package report

import (
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/meter-ml/meter-pipeline/internal/engine"
)

const hostile = "a\x1b]0;owned\x07b\x1b[2J\u009b31m\u202ec\r\nd\u2028e\u200bf\xff\x00\U000e0041"

// Every string of a run, also of a field that is added some day, is plain after New.
func TestNewCleansEveryString(t *testing.T) {
	var run engine.Run
	fill(reflect.ValueOf(&run).Elem())
	got := New(&run, nil).Run
	walk(t, "Run", reflect.ValueOf(got).Elem())
	if !strings.Contains(run.Stages[0].Steps[0].Reason, "\x1b") {
		t.Error("New changed the run that it was given")
	}
}

// fill sets every string to hostile text, and gives every slice one element.
func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(hostile)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0))
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				fill(v.Field(i))
			}
		}
	default: // holds no text
	}
}

func walk(t *testing.T, at string, v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		// Root and Dir are where this process works; nobody else names them, and links need them as they are.
		if at == "Run.Root" || at == "Run.Dir" {
			return
		}
		if bad := strings.IndexFunc(v.String(), hidden); bad >= 0 || !utf8.ValidString(v.String()) {
			t.Errorf("%s = %q is not plain", at, v.String())
		}
	case reflect.Slice:
		if v.Len() == 0 {
			t.Errorf("%s is lost", at)
		}
		for i := range v.Len() {
			walk(t, at, v.Index(i))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				walk(t, at+"."+v.Type().Field(i).Name, v.Field(i))
			}
		}
	default: // holds no text
	}
}

// hidden is written apart from the code that it tests. U+200C and U+200D are let through, by intent.
func hidden(r rune) bool {
	if r == '\n' || r == '\t' || r == 0x200c || r == 0x200d {
		return false
	}
	return unicode.Is(unicode.Cc, r) || unicode.Is(unicode.Bidi_Control, r) || unicode.Is(unicode.Zl, r) || unicode.Is(unicode.Zp, r) ||
		unicode.Is(unicode.Cf, r) && !unicode.Is(unicode.Prepended_Concatenation_Mark, r) && !musical(r) ||
		unicode.Is(unicode.Noncharacter_Code_Point, r) && r&0xfffe == 0xfffe
}

// musical are format characters that are a script's own: shorthand, music, hieroglyphs.
func musical(r rune) bool { return r >= 0x13430 && r <= 0x1d1ff }

func FuzzText(f *testing.F) {
	for _, s := range []string{hostile, "", "größe 東京 👩‍🔬", "\x1b\x1b[\x1b]", "\u009d0;t\u009c", "\r\r\n", "\xe2\x80", "\x1bP\x1b\\", "::add-mask::x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for name, clean := range map[string]func(string) string{"Text": Text, "Line": Line, "Code": Code} {
			got := clean(s)
			if i := strings.IndexFunc(got, hidden); i >= 0 || !utf8.ValidString(got) {
				t.Fatalf("%s(%q) = %q is not plain", name, s, got)
			}
			if name != "Text" && strings.Contains(got, "\n") || name == "Line" && strings.Contains(got, "\t") {
				t.Fatalf("%s(%q) = %q is more than a line", name, s, got)
			}
			if again := clean(got); again != got {
				t.Fatalf("%s is not idempotent on %q: %q, then %q", name, s, got, again)
			}
		}
		if utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return hidden(r) || unseen(r) }) && Text(s) != s {
			t.Fatalf("Text(%q) = %q: plain text was changed", s, Text(s))
		}
	})
}

func TestDuration(t *testing.T) {
	tests := []struct {
		d    time.Duration
		want string
	}{
		{0, "0 s"},
		{-time.Second, "0 s"},
		{300 * time.Microsecond, "< 1 ms"},
		{45 * time.Millisecond, "45 ms"},
		{99 * time.Millisecond, "99 ms"},
		{100 * time.Millisecond, "0.1 s"},
		{9949 * time.Millisecond, "9.9 s"},
		{9960 * time.Millisecond, "10 s"},
		{59400 * time.Millisecond, "59 s"},
		{59600 * time.Millisecond, "1 min 00 s"},
		{125 * time.Second, "2 min 05 s"},
		{59*time.Minute + 59600*time.Millisecond, "1 h 00 min"},
		{62 * time.Minute, "1 h 02 min"},
	}
	for _, test := range tests {
		if got := Duration(test.d); got != test.want {
			t.Errorf("Duration(%v) = %q, want %q", test.d, got, test.want)
		}
	}
}

func TestMiss(t *testing.T) {
	tests := []struct {
		m    engine.Metric
		want string
	}{
		{engine.Metric{Name: "line_coverage", Value: 74.125, Unit: "%", Threshold: 80, Direction: engine.DirectionAtLeast}, "line coverage 74.12 % is below 80 %"},
		{engine.Metric{Name: "coverage", Value: 79.9996, Unit: "%", Threshold: 80, Direction: engine.DirectionAtLeast}, "coverage 79.9996 % is below 80 %"},
		{engine.Metric{Name: "prediction", Value: 7, Unit: "ms", Threshold: 5, Direction: engine.DirectionAtMost}, "prediction 7 ms is above 5 ms"},
		{engine.Metric{Name: "score", Value: math.NaN(), Threshold: 7, Direction: engine.DirectionAtLeast}, "score not a number does not meet 7"},
	}
	for _, test := range tests {
		if got := Miss(test.m); got != test.want {
			t.Errorf("Miss = %q, want %q", got, test.want)
		}
	}
}

func TestCount(t *testing.T) {
	for plural, want := range map[string]string{"files": "1 file", "entries": "1 entry", "classes": "1 class", "tests": "1 test"} {
		if got := Count(1, plural); got != want {
			t.Errorf("Count(1, %q) = %q, want %q", plural, got, want)
		}
	}
	if got := Count(0, "files"); got != "0 files" {
		t.Errorf("Count(0) = %q", got)
	}
}

func TestWords(t *testing.T) {
	step := func(status engine.Status, rerun, fix string) engine.StepResult {
		return engine.StepResult{Stage: "s", Name: rerun, Status: status, Rerun: "mage s:" + rerun, Fix: fix}
	}
	run := func(status engine.Status, steps ...engine.StepResult) engine.Run {
		return engine.Run{Target: "check", Status: status, Duration: 41 * time.Second, Stages: []engine.StageResult{{Name: "s", Steps: steps}}}
	}
	interrupted := run(engine.StatusError, step(engine.StatusError, "a", ""))
	interrupted.Interrupted = true
	late := run(engine.StatusError, step(engine.StatusError, "a", ""), step(engine.StatusPassed, "b", ""))
	late.DeadlineExceeded = true
	broken := run(engine.StatusError, step(engine.StatusPassed, "a", ""))
	broken.Problems = []string{"write junit.xml: no space left"}
	tests := []struct {
		name            string
		run             engine.Run
		verdict, detail string
		next            []string
	}{
		{
			"passed", run(engine.StatusPassed, step(engine.StatusPassed, "a", ""), step(engine.StatusPassed, "b", "mage fix")),
			"check passed in 41 s", "all 2 steps passed", nil,
		},
		{
			"passed with a skip", run(engine.StatusPassed, step(engine.StatusPassed, "a", ""), step(engine.StatusSkipped, "b", "")),
			"check passed in 41 s", "1 of 2 steps passed, 1 skipped", nil,
		},
		{
			"one failed", run(engine.StatusFailed, step(engine.StatusFailed, "a", ""), step(engine.StatusPassed, "b", "")),
			"check failed in 41 s", "1 of 2 steps failed",
			[]string{"mage s:a"},
		},
		{
			"two failed, one can be fixed", run(engine.StatusFailed, step(engine.StatusFailed, "a", "mage fix"), step(engine.StatusFailed, "b", "")),
			"check failed in 41 s", "2 of 2 steps failed",
			[]string{"mage fix", "mage check"},
		},
		{
			"not judged", run(engine.StatusError, step(engine.StatusError, "a", "mage fix"), step(engine.StatusSkipped, "b", "")),
			"check could not be judged in 41 s", "1 of 2 steps could not be judged, 1 skipped",
			[]string{"mage s:a"},
		},
		{"interrupted", interrupted, "check was interrupted after 41 s", "1 of 1 step could not be judged", []string{"mage check"}},
		{"deadline", late, "check ran out of time after 41 s", "1 of 2 steps could not be judged", []string{"mage s:a"}},
		{"report not written", broken, "check could not be judged in 41 s", "1 step passed, 1 problem of the run itself", []string{"mage check"}},
		{"nothing ran", engine.Run{Status: engine.StatusError}, "run could not be judged in 0 s", "no step ran", nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := New(&test.run, nil)
			if got := r.Verdict(); got != test.verdict {
				t.Errorf("Verdict = %q, want %q", got, test.verdict)
			}
			if got := r.Detail(); got != test.detail {
				t.Errorf("Detail = %q, want %q", got, test.detail)
			}
			if diff := cmp.Diff(test.next, r.Next()); diff != "" {
				t.Errorf("Next (-want +got):\n%s", diff)
			}
		})
	}
}

func TestFails(t *testing.T) {
	plan := []engine.PlannedStage{{Name: "s", Steps: []engine.Step{
		{Name: "all"}, {Name: "medium", FailAt: engine.SeverityMedium}, {Name: "shown", Informational: true},
	}}}
	r := New(&engine.Run{}, plan)
	tests := []struct {
		step     string
		severity engine.Severity
		want     bool
	}{
		{"all", engine.SeverityInfo, true},
		{"all", engine.SeverityNone, true},
		{"medium", engine.SeverityLow, false},
		{"medium", engine.SeverityMedium, true},
		{"medium", engine.SeverityNone, true}, // nobody said that it is harmless
		{"shown", engine.SeverityCritical, false},
		{"unknown", engine.SeverityLow, true},
	}
	for _, test := range tests {
		if got := r.Fails(engine.Finding{Stage: "s", Step: test.step, Severity: test.severity}); got != test.want {
			t.Errorf("Fails(%s, %d) = %v, want %v", test.step, test.severity, got, test.want)
		}
	}
}

func TestByFile(t *testing.T) {
	f := func(path, rule, message string, line int) engine.Finding {
		return engine.Finding{Path: path, Rule: rule, Message: message, Line: line}
	}
	got := ByFile([]engine.Finding{f("b", "R1", "same", 1), f("a", "R1", "same", 1), f("b", "R2", "x", 3), f("b", "R1", "same", 2), f("b", "R2", "y", 4)})
	want := []File{
		{Path: "b", Rules: []Rule{
			{ID: "R1", Message: "same", Findings: []engine.Finding{f("b", "R1", "same", 1), f("b", "R1", "same", 2)}},
			{ID: "R2", Findings: []engine.Finding{f("b", "R2", "x", 3), f("b", "R2", "y", 4)}},
		}},
		{Path: "a", Rules: []Rule{{ID: "R1", Message: "same", Findings: []engine.Finding{f("a", "R1", "same", 1)}}}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("ByFile (-want +got):\n%s", diff)
	}
}

func TestLogTail(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("short.log", "one\n\x1b[31mtwo\x1b[0m\n\n")
	write("empty.log", "\n")
	write("long.log", strings.Repeat("0123456789\n", tailBytes/5))
	r := New(&engine.Run{Dir: dir}, nil)
	tests := []struct {
		log  string
		n    int
		want []string
		more bool
	}{
		{"short.log", 5, []string{"one", "two"}, false},
		{"short.log", 1, []string{"two"}, true},
		{"long.log", 2, []string{"0123456789", "0123456789"}, true},
		{"empty.log", 5, nil, false},
		{"missing.log", 5, nil, false},
		{"", 5, nil, false},
	}
	for _, test := range tests {
		got, more := r.LogTail(engine.StepResult{Log: test.log}, test.n)
		if diff := cmp.Diff(test.want, got); diff != "" || more != test.more {
			t.Errorf("LogTail(%q, %d) more=%v want %v (-want +got):\n%s", test.log, test.n, more, test.more, diff)
		}
	}
}
