package history

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/engine"
)

func took(status engine.Status, seconds ...float64) []Run {
	var runs []Run
	for i, s := range seconds {
		runs = append(runs, Of(run(fmt.Sprint(i), time.Duration(s*float64(time.Second)), status)))
	}
	return runs
}

func TestOverBudget(t *testing.T) {
	b := Budgets{Stages: map[string]float64{"quality": 100}, Runs: 10, Margin: 0.1, Alpha: 0.05}
	late := took(engine.StatusError, 100, 100, 100, 100, 100)
	broken := took(engine.StatusError, 3, 3, 3, 3, 3)
	tests := []struct {
		name        string
		runs        []Run
		exceeded, n int
		significant bool
	}{
		{"four of four are too few", took("passed", 200, 200, 200, 200), 4, 4, false},
		{"five of five", took("passed", 200, 200, 200, 200, 200), 5, 5, true},
		{"within the margin", took("passed", 109, 109, 109, 109, 109), 0, 5, false},
		{"eight of ten may be chance", took("passed", 1, 1, 200, 200, 200, 200, 200, 200, 200, 200), 8, 10, false},
		{"nine of ten", took("failed", 1, 200, 200, 200, 200, 200, 200, 200, 200, 200), 9, 10, true},
		{"only the last ten", append(took("passed", 1, 1, 1, 1, 1), took("passed", 200, 200, 200, 200, 200, 200, 200, 200, 200, 200)...), 10, 10, true},
		{"mended since", append(took("passed", 200, 200, 200, 200, 200), took("passed", 1, 1, 1, 1, 1, 1, 1, 1, 1, 1)...), 0, 10, false},
		{"ended by its limit", late, 5, 5, true},
		{"what broke does not tell", append(broken, took("passed", 200)...), 1, 1, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := OverBudget(tt.runs, b)
			if len(got) != 1 || got[0].Exceeded != tt.exceeded || got[0].Runs != tt.n || got[0].Significant != tt.significant {
				t.Errorf("%+v", got)
			}
			if tt.significant && !strings.Contains(got[0].String(), "stage quality takes longer than its budget of 1 min 40 s") {
				t.Errorf("%s", got[0])
			}
		})
	}
	if got := OverBudget(broken, b); got != nil {
		t.Errorf("of nothing: %+v", got)
	}
}

// A stage whose median is just at budget and margin is warned about no more often than alpha says.
func TestOverBudgetFalseAlarms(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	b := Budgets{Stages: map[string]float64{"quality": 100}, Runs: 10, Margin: 0.1, Alpha: 0.05}
	alarms := 0
	const trials = 2000
	for range trials {
		seconds := make([]float64, 10)
		for i := range seconds {
			seconds[i] = 110 * (0.5 + random.Float64())
		}
		if OverBudget(took("passed", seconds...), b)[0].Significant {
			alarms++
		}
	}
	if share := float64(alarms) / trials; share > b.Alpha {
		t.Errorf("%.3f of the trials are false alarms", share)
	}
}

func TestBusyLeavesOutWhatAStageWaited(t *testing.T) {
	r := run("1", time.Minute, engine.StatusPassed)
	one := r.Stages[0].Steps[0]
	at := func(from, seconds int, status engine.Status) engine.StepResult {
		s := one
		s.Started, s.Duration, s.Status = r.Started.Add(time.Duration(from)*time.Second), time.Duration(seconds)*time.Second, status
		return s
	}
	r.Stages[0].Steps = []engine.StepResult{at(50, 5, "passed"), at(0, 3, "passed"), at(2, 4, "failed"), at(20, 9, "skipped"), at(6, 1, "passed")}
	line := Of(r)
	if got := fmt.Sprint(line.Spans("quality")); got != "[{0 7} {50 55}]" || line.Busy("quality") != 12 || line.Busy("unit") != 0 {
		t.Errorf("%s, %v", got, line.Busy("quality"))
	}
}
