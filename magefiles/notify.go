//go:build mage

package main

import (
	"context"

	"github.com/magefile/mage/mg"
	"github.com/meter-ml/meter-pipeline/internal/pipeline"
)

// Notify is stage 10.
type Notify mg.Namespace

// Reports tells the channels what the jobs of CI came to whose report.json a directory holds.
func (Notify) Reports(ctx context.Context, dir string) error {
	return act(ctx, pipeline.NotifyReports(dir))
}

// Test sends a sample of each event to each channel that is configured (-dryRun prints them).
func (Notify) Test(ctx context.Context, dryRun *bool) error {
	return act(ctx, pipeline.NotifyTest(set(dryRun)))
}
