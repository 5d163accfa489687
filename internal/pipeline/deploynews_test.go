package pipeline

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/meter-ml/meter-pipeline/internal/history"
	"github.com/meter-ml/meter-pipeline/internal/notify"
	"github.com/meter-ml/meter-pipeline/internal/rollout"
	"github.com/meter-ml/meter-pipeline/internal/rollout/agent/wire"
)

// What the audit log tells becomes one line of the history, and one message, each.
func TestDeploymentsAreRememberedAndTold(t *testing.T) {
	began := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	seen := []wire.PhaseTime{{Phase: string(rollout.Ready)}, {Phase: string(rollout.Smoked)}}
	deployment := func(kind rollout.Kind, state wire.State, phases []wire.PhaseTime) wire.Deployment {
		return wire.Deployment{
			Roll: "roll-7", Kind: kind, Release: "v2", From: "v1", Actor: "ada", Reason: "asked for", Failure: "it failed", Commit: began.Add(-time.Hour),
			Began: began, Ended: began.Add(time.Minute), State: state, Phases: phases,
		}
	}
	for name, tt := range map[string]struct {
		deployment wire.Deployment
		release    string
		status     string
		state      notify.State
		told       string // release that the message is about
		reason     string
	}{
		"done":                     {deployment(rollout.Forward, wire.Succeeded, seen), "v2", history.DeployDone, notify.Deployed, "v2", "asked for"},
		"users met it":             {deployment(rollout.Forward, wire.RolledBack, seen), "v2", history.DeployRolledBack, notify.RolledBack, "v2", "it failed"},
		"nobody met it":            {deployment(rollout.Forward, wire.RolledBack, seen[:1]), "v2", history.DeployFailed, notify.RolledBack, "v2", "it failed"},
		"back by hand":             {deployment(rollout.Back, wire.Succeeded, seen), "v2 again (roll-7)", history.DeployDone, notify.RolledBack, "v1", "asked for"},
		"back by hand, and failed": {deployment(rollout.Back, wire.RolledBack, seen[:1]), "v2 again (roll-7)", history.DeployFailed, notify.RolledBack, "v2", "it failed"},
	} {
		t.Run(name, func(t *testing.T) {
			line := remember("production", tt.deployment)
			want := history.Deploy{
				Environment: "production", Release: tt.release, Actor: "ada", Status: tt.status, Reason: "it failed",
				Committed: began.Add(-time.Hour), Started: began, Finished: began.Add(time.Minute),
			}
			if tt.deployment.Kind == rollout.Back {
				want.Rework, want.Recovers = true, "v1"
			}
			if diff := cmp.Diff(want, line); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			k := newTalk(t)
			told := k.news("production", tt.deployment)
			if told.State != tt.state || told.Name != tt.told || told.Reason != tt.reason || told.Duration != time.Minute {
				t.Errorf("it tells %+v", told)
			}
		})
	}
}
