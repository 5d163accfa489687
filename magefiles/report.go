//go:build mage

package main

import (
	"context"

	"github.com/magefile/mage/mg"
	"github.com/meter-ml/meter-pipeline/internal/pipeline"
)

// Report is about many runs: the dashboard and what maintenance reads.
type Report mg.Namespace

// Import takes runs of CI into the history: mage report:import DIR, or a .zip of their artifacts.
func (Report) Import(ctx context.Context, source string) error {
	return act(ctx, pipeline.ReportImport(source))
}

// Dashboard draws the history into one page that opens anywhere (-out=public/index.html).
func (Report) Dashboard(ctx context.Context, out *string) error {
	path := ""
	if out != nil {
		path = *out
	}
	return act(ctx, pipeline.ReportDashboard(path))
}

// Weekly reviews success rate, performance and security of the last seven days.
func (Report) Weekly(ctx context.Context) error { return act(ctx, pipeline.ReportWeekly) }

// Monthly lists what is outdated, what lacks tests, and the slowest steps with suggestions.
func (Report) Monthly(ctx context.Context) error { return act(ctx, pipeline.ReportMonthly) }

// Quarterly audits security anew, and reviews baseline, process and delivery.
func (Report) Quarterly(ctx context.Context) error { return act(ctx, pipeline.ReportQuarterly) }
