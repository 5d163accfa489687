//go:build mage

package main

import (
	"context"

	"github.com/magefile/mage/mg"
	"github.com/meter-ml/meter-pipeline/internal/pipeline"
)

// Evidence is about the signed statements that travel with an image.
type Evidence mg.Namespace

// Show lists what is proven of an image: which stage, its numbers, when, where, by whom.
func (Evidence) Show(ctx context.Context, ref string) error {
	return act(ctx, pipeline.EvidenceShow(ref))
}

// Verify judges an image's evidence by a policy, and says what is missing: -policy=production.
func (Evidence) Verify(ctx context.Context, ref string, policy *string, json *bool) error {
	name := "production"
	if policy != nil {
		name = *policy
	}
	return act(ctx, pipeline.EvidenceVerify(ref, name, set(json)))
}

// Keygen makes a key pair to sign and verify evidence with, outside of the project, or in -file=.
func (Evidence) Keygen(ctx context.Context, file *string) error {
	name := ""
	if file != nil {
		name = *file
	}
	return act(ctx, pipeline.EvidenceKeygen(name))
}
