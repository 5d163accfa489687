package maintenance

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/history"
	"github.com/meter-ml/meter-pipeline/internal/report"
	"github.com/meter-ml/meter-pipeline/internal/statistics"
	"github.com/meter-ml/meter-pipeline/internal/trend"
)

// outdated lists what has a newer version, or says that nobody could ask.
func outdated(title string, o Outdated, how string) Section {
	s := Section{Title: title, Table: Table{Columns: []string{"package", "have", "latest"}}}
	if o.Unknown != "" {
		s.say(Unknown, "Could not be looked up: "+o.Unknown+".")
	}
	switch {
	case o.Looked == 0 && o.Unknown == "":
		s.say(Unknown, "Nobody has looked.")
		return s
	case o.Looked == 0:
		return s
	case len(o.Packages) == 0:
		s.say(Good, fmt.Sprintf("All of %s are up to date.", report.Count(o.Looked, "packages")))
		return s
	}
	s.say(Bad, fmt.Sprintf("%d of %d have a newer version: `%s`, then `mage check`.", len(o.Packages), o.Looked, how))
	for _, p := range o.Packages {
		s.Table.Rows = append(s.Table.Rows, []string{p.Name, p.Have, p.Latest})
	}
	return s
}

// coverage reviews how it moved and where it lacks.
func (f Facts) coverage(days int) Section {
	s := Section{Title: "Test coverage", Table: Table{Columns: []string{"file", "coverage", "lines missing"}, Numbers: []bool{false, true, true}}}
	now, before := f.span(days)
	want := func(stage, _, metric string) bool { return stage == "unit" && metric == "coverage" }
	series := trend.Metrics(now.All, want)
	if len(series) == 0 {
		s.say(Unknown, fmt.Sprintf("No whole run of these %d days has measured it.", days))
	} else {
		last := series[0]
		text := fmt.Sprintf("%s now, and %s at the beginning of these %d days", report.Number(last.Last(), "%"), report.Number(last.Points[0].Value, "%"), days)
		if earlier := trend.Metrics(before.All, want); len(earlier) > 0 {
			text += fmt.Sprintf("; %s before", report.Number(earlier[0].Last(), "%"))
		}
		mark := Good
		if !last.Met(last.Last()) || last.Last() < last.Points[0].Value-1 {
			mark = Bad
		}
		s.say(mark, text+fmt.Sprintf(". It must be at least %s.", report.Number(f.Project.Unit.Coverage.Minimum, "%")))
	}
	if f.Coverage.Unknown != "" {
		s.say(Unknown, "Which files lack tests is not known: "+f.Coverage.Unknown+".")
		return s
	}
	s.say(Plain, "The least covered files of run "+f.Coverage.Run+":")
	for _, file := range f.Coverage.Files {
		s.Table.Rows = append(s.Table.Rows, []string{file.Path, report.Number(file.Percent, "%"), fmt.Sprint(file.Missing)})
	}
	return s
}

// mostSlow is how many of the slowest steps are listed.
const mostSlow = 10

// A slow step and what the runs tell of it.
type slow struct {
	name    string
	seconds []float64
	earlier []float64
	share   []float64 // of the run's duration
	last    int       // how often it was the last to end: then nothing else would have waited
	runs    int
}

// slowest lists where the time goes, with what follows from the data.
func (f Facts) slowest(days int) Section {
	s := Section{Title: "Slowest steps", Table: Table{
		Columns: []string{"step", "median", "90th percentile", "share of the run", "ends last", "suggestion"}, Numbers: []bool{false, true, true, true, true, false},
	}}
	now, before := f.span(days)
	steps := gather(now.All, before.Newest(100).All)
	if len(steps) == 0 {
		s.say(Unknown, fmt.Sprintf("No step was judged in these %d days.", days))
		return s
	}
	slices.SortFunc(steps, func(a, b *slow) int {
		return cmp.Or(-cmp.Compare(statistics.Median(a.seconds), statistics.Median(b.seconds)), cmp.Compare(a.name, b.name))
	})
	for _, step := range steps[:min(mostSlow, len(steps))] {
		s.Table.Rows = append(s.Table.Rows, []string{
			step.name, took(statistics.Median(step.seconds)), took(statistics.Quantile(step.seconds, 0.9)),
			fmt.Sprintf("%.0f %%", 100*statistics.Median(step.share)), fmt.Sprintf("%d of %d", step.last, step.runs), step.suggestion(),
		})
	}
	s.say(Plain, "A step's share is of the run's whole time; steps run beside each other, so shares add up to more than all of it.")
	return s
}

// gather takes the steps of whole runs apart.
func gather(now, before []history.Run) []*slow {
	at := map[string]*slow{}
	var all []*slow
	for _, run := range now {
		ended, lastName := 0.0, ""
		for i, step := range run.Steps {
			if !step.Judged() {
				continue
			}
			name := step.Stage + "/" + step.Step
			s := at[name]
			if s == nil {
				s = &slow{name: name}
				at[name] = s
				all = append(all, s)
			}
			s.runs++
			s.seconds = append(s.seconds, step.Seconds)
			s.share = append(s.share, step.Seconds/max(run.Seconds, 0.001))
			if end := run.Detail.Results[i].At + step.Seconds; end > ended {
				ended, lastName = end, name
			}
		}
		if s := at[lastName]; s != nil {
			s.last++
		}
	}
	for _, run := range before {
		for _, step := range run.Steps {
			if s := at[step.Stage+"/"+step.Step]; s != nil && step.Judged() {
				s.earlier = append(s.earlier, step.Seconds)
			}
		}
	}
	return all
}

// suggestion is what the numbers say, and nothing else.
func (s *slow) suggestion() string {
	var parts []string
	median := statistics.Median(s.seconds)
	if change, ok := trend.Against(s.earlier, s.seconds, engine.DirectionAtMost); ok && change.Worse {
		parts = append(parts, fmt.Sprintf("%.0f %% slower than before: see what changed", 100*change.Relative))
	}
	if p90 := statistics.Quantile(s.seconds, 0.9); len(s.seconds) >= 5 && p90 > 1.5*median && p90 > median+2 {
		parts = append(parts, "its time varies much: see what it waits for")
	}
	switch share := statistics.Median(s.share); {
	case s.last*2 > s.runs && s.runs >= 5:
		parts = append(parts, "mostly ends last: all that it loses, the run gains")
	case share > 0.4:
		parts = append(parts, "takes much of the run: split it, so that its parts run beside each other")
	case share < 0.05:
		parts = append(parts, "not worth the effort")
	}
	return strings.Join(parts, "; ")
}
