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
		passed, failed, said := readTests(string(out.Stdout))
		r.figure("tests", float64(len(passed)), "")
		for _, name := range passed {
			r.events = append(r.events, record.Event{What: "passed: " + name})
		}
		r.say("%d tests of %s passed: %s", len(passed), what, strings.Join(passed, ", "))
		if len(failed) > 0 || out.ExitCode != 0 {
			for line := range strings.Lines(said + string(out.Stderr)) {
				l.Log("  %s", strings.TrimRight(line, "\n"))
			}
		}
		switch {
		case len(failed) > 0:
			return errors.New("failed: " + strings.Join(failed, ", "))
		case out.ExitCode != 0 || len(passed) < least:
			return fmt.Errorf("go test ended with %d, and %d tests passed", out.ExitCode, len(passed))
		}
		return nil
	}}
}

// readTests reads what `go test -json` says: the names of tests without those of their parents, and all that was printed by
// those that did not pass, and by none.
func readTests(output string) (passed, failed []string, said string) {
	printed := map[string]string{}
	for line := range strings.Lines(output) {
		var event struct{ Action, Test, Output string }
		if json.Unmarshal([]byte(line), &event) != nil {
			continue
		}
		printed[event.Test] += event.Output
		name := event.Test[strings.LastIndex(event.Test, "/")+1:]
		switch {
		case event.Test == "":
		case event.Action == "pass":
			passed = append(passed, strings.ReplaceAll(name, "_", " "))
		case event.Action == "fail" || event.Action == "skip":
			failed = append(failed, event.Test)
		}
	}
	for _, test := range failed {
		said += printed[test]
	}
	return passed, failed, said + printed[""]
}
