package maintenance

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/history"
	"github.com/meter-ml/meter-pipeline/internal/report"
	"github.com/meter-ml/meter-pipeline/internal/trend"
)

func weekName(year, week int) string       { return fmt.Sprintf("%d week %d", year, week) }
func quarterName(year, quarter int) string { return fmt.Sprintf("%d quarter %d", year, quarter) }

// records says what the report rests on.
func (f Facts) records() Section {
	whole := trend.Whole(f.Records.Runs)
	s := Section{Title: "What this rests on"}
	if len(whole.All) == 0 {
		s.say(Unknown, "The history has no whole run: `mage check` makes one, and `mage report:import` takes in those of CI.")
	} else {
		s.say(Plain, fmt.Sprintf("%s since %s: %s.", report.Count(len(whole.All), "whole runs"), whole.All[0].Time.UTC().Format(time.DateOnly), whole.Source))
	}
	for _, warning := range f.Records.Warnings {
		s.say(Bad, upper(warning)+".")
	}
	return s
}

// success holds the share of runs that passed against the goal.
func (f Facts) success(days int) Section {
	s := Section{Title: "Success rate"}
	runs, before := f.span(days)
	got := runs.Success()
	if got.Runs == 0 {
		s.say(Unknown, fmt.Sprintf("No whole run in these %d days, so nothing can be said.", days))
		return s
	}
	text := fmt.Sprintf("%d of %s passed: %.1f %% (95 %% interval %.0f to %.0f %%), and the goal is %.0f %%",
		got.Passed, report.Count(got.Runs, "runs"), 100*got.Share(), 100*got.Low, 100*got.High, 100*Goal)
	mark := Good
	if got.Share() < Goal {
		mark = Bad
		if got.High >= Goal {
			text += "; so few runs do not exclude it"
		}
	}
	s.say(mark, text+".")
	if earlier := before.Success(); earlier.Runs > 0 {
		s.say(Plain, fmt.Sprintf("Before that it was %.1f %% of %s.", 100*earlier.Share(), report.Count(earlier.Runs, "runs")))
	}
	s.Table = Table{Columns: []string{"run", "branch", "verdict", "what did not pass"}}
	for _, run := range slices.Backward(runs.All) {
		if run.Status != string(engine.StatusPassed) && len(s.Table.Rows) < 20 {
			s.Table.Rows = append(s.Table.Rows, []string{when(run), run.Detail.Branch, run.Status, blamed(run)})
		}
	}
	return s
}

func blamed(run history.Run) string {
	var names []string
	for _, step := range run.Steps {
		if step.Status == string(engine.StatusFailed) || step.Status == string(engine.StatusError) {
			names = append(names, step.Stage+"/"+step.Step)
		}
	}
	if len(names) > 5 {
		return strings.Join(names[:5], ", ") + fmt.Sprintf(" and %d more", len(names)-5)
	}
	return strings.Join(names, ", ")
}

// performance compares what took time with the days before.
func (f Facts) performance(days, earlier int) Section {
	s := Section{Title: "Performance", Table: Table{
		Columns: []string{"what", "before", "now", "change", "p", "verdict"}, Numbers: []bool{false, true, true, true, true, false},
	}}
	now, all := f.span(days)
	before := all.Since(f.Now.AddDate(0, 0, -days-earlier))
	for _, o := range history.OverBudget(trend.Whole(f.Records.Runs).All, f.Budgets) {
		if o.Significant {
			s.say(Bad, upper(o.String())+".")
		}
	}
	few := 0
	add := func(name, unit string, then, now []float64) {
		change, ok := trend.Against(then, now, engine.DirectionAtMost)
		if !ok {
			few++
			return
		}
		verdict := "as before"
		switch {
		case change.Worse:
			verdict = "slower"
			s.say(Bad, fmt.Sprintf("%s takes %.0f %% longer than before.", upper(name), 100*change.Relative))
		case change.P < trend.ChangeAlpha && change.Relative < -trend.ChangeMargin:
			verdict = "faster"
		}
		s.Table.Rows = append(s.Table.Rows, []string{
			name, report.Number(change.Before, unit), report.Number(change.After, unit), fmt.Sprintf("%+.0f %%", 100*change.Relative), fmt.Sprintf("%.2g", change.P), verdict,
		})
	}
	for _, stage := range stagesOf(now.All) {
		of := func(r history.Run) float64 { return trend.StageSeconds(r, stage) }
		add("stage "+stage, "s", trend.Of(before.All, "", "", "", of).Values(), trend.Of(now.All, "", "", "", of).Values())
	}
	want := func(stage, _, metric string) bool { return stage == "benchmark" && metric == "p95" }
	then := map[string][]float64{}
	for _, series := range trend.Metrics(before.All, want) {
		then[series.Name] = series.Values()
	}
	for _, series := range trend.Metrics(now.All, want) {
		add(series.Name, series.Unit, then[series.Name], series.Values())
	}
	switch {
	case len(s.Table.Rows) == 0:
		s.say(Unknown, fmt.Sprintf("Nothing can be compared: it takes five runs in these %d days, and five in the %d before.", days, earlier))
	case few > 0:
		s.say(Unknown, fmt.Sprintf("%s can't be compared, since fewer than five runs have them on one side.", report.Count(few, "others")))
	}
	if len(s.Table.Rows) > 0 {
		s.say(Plain, fmt.Sprintf("Medians of these %d days and of the %d before, by the Mann-Whitney test: slower is by more than 5 %% with p below 1 %%.", days, earlier))
	}
	return s
}

func stagesOf(runs []history.Run) []string {
	var names []string
	for _, run := range runs {
		for _, s := range run.Detail.Stages {
			if !slices.Contains(names, s.Stage) {
				names = append(names, s.Stage)
			}
		}
	}
	return names
}

// scans are the steps that look for what is unsafe, by stage.
func scans() map[string][]string {
	return map[string][]string{"security": {"bandit", "safety", "secrets"}, "image": {"packages", "updates", "secrets", "config"}}
}

// security lists when each scan ran at last and what it found. One that did not run in these days is not known.
func (f Facts) security(days int) Section {
	s := Section{Title: "Security", Table: Table{Columns: []string{"scan", "at last", "verdict", "findings", "let through", "says"}, Numbers: []bool{false, false, false, true, true, false}}}
	from := f.Now.AddDate(0, 0, -days)
	for _, stage := range slices.Sorted(maps.Keys(scans())) {
		for _, step := range scans()[stage] {
			name := stage + "/" + step
			run, at, ok := f.newest(stage, step)
			if !ok {
				s.say(Unknown, fmt.Sprintf("%s is not in the history: nobody has looked.", name))
				continue
			}
			result, verdict := run.Detail.Results[at], run.Steps[at].Status
			switch {
			case run.Time.Before(from):
				s.say(Unknown, fmt.Sprintf("%s ran at last on %s: nobody has looked since.", name, run.Time.UTC().Format(time.DateOnly)))
			case verdict == string(engine.StatusPassed) && len(result.Warnings) > 0:
				s.say(Bad, fmt.Sprintf("%s passed on %s with a warning: see below.", name, run.Time.UTC().Format(time.DateOnly)))
			case verdict != string(engine.StatusPassed):
				s.say(Bad, fmt.Sprintf("%s %s on %s.", name, said(verdict), run.Time.UTC().Format(time.DateOnly)))
			}
			s.Table.Rows = append(s.Table.Rows, []string{
				name, when(run), said(verdict), found(result.Findings), fmt.Sprint(result.Allowed), strings.Join(append(result.Warnings, nonempty(result.Reason)...), "; "),
			})
		}
	}
	if len(s.Lines) == 0 {
		s.say(Good, "Every scan ran in these days, and passed.")
	}
	return s
}

// newest is the last run that a step was judged in, of whatever target.
func (f Facts) newest(stage, step string) (history.Run, int, bool) {
	for _, run := range slices.Backward(f.Records.Runs) {
		if run.Detail == nil || len(run.Steps) != len(run.Detail.Results) {
			continue
		}
		for i, s := range run.Steps {
			if s.Stage == stage && s.Step == step && s.Status != string(engine.StatusSkipped) {
				return run, i, true
			}
		}
	}
	return history.Run{}, 0, false
}

func found(findings map[string]int) string {
	var parts []string
	for _, severity := range []string{"critical", "high", "medium", "low", "info", "none"} {
		if n := findings[severity]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, severity))
		}
	}
	return cmp.Or(strings.Join(parts, ", "), "0")
}

// tests are those that are flaky.
func (f Facts) tests(days int) Section {
	s := Section{Title: "Flaky tests", Table: Table{Columns: []string{"test", "runs", "at last"}, Numbers: []bool{false, true, false}}}
	from := f.Now.AddDate(0, 0, -days)
	runs := slices.DeleteFunc(slices.Clone(f.Records.Runs), func(r history.Run) bool { return r.Time.Before(from) })
	for _, flaky := range trend.Flakies(runs) {
		s.Table.Rows = append(s.Table.Rows, []string{flaky.Test, fmt.Sprint(flaky.Runs), flaky.Last.UTC().Format(time.DateOnly)})
	}
	switch {
	case len(s.Table.Rows) > 0:
		s.say(Bad, report.Count(len(s.Table.Rows), "tests")+" passed only when they were run again: mend them, or put them into quarantine with an owner and a date.")
	case f.Project.Unit.Rerun == 0:
		s.say(Unknown, "Failed tests are not run again (`unit.rerun` is 0), so nobody knows which are flaky.")
	default:
		s.say(Good, "None.")
	}
	return s
}

// exceptions are all that is let through, and until when.
func (f Facts) exceptions() Section {
	s := Section{Title: "Exceptions and quarantine", Table: Table{Columns: []string{"what", "why", "until"}}}
	add := func(what, why, until string) {
		s.Table.Rows = append(s.Table.Rows, []string{what, why, until})
		end, err := time.Parse(time.DateOnly, until)
		switch {
		case err != nil || !f.Now.Before(end):
			s.say(Bad, fmt.Sprintf("%s ended on %s: take it out, or decide anew.", what, until))
		case end.Sub(f.Now) < 30*24*time.Hour:
			s.say(Bad, fmt.Sprintf("%s ends on %s.", what, until))
		}
	}
	for _, a := range f.Project.Security.Allow {
		add(strings.TrimSpace(a.Tool+" "+a.Rule+" "+a.Path+" "+a.Package), a.Reason, a.Expires)
	}
	for _, q := range f.Project.Unit.Quarantine {
		add(q.Test, q.Owner+" mends it: "+q.Reason, q.Expires)
	}
	if len(s.Table.Rows) == 0 {
		s.say(Good, "There are none.")
	}
	return s
}

func said(status string) string {
	if status == string(engine.StatusError) {
		return "could not be judged"
	}
	return status
}

func nonempty(s string) []string {
	if s == "" {
		return nil
	}
	return []string{s}
}

func when(run history.Run) string { return run.Time.UTC().Format("2006-01-02 15:04") }

func upper(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

func took(seconds float64) string {
	if math.IsNaN(seconds) {
		return "–"
	}
	return report.Duration(time.Duration(seconds * float64(time.Second)))
}
