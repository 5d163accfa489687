package dashboard

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/history"
	"github.com/meter-ml/meter-pipeline/internal/report"
	"github.com/meter-ml/meter-pipeline/internal/report/html"
	"github.com/meter-ml/meter-pipeline/internal/trend"
)

// How far back figures look, in runs.
const (
	successRuns = 100
	flakyRuns   = 200
	stripRuns   = 60
	recentRuns  = 15
)

// deploySpan is the time of which the DORA figures are.
const deploySpan = 90 * 24 * time.Hour

// A view is the page, decided.
type view struct {
	html.Sheet

	Name, Status, Headline, Detail string
	Meta                           []pair
	Attention                      []notice
	Cards                          []card
	Strip                          []cell
	StripSays                      string
	Timeline                       []bar
	Scale                          []string
	Stages                         []stageRow
	Groups                         []group
	Flaky                          []flakyRow
	FlakyOf                        string
	Quarantine                     []config.Quarantine
	Deploys                        []deployGroup
	Recent                         []runRow
	Source, Goal                   string
	Empty                          bool
}

type pair struct{ Name, Value string }

// A card is a figure with its size and what it is held against.
type card struct {
	Label, Value, Says string
	Bad                bool
}

// A cell is one run in the strip.
type cell struct{ X, Y, Width, Height, Status string }

// A group of charts about one subject.
type group struct {
	ID, Title, Note string
	Charts          []*chart
}

type flakyRow struct {
	Test, Last string
	Runs       int
	Held       string // by whom, and until when
}

type runRow struct{ When, Target, Status, Word, Took, Commit, Branch, Author, Where, URL string }

func newView(records history.Records, runs trend.Runs, opts Options) *view {
	v := &view{Name: report.Line(opts.Name), Status: "skipped", Source: runs.Source, Goal: fmt.Sprintf("%.0f %%", 100*Goal), Quarantine: opts.Quarantine}
	last, ok := runs.Last()
	if !ok {
		v.Empty = true
		v.Headline, v.Detail = "No whole run yet", "mage check makes the first, and mage report:import takes in those of CI."
	} else {
		v.head(last, runs, opts.Now)
		v.timeline(last)
		v.stages(runs, opts.Budgets)
		v.strip(runs)
		v.charts(runs)
		v.cards(runs, last)
	}
	v.flaky(records.Runs, opts.Quarantine)
	v.deploys(records.Deploys, opts.Now)
	v.recent(runs)
	v.attention(records, runs, opts)
	return v
}

func (v *view) head(last history.Run, runs trend.Runs, now time.Time) {
	v.Status = class(last.Status)
	v.Headline = "The last run " + map[string]string{
		"passed": "passed", "failed": "failed", "error": "could not be judged", "skipped": "judged nothing",
	}[v.Status]
	v.Detail = fmt.Sprintf("%s of %s, in %s", last.Target, minute(last.Time), took(last.Seconds))
	v.Meta = []pair{{"Made", minute(now)}, {"Whole runs", fmt.Sprintf("%d since %s", len(runs.All), day(runs.All[0].Time))}}
	for _, p := range []pair{
		{"Commit", short(last.Commit, last.Dirty)}, {"Branch", last.Detail.Branch}, {"Author", last.Detail.Author}, {"Ran", where(last)},
	} {
		if p.Value != "" {
			v.Meta = append(v.Meta, pair{p.Name, report.Line(p.Value)})
		}
	}
}

// cards are the figures at a glance.
func (v *view) cards(runs trend.Runs, last history.Run) {
	success := runs.Newest(successRuns).Success()
	v.Cards = append(v.Cards, card{
		"Success rate", fmt.Sprintf("%.0f %%", math.Floor(100*success.Share())),
		fmt.Sprintf("%d of %s; 95 %% interval %.0f to %.0f %%; goal %s", success.Passed, report.Count(success.Runs, "runs"), 100*success.Low, 100*success.High, v.Goal),
		success.Share() < Goal,
	})
	for _, c := range v.allCharts() {
		if slices.Contains([]string{"duration", "coverage", "pylint-score", "tests-passed"}, c.ID) {
			says := c.Threshold
			if c.Trend != "" {
				says = strings.TrimPrefix(says+"; "+c.Trend, "; ")
			}
			v.Cards = append(v.Cards, card{upper(c.Title), c.Last, says, c.Missed || c.Worse})
		}
	}
	found := trend.Findings(last)
	total, parts := 0, []string{}
	for _, severity := range severities() {
		total += found[severity]
		if n := found[severity]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, severity))
		}
	}
	says := "in the last run"
	if len(parts) > 0 {
		says = strings.Join(parts, ", ") + ", " + says
	}
	v.Cards = append(v.Cards, card{"Findings", fmt.Sprint(total), says, found["critical"]+found["high"]+found["none"] > 0})
}

func severities() []string { return []string{"critical", "high", "medium", "low", "info", "none"} }

// charts are grouped by subject, in the order in which people ask.
func (v *view) charts(runs trend.Runs) {
	newest := runs.Newest(2 * drawn).All
	of := func(name, unit string, value func(history.Run) float64) *chart {
		return draw(slug(name), trend.Of(newest, name, unit, engine.DirectionAtMost, value))
	}
	quality := []*chart{
		of("duration", "min", func(r history.Run) float64 {
			if r.Status == string(engine.StatusError) {
				return math.NaN()
			}
			return r.Seconds / 60
		}),
	}
	for _, s := range trend.Metrics(newest, func(stage, _, metric string) bool {
		return stage == "unit" && (metric == "coverage" || metric == "tests_passed") || metric == "pylint_score"
	}) {
		s.Name = strings.TrimPrefix(s.Name, "pytest ")
		if s.Direction == "" {
			s.Direction = engine.DirectionAtLeast // more tests are better
		}
		quality = append(quality, draw(slug(s.Name), s))
	}
	quality = append(quality, of("findings", "", func(r history.Run) float64 {
		total := 0
		for _, n := range trend.Findings(r) {
			total += n
		}
		return float64(total)
	}))
	v.group("quality", "Code and tests", "", quality)
	v.group("benchmarks", "Benchmarks", "95th percentiles.", v.of(newest, func(stage, _, metric string) bool { return stage == "benchmark" && metric == "p95" }))
	v.group("models", "Model quality", "Scores of the trained models on their test rows.",
		v.of(newest, func(stage, step, _ string) bool { return stage == "integration" && step == "quality" }))
}

func (v *view) of(runs []history.Run, want func(stage, step, metric string) bool) []*chart {
	var charts []*chart
	for _, s := range trend.Metrics(runs, want) {
		s.Name = strings.TrimPrefix(s.Name, "quality ")
		charts = append(charts, draw(slug(s.Name), s))
	}
	return charts
}

func (v *view) group(id, title, note string, charts []*chart) {
	charts = slices.DeleteFunc(charts, func(c *chart) bool { return c == nil })
	if len(charts) > 0 {
		v.Groups = append(v.Groups, group{id, title, note, charts})
	}
}

func (v *view) allCharts() []*chart {
	var all []*chart
	for _, g := range v.Groups {
		all = append(all, g.Charts...)
	}
	return all
}

func (v *view) flaky(all []history.Run, quarantine []config.Quarantine) {
	runs := newest(all, flakyRuns)
	v.FlakyOf = report.Count(len(runs), "runs")
	for _, f := range trend.Flakies(runs) {
		row := flakyRow{Test: report.Line(f.Test), Runs: f.Runs, Last: day(f.Last)}
		for _, q := range quarantine {
			if bare, _, _ := strings.Cut(f.Test, "["); q.Test == f.Test || q.Test == bare {
				row.Held = q.Owner + ", until " + q.Expires
			}
		}
		v.Flaky = append(v.Flaky, row)
	}
}

func (v *view) recent(runs trend.Runs) {
	for _, r := range slices.Backward(runs.Newest(recentRuns).All) {
		row := runRow{
			When: minute(r.Time), Target: report.Line(r.Target), Status: class(r.Status), Word: word(r.Status), Took: took(r.Seconds),
			Commit: short(r.Commit, r.Dirty), Branch: report.Line(r.Detail.Branch), Author: report.Line(r.Detail.Author), Where: where(r),
		}
		if strings.HasPrefix(r.Detail.URL, "https://") {
			row.URL = r.Detail.URL
		}
		v.Recent = append(v.Recent, row)
	}
}

func newest(runs []history.Run, n int) []history.Run { return runs[max(0, len(runs)-n):] }

// class is one of the style sheet.
func class(status string) string {
	if slices.Contains([]string{"passed", "failed", "skipped"}, status) {
		return status
	}
	return "error"
}

func where(r history.Run) string {
	switch {
	case strings.HasSuffix(r.Detail.Builder, "github-hosted"):
		return "on GitHub"
	case strings.HasSuffix(r.Detail.Builder, "self-hosted"):
		return "on an own runner"
	case r.Detail.Builder == "":
		return "somewhere"
	default:
		return "on a person's machine"
	}
}

func short(commit string, dirty bool) string {
	commit = report.Line(commit[:min(len(commit), 10)])
	if dirty && commit != "" {
		commit += " + changes"
	}
	return commit
}

func took(seconds float64) string {
	return report.Duration(time.Duration(seconds * float64(time.Second)))
}

func minute(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }
func day(t time.Time) string    { return t.UTC().Format(time.DateOnly) }

func upper(s string) string {
	return strings.ToUpper(s[:1]) + s[1:]
}

// slug makes an id of any name.
func slug(name string) string {
	return strings.Trim(regexp.MustCompile(`[^a-z0-9]+`).ReplaceAllString(strings.ToLower(name), "-"), "-")
}
