// Package trend looks at many runs at once: which of them were whole, how often they pass, how their numbers move, which
// tests are flaky, how releases fare.
//
// It stands between the history, which only remembers, and what speaks of it: the dashboard and the maintenance reports.
package trend

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/history"
	"github.com/meter-ml/meter-pipeline/internal/statistics"
)

// Runs are whole runs of the pipeline, the oldest first.
type Runs struct {
	All    []history.Run
	Source string // which runs count, in words
}

// Whole picks the runs that say how the pipeline is: those of CI, whose jobs are joined, and only where there are none
// those of check and pipeline on machines of people. A run that somebody interrupted says nothing.
func Whole(all []history.Run) Runs {
	var hosted, local []history.Run
	for _, r := range all {
		switch {
		case r.Detail == nil || r.Exit == engine.ExitInterrupted:
		case r.Detail.URL != "":
			hosted = append(hosted, r)
		case r.Target == "check" || r.Target == "pipeline":
			local = append(local, r)
		}
	}
	if len(hosted) > 0 {
		return Runs{join(hosted), "runs of CI"}
	}
	return Runs{local, "runs of mage check and mage pipeline"}
}

// join makes one run of the jobs of a run of CI. What was red in an earlier attempt stays red.
func join(jobs []history.Run) []history.Run {
	at := map[string]int{}
	var out []history.Run
	for _, job := range jobs {
		page, _, _ := strings.Cut(job.Detail.URL, "/attempts/")
		i, seen := at[page]
		if !seen {
			at[page] = len(out)
			detail := *job.Detail
			job.Detail = &detail
			out = append(out, job)
			continue
		}
		out[i] = joined(out[i], job)
	}
	return out
}

func joined(a, b history.Run) history.Run {
	shift := b.Time.Sub(a.Time).Seconds()
	a.Seconds = max(a.Seconds, shift+b.Seconds)
	a.Target = "CI"
	if rank(b.Status) > rank(a.Status) {
		a.Status, a.Exit = b.Status, b.Exit
	}
	a.Steps = slices.Concat(a.Steps, b.Steps)
	a.Detail.Stages = slices.Concat(a.Detail.Stages, b.Detail.Stages)
	a.Detail.Warnings = slices.Concat(a.Detail.Warnings, b.Detail.Warnings)
	results := slices.Clone(a.Detail.Results)
	for _, r := range b.Detail.Results {
		r.At += shift
		results = append(results, r)
	}
	a.Detail.Results = results
	return a
}

func rank(status string) int {
	return slices.Index([]string{"skipped", "passed", "failed", "error"}, status)
}

// Since are the runs from a time on.
func (r Runs) Since(from time.Time) Runs {
	at, _ := slices.BinarySearchFunc(r.All, from, func(run history.Run, t time.Time) int { return run.Time.Compare(t) })
	return Runs{r.All[at:], r.Source}
}

// Until are the runs before a time.
func (r Runs) Until(end time.Time) Runs {
	at, _ := slices.BinarySearchFunc(r.All, end, func(run history.Run, t time.Time) int { return run.Time.Compare(t) })
	return Runs{r.All[:at], r.Source}
}

// Newest is the last n runs.
func (r Runs) Newest(n int) Runs { return Runs{r.All[max(0, len(r.All)-n):], r.Source} }

// Last is the newest run.
func (r Runs) Last() (history.Run, bool) {
	if len(r.All) == 0 {
		return history.Run{}, false
	}
	return r.All[len(r.All)-1], true
}

// Success is the share of runs that passed, with its 95 % interval by Wilson.
type Success struct {
	Passed, Runs int
	Low, High    float64
}

// Share of the runs that passed; 0 without any.
func (s Success) Share() float64 {
	if s.Runs == 0 {
		return 0
	}
	return float64(s.Passed) / float64(s.Runs)
}

// Success counts the runs. One that could not be judged has not passed.
func (r Runs) Success() Success {
	s := Success{Runs: len(r.All)}
	for _, run := range r.All {
		if run.Status == string(engine.StatusPassed) {
			s.Passed++
		}
	}
	s.Low, s.High = statistics.Wilson(s.Passed, s.Runs)
	return s
}

// A Flaky test passed only when it was run again, at least once.
type Flaky struct {
	Test string
	Runs int       // in how many of them
	Last time.Time // and when at last
}

// Flakies are the tests that were flaky, the worst first. They count in every run that has them, not only in whole ones.
func Flakies(runs []history.Run) []Flaky {
	at := map[string]int{}
	var all []Flaky
	for _, run := range runs {
		if run.Detail == nil {
			continue
		}
		for _, result := range run.Detail.Results {
			for _, test := range result.Flaky {
				i, seen := at[test]
				if !seen {
					i = len(all)
					at[test] = i
					all = append(all, Flaky{Test: test})
				}
				all[i].Runs++
				all[i].Last = run.Time
			}
		}
	}
	slices.SortFunc(all, func(a, b Flaky) int {
		return cmp.Or(-cmp.Compare(a.Runs, b.Runs), -a.Last.Compare(b.Last), cmp.Compare(a.Test, b.Test))
	})
	return all
}
