package history

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/statistics"
)

// Budgets say how long stages may take, and when it is significant that one takes longer.
type Budgets struct {
	Stages map[string]float64 // seconds
	Runs   int                // how many of the last runs of a stage count
	Margin float64            // a share of the budget: only what is longer by more is too long
	Alpha  float64            // significance level
}

// fewest runs of which anything can be significant at 5 %: five of five.
const fewest = 5

// Over is how a stage's last runs lie against its budget.
type Over struct {
	Stage       string
	Budget      float64 // seconds
	Runs        int     // that count
	Exceeded    int     // of them: those beyond budget and margin
	Median      float64 // seconds
	Margin      float64
	P           float64 // of the sign test
	Significant bool
}

// String is a sentence for a person.
func (o Over) String() string {
	return fmt.Sprintf("stage %s takes longer than its budget of %s: %d of its last %d runs were more than %.0f %% over it (median %s, sign test p = %.2g): make it faster, or raise run.budgets.%s",
		o.Stage, spoken(o.Budget), o.Exceeded, o.Runs, 100*o.Margin, spoken(o.Median), o.P, o.Stage)
}

func spoken(seconds float64) string {
	if s := int(math.Round(seconds)); s >= 60 {
		return fmt.Sprintf("%d min %02d s", s/60, s%60)
	}
	return fmt.Sprintf("%.3g s", seconds)
}

// OverBudget holds each stage's last runs against its budget, in the order of stages. A stage counts if it ran to its end
// or was ended by its time limit, which is the budget: then nobody knows how long it would have taken, but it is too
// long. A sign test needs no more than that, so the median of the last runs is judged by it, one-sided, against the
// budget and its margin.
func OverBudget(runs []Run, b Budgets) []Over {
	var all []Over
	for stage, budget := range b.Stages {
		o := Over{Stage: stage, Budget: budget, Margin: b.Margin}
		var took []float64
		for _, run := range slices.Backward(runs) {
			if seconds, late, ok := run.took(stage, budget); ok && len(took) < b.Runs {
				took = append(took, seconds)
				if late || seconds > budget*(1+b.Margin) {
					o.Exceeded++
				}
			}
		}
		if len(took) == 0 {
			continue
		}
		o.Runs, o.Median = len(took), statistics.Median(took)
		o.P = statistics.SignTest(o.Exceeded, o.Runs)
		o.Significant = o.Runs >= fewest && o.P <= b.Alpha
		all = append(all, o)
	}
	slices.SortFunc(all, func(a, b Over) int { return cmp.Compare(a.Stage, b.Stage) })
	return all
}

// took is how long a stage was busy, and whether its limit ended it. A stage of which a part was left out, was cached or broke
// before its time does not tell.
func (r Run) took(stage string, budget float64) (seconds float64, late, ok bool) {
	if len(r.Spans(stage)) == 0 {
		return 0, false, false
	}
	for _, step := range r.Steps {
		if step.Stage != stage {
			continue
		}
		if step.Status == string(engine.StatusError) && step.Seconds >= budget {
			late = true
		} else if !step.Judged() {
			return 0, false, false
		}
	}
	return r.Busy(stage), late, true
}

// A Span is when a step of a stage ran, in seconds from the run's start.
type Span struct{ From, To float64 }

// Spans are those of a stage's steps that ran, in the order in which they began, joined where they overlap. Between them
// the stage waited: for a core that other stages had, or for another machine.
func (r Run) Spans(stage string) []Span {
	if r.Detail == nil || len(r.Steps) != len(r.Detail.Results) {
		return nil
	}
	var all []Span
	for i, step := range r.Steps {
		if step.Stage == stage && step.Status != string(engine.StatusSkipped) {
			all = append(all, Span{r.Detail.Results[i].At, r.Detail.Results[i].At + step.Seconds})
		}
	}
	slices.SortFunc(all, func(a, b Span) int { return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To)) })
	var joined []Span
	for _, s := range all {
		if n := len(joined); n > 0 && s.From <= joined[n-1].To {
			joined[n-1].To = max(joined[n-1].To, s.To)
			continue
		}
		joined = append(joined, s)
	}
	return joined
}

// Busy is how long at least one step of the stage ran, in seconds: what the stage takes, without what it waited.
func (r Run) Busy(stage string) float64 {
	total := 0.0
	for _, s := range r.Spans(stage) {
		total += s.To - s.From
	}
	return total
}
