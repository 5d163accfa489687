package deploy

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/rollout"
	"github.com/meter-ml/meter-pipeline/internal/rollout/agent/wire"
	"github.com/meter-ml/meter-pipeline/internal/rollout/remote"
)

// rollbackName is the step that goes back.
const rollbackName = "rollback"

type backStage struct{ options Options }

// NewRollback returns the stage that goes back to a release that was done before: to Release, or to the newest.
func NewRollback(o Options) engine.Stage { return backStage{o} }

func (s backStage) Name() string { return s.options.Environment }

func (s backStage) Steps(p *config.Project) ([]engine.Step, error) {
	d, err := newDeployer(p, s.options)
	if err != nil {
		return nil, err
	}
	return []engine.Step{
		{Name: rollbackName, Judges: "that what served before serves again", Func: d.back, Rerun: "mage deploy:rollback"},
		{Name: smokeName, Judges: "what serves afterwards", Func: d.smoke, After: []string{rollbackName}, Rerun: "mage deploy:smoke"},
	}, nil
}

type smokeStage struct{ options Options }

// NewSmoke returns the stage that asks what serves, and changes nothing.
func NewSmoke(o Options) engine.Stage { return smokeStage{o} }

func (s smokeStage) Name() string { return s.options.Environment }

func (s smokeStage) Steps(p *config.Project) ([]engine.Step, error) {
	d, err := newDeployer(p, s.options)
	if err != nil {
		return nil, err
	}
	return []engine.Step{{Name: smokeName, Judges: "what serves now", Func: d.smoke, Rerun: "mage deploy:smoke -env=" + d.Environment}}, nil
}

// back asks the agent to go back, and watches.
func (d deployer) back(ctx context.Context, scope engine.Scope) (engine.Judgement, error) {
	j := engine.Judgement{Judged: 1, Unit: "roll-outs"}
	target := d.target(scope)
	status, err := target.Status(ctx)
	if err != nil {
		return j, err
	}
	id, err := target.Order(ctx, wire.Order{
		Kind: rollout.Back, Release: d.Release, Actor: d.Actor, Reason: cmp.Or(d.Reason, "asked for by hand"),
	})
	if errors.Is(err, remote.ErrRefused) {
		j.Findings = []engine.Finding{d.refused(status, err)}
		return j, nil
	}
	if err != nil {
		return j, err
	}
	result, seen, err := d.watch(ctx, scope, target, id)
	if err != nil {
		return j, err
	}
	if result.State == wire.Succeeded {
		j.Metrics = append(j.Metrics, engine.Metric{Name: "duration", Value: result.Ended.Sub(seen.began).Seconds(), Unit: "s"})
		j.Notes = append(j.Notes, fmt.Sprintf("%s serves on %s", result.Target, d.Environment))
		return j, nil
	}
	help := "`mage deploy:status` says what can be gone back to"
	if len(status.Previous) > 0 {
		help = fmt.Sprintf("it can go back to %v", status.Previous)
	}
	j.Findings = append(j.Findings, engine.Finding{
		Rule: "not-back", Severity: engine.SeverityCritical, Message: fmt.Sprintf("%s: %s", result.State, result.Reason), Help: help,
	})
	return j, nil
}
