package python

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/meter-ml/meter-pipeline/internal/engine"
)

// JudgeTests makes findings of failures, counts, and tables of what a person wants to see beside them: the skipped tests
// with their reasons, and that many of the slowest. A skipped test was not judged.
func JudgeTests(tests []Test, slowest int) engine.Judgement {
	j := engine.Judgement{Unit: "tests"}
	counts, expected := map[Outcome]int{}, 0
	skipped := engine.Table{Title: "Skipped tests", Columns: []string{"test", "reason"}}
	for _, t := range tests {
		counts[t.Outcome]++
		if t.Expected {
			expected++
		}
		switch t.Outcome {
		case Failed, Broken:
			j.Findings = append(j.Findings, t.Finding())
		case Skipped:
			skipped.Rows = append(skipped.Rows, []string{t.ID, t.Message})
		case Passed:
		}
	}
	failed := counts[Failed] + counts[Broken]
	j.Judged = counts[Passed] + failed
	j.Metrics = []engine.Metric{
		{Name: "tests_passed", Value: float64(counts[Passed]), Unit: "tests"},
		{Name: "tests_failed", Value: float64(failed), Unit: "tests"},
		{Name: "tests_skipped", Value: float64(counts[Skipped]), Unit: "tests"},
	}
	if expected > 0 {
		// It warns: production asks for unit tests without any warning, and what is expected to fail is in quarantine.
		j.Warnings = append(j.Warnings, Count(expected, "test")+" failed as expected (xfail): what they test is not proven")
	}
	if len(skipped.Rows) > 0 {
		j.Tables = append(j.Tables, skipped)
	}
	if slowest > 0 {
		j.Tables = append(j.Tables, slowestTests(tests, slowest))
	}
	return j
}

// Finding says that the test did not pass.
func (t Test) Finding() engine.Finding {
	path, line := t.FailedAt()
	rule, what := "test-failed", "failed"
	switch t.Outcome {
	case Broken:
		rule, what = "test-error", "broke outside of its own body"
	case Skipped:
		rule, what = "test-skipped", "was skipped"
	case Passed, Failed:
	}
	return engine.Finding{
		Rule: rule, Path: path, Line: line, Severity: engine.SeverityHigh,
		Message: fmt.Sprintf("%s %s: %s", t.ID, what, Shorten(t.Message, 400)),
		Help:    "see the traceback: pytest " + quoted(t.ID),
	}
}

// quoted writes a word for a shell.
func quoted(s string) string {
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

func slowestTests(tests []Test, n int) engine.Table {
	sorted := slices.Clone(tests)
	slices.SortStableFunc(sorted, func(a, b Test) int { return cmp.Compare(b.Seconds, a.Seconds) })
	t := engine.Table{Title: "Slowest tests", Columns: []string{"test", "seconds"}}
	for _, test := range sorted[:min(n, len(sorted))] {
		t.Rows = append(t.Rows, []string{test.ID, strconv.FormatFloat(test.Seconds, 'f', 2, 64)})
	}
	return t
}
