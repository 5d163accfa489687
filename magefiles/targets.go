//go:build mage

// Meter Pipeline: the same commands on a laptop and in CI.
//
// On the first day: `mage doctor` says what is there, `mage check` makes the rest and judges your tree, `mage fix` mends
// what can be mended. A failed gate says which file and line, why, and the command that reruns just it. Reports are in
// .pipeline/latest; exit codes: 0 passed, 1 a gate failed, 2 usage, 3 something could not be judged, 130 interrupted.
package main

import (
	"context"

	"github.com/meter-ml/meter-pipeline/internal/pipeline"
)

// Check runs every gate that a push must pass (-v streams output, -without=benchmark, -jobs=1).
func Check(ctx context.Context, v *bool, without *string, jobs *int) error {
	request := pipeline.Request{Target: "check", Stages: pipeline.Check(), Evidence: true, Verbose: set(v)}
	if jobs != nil {
		request.Jobs = *jobs
	}
	if without != nil {
		request.Without = *without
	}
	return run(ctx, request)
}

// Pipeline runs all stages for the current branch; -env=local rehearses 1 to 9 on this machine (-keep).
func Pipeline(ctx context.Context, env, reason *string, keep, v *bool) error {
	return act(ctx, pipeline.Whole(pipeline.WholeRequest{
		Environment: or(env, ""), Reason: or(reason, ""), Keep: set(keep), Verbose: set(v),
	}))
}

// Fix formats the Python code in place with isort and black, and says what changed.
func Fix(ctx context.Context) error {
	return run(ctx, pipeline.Request{Target: "fix", Stages: pipeline.Fix()})
}

// Setup makes ahead what the gates need: the Python environment, the secret scanner, PostgreSQL.
func Setup(ctx context.Context) error {
	return act(ctx, pipeline.Setup)
}

// Doctor lists each need, what was found, where, which version, and how to get what is missing.
func Doctor(ctx context.Context) error {
	return act(ctx, pipeline.Doctor)
}

// Clean removes the records of earlier runs; environments, tools and the history stay.
func Clean(ctx context.Context) error {
	return act(ctx, pipeline.Clean)
}
