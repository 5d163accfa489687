//go:build mage

package main

import (
	"context"

	"github.com/magefile/mage/mg"
	"github.com/meter-ml/meter-pipeline/internal/pipeline"
)

// Deploy brings releases to environments, and back.
type Deploy mg.Namespace

// Local deploys what was pushed of this commit to this machine (-env=NAME, -again, -v).
func (Deploy) Local(ctx context.Context, env, release, reason *string, again, v *bool) error {
	r := request("deploy:local", or(env, "local"), release, reason, v)
	r.Again = set(again)
	return act(ctx, pipeline.Deploy(r))
}

// Staging is stage 8: deploys and smoke-tests what was pushed of this commit (-env=, -again).
func (Deploy) Staging(ctx context.Context, env, release, reason *string, again, v *bool) error {
	r := request("deploy:staging", or(env, "staging"), release, reason, v)
	r.Stage, r.Again = "staging", set(again)
	return act(ctx, pipeline.Deploy(r))
}

// Production is stage 9: the gate on evidence, then blue-green (-release=, -breakGlass="reason").
func (Deploy) Production(ctx context.Context, env, release, reason, breakGlass *string, again, v *bool) error {
	r := request("deploy:production", or(env, "production"), release, reason, v)
	r.Stage, r.Again, r.BreakGlass = "production", set(again), breakGlass
	return act(ctx, pipeline.Deploy(r))
}

// Smoke asks every part of an environment, and changes nothing: -env=staging.
func (Deploy) Smoke(ctx context.Context, env *string, v *bool) error {
	return act(ctx, pipeline.DeploySmoke(request("deploy:smoke", or(env, ""), nil, nil, v)))
}

// Rollback goes back to the release before, or to -release=, of -env=staging.
func (Deploy) Rollback(ctx context.Context, env, release, reason *string, v *bool) error {
	return act(ctx, pipeline.DeployRollback(request("deploy:rollback", or(env, ""), release, reason, v)))
}

// Down ends an environment and removes its containers and network; -data removes its data, too.
func (Deploy) Down(ctx context.Context, env *string, data *bool) error {
	return act(ctx, pipeline.DeployDown(or(env, ""), set(data)))
}

func request(target, env string, release, reason *string, v *bool) pipeline.DeployRequest {
	return pipeline.DeployRequest{Target: target, Environment: env, Release: or(release, ""), Reason: or(reason, ""), Verbose: set(v)}
}

// or reads an optional flag.
func or(flag *string, fallback string) string {
	if flag == nil {
		return fallback
	}
	return *flag
}
