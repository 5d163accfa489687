package markdown

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/report"
	"github.com/meter-ml/meter-pipeline/internal/report/jsonreport"
	"github.com/meter-ml/meter-pipeline/internal/report/reporttest"
)

// told is a run as another job gets it: through its report.json.
func told(t *testing.T, runs ...*engine.Run) map[string]Told {
	t.Helper()
	var reports [][]byte
	for _, run := range runs {
		var b bytes.Buffer
		if err := jsonreport.Render(&b, report.New(run, reporttest.Plan())); err != nil {
			t.Fatal(err)
		}
		reports = append(reports, b.Bytes())
	}
	all, err := Tell(reports)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// named is a run with another target and a number.
func named(run *engine.Run, target, id string, coverage float64) *engine.Run {
	run.Target, run.ID = target, id
	run.Stages = append(run.Stages, engine.StageResult{Name: "unit", Steps: []engine.StepResult{{
		Stage: "unit", Name: "more", Status: engine.StatusPassed,
		Judgement: engine.Judgement{Metrics: []engine.Metric{{Name: "coverage", Value: coverage, Unit: "%", Threshold: 80, Direction: engine.DirectionAtLeast}}},
	}}})
	return run
}

func TestCommentGolden(t *testing.T) {
	c := Comment{
		Targets: []string{"check", "unit", "image:candidate"}, Branch: "main", URL: "https://github.com/octo/demo/actions/runs/7",
		Here: told(t, named(reporttest.Run("/run"), "check", "2", 88.5), named(reporttest.Passed("/run"), "unit", "2", 81)),
		Base: told(t, named(reporttest.Passed("/run"), "check", "1", 88), named(reporttest.Passed("/run"), "unit", "1", 85)),
	}
	reporttest.Golden(t, *update, "comment.golden.md", c.Render())
}

func TestCommentVerdict(t *testing.T) {
	passed, failed := named(reporttest.Passed("/run"), "unit", "2", 81), named(reporttest.Run("/run"), "check", "2", 81)
	failed.Status = engine.StatusFailed
	for name, tt := range map[string]struct {
		targets []string
		runs    []*engine.Run
		want    string
	}{
		"all passed":             {[]string{"unit"}, []*engine.Run{passed}, "✅ all 1 jobs passed"},
		"one left no report":     {[]string{"unit", "data"}, []*engine.Run{passed}, "⚠️ 1 of 2 jobs were not judged"},
		"one failed":             {[]string{"unit", "check"}, []*engine.Run{passed, failed}, "❌ 1 of 2 jobs failed"},
		"failed and not judged":  {[]string{"check", "data"}, []*engine.Run{failed}, "❌ 1 of 2 jobs failed, 1 not judged"},
		"nothing was asked":      {nil, nil, "⚠️ nothing was judged"},
		"the newest run counts":  {[]string{"unit"}, []*engine.Run{named(reporttest.Run("/run"), "unit", "1", 9), passed}, "✅ all 1 jobs passed"},
		"an older pass does not": {[]string{"unit"}, []*engine.Run{passed, named(reporttest.Run("/run"), "unit", "3", 9)}, "⚠️ 1 of 1 jobs were not judged"},
	} {
		text := Comment{Targets: tt.targets, Here: told(t, tt.runs...)}.Render()
		if !strings.Contains(text, "\n## "+tt.want+"\n") {
			t.Errorf("%s: %.200s", name, text)
		}
	}
}

// A comment over the limit would be refused as a whole.
func TestCommentIsShort(t *testing.T) {
	run := reporttest.Many("/run")
	for i := range 60 {
		step := run.Stages[0].Steps[2]
		step.Name, step.Status = fmt.Sprint("step", i), engine.StatusFailed
		for j := range step.Judgement.Findings {
			step.Judgement.Findings[j].Message = strings.Repeat("<", 3000)
		}
		run.Stages[0].Steps = append(run.Stages[0].Steps, step)
	}
	run.Target = "check"
	text := Comment{Targets: []string{"check"}, Here: told(t, run)}.Render()
	if len(text) > 65_536 || !strings.Contains(text, "left out") || !strings.Contains(text, "of 6") {
		t.Errorf("%d bytes: …%s", len(text), text[max(0, len(text)-400):])
	}
}

func TestCommentIsHarmless(t *testing.T) {
	run := reporttest.Run("/run")
	run.Target = "check"
	evil := "</details><img src=x onerror=alert(1)> @octocat #1 [x](javascript:y) | ```\n## ✅ all 9 jobs passed\n" + CommentMark
	for i := range run.Stages {
		for j := range run.Stages[i].Steps {
			s := &run.Stages[i].Steps[j]
			s.Reason, s.Name = evil, s.Name+evil
			for k := range s.Judgement.Findings {
				s.Judgement.Findings[k].Message, s.Judgement.Findings[k].Path = evil, evil
			}
			for k := range s.Judgement.Metrics {
				s.Judgement.Metrics[k].Name = evil
			}
		}
	}
	text := Comment{Targets: []string{"check"}, Here: told(t, run), Why: evil}.Render()
	outside := strings.ReplaceAll(text, `\]`, "") // escaped: no link comes of it
	for _, bad := range []string{"<img", "](javascript", " @octocat", "\n## ✅"} {
		if strings.Contains(outside, bad) && !onlyInCode(outside, bad) {
			t.Errorf("it holds %q", bad)
		}
	}
	if strings.Count(text, "\n"+CommentMark) > 0 {
		t.Error("it could be taken for another comment")
	}
	for _, bad := range []string{"", "[]", "{}", `{"target": "x"}`, "null"} {
		if _, err := Tell([][]byte{[]byte(bad)}); err == nil {
			t.Errorf("%q is taken for a report", bad)
		}
	}
}

// onlyInCode reports whether text stands in code spans alone, or in a line of HTML, in which Markdown has no meaning.
func onlyInCode(text, bad string) bool {
	for line := range strings.Lines(text) {
		html := strings.HasPrefix(line, "<details>") && bad[0] == ']'
		if at := strings.Index(line, bad); at >= 0 && !strings.Contains(line[:at], "`") && !html {
			return false
		}
	}
	return true
}

func TestChanged(t *testing.T) {
	for _, tt := range []struct {
		before, value float64
		direction     engine.Direction
		want          string
	}{
		{80, 81.5, engine.DirectionAtLeast, "+1.5 % better"},
		{80, 79, engine.DirectionAtLeast, "-1 % worse"},
		{80, 81, engine.DirectionAtMost, "+1 % worse"},
		{80, 79, engine.DirectionAtMost, "-1 % better"},
		{80, 80, engine.DirectionAtMost, "="},
		{80, 80.0001, engine.DirectionAtMost, "≈"},
		{80, 82, engine.DirectionNone, "+2 %"},
		{80, 90, engine.DirectionAtLeast, "+10 % better"},
	} {
		if got := changed(tt.before, engine.Metric{Value: tt.value, Unit: "%", Direction: tt.direction}); got != tt.want {
			t.Errorf("%v to %v: %q, want %q", tt.before, tt.value, got, tt.want)
		}
	}
}
