//go:build mage

package main

import (
	"context"

	"github.com/magefile/mage/mg"
	"github.com/meter-ml/meter-pipeline/internal/pipeline"
)

// Integration is stage 6.
type Integration mg.Namespace

// All judges the way from data to prediction on real parts; `mage integration` is the same.
func (Integration) All(ctx context.Context, v *bool) error { return hop(ctx, "", v) }

// Ingest judges the way from the sample's file into PostgreSQL.
func (Integration) Ingest(ctx context.Context, v *bool) error { return hop(ctx, ":ingest", v) }

// Features judges what a model learns from; like each of these it runs the hops before it, too.
func (Integration) Features(ctx context.Context, v *bool) error { return hop(ctx, ":features", v) }

// Train judges both models against the known figures of the sample.
func (Integration) Train(ctx context.Context, v *bool) error { return hop(ctx, ":train", v) }

// Register judges what MLflow keeps of a training.
func (Integration) Register(ctx context.Context, v *bool) error { return hop(ctx, ":register", v) }

// Load judges the champions as the files of the serving image.
func (Integration) Load(ctx context.Context, v *bool) error { return hop(ctx, ":load", v) }

// Serve judges predictions over HTTP against those of training.
func (Integration) Serve(ctx context.Context, v *bool) error { return hop(ctx, ":serve", v) }

// Schema judges the API against its OpenAPI document.
func (Integration) Schema(ctx context.Context, v *bool) error { return hop(ctx, ":schema", v) }

// Dags judges the integrity of the Airflow DAGs.
func (Integration) Dags(ctx context.Context, v *bool) error { return hop(ctx, ":dags", v) }

// Real judges training and serving on the real data sets of METER_DATA_DIR.
func (Integration) Real(ctx context.Context, v *bool) error { return hop(ctx, ":real", v) }

// Quality judges the models' metrics against baseline and last champion.
func (Integration) Quality(ctx context.Context, v *bool) error { return hop(ctx, ":quality", v) }

// Champion stores the model, once it has passed, as what later ones are compared with.
func (Integration) Champion(ctx context.Context, v *bool) error {
	return run(ctx, pipeline.Request{Target: "integration:champion", Stages: pipeline.Integration(true), Verbose: set(v)})
}

// hop runs the stage, or one step with those that it comes after.
func hop(ctx context.Context, step string, v *bool) error {
	name := "integration" + step
	return run(ctx, pipeline.Request{Target: name, Stages: pipeline.Integration(false), Only: name, Evidence: true, Verbose: set(v)})
}
