package engine

import "strings"

// Severity of a finding, in ascending order. The zero value means that the tool gives none.
type Severity int

// Severities; tools' own words are mapped onto these by each tool's parser.
const (
	SeverityNone Severity = iota
	SeverityInfo
	SeverityLow
	SeverityMedium
	SeverityHigh
	SeverityCritical
)

// A Finding says that the code is wrong: where, by which rule, and what to do about it.
type Finding struct {
	Stage    string
	Step     string
	Rule     string // the tool's own identifier: E501, B608, CVE-2024-1234
	Severity Severity
	Path     string // slash-separated, relative to the project's root; empty if it is about no file
	Line     int    // from 1; 0 if unknown
	Column   int    // from 1; 0 if unknown
	EndLine  int    // 0 if unknown
	EndCol   int    // 0 if unknown; one past the last character, as in SARIF
	Message  string
	Help     string // the remedy, a sentence
	HelpURL  string
	// Fingerprint is stable against moved lines: it is made of rule, path and the text of the line, not its number.
	// The engine fills it in where a parser leaves it empty.
	Fingerprint string
	// Frame is the offending line of source, filled in by the engine; empty if the file can't be read.
	Frame string
}

// RuleFlaky is the rule of a finding about a test that passed only when it was run again.
const RuleFlaky = "flaky"

const passedOnly = " passed only when it was run again"

// FlakyMessage begins the message of such a finding.
func FlakyMessage(test string) string { return test + passedOnly }

// FlakyTest is the test that such a message is about.
func FlakyTest(message string) string {
	test, _, _ := strings.Cut(message, passedOnly)
	return test
}

// Allowed is a finding that an entry of pipeline.yaml lets through until a date.
type Allowed struct {
	Finding Finding
	Reason  string
	Expires string // YYYY-MM-DD
}

// Direction says on which side of its threshold a metric is good.
type Direction string

// Directions of a metric. A metric without a threshold has DirectionNone.
const (
	DirectionNone    Direction = ""
	DirectionAtLeast Direction = "at_least"
	DirectionAtMost  Direction = "at_most"
)

// A Metric is a measured number, with the threshold that it must meet if it is a gate.
type Metric struct {
	Name      string // lower_case: line_coverage, pylint_score
	Value     float64
	Unit      string // "%", "ms", "s", "tests", "" for a plain number
	Threshold float64
	Direction Direction
	Help      string // what to do when the threshold is missed
}

// Met reports whether the metric meets its threshold. NaN meets none.
func (m Metric) Met() bool {
	switch m.Direction {
	case DirectionAtLeast:
		return m.Value >= m.Threshold
	case DirectionAtMost:
		return m.Value <= m.Threshold
	default:
		return true
	}
}

// A Table is detail that a person wants to see beside the verdict, such as the slowest tests.
type Table struct {
	Title   string
	Columns []string
	Rows    [][]string
	// Spreads, if there are any, has one for each row: how the values that the row is about are spread. A page draws them.
	Spreads []Spread
	// Detail is for pages, which fold it; a terminal has no room for it.
	Detail bool
}

// A Spread is a small histogram: bins of equal width, from low to high.
type Spread struct {
	Shares   []float64 // 0 to 1, of the values in each bin
	Baseline []float64 // the same bins of the baseline; empty if there is none
	Low      string    // the outer edges, as a person would write them
	High     string
}

// A Judgement is what a step found out.
type Judgement struct {
	// Judged counts what was looked at; zero is an error, since a gate that selected nothing is no gate.
	Judged int
	Unit   string // what Judged counts, in the plural: files, tests, packages, commits
	// Findings at or above the step's FailAt fail it; the others are shown.
	Findings []Finding
	Allowed  []Allowed
	Metrics  []Metric
	Notes    []string // said beside the result: "advisory database of 2024-10-10, 774 days old"
	Warnings []string // like notes, but they ask for somebody's attention
	Tables   []Table
}
