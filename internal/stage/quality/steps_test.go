package quality_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/stage/quality"
)

func TestSteps(t *testing.T) {
	project := config.Default(t.TempDir())
	project.Run.Budgets = map[string]config.Duration{"quality": config.Duration(5 * time.Minute)}
	steps, err := quality.New().Steps(project)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range steps {
		got = append(got, fmt.Sprintln(s.Name, s.Needs, s.Informational, s.Timeout, s.Rerun, s.Fix))
	}
	if diff := cmp.Diff([]string{
		"black [python] false 5m0s mage quality:black mage fix\n",
		"isort [python] false 5m0s mage quality:isort mage fix\n",
		"flake8 [python] false 5m0s mage quality:flake8 \n",
		"pylint [python] true 5m0s mage quality:pylint \n",
	}, got); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
	if _, err := engine.NewPlan(project, []engine.Stage{quality.New()}); err != nil {
		t.Errorf("plan: %v", err)
	}
}
