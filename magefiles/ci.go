//go:build mage

package main

import (
	"context"

	"github.com/magefile/mage/mg"
	"github.com/meter-ml/meter-pipeline/internal/pipeline"
)

// CI is about GitHub Actions.
type CI mg.Namespace

// Generate writes workflows, rulesets and docs/secrets.md from the pipeline, and says what changed.
func (CI) Generate(ctx context.Context) error { return act(ctx, pipeline.CIGenerate) }

// Verify shows how those files differ from what the pipeline says; any difference fails.
func (CI) Verify(ctx context.Context) error { return act(ctx, pipeline.CIVerify) }

// Rules says what the repository's settings lack of .github/rulesets; it changes nothing.
func (CI) Rules(ctx context.Context) error { return act(ctx, pipeline.CIRules) }

// Comment tells a pull request what its jobs found, in one comment that is updated; for CI.
func (CI) Comment(ctx context.Context) error { return act(ctx, pipeline.CIComment) }

// History gets the reports of the last month's runs from GitHub into .pipeline/imported; for CI.
func (CI) History(ctx context.Context) error { return act(ctx, pipeline.CIHistory) }
