package security_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/stage/security"
)

func TestSteps(t *testing.T) {
	project := config.Default(t.TempDir())
	project.Security.Bandit.Severity = "medium"
	project.Run.Budgets = map[string]config.Duration{"security": config.Duration(5 * time.Minute)}
	project.Python.Apart = map[string]config.Environ{"safety": {Requirements: "requirements/safety.txt", Directory: ".venv-safety"}}
	stage := security.New(today())
	steps, err := stage.Steps(project)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range steps {
		got = append(got, fmt.Sprint(s.Name, s.Needs, s.FailAt, s.HideFrames, s.Timeout, " ", s.Rerun))
	}
	want := []string{
		fmt.Sprint("bandit", []engine.Need{"python"}, engine.SeverityMedium, false, 5*time.Minute, " mage security:bandit"),
		fmt.Sprint("safety", []engine.Need{"python:safety"}, engine.SeverityNone, false, 5*time.Minute, " mage security:safety"),
		fmt.Sprint("secrets", []engine.Need{"gitleaks"}, engine.SeverityNone, true, 5*time.Minute, " mage security:secrets"),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
	if _, err := engine.NewPlan(project, []engine.Stage{stage}); err != nil {
		t.Errorf("plan: %v", err)
	}
}
