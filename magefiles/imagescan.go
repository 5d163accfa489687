//go:build mage

package main

import (
	"context"

	"github.com/meter-ml/meter-pipeline/internal/pipeline"
	"github.com/meter-ml/meter-pipeline/internal/stage/image"
)

// Scan judges what images hold: vulnerable packages, updates, secrets, user (-only=NAME).
func (Image) Scan(ctx context.Context, only *string, v *bool) error {
	return imageSteps(ctx, "image:scan", "image:packages,image:updates,image:secrets,image:config", only, v)
}

// Packages judges the images' Python packages against known vulnerabilities.
func (Image) Packages(ctx context.Context, only *string, v *bool) error {
	return images(ctx, ":packages", only, v)
}

// Updates judges which security updates of Debian the images lack.
func (Image) Updates(ctx context.Context, only *string, v *bool) error {
	return images(ctx, ":updates", only, v)
}

// Secrets looks for secrets in every layer of the images, also in what a later layer deletes.
func (Image) Secrets(ctx context.Context, only *string, v *bool) error {
	return images(ctx, ":secrets", only, v)
}

// SBOM writes a bill of materials of each image, in CycloneDX.
func (Image) SBOM(ctx context.Context, only *string, v *bool) error {
	return images(ctx, ":sbom", only, v)
}

// Smoke starts a container of each image, asks it, and stops it.
func (Image) Smoke(ctx context.Context, only *string, v *bool) error {
	return images(ctx, ":smoke", only, v)
}

// imageSteps runs several steps of the stage.
func imageSteps(ctx context.Context, target, steps string, only *string, v *bool) error {
	return run(ctx, pipeline.Request{Target: target, Stages: pipeline.Image(image.Options{Only: names(only)}), Only: steps, Verbose: set(v)})
}
