//go:build mage

package main

import (
	"context"

	"github.com/magefile/mage/mg"
	"github.com/meter-ml/meter-pipeline/internal/pipeline"
)

// Benchmark is stage 7.
type Benchmark mg.Namespace

// All judges how fast the system is, alone on the machine; `mage benchmark` is the same.
func (Benchmark) All(ctx context.Context, v *bool) error { return measure(ctx, "", v) }

// Load judges loading of the models; like most of these it trains them first.
func (Benchmark) Load(ctx context.Context, v *bool) error { return measure(ctx, ":load", v) }

// Single judges a single prediction.
func (Benchmark) Single(ctx context.Context, v *bool) error { return measure(ctx, ":single", v) }

// Batch judges predictions for a batch of 100.
func (Benchmark) Batch(ctx context.Context, v *bool) error { return measure(ctx, ":batch", v) }

// Features judges how fast features are computed.
func (Benchmark) Features(ctx context.Context, v *bool) error {
	return measure(ctx, ":features", v)
}

// API judges the response of a real server to 200 requests a second.
func (Benchmark) API(ctx context.Context, v *bool) error { return measure(ctx, ":api", v) }

// Baseline measures three times as often and stores it, to compare later runs on this machine with.
func (Benchmark) Baseline(ctx context.Context, v *bool) error {
	return run(ctx, pipeline.Request{Target: "benchmark:baseline", Stages: pipeline.BenchmarkBaseline(), Only: "benchmark", Verbose: set(v)})
}

// Profile draws a flame graph of what is nearest to its limit, or of one measure: -of=api.
func (Benchmark) Profile(ctx context.Context, of *string, v *bool) error {
	name := ""
	if of != nil {
		name = *of
	}
	return run(ctx, pipeline.Request{Target: "benchmark:profile", Stages: pipeline.BenchmarkProfile(name), Only: "benchmark", Verbose: set(v)})
}

// measure runs the stage, or one measure, with the training that it needs.
func measure(ctx context.Context, step string, v *bool) error {
	name := "benchmark" + step
	return run(ctx, pipeline.Request{Target: name, Stages: pipeline.Benchmark(), Only: name, Evidence: true, Verbose: set(v)})
}
