package pipeline

import (
	"strings"
	"testing"

	"github.com/meter-ml/meter-pipeline/internal/engine"
)

func TestLeaveOut(t *testing.T) {
	plan := engine.Plan{Stages: []engine.PlannedStage{
		{Name: "unit", Steps: []engine.Step{{Name: "pytest"}}},
		{Name: "benchmark", Steps: []engine.Step{{Name: "load"}, {Name: "api"}}},
	}}
	if err := leaveOut(plan, "benchmark,"); ExitCode(err) != engine.ExitUsage {
		t.Errorf("an empty name: %v", err)
	}
	if err := leaveOut(plan, "benchmrk"); ExitCode(err) != engine.ExitUsage || !strings.Contains(err.Error(), "unit, benchmark") {
		t.Errorf("an unknown stage: %v", err)
	}
	if err := leaveOut(plan, "benchmark"); err != nil {
		t.Fatal(err)
	}
	for _, stage := range plan.Stages {
		for _, step := range stage.Steps {
			if want := stage.Name == "benchmark"; (step.Skip != "") != want {
				t.Errorf("%s:%s is left out: %q", stage.Name, step.Name, step.Skip)
			}
		}
	}
}
