package trial

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/rollout/trial/record"
)

// refuseTrial runs the tests in which production refuses, and counts what they went through: they deploy for real, with
// a registry, keys and evidence of their own.
func refuseTrial() Trial {
	return testsTrial("refuse", "production without what it wants", "refusals, a broken glass and a cut audit log", "^(TestEngineRefusals|TestEngineDeploys)$", "./internal/pipeline", 8)
}

// workflowTrial runs the jobs of the committed workflow as GitHub's runner does, from a push to production.
func workflowTrial() Trial {
	return testsTrial("workflow", "jobs from a push to production", "a delivery by the committed workflow", "^TestEngineWorkflow$", "./internal/pipeline", 5)
}

// stackTrial runs the test of the whole system in containers: brought up, looked through for secrets, and broken.
func stackTrial() Trial {
	return testsTrial("stack", "all containers together", "the whole system", "^TestEngineStack$", "./internal/rollout/stack", 1)
}

// testsTrial runs Go tests, of which at least so many must be there, and all must pass.
func testsTrial(part, name, what, pattern, pkg string, least int) Trial {
	return Trial{part, name, func(ctx context.Context, l *Lab, r *Report) error {
		out, err := l.runner.Run(ctx, engine.Invocation{
			Program: "go", Dir: l.Root, Env: append(l.Env, "CI=true"), Line: func(string) {},
			Args: []string{"test", "-json", "-count=1", "-timeout", "29m", "-run", pattern, pkg},
		})
		if err != nil {
			return err
		}
		passed, failed := readTests(string(out.Stdout))
		r.figure("tests", float64(len(passed)), "")
		for _, name := range passed {
			r.events = append(r.events, record.Event{What: "passed: " + name})
		}
		r.say("%d tests of %s passed: %s", len(passed), what, strings.Join(passed, ", "))
		switch {
		case len(failed) > 0:
			return errors.New("failed: " + strings.Join(failed, ", "))
		case out.ExitCode != 0 || len(passed) < least:
			return fmt.Errorf("go test ended with %d, and %d tests passed", out.ExitCode, len(passed))
		}
		return nil
	}}
}

// readTests reads what `go test -json` says: the names of tests without those of their parents.
func readTests(output string) (passed, failed []string) {
	for line := range strings.Lines(output) {
		var event struct{ Action, Test string }
		if json.Unmarshal([]byte(line), &event) != nil || event.Test == "" {
			continue
		}
		name := event.Test[strings.LastIndex(event.Test, "/")+1:]
		switch event.Action {
		case "pass":
			passed = append(passed, strings.ReplaceAll(name, "_", " "))
		case "fail", "skip":
			failed = append(failed, event.Test)
		}
	}
	return passed, failed
}
