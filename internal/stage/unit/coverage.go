package unit

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/stage/python"
)

// coverage is what is used of coverage's JSON, format 3. What is nil is missing.
type coverage struct {
	Meta *struct {
		Branches bool `json:"branch_coverage"`
	} `json:"meta"`
	Files  map[string]fileCoverage `json:"files"`
	Totals *counts                 `json:"totals"`
}

type fileCoverage struct {
	Summary counts `json:"summary"`
	Missing []int  `json:"missing_lines"`
}

type counts struct {
	Statements      int `json:"num_statements"`
	CoveredLines    int `json:"covered_lines"`
	Branches        int `json:"num_branches"`
	CoveredBranches int `json:"covered_branches"`
}

// unparsed and nothing are what coverage and pytest-cov only warn of: a source file that is no Python is left out of
// every number, and without data there are reports, too.
var (
	unparsed = regexp.MustCompile(`(?m)^.*CoverageWarning: Couldn't parse Python file '(.*)' \(couldnt-parse\)`)
	nothing  = regexp.MustCompile(`(?m)^.*(?:CoverageWarning: (No data was collected)|CovReportWarning: (Failed to generate report.*))`)
)

// readCoverage reads the data, and sees to it that all reports were made.
func readCoverage(out engine.Output) (coverage, error) {
	var c coverage
	said := slices.Concat(out.Stderr, []byte("\n"), out.Stdout)
	if m := unparsed.FindSubmatch(said); m != nil {
		return c, fmt.Errorf("coverage could not parse %s and left it out: correct it first", python.Shorten(python.Relative(out.Root, string(m[1])), 200))
	}
	content, err := out.Report(jsonReport)
	if m := nothing.FindSubmatch(said); m != nil {
		return c, fmt.Errorf("there are no coverage data (%s): see that unit.coverage.source names what the tests import, and that the settings of coverage do not omit it",
			python.Shorten(string(slices.Concat(m[1], m[2])), 200))
	}
	if err != nil {
		return c, fmt.Errorf("there are no coverage data: %w", err)
	}
	if err := json.Unmarshal(content, &c); err != nil {
		return c, fmt.Errorf("read coverage report: %w", err)
	}
	switch {
	case c.Meta == nil || c.Totals == nil || c.Files == nil:
		return c, errors.New("read coverage report: it has no files or no totals")
	case c.Totals.Statements <= 0:
		return c, errors.New("coverage measured no statement: see that unit.coverage.source names the source, and that its settings do not omit all of it")
	case c.Totals.CoveredLines == 0:
		return c, errors.New("the tests reached no line of the source: see that unit.coverage.source names what they import")
	case !c.Meta.Branches:
		return c, errors.New("coverage did not measure branches: see branch in its settings")
	case c.Totals.CoveredLines > c.Totals.Statements || c.Totals.CoveredBranches > c.Totals.Branches || c.Totals.CoveredLines < 0 || c.Totals.CoveredBranches < 0:
		return c, python.ErrDisagrees
	}
	for _, report := range []string{xmlReport, htmlReport} {
		if _, err := out.Report(report); err != nil {
			return c, err
		}
	}
	return c, nil
}

// share is lines and branches together, in per cent, as coverage itself counts.
func (c counts) share() float64 {
	return ratio(c.CoveredLines+c.CoveredBranches, c.Statements+c.Branches)
}

func ratio(part, whole int) float64 {
	if whole == 0 {
		return 100
	}
	return 100 * float64(part) / float64(whole)
}

func (c coverage) metrics(minimum float64) []engine.Metric {
	return []engine.Metric{
		{
			Name: "coverage", Value: c.Totals.share(), Unit: "%", Threshold: minimum, Direction: engine.DirectionAtLeast,
			Help: "test what is not reached: the least covered files are listed, and " + htmlReport + " shows each line",
		},
		{Name: "line_coverage", Value: ratio(c.Totals.CoveredLines, c.Totals.Statements), Unit: "%"},
		{Name: "branch_coverage", Value: ratio(c.Totals.CoveredBranches, c.Totals.Branches), Unit: "%"},
	}
}

// leastCovered lists the files that are missing most, with the lines.
func (c coverage) leastCovered(most int, root string) []engine.Table {
	type row struct {
		file string
		fileCoverage
	}
	var rows []row
	for file, f := range c.Files {
		if f.Summary.Statements > 0 && f.Summary.share() < 100 {
			rows = append(rows, row{python.Relative(root, file), f})
		}
	}
	slices.SortFunc(rows, func(a, b row) int {
		return cmp.Or(cmp.Compare(a.Summary.share(), b.Summary.share()), strings.Compare(a.file, b.file))
	})
	table := engine.Table{Title: "Least covered files", Columns: []string{"file", "coverage", "missing lines"}}
	for _, r := range rows[:min(max(most, 0), len(rows))] {
		share := math.Floor(r.Summary.share()*10) / 10 // 99.96 is not 100
		table.Rows = append(table.Rows, []string{r.file, strconv.FormatFloat(share, 'f', 1, 64) + " %", ranges(r.Missing)})
	}
	if len(table.Rows) == 0 {
		return nil
	}
	return []engine.Table{table}
}

// ranges writes line numbers short: 3-5, 9.
func ranges(lines []int) string {
	if len(lines) == 0 {
		return "only branches"
	}
	var parts []string
	for i := 0; i < len(lines); {
		j := i
		for j+1 < len(lines) && lines[j+1] == lines[j]+1 {
			j++
		}
		part := strconv.Itoa(lines[i])
		if j > i {
			part += "-" + strconv.Itoa(lines[j])
		}
		parts = append(parts, part)
		i = j + 1
	}
	return python.List(parts, 12)
}

// unmeasured adds the files that coverage did not see. It counts a file that no test imports only if there is an
// __init__.py in every folder on the way to it: otherwise it is as if the file were not there. What it leaves out
// although it could see it, the project's settings omit.
func (s suite) unmeasured(c coverage, root string, j *engine.Judgement) {
	measured := make([]string, 0, len(c.Files))
	for file := range c.Files {
		measured = append(measured, python.Relative(root, file))
	}
	var omitted []string
	for _, file := range s.source.Unseen(measured) {
		if !strings.HasSuffix(file, ".py") {
			continue
		}
		if s.namespaces || s.visible(file) {
			omitted = append(omitted, file)
			continue
		}
		j.Findings = append(j.Findings, engine.Finding{
			Rule: "unmeasured", Severity: engine.SeverityHigh, Path: file,
			Message: "coverage leaves this file out: no test imports it, and a folder on the way to it has no __init__.py",
			Help:    "test it, or add the __init__.py, or set include_namespace_packages = true under [tool.coverage.report]",
		})
	}
	if len(omitted) > 0 {
		j.Notes = append(j.Notes, "the settings of coverage omit "+python.List(omitted, 3))
	}
}

// visible reports whether each folder between the source's root and the file is a package.
func (s suite) visible(file string) bool {
	for dir := path.Dir(file); dir != "." && dir != "/"; dir = path.Dir(dir) {
		if slices.ContainsFunc(s.source.Paths, func(p string) bool { return path.Clean(p) == dir }) {
			return true
		}
		if _, found := slices.BinarySearch(s.source.Files, dir+"/__init__.py"); !found {
			return false
		}
	}
	return true
}
