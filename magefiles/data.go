//go:build mage

package main

import (
	"context"

	"github.com/magefile/mage/mg"
	"github.com/meter-ml/meter-pipeline/internal/pipeline"
)

// Data is stage 5.
type Data mg.Namespace

// All judges every data set against its contract; `mage data` is the same.
func (Data) All(ctx context.Context, v *bool) error { return stage(ctx, "data", v) }

// Contracts judges the descriptors: each is right, none is without a file and no file without one.
func (Data) Contracts(ctx context.Context, v *bool) error { return stage(ctx, "data:contracts", v) }

// Set judges one data set by the name in its contract: mage data:set readings.
func (Data) Set(ctx context.Context, name string, v *bool) error {
	return run(ctx, pipeline.Request{Target: "data:set " + name, Stages: pipeline.Check(), Only: "data:" + name, Evidence: true, Verbose: set(v)})
}

// Check judges any file against a descriptor: mage data:check new.csv data/schemas/readings.yaml.
func (Data) Check(ctx context.Context, file, descriptor string, v *bool) error {
	return run(ctx, pipeline.Request{Target: "data:check", Stages: pipeline.DataFile(file, descriptor), Verbose: set(v)})
}

// Baseline stores today's profiles of the data sets that have a baseline: drift is judged against them.
func (Data) Baseline(ctx context.Context) error {
	return run(ctx, pipeline.Request{Target: "data:baseline", Stages: pipeline.DataBaseline()})
}

// Profile shows each column of a file: type, missing and distinct values, quantiles, distribution.
func (Data) Profile(ctx context.Context, file string) error {
	return act(ctx, pipeline.DataProfile(file))
}

// Infer writes a first contract for a file, ranges left wide, every guess marked for review.
func (Data) Infer(ctx context.Context, file string) error { return act(ctx, pipeline.DataInfer(file)) }
