package unit

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/stage/python"
)

// coverage is the part of coverage.py's JSON report that is judged.
type coverage struct {
	Meta struct {
		Branch bool `json:"branch_coverage"`
	} `json:"meta"`
	Files  map[string]fileCoverage `json:"files"`
	Totals *coverageSummary        `json:"totals"`
}

type fileCoverage struct {
	Missing []int           `json:"missing_lines"`
	Summary coverageSummary `json:"summary"`
}

type coverageSummary struct {
	Percent         float64 `json:"percent_covered"`
	Statements      int     `json:"num_statements"`
	CoveredLines    int     `json:"covered_lines"`
	Branches        int     `json:"num_branches"`
	CoveredBranches int     `json:"covered_branches"`
}

// judgeCoverage adds the coverage to what is known of the tests.
func judgeCoverage(p *config.Project, report []byte, j engine.Judgement) (engine.Judgement, error) {
	var c coverage
	if err := json.Unmarshal(report, &c); err != nil {
		return engine.Judgement{}, fmt.Errorf("read the coverage report: %w", err)
	}
	switch {
	case c.Totals == nil || c.Totals.Statements == 0:
		return engine.Judgement{}, fmt.Errorf("%w below %v: correct unit.coverage.source in pipeline.yaml", errNothingMeasured, p.Unit.Coverage.Source)
	case !c.Meta.Branch:
		return engine.Judgement{}, fmt.Errorf("coverage did not measure branches, though it was told to: see the settings of coverage")
	}
	j.Metrics = append(j.Metrics,
		engine.Metric{
			Name: "coverage", Value: c.Totals.Percent, Unit: "%", Threshold: p.Unit.Coverage.Minimum, Direction: engine.DirectionAtLeast,
			Help: "test the lines that the table of the least covered files names: see " + coverageHTML + "/index.html among the artifacts",
		},
		engine.Metric{Name: "line_coverage", Value: percent(c.Totals.CoveredLines, c.Totals.Statements), Unit: "%"},
		engine.Metric{Name: "branch_coverage", Value: percent(c.Totals.CoveredBranches, c.Totals.Branches), Unit: "%"},
	)
	if p.Unit.LeastCover > 0 {
		if t := leastCovered(c.Files, p.Unit.LeastCover); len(t.Rows) > 0 {
			j.Tables = append(j.Tables, t)
		}
	}
	return j, nil
}

// percent of nothing is all of it, as coverage.py has it.
func percent(part, whole int) float64 {
	if whole == 0 {
		return 100
	}
	return 100 * float64(part) / float64(whole)
}

// leastCovered lists the files that lack the most, those without a gap left out.
func leastCovered(files map[string]fileCoverage, n int) engine.Table {
	t := engine.Table{Title: "Least covered files", Columns: []string{"file", "covered", "missing lines"}}
	names := slices.SortedFunc(maps.Keys(files), func(a, b string) int {
		return cmp.Or(cmp.Compare(files[a].Summary.Percent, files[b].Summary.Percent), cmp.Compare(a, b))
	})
	for _, file := range names {
		if f := files[file]; len(t.Rows) < n && f.Summary.Percent < 100 {
			t.Rows = append(t.Rows, []string{
				python.Relative("", file), strconv.FormatFloat(f.Summary.Percent, 'f', 1, 64) + " %", python.Shorten(ranges(f.Missing), 60),
			})
		}
	}
	return t
}

// ranges writes line numbers as 3-5, 9.
func ranges(lines []int) string {
	var parts []string
	for i := 0; i < len(lines); {
		end := i
		for end+1 < len(lines) && lines[end+1] == lines[end]+1 {
			end++
		}
		part := strconv.Itoa(lines[i])
		if end > i {
			part += "-" + strconv.Itoa(lines[end])
		}
		parts = append(parts, part)
		i = end + 1
	}
	if len(parts) == 0 {
		return "branches only"
	}
	return strings.Join(parts, ", ")
}
