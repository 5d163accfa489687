//go:build mage

package main

import (
	"context"
	"strings"

	"github.com/meter-ml/meter-pipeline/internal/pipeline"
	"github.com/meter-ml/meter-pipeline/internal/stage/image"
)

// All builds the images and judges them; `mage image` is the same (-only=model_api for one).
func (Image) All(ctx context.Context, only *string, v *bool) error { return images(ctx, "", only, v) }

// Build makes the images that are not there yet (-only=model_api, -fresh to use no cache).
func (Image) Build(ctx context.Context, only *string, fresh, v *bool) error {
	options := image.Options{Only: names(only), Fresh: set(fresh)}
	return run(ctx, pipeline.Request{Target: "image:build", Stages: pipeline.Image(options), Only: "image:build", Verbose: set(v)})
}

// Lint judges the Dockerfiles; it needs no container engine.
func (Image) Lint(ctx context.Context, v *bool) error { return images(ctx, ":lint", nil, v) }

// Size judges the images' sizes against their budgets.
func (Image) Size(ctx context.Context, only *string, v *bool) error {
	return images(ctx, ":size", only, v)
}

// Config judges what the images tell an engine: user, health check, entry point, labels.
func (Image) Config(ctx context.Context, only *string, v *bool) error {
	return images(ctx, ":config", only, v)
}

// images runs the stage, or one step of it, for all images or those that are named.
func images(ctx context.Context, step string, only *string, v *bool) error {
	return imageSteps(ctx, "image"+step, "image"+step, only, v)
}

// names are what a flag lists, with commas between.
func names(flag *string) []string {
	if flag == nil || *flag == "" {
		return nil
	}
	return strings.Split(*flag, ",")
}
