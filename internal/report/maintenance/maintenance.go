// Package maintenance writes what somebody reads once a week, a month or a quarter: from the history, and from what the
// facts say that was looked up for it. A report is Markdown, to be opened as an issue, and the same as a page.
//
// What could not be looked up is said in its place, so that an empty section is never taken for a clean one.
package maintenance

import (
	"time"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/history"
	"github.com/meter-ml/meter-pipeline/internal/trend"
)

// Goal is the share of runs that are to pass.
const Goal = 0.99

// A Report is what is written.
type Report struct {
	Kind     string // weekly, monthly, quarterly
	Title    string
	Period   string
	Sections []Section
}

// A Section is about one thing.
type Section struct {
	Title string
	Lines []Line
	Table Table // without rows, there is none
}

// A Line is a sentence. Its mark says what to make of it.
type Line struct {
	Mark Mark
	Text string
}

// A Mark of a line.
type Mark string

// Marks.
const (
	Plain   Mark = ""
	Good    Mark = "good"
	Bad     Mark = "bad"     // somebody has to do something
	Unknown Mark = "unknown" // it could not be looked up
)

// A Table has a head and rows.
type Table struct {
	Columns []string
	Numbers []bool // columns to be set right
	Rows    [][]string
}

func (s *Section) say(mark Mark, text string) { s.Lines = append(s.Lines, Line{mark, text}) }

// Facts are what a report is made from.
type Facts struct {
	Project *config.Project
	Records history.Records
	Budgets history.Budgets
	Now     time.Time

	Python   Outdated  // monthly
	Go       Outdated  // monthly
	Coverage Coverage  // monthly
	Baseline Baselines // quarterly
}

// Outdated is what a package manager says is newer.
type Outdated struct {
	Packages []Package
	Looked   int    // packages that were looked at
	Unknown  string // what could not be looked up, and why; empty if all could
}

// A Package has a newer version.
type Package struct{ Name, Have, Latest string }

// Coverage is the newest run's, by file.
type Coverage struct {
	Run     string
	Files   []File // the least covered first
	Unknown string
}

// A File and how much of its lines and branches the tests reach.
type File struct {
	Path    string
	Percent float64
	Missing int // lines
}

// Baselines are what benchmarks are compared with, by machine.
type Baselines struct {
	Stored  []Stored
	Unknown string
}

// Stored is one machine's.
type Stored struct{ Machine, Date, Measures string }

// span are the whole runs of the last days, and the days before them.
func (f Facts) span(days int) (runs, before trend.Runs) {
	whole := trend.Whole(f.Records.Runs)
	from := f.Now.AddDate(0, 0, -days)
	return whole.Since(from), whole.Until(from)
}

func (f Facts) period(days int) string {
	return f.Now.AddDate(0, 0, -days).UTC().Format(time.DateOnly) + " to " + f.Now.UTC().Format(time.DateOnly)
}

// Weekly reviews the success rate, how fast things are, and what the security gates found.
func Weekly(f Facts) Report {
	year, week := f.Now.ISOWeek()
	return Report{
		Kind: "weekly", Title: "Weekly review of the pipeline, " + weekName(year, week), Period: f.period(7),
		Sections: []Section{f.records(), f.success(7), f.performance(7, 28), f.security(7), f.tests(7), f.exceptions()},
	}
}

// Monthly reviews what is outdated, what the tests cover, and where the time goes.
func Monthly(f Facts) Report {
	return Report{
		Kind: "monthly", Title: "Monthly maintenance of the pipeline, " + f.Now.UTC().Format("January 2006"), Period: f.period(30),
		Sections: []Section{f.records(), f.success(30), outdated("Python packages", f.Python, "scripts/lock.sh --upgrade-package NAME"), outdated("Go modules", f.Go, "go get NAME@latest` in the directory of its go.mod, `go mod tidy"), f.coverage(30), f.slowest(30)},
	}
}

// Quarterly audits security, looks at the baseline of the benchmarks, and at how work flows.
func Quarterly(f Facts) Report {
	quarter := (int(f.Now.UTC().Month())-1)/3 + 1
	return Report{
		Kind: "quarterly", Title: "Quarterly review of the pipeline, " + quarterName(f.Now.UTC().Year(), quarter), Period: f.period(91),
		Sections: []Section{f.records(), f.security(91), f.exceptions(), f.performance(91, 91), f.baseline(), f.process(91), f.delivery(91), f.tests(91)},
	}
}
