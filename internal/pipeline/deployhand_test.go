package pipeline

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/notify"
)

// A job that deploys has no channel: what it found out reaches people through the job that tells.
func TestNewsIsHandedOn(t *testing.T) {
	n := newNewsroom(t)
	whole := n.host.Env
	n.host.Env = append(slices.Clone(whole), "SLACK_WEBHOOK_URL=", "GITHUB_TOKEN=", "GITHUB_RUN_ATTEMPT=1")
	n.judge(engine.StatusPassed)
	runs, err := filepath.Glob(filepath.Join(n.host.Dir, ".pipeline", "runs", "*"))
	if err != nil || len(runs) != 1 {
		t.Fatal(runs, err)
	}
	at := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	_, _, said := n.act(func(ctx context.Context, s *Session) error {
		s.ID = filepath.Base(runs[0])
		return s.spread(ctx, news{
			Releases: []notify.Release{{Environment: "production", Name: "r2", State: notify.RolledBack, Previous: "r1", Reason: "errors rose", Time: at}},
			Alarms:   []notify.Alarm{{Severity: notify.Critical, Name: "HighErrorRate", Release: "r2", Time: at}},
		})
	})
	if len(n.slack) != 0 || !strings.Contains(said, "handed on") || strings.Contains(said, "is not set") {
		t.Errorf("it was told %q and said %s", n.slack, said)
	}

	n.host.Env = append(slices.Clone(whole), `PIPELINE_JOBS={"unit":{"result":"success"}}`, "GITHUB_RUN_ATTEMPT=1")
	_, _, said = n.act(NotifyReports(filepath.Dir(runs[0])))
	if len(n.slack) != 3 || !strings.Contains(n.slack[1], "Deploy Rolled Back") || !strings.Contains(n.slack[2], "HighErrorRate") {
		t.Errorf("Slack: %q\n%s", n.slack, said)
	}
	if got := strings.Join(n.github, "|"); !strings.HasSuffix(got, "|failure") {
		t.Errorf("GitHub: %s\n%s", got, said)
	}

	// When failed jobs are run again, what they did before is not told again.
	n.slack = nil
	n.host.Env = append(slices.Clone(whole), "GITHUB_RUN_ATTEMPT=2")
	if _, _, said = n.act(NotifyReports(filepath.Dir(runs[0]))); len(n.slack) != 1 || !strings.Contains(said, "that was for attempt 1 to do") {
		t.Errorf("Slack: %q\n%s", n.slack, said)
	}

	// What the author of a pull request may have made up is not believed, and what is none is said.
	n.slack = nil
	n.host.Env = append(slices.Clone(whole), "GITHUB_EVENT_NAME=pull_request", "GITHUB_REF=refs/pull/7/merge")
	if _, _, said = n.act(NotifyReports(filepath.Dir(runs[0]))); len(n.slack) != 1 {
		t.Errorf("Slack: %q\n%s", n.slack, said)
	}
	n.host.Env = whole
	for _, content := range []string{"{", `{"Schema": 9}`} {
		if err := os.WriteFile(filepath.Join(runs[0], newsName), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if code, _, said := n.act(NotifyReports(filepath.Dir(runs[0]))); code != engine.ExitPassed || !strings.Contains(said, "nobody is told what run") {
			t.Errorf("%s: exit code %d: %s", content, code, said)
		}
	}
}
