//go:build mage

package main

import (
	"context"

	"github.com/magefile/mage/mg"
	"github.com/meter-ml/meter-pipeline/internal/pipeline"
)

// Test is what this repository tests of itself.
type Test mg.Namespace

// All runs all tests of this repository, Go and Python; `mage test` is the same.
func (Test) All(ctx context.Context, v *bool) error {
	return run(ctx, pipeline.Request{Target: "test", Stages: pipeline.Tests(), Verbose: set(v)})
}

// Deploys puts deploys of the real images through load, faults and kills; takes over an hour.
func (Test) Deploys(ctx context.Context, v *bool) error {
	return run(ctx, pipeline.Request{Target: "test:deploys", Stages: pipeline.TestDeploys(), Verbose: set(v)})
}
