package maintenance

import (
	"fmt"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/history"
	"github.com/meter-ml/meter-pipeline/internal/report"
	"github.com/meter-ml/meter-pipeline/internal/statistics"
	"github.com/meter-ml/meter-pipeline/internal/trend"
)

// baseline says how old what benchmarks are compared with is.
func (f Facts) baseline() Section {
	s := Section{Title: "Performance baseline", Table: Table{Columns: []string{"machine", "stored", "measures"}}}
	if f.Baseline.Unknown != "" {
		s.say(Unknown, f.Baseline.Unknown+".")
		return s
	}
	for _, stored := range f.Baseline.Stored {
		s.Table.Rows = append(s.Table.Rows, []string{stored.Machine, stored.Date, stored.Measures})
		date, err := time.Parse(time.DateOnly, stored.Date)
		if err != nil || f.Now.Sub(date) > 91*24*time.Hour {
			s.say(Bad, fmt.Sprintf("That of %s is of %s: store a new one on a quiet machine with `mage benchmark:baseline`, and commit it.", stored.Machine, stored.Date))
		}
	}
	if len(s.Lines) == 0 {
		s.say(Good, "Every baseline is of this quarter.")
	}
	return s
}

// process is how work flows, month by month.
func (f Facts) process(days int) Section {
	s := Section{Title: "Process", Table: Table{
		Columns: []string{"month", "runs", "passed", "median duration", "median time to green"}, Numbers: []bool{false, true, true, true, true},
	}}
	runs, _ := f.span(days)
	if len(runs.All) == 0 {
		s.say(Unknown, fmt.Sprintf("No whole run in these %d days.", days))
		return s
	}
	byMonth := map[string][]history.Run{}
	var months []string
	for _, run := range runs.All {
		month := run.Time.UTC().Format("2006-01")
		if byMonth[month] == nil {
			months = append(months, month)
		}
		byMonth[month] = append(byMonth[month], run)
	}
	for _, month := range months {
		of := trend.Runs{All: byMonth[month]}
		success := of.Success()
		var durations []float64
		for _, run := range of.All {
			durations = append(durations, run.Seconds)
		}
		s.Table.Rows = append(s.Table.Rows, []string{
			month, fmt.Sprint(success.Runs), fmt.Sprintf("%.0f %%", 100*success.Share()), took(statistics.Median(durations)), took(statistics.Median(ToGreen(of.All))),
		})
	}
	green := ToGreen(runs.All)
	if len(green) > 0 {
		s.say(Plain, fmt.Sprintf("A branch that was red was green again after %s (median of %s).", took(statistics.Median(green)), report.Count(len(green), "times")))
	}
	if red := stillRed(runs.All); len(red) > 0 {
		for _, branch := range red {
			s.say(Bad, branch+" is red.")
		}
	}
	return s
}

// ToGreen is how long, in seconds, branches were red: from the first red run of a branch to its next green one.
func ToGreen(runs []history.Run) []float64 {
	began := map[string]time.Time{}
	var took []float64
	for _, run := range runs {
		branch := run.Detail.Branch
		since, red := began[branch]
		switch passed := run.Status == string(engine.StatusPassed); {
		case passed && red:
			took = append(took, run.Time.Sub(since).Seconds())
			delete(began, branch)
		case !passed && !red:
			began[branch] = run.Time
		}
	}
	return took
}

// stillRed are the branches that matter to all whose last run is red.
func stillRed(runs []history.Run) []string {
	last := map[string]string{}
	for _, run := range runs {
		last[run.Detail.Branch] = run.Status
	}
	var red []string
	for _, branch := range []string{"main", "develop"} {
		if status, ok := last[branch]; ok && status != string(engine.StatusPassed) {
			red = append(red, branch)
		}
	}
	return red
}

// delivery are DORA's five figures.
func (f Facts) delivery(days int) Section {
	s := Section{Title: "Delivery (DORA)", Table: Table{
		Columns: []string{"environment", "change lead time", "deployment frequency", "failed-deployment recovery time", "change fail rate", "deployment rework rate"},
		Numbers: []bool{false, true, true, true, true, true},
	}}
	from := f.Now.AddDate(0, 0, -days)
	for _, environment := range trend.Environments(f.Records.Deploys) {
		d := trend.Figures(f.Records.Deploys, environment, from, f.Now)
		row := []string{environment, "–", fmt.Sprintf("%.1f a week", d.PerWeek), "–", "–", "–"}
		if d.Leads > 0 {
			row[1] = report.Duration(d.LeadTime)
		}
		if d.Recovered > 0 {
			row[3] = report.Duration(d.Recovery)
		}
		if d.Deploys > 0 {
			row[4], row[5] = fmt.Sprintf("%.0f %%", 100*d.FailShare), fmt.Sprintf("%.0f %%", 100*d.ReworkOf)
		}
		s.Table.Rows = append(s.Table.Rows, row)
	}
	if len(s.Table.Rows) == 0 {
		s.say(Unknown, "The history knows of no deploy yet, so there are no figures.")
	}
	return s
}
