//go:build mage

package main

import (
	"context"

	"github.com/magefile/mage/mg"
	"github.com/meter-ml/meter-pipeline/internal/pipeline"
)

// run judges, and turns the verdict into mage's exit code. mg.Fatal keeps its code only unwrapped.
func run(ctx context.Context, request pipeline.Request) error {
	return fatal(pipeline.Main(ctx, func(ctx context.Context, session *pipeline.Session) error {
		return session.Judge(ctx, request)
	}))
}

// act does what is no judgement.
func act(ctx context.Context, action pipeline.Action) error {
	return fatal(pipeline.Main(ctx, action))
}

func fatal(err error) error {
	if err == nil {
		return nil
	}
	return mg.Fatal(pipeline.ExitCode(err), err)
}

// set reads an optional flag.
func set(flag *bool) bool { return flag != nil && *flag }
