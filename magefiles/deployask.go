//go:build mage

package main

import (
	"context"

	"github.com/meter-ml/meter-pipeline/internal/pipeline"
	"github.com/meter-ml/meter-pipeline/internal/rollout"
)

// Status shows what serves, both sides of a roll-out, and its judge (-env=staging, -json).
func (Deploy) Status(ctx context.Context, env *string, json *bool) error {
	return act(ctx, pipeline.DeployStatus(or(env, ""), set(json)))
}

// Watch looks on until the roll-out under way is over (-env=staging).
func (Deploy) Watch(ctx context.Context, env *string) error {
	return act(ctx, pipeline.DeployWatch(or(env, "")))
}

// Abort has the roll-out under way go back to what served before (-env=staging, -reason=).
func (Deploy) Abort(ctx context.Context, env, reason *string) error {
	return act(ctx, pipeline.DeployAsk(or(env, ""), rollout.Abort, or(reason, "")))
}

// Pause has the roll-out under way stay at its weight, judged on (-env=production).
func (Deploy) Pause(ctx context.Context, env, reason *string) error {
	return act(ctx, pipeline.DeployAsk(or(env, ""), rollout.Pause, or(reason, "")))
}

// Resume has a paused roll-out go on, with a fresh window (-env=production).
func (Deploy) Resume(ctx context.Context, env, reason *string) error {
	return act(ctx, pipeline.DeployAsk(or(env, ""), rollout.Resume, or(reason, "")))
}

// Promote has the roll-out go on to the next weight now (-env=production).
func (Deploy) Promote(ctx context.Context, env, reason *string) error {
	return act(ctx, pipeline.DeployAsk(or(env, ""), rollout.Promote, or(reason, "")))
}

// History lists what was deployed; -verify checks the audit log (-env=staging, -n=20, -json, -v).
func (Deploy) History(ctx context.Context, env *string, n *int, verify, json, v *bool) error {
	r := pipeline.HistoryRequest{Environment: or(env, ""), Verify: set(verify), JSON: set(json), Verbose: set(v)}
	if n != nil {
		r.Most = *n
	}
	return act(ctx, pipeline.DeployHistory(r))
}
