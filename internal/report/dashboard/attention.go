package dashboard

import (
	"fmt"
	"math"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/history"
	"github.com/meter-ml/meter-pipeline/internal/report"
	"github.com/meter-ml/meter-pipeline/internal/trend"
)

// A notice is something that somebody should look at, with the section of the page that tells more.
type notice struct{ Href, Text string }

// soon is how long before its end an exception is worth a word.
const soon = 14 * 24 * time.Hour

// attention lists what needs it now, the most pressing first.
func (v *view) attention(records history.Records, runs trend.Runs, opts Options) {
	say := func(href, format string, args ...any) {
		v.Attention = append(v.Attention, notice{href, report.Line(fmt.Sprintf(format, args...))})
	}
	lastRun(runs, opts.Now, say)
	recent := runs.Newest(successRuns).Success()
	if recent.Runs > 0 && recent.Share() < Goal {
		say("#runs", "%d of the last %s passed (%.0f %%), and %.0f %% are to", recent.Passed, report.Count(recent.Runs, "runs"), math.Floor(100*recent.Share()), 100*Goal)
	}
	for _, o := range history.OverBudget(runs.All, opts.Budgets) {
		if o.Significant {
			say("#stages", "%s", upper(o.String()))
		}
	}
	for _, c := range v.allCharts() {
		switch {
		case c.Missed:
			say("#"+c.ID, "%s is %s, and is to be %s", upper(c.Title), c.Last, c.Threshold)
		case c.Worse:
			say("#"+c.ID, "%s went %s: the last %d runs against the 30 before them", upper(c.Title), c.Trend, trend.Window)
		}
	}
	for _, f := range trend.Flakies(newest(records.Runs, flakyRuns)) {
		if f.Runs > 1 {
			say("#flaky", "Flaky in %d runs: %s", f.Runs, f.Test)
		}
	}
	expiries(opts, say)
	for _, warning := range records.Warnings {
		say("#about", "%s", upper(warning))
	}
}

// lastRun says what did not pass in it, and that it is old.
func lastRun(runs trend.Runs, now time.Time, say func(href, format string, args ...any)) {
	last, ok := runs.Last()
	if !ok {
		return
	}
	for _, step := range last.Steps {
		if step.Status == string(engine.StatusFailed) || step.Status == string(engine.StatusError) {
			say("#last", "In the last run, %s/%s %s", step.Stage, step.Step, word(step.Status))
		}
	}
	if age := now.Sub(last.Time); age > 8*24*time.Hour {
		say("#last", "The last run is %.0f days old", age.Hours()/24)
	}
}

// expiries are exceptions that end soon, or did.
func expiries(opts Options, say func(href, format string, args ...any)) {
	one := func(what, who, date string) {
		end, err := time.Parse(time.DateOnly, date)
		switch {
		case err != nil:
		case !opts.Now.Before(end):
			say("#flaky", "%s ended on %s%s", what, date, who)
		case end.Sub(opts.Now) < soon:
			say("#flaky", "%s ends on %s%s", what, date, who)
		}
	}
	for _, q := range opts.Quarantine {
		one("The quarantine of "+q.Test, ": "+q.Owner+" mends it", q.Expires)
	}
	for _, a := range opts.Allow {
		one("The exception for "+allowName(a), ": "+a.Reason, a.Expires)
	}
}

func allowName(a config.Allow) string { return a.Tool + " " + a.Rule }

func word(status string) string {
	if status == string(engine.StatusError) {
		return "could not be judged"
	}
	return status
}
