package terminal

import (
	"strings"
	"testing"

	"github.com/meter-ml/meter-pipeline/internal/engine"
)

// A stage's line is one line: what would make it long is summed up, and stands in the reports.
func TestStageLineIsShort(t *testing.T) {
	limits := func(n int) engine.Judgement {
		j := engine.Judgement{Judged: 1, Unit: "models"}
		for i := range n {
			j.Metrics = append(j.Metrics, engine.Metric{Name: string(rune('a'+i)) + "_gain", Value: 50, Unit: "%", Threshold: 40, Direction: engine.DirectionAtLeast})
		}
		return j
	}
	skip := func(name, reason string) engine.StepResult {
		return engine.StepResult{Name: name, Status: engine.StatusSkipped, Reason: reason}
	}
	for name, tt := range map[string]struct {
		stage engine.StageResult
		want  string
	}{
		"few limits":  {engine.StageResult{Status: engine.StatusPassed, Steps: []engine.StepResult{{Name: "quality", Status: engine.StatusPassed, Judgement: limits(2)}}}, "quality (a gain 50 %, b gain 50 %)"},
		"many limits": {engine.StageResult{Status: engine.StatusPassed, Steps: []engine.StepResult{{Name: "quality", Status: engine.StatusPassed, Judgement: limits(16)}}}, "quality (16 limits met)"},
		"one reason":  {engine.StageResult{Status: engine.StatusSkipped, Steps: []engine.StepResult{skip("load", "left out"), skip("api", "left out")}}, "load, api (all: left out)"},
		"two reasons": {engine.StageResult{Status: engine.StatusSkipped, Steps: []engine.StepResult{skip("load", "left out"), skip("api", "no server")}}, "load (left out), api (no server)"},
		"one skipped": {engine.StageResult{Status: engine.StatusSkipped, Steps: []engine.StepResult{skip("load", "left out")}}, "load, left out"},
	} {
		t.Run(name, func(t *testing.T) {
			tt.stage.Name = "s"
			var b strings.Builder
			term := New(Options{Out: Stream{W: &b}, Err: Stream{W: &b}})
			defer term.Close()
			if line, _, _ := strings.Cut(term.stageLines(tt.stage), "\n"); !strings.Contains(line, ": "+tt.want) {
				t.Errorf("%q, want %q", line, tt.want)
			}
		})
	}
}
