//go:build mage

package main

import (
	"context"

	"github.com/magefile/mage/mg"
	"github.com/meter-ml/meter-pipeline/internal/pipeline"
)

// Env is about the environments that deploys go to.
type Env mg.Namespace

// Check lists the variables that an environment lacks: mage env:check staging.
func (Env) Check(ctx context.Context, environment string) error {
	return act(ctx, pipeline.EnvCheck(environment))
}

// Show lists an environment's variables and their origin, secrets masked: mage env:show staging.
func (Env) Show(ctx context.Context, environment string) error {
	return act(ctx, pipeline.EnvShow(environment))
}
