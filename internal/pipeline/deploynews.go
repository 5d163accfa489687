package pipeline

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/handover"
	"github.com/meter-ml/meter-pipeline/internal/history"
	"github.com/meter-ml/meter-pipeline/internal/notify"
	"github.com/meter-ml/meter-pipeline/internal/rollout"
	"github.com/meter-ml/meter-pipeline/internal/rollout/agent/wire"
)

// lately is how many roll-outs the history is brought up to date by.
const lately = 50

// deployed remembers what the target's audit log says of an environment, and has the channels told of what came about
// since a time. The log is the target's, so it knows also of roll-outs that went on when nobody watched.
func (s *Session) deployed(ctx context.Context, environment string, since time.Time) {
	if ctx.Err() != nil {
		return // who was interrupted knows, and the roll-out goes on
	}
	if err := s.tellDeployed(ctx, environment, since); err != nil {
		s.say("notify: nobody was told of %s: %v", environment, err)
	}
}

func (s *Session) tellDeployed(ctx context.Context, environment string, since time.Time) error {
	target, err := s.target(environment)
	if err != nil {
		return err
	}
	all, err := target.History(ctx, lately)
	if err != nil {
		return err
	}
	status, err := target.Status(ctx)
	if err != nil {
		return err
	}
	var remembered []history.Deploy
	var told news
	for _, d := range all {
		heard := s.news(environment, d)
		if !d.Ended.IsZero() {
			line := remember(environment, d)
			line.Commit = heard.Commit
			remembered = append(remembered, line)
		}
		if !d.Ended.Before(since) && d.State != "" {
			told.Releases = append(told.Releases, heard)
		}
	}
	for _, alert := range status.Alerts {
		if !alert.Time.Before(since) {
			told.Alarms = append(told.Alarms, notify.Alarm{
				Severity: severity(alert.Severity), Name: alert.Name, Summary: alert.Summary, Environment: environment, Release: alert.Release, Time: alert.Time,
			})
		}
	}
	spread := s.spread(ctx, told)
	_, err = history.AppendDeploys(ctx, s.historyPath(), s.Project.Run.History, remembered...)
	if err == nil && s.Host.onGitHub() { // this history is gone with its machine
		err = history.HandOn(s.runDir(), remembered...)
	}
	return errors.Join(spread, err)
}

func severity(s wire.Severity) notify.Severity {
	if s == wire.Critical {
		return notify.Critical
	}
	return notify.Warning
}

// remember is a line of the history. A rollback by hand goes to a release that is there already, so it is named after
// itself, too.
func remember(environment string, d wire.Deployment) history.Deploy {
	line := history.Deploy{
		Environment: environment, Release: d.Release, Actor: d.Actor, Reason: d.Failure, Committed: d.Commit,
		Started: d.Began, Finished: d.Ended, Status: history.DeployDone,
	}
	switch {
	case d.State != wire.Succeeded && slices.ContainsFunc(d.Phases, func(p wire.PhaseTime) bool { return p.Phase == string(rollout.Smoked) }):
		line.Status = history.DeployRolledBack
	case d.State != wire.Succeeded:
		line.Status = history.DeployFailed // before any user met it
	}
	if d.Kind == rollout.Back {
		line.Release, line.Rework, line.Recovers = fmt.Sprintf("%s again (%s)", d.Release, d.Roll), true, d.From
	}
	return line
}

func (s *Session) news(environment string, d wire.Deployment) notify.Release {
	r := notify.Release{
		Environment: environment, Name: d.Release, State: notify.Deployed, Previous: d.From, Reason: d.Reason, Actor: d.Actor,
		Duration: d.Ended.Sub(d.Began), Time: d.Ended,
	}
	switch {
	case d.State == wire.RolledBack && d.From == "":
		r.State, r.Reason = notify.Failed, d.Failure
	case d.State == wire.RolledBack:
		r.State, r.Reason = notify.RolledBack, d.Failure
	case d.Kind == rollout.Back:
		r.State, r.Name, r.Previous = notify.RolledBack, d.From, d.Release
	}
	if d.BrokeGlass {
		r.BreakGlass = d.Gate
	}
	// What this run has deployed, it knows more of.
	if release, err := handover.ReadRelease(filepath.Join(s.runDir(), "artifacts"), environment); err == nil && release.Name == d.Release {
		r.Commit, r.Images = release.Commit, slices.Sorted(maps.Values(release.Images))
	}
	return r
}

// thenTell does something to an environment, and has its end remembered and told, however it ended.
func (s *Session) thenTell(ctx context.Context, environment string, do func() error) error {
	began := s.Host.Now()
	err := do()
	if exit, ok := errors.AsType[*Exit](err); err == nil || ok && exit.Code != engine.ExitUsage {
		s.deployed(ctx, environment, began)
	}
	return err
}
