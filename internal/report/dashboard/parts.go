package dashboard

import (
	"fmt"
	"slices"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/history"
	"github.com/meter-ml/meter-pipeline/internal/report"
	"github.com/meter-ml/meter-pipeline/internal/statistics"
	"github.com/meter-ml/meter-pipeline/internal/trend"
)

// A bar is a stage of the last run, in as many pieces as it ran in.
type bar struct {
	Stage, Status, Word, Took, Says string
	Pieces                          []piece
}

// A piece is in thousandths of the whole time.
type piece struct{ X, W int }

// timeline is a row for each stage of the run.
func (v *view) timeline(last history.Run) {
	whole := max(last.Seconds, 0.001)
	for _, s := range last.Detail.Stages {
		b := bar{Stage: report.Line(s.Stage), Status: class(s.Status), Word: word(s.Status)}
		b.Says = fmt.Sprintf("%s: %s", b.Stage, b.Word)
		if s.Status != string(engine.StatusSkipped) {
			b.Took = took(last.Busy(s.Stage))
			for i, span := range last.Spans(s.Stage) {
				if i == 0 {
					b.Says += fmt.Sprintf(", from %s on, busy for %s", took(span.From), b.Took)
				}
				x := clamp(int(1000*span.From/whole), 0, 994)
				b.Pieces = append(b.Pieces, piece{x, clamp(int(1000*(span.To-span.From)/whole), 6, 1000-x)})
			}
		}
		v.Timeline = append(v.Timeline, b)
	}
	v.Scale = []string{"0", took(whole / 2), took(whole)}
}

func clamp(n, low, high int) int { return min(max(n, low), high) }

// A stageRow is how a stage fares in the last runs.
type stageRow struct {
	Stage, Median, Budget, Used, Passed, Verdict string
	X, Limit                                     int // of the bar, in thousandths of its width
	Status                                       string
}

// stages holds each against its budget. Its bar ends at one and a half budgets.
func (v *view) stages(runs trend.Runs, budgets history.Budgets) {
	over := history.OverBudget(runs.All, budgets)
	var names []string
	for _, run := range runs.Newest(budgets.Runs).All {
		for _, s := range run.Detail.Stages {
			if !slices.Contains(names, s.Stage) {
				names = append(names, s.Stage)
			}
		}
	}
	for _, name := range names {
		row := stageRow{Stage: report.Line(name), Median: "–", Budget: "–", Used: "–", Status: "passed", Limit: 667, Passed: passes(runs, name)}
		budget := budgets.Stages[name]
		if at := slices.IndexFunc(over, func(o history.Over) bool { return o.Stage == name }); at >= 0 && budget > 0 {
			o := over[at]
			share := o.Median / budget
			row.Median, row.Budget, row.Used = took(o.Median), took(budget), fmt.Sprintf("%.0f %%", 100*share)
			row.X = clamp(int(share*667), 4, 1000)
			row.Verdict = "within"
			switch {
			case o.Significant:
				row.Status, row.Verdict = "failed", fmt.Sprintf("over: %d of %d, p = %.2g", o.Exceeded, o.Runs, o.P)
			case o.Exceeded > 0:
				row.Verdict = fmt.Sprintf("%d of %d over, not significant", o.Exceeded, o.Runs)
			}
		} else if values := trend.Of(runs.Newest(budgets.Runs).All, name, "s", "", func(r history.Run) float64 { return trend.StageSeconds(r, name) }).Values(); len(values) > 0 {
			row.Median, row.Verdict = took(statistics.Median(values)), "no budget"
		}
		v.Stages = append(v.Stages, row)
	}
}

// passes counts the stage's verdicts in the newest runs that judged it.
func passes(runs trend.Runs, stage string) string {
	passed, all := 0, 0
	for _, run := range runs.Newest(successRuns).All {
		for _, s := range run.Detail.Stages {
			if s.Stage == stage && s.Status != string(engine.StatusSkipped) {
				all++
				if s.Status == string(engine.StatusPassed) {
					passed++
				}
			}
		}
	}
	return fmt.Sprintf("%d of %d", passed, all)
}

// strip is the newest runs side by side. A run that did not pass is higher, so that the colour is not all that tells.
func (v *view) strip(runs trend.Runs) {
	shown := runs.Newest(stripRuns)
	counts := map[string]int{}
	width := 1000.0 / stripRuns
	for i, run := range shown.All {
		status := class(run.Status)
		counts[status]++
		height := 20.0
		if status != "passed" {
			height = 40
		}
		x := width * float64(stripRuns-len(shown.All)+i)
		v.Strip = append(v.Strip, cell{unit(x), unit(40 - height), unit(width * 0.8), unit(height), status})
	}
	v.StripSays = fmt.Sprintf("The last %s: %d passed, %d failed, %d could not be judged", report.Count(len(shown.All), "runs"), counts["passed"], counts["failed"], counts["error"])
}

// A deployGroup is one environment.
type deployGroup struct {
	Environment string
	Figures     []card
	Rows        []deployRow
}

type deployRow struct{ When, Release, Status, Word, Took, Commit, Actor, Reason string }

// deploys are the five figures of the last ninety days, and the newest releases.
func (v *view) deploys(all []history.Deploy, now time.Time) {
	for _, environment := range trend.Environments(all) {
		f := trend.Figures(all, environment, now.Add(-deploySpan), now)
		g := deployGroup{Environment: report.Line(environment), Figures: doraCards(f)}
		for _, d := range slices.Backward(all) {
			if d.Environment != environment || len(g.Rows) == recentRuns {
				continue
			}
			row := deployRow{
				When: minute(d.Finished), Release: report.Line(d.Release), Status: "failed", Took: report.Duration(d.Finished.Sub(d.Started)),
				Commit: short(d.Commit, false), Actor: report.Line(d.Actor), Reason: report.Line(d.Reason),
				Word: map[string]string{history.DeployDone: "done", history.DeployFailed: "not deployed", history.DeployRolledBack: "rolled back"}[d.Status],
			}
			if d.Status == history.DeployDone {
				row.Status = "passed"
			}
			g.Rows = append(g.Rows, row)
		}
		v.Deploys = append(v.Deploys, g)
	}
}

func doraCards(f trend.DORA) []card {
	of := report.Count(f.Deploys, "deploys")
	span := func(n int, d time.Duration) string {
		if n == 0 {
			return "–"
		}
		return report.Duration(d)
	}
	rate := func(share float64) string {
		if f.Deploys == 0 {
			return "–"
		}
		return fmt.Sprintf("%.0f %%", 100*share)
	}
	return []card{
		{"Change lead time", span(f.Leads, f.LeadTime), fmt.Sprintf("median of %s, from commit to done", report.Count(f.Leads, "deploys")), false},
		{"Deployment frequency", fmt.Sprintf("%.1f a week", f.PerWeek), of + " in 90 days", false},
		{"Failed-deployment recovery time", span(f.Recovered, f.Recovery), "median of " + report.Count(f.Recovered, "recoveries"), false},
		{"Change fail rate", rate(f.FailShare), fmt.Sprintf("%d of %s", f.Failed, of), false},
		{"Deployment rework rate", rate(f.ReworkOf), fmt.Sprintf("%d of %s", f.Reworks, of), false},
	}
}
