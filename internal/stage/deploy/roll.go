package deploy

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/handover"
	"github.com/meter-ml/meter-pipeline/internal/rollout"
	"github.com/meter-ml/meter-pipeline/internal/rollout/agent/wire"
	"github.com/meter-ml/meter-pipeline/internal/rollout/judge"
	"github.com/meter-ml/meter-pipeline/internal/rollout/remote"
	"github.com/meter-ml/meter-pipeline/internal/rollout/view"
)

// deploy hands the release over, and watches it to its end. A rollback is a finding, with why; that nobody could be
// asked is an error, which says nothing of the release.
func (d deployer) deploy(ctx context.Context, scope engine.Scope) (engine.Judgement, error) {
	j := engine.Judgement{Judged: 1, Unit: "roll-outs"}
	release, err := handover.ReadRelease(scope.Artifacts, d.Environment)
	if err != nil {
		return j, err
	}
	target := d.target(scope)
	revision, err := d.put(ctx, scope, target, release)
	if err != nil {
		return j, err
	}
	status, err := target.Status(ctx)
	if err != nil {
		return j, err
	}
	if d.serves(status, revision) {
		j.Notes = append(j.Notes, revision.Release+" serves already, with the same files: nothing was changed")
		return j, nil
	}
	revision.Release = d.unique(status, revision)
	order := wire.Order{
		Kind: rollout.Forward, Revision: &revision, Actor: d.Actor, Reason: cmp.Or(d.Reason, "deploy of "+release.Name), Committed: release.Committed.UTC(),
		Gate: wire.Gate{BreakGlass: release.BreakGlass},
	}
	for _, a := range release.Accepted {
		order.Gate.Accepted = append(order.Gate.Accepted, wire.Statement(a))
	}
	id, err := target.Order(ctx, order)
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
	return d.outcome(j, revision, result, seen), nil
}

// put brings secrets and files to the target, which are of no use to anybody before the order.
func (d deployer) put(ctx context.Context, scope engine.Scope, target *remote.Target, release handover.Release) (rollout.Revision, error) {
	variables, err := d.variables(ctx, scope)
	if err != nil {
		return rollout.Revision{}, err
	}
	bundle, err := d.bundle(scope, variables)
	if err != nil {
		return rollout.Revision{}, err
	}
	if err := target.PutSecrets(ctx, d.secrets(variables)); err != nil {
		return rollout.Revision{}, err
	}
	digest, err := target.PutBundle(ctx, bundle)
	return rollout.Revision{Release: release.Name, Digest: release.Digest, Images: release.Images, Schema: release.Database, Bundle: digest}, err
}

// serves reports whether there is nothing to do.
func (d deployer) serves(s wire.Status, r rollout.Revision) bool {
	return !d.Again && s.Roll == nil && s.Current != nil && s.Current.Bundle == r.Bundle &&
		maps.Equal(s.Current.Images, r.Images)
}

// unique is the name of the release. The same images with other files, or with other secrets, are a release of their own:
// nobody could else say to which of the two to go back.
func (d deployer) unique(s wire.Status, r rollout.Revision) string {
	if s.Current == nil || s.Current.Release != r.Release {
		return r.Release
	}
	return r.Release + "+" + d.Now().UTC().Format("20060102-150405")
}

// watched is what was seen of a roll-out.
type watched struct {
	status   wire.Status
	decision *wire.Decision // the last
	turned   *wire.Roll     // as it was when it failed
	alerts   []wire.Alert
	began    time.Time
}

// watch looks on until the order has a result.
func (d deployer) watch(ctx context.Context, scope engine.Scope, target *remote.Target, id string) (wire.Result, watched, error) {
	scope.Say("%s: order %s is with the agent: to stop it, `mage deploy:abort -env=%s`; Ctrl-C only stops the watching", d.Environment, id, d.Environment)
	var changes view.Changes
	seen := watched{began: d.Now()}
	result, err := target.Watch(ctx, id, func(e wire.Event) {
		for _, line := range changes.Of(e) {
			scope.Say("%s: %s", d.Environment, line)
		}
		seen.take(e)
		if e.Status != nil {
			scope.Panel(view.Panel(*e.Status, d.Now()))
		}
	})
	if err != nil {
		// The process may be about to end: this is the last that a person reads of it.
		scope.Say("%s: no longer watched (%v); the roll-out goes on there: `mage deploy:status -env=%s`, `mage deploy:abort -env=%s`", d.Environment, err, d.Environment, d.Environment)
		return result, seen, fmt.Errorf("watch the roll-out: %w: it goes on there: `mage deploy:status -env=%s`", err, d.Environment)
	}
	return result, seen, nil
}

func (w *watched) take(e wire.Event) {
	if e.Alert != nil {
		w.alerts = append(w.alerts, *e.Alert)
	}
	if e.Entry != nil && e.Entry.Action == "judge" { // a status comes now and then, an entry always
		var d judge.Decision
		if json.Unmarshal(e.Entry.Detail, &d) == nil {
			w.decision = &wire.Decision{Time: e.Entry.Time, Text: e.Entry.Message, Decision: d}
		}
	}
	if e.Status == nil {
		return
	}
	w.status = *e.Status
	if r := e.Status.Roll; r != nil {
		if r.Kind != rollout.Recovery {
			w.turned = r
		}
	}
}
