//go:build mage

package main

import (
	"context"

	"github.com/magefile/mage/mg"
	"github.com/meter-ml/meter-pipeline/internal/pipeline"
)

// Aliases lets `mage quality` stand for `mage quality:all`, since Go has one name for a function or a namespace.
var Aliases = map[string]any{
	"quality":     Quality.All,
	"security":    Security.All,
	"unit":        Unit.All,
	"data":        Data.All,
	"integration": Integration.All,
	"benchmark":   Benchmark.All,
	"image":       Image.All,
	"test":        Test.All,
}

// Quality is stage 1.
type Quality mg.Namespace

// All judges formatting, import order, style and code quality; `mage quality` is the same.
func (Quality) All(ctx context.Context, v *bool) error { return stage(ctx, "quality", v) }

// Black judges the formatting of the Python code.
func (Quality) Black(ctx context.Context, v *bool) error { return stage(ctx, "quality:black", v) }

// Isort judges the order of the imports.
func (Quality) Isort(ctx context.Context, v *bool) error { return stage(ctx, "quality:isort", v) }

// Flake8 judges style, and finds names that are unused or unknown.
func (Quality) Flake8(ctx context.Context, v *bool) error { return stage(ctx, "quality:flake8", v) }

// Workflow judges the workflows against the pipeline, and by actionlint and zizmor.
func (Quality) Workflow(ctx context.Context, v *bool) error { return stage(ctx, "quality:workflow", v) }

// Pylint judges the code's score against the configured minimum.
func (Quality) Pylint(ctx context.Context, v *bool) error { return stage(ctx, "quality:pylint", v) }

// Security is stage 2.
type Security mg.Namespace

// All judges source and locked requirements, and looks for secrets; `mage security` is the same.
func (Security) All(ctx context.Context, v *bool) error { return stage(ctx, "security", v) }

// Bandit judges the source for insecure code.
func (Security) Bandit(ctx context.Context, v *bool) error { return stage(ctx, "security:bandit", v) }

// Safety judges the locked requirements against known vulnerabilities.
func (Security) Safety(ctx context.Context, v *bool) error { return stage(ctx, "security:safety", v) }

// Secrets looks for secrets in the tree and in the history.
func (Security) Secrets(ctx context.Context, v *bool) error { return stage(ctx, "security:secrets", v) }

// Unit is stage 3.
type Unit mg.Namespace

// All judges unit tests, on a PostgreSQL of their own, and coverage; `mage unit` is the same.
func (Unit) All(ctx context.Context, rerun, v *bool) error { return tests(ctx, "unit", rerun, v) }

// Pytest runs the unit tests and judges their coverage (-rerun: failed ones again, to tell the flaky).
func (Unit) Pytest(ctx context.Context, rerun, v *bool) error {
	return tests(ctx, "unit:pytest", rerun, v)
}

func tests(ctx context.Context, name string, rerun, v *bool) error {
	return run(ctx, pipeline.Request{Target: name, Stages: pipeline.Unit(set(rerun)), Only: name, Evidence: true, Verbose: set(v)})
}

// stage runs one stage or step of check.
func stage(ctx context.Context, name string, v *bool) error {
	return run(ctx, pipeline.Request{Target: name, Stages: pipeline.Check(), Only: name, Evidence: true, Verbose: set(v)})
}
