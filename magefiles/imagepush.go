//go:build mage

package main

import (
	"context"

	"github.com/magefile/mage/mg"
	"github.com/meter-ml/meter-pipeline/internal/pipeline"
	"github.com/meter-ml/meter-pipeline/internal/stage/image"
)

// Image is stage 4.
type Image mg.Namespace

// Tags prints which tags a push would set, when, and by which rule (-json, -dirty).
func (Image) Tags(ctx context.Context, json, dirty *bool) error {
	return act(ctx, pipeline.ImageTags(set(dirty), set(json)))
}

// Push sends what was built, by digest, then tags its commit (-only=NAME, -dirty, -dryRun).
func (Image) Push(ctx context.Context, only *string, dirty, dryRun, v *bool) error {
	options := image.PushOptions{Dirty: set(dirty), DryRun: set(dryRun)}
	if only != nil {
		options.Only = *only
	}
	return run(ctx, pipeline.Request{Target: "image:push", Stages: pipeline.ImagePush(options), Evidence: true, Verbose: set(v)})
}

// Release builds, judges and pushes, and tags branch and version once integration and benchmark passed.
func (Image) Release(ctx context.Context, dirty, v *bool) error {
	return act(ctx, pipeline.ImageDeliver(image.PushOptions{Dirty: set(dirty)}, set(v)))
}

// Candidate builds and judges as a release does, and delivers nothing: for pull requests.
func (Image) Candidate(ctx context.Context, v *bool) error {
	return run(ctx, pipeline.Request{Target: "image:candidate", Stages: pipeline.ImageCandidate(), Evidence: true, Verbose: set(v)})
}

// Retag tags the commit's images in the registry with its versions; needs their evidence.
func (Image) Retag(ctx context.Context) error { return act(ctx, pipeline.ImageRetag) }
