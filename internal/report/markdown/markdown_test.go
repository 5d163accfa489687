package markdown

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/report"
	"github.com/meter-ml/meter-pipeline/internal/report/reporttest"
)

var update = reporttest.Update()

func render(t *testing.T, run *engine.Run) string {
	t.Helper()
	var b bytes.Buffer
	if err := Render(&b, report.New(run, reporttest.Plan())); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestRuns(t *testing.T) {
	run := reporttest.Run(t.TempDir())
	if err := reporttest.WriteLogs(run); err != nil {
		t.Fatal(err)
	}
	broken := reporttest.Passed("/run")
	broken.Status, broken.Problems = engine.StatusError, []string{"write junit.xml: no space left on device"}
	tests := []struct {
		name string
		run  *engine.Run
	}{
		{"run", run}, {"passed", reporttest.Passed("/run")}, {"interrupted", reporttest.Interrupted("/run")}, {"broken", broken},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			reporttest.Golden(t, *update, test.name+".golden.md", render(t, test.run))
		})
	}
}

// The worst run that is possible still has a page, with its head, that says what it leaves out.
func TestPageStaysUnderTheLimit(t *testing.T) {
	run := reporttest.Run("/run")
	step := run.Stages[0].Steps[2]
	for i := range step.Judgement.Findings {
		step.Judgement.Findings[i].Rule = fmt.Sprint(i)
		step.Judgement.Findings[i].Message = fmt.Sprint(i, strings.Repeat("`long @x\n", 400))
	}
	for range 30 {
		run.Stages[0].Steps = append(run.Stages[0].Steps, step)
	}
	got := render(t, run)
	if len(got) > 1<<20 {
		t.Errorf("the page has %d bytes", len(got))
	}
	if !strings.Contains(got, "sections left out") || !strings.HasPrefix(got, "## ⚠️ check failed") {
		t.Errorf("the page does not say what it leaves out, or lost its head: %.80q", got)
	}
}

func TestInline(t *testing.T) {
	tests := []struct{ in, want string }{
		{"plain text, 80 %", "plain text, 80 %"},
		{"<img src=x>", "&lt;img src=x&gt;"},
		{"![x](y)", `\!\[x\](y)`},
		{"a|b", `a\|b`},
		{"@team #12", "@<!-- -->team #<!-- -->12"},
		{"https://evil.example", "https<!-- -->://evil.example"},
		{"www.evil.example", "www<!-- -->.evil.example"},
		{"two\nlines", "two lines"},
		{"\x1b[31mred", "red"},
	}
	for _, test := range tests {
		if got := inline(test.in); got != test.want {
			t.Errorf("inline(%q) = %q, want %q", test.in, got, test.want)
		}
	}
}

func TestBlockCannotBeLeft(t *testing.T) {
	for in, want := range map[string]string{"mage fix": "`mage fix`", "a`b": "``a`b``", "``": "``` `` ```", " ": ""} {
		if got := code(in); got != want {
			t.Errorf("code(%q) = %q, want %q", in, got, want)
		}
	}
	if got, want := block("a\n```\n<b>\n````"), "`````text\na\n```\n<b>\n````\n`````\n"; got != want {
		t.Errorf("block = %q, want %q", got, want)
	}
}
