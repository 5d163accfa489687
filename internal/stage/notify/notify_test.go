package notify_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/notify"
	"github.com/meter-ml/meter-pipeline/internal/notify/notifytest"
	stage "github.com/meter-ml/meter-pipeline/internal/stage/notify"
	"github.com/meter-ml/meter-pipeline/internal/tool"
)

// channel is a place that does what the real ones do in the end: it takes a message, fails, or takes too long.
type channel struct {
	got  []notify.Event
	err  error
	hang bool
}

// Send implements notify.Channel.
func (c *channel) Send(ctx context.Context, m notify.Message, _ func(string, ...any)) (string, error) {
	if c.hang {
		<-ctx.Done()
		return "", ctx.Err()
	}
	if c.err != nil {
		return "", c.err
	}
	c.got = append(c.got, m.Event)
	return "1 message", nil
}

// Preview implements notify.Channel.
func (*channel) Preview(notify.Message) (string, error) { return "", nil }

func execute(t *testing.T, project *config.Project, places []notify.Place, messages ...notify.Message) *engine.Run {
	t.Helper()
	plan, err := engine.NewPlan(project, []engine.Stage{stage.New(places, messages...)})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	runner := tool.NewRunner(tool.Options{State: filepath.Join(dir, ".pipeline"), Run: "notify" + strings.ReplaceAll(dir, "/", "-")})
	defer func() { _ = runner.Close() }()
	run, err := engine.Execute(t.Context(), plan, engine.Options{Target: "notify", Root: dir, Dir: filepath.Join(dir, "run"), ID: "x", Limit: len(places), Runner: runner})
	if err != nil {
		t.Fatal(err)
	}
	return run
}

func TestEachChannelStandsForItself(t *testing.T) {
	project := config.Default(t.TempDir())
	project.Notify.Channel = config.Duration(300 * time.Millisecond)
	slack, hanging := &channel{}, &channel{hang: true}
	run := execute(t, project, []notify.Place{
		{Name: "slack", Channel: slack}, {Name: "mail", Channel: hanging}, {Name: "github", Skip: "GITHUB_TOKEN is not set"},
	}, notifytest.Messages()["failure"])
	for i, want := range []struct {
		status engine.Status
		reason string
	}{{engine.StatusPassed, ""}, {engine.StatusError, "failure: context deadline exceeded"}, {engine.StatusSkipped, "GITHUB_TOKEN is not set"}} {
		step := run.Stages[0].Steps[i]
		if step.Status != want.status || !strings.Contains(step.Reason, want.reason) && !strings.Contains(step.Reason, "longer than its limit") {
			t.Errorf("%s: %s, %q", step.Name, step.Status, step.Reason)
		}
	}
	if len(slack.got) != 1 {
		t.Errorf("%v", slack.got)
	}
}

func TestWhatIsNotDeliveredIsNoPass(t *testing.T) {
	project := config.Default(t.TempDir())
	run := execute(t, project, []notify.Place{
		{Name: "slack", Channel: &channel{err: errors.New("it answers 404")}},
		{Name: "mail", Err: errors.New("SMTP_URL is not an address")},
	}, notifytest.Messages()["failure"])
	for i, want := range []string{"it answers 404", "SMTP_URL is not an address"} {
		if step := run.Stages[0].Steps[i]; step.Status != engine.StatusError || !strings.Contains(step.Reason, want) {
			t.Errorf("%s: %s, %q", step.Name, step.Status, step.Reason)
		}
	}
}

func TestEachIsToldWhatIsForIt(t *testing.T) {
	project := config.Default(t.TempDir())
	project.Notify.Slack.Events = []string{"failure"}
	project.Notify.Mail.Branches = []string{"main"}
	slack, mail, github := &channel{}, &channel{}, &channel{}
	places := []notify.Place{{Name: "slack", Channel: slack}, {Name: "mail", Channel: mail}, {Name: "github", Channel: github}, {Name: "pager", Channel: &channel{}}}
	var all []notify.Message
	for _, name := range []string{"success", "failure", "started", "alert"} {
		all = append(all, notifytest.Messages()[name])
	}
	run := execute(t, project, places, all...)
	if got := []int{len(slack.got), len(mail.got), len(github.got)}; got[0] != 1 || got[1] != 0 || got[2] != 3 {
		t.Errorf("slack got %v, mail %v, github %v", slack.got, mail.got, github.got)
	}
	for i, want := range map[int]string{1: "branches main only", 3: "not told of the event alert"} {
		if step := run.Stages[0].Steps[i]; step.Status != engine.StatusSkipped || !strings.Contains(step.Reason, want) {
			t.Errorf("%s: %s, %q", step.Name, step.Status, step.Reason)
		}
	}
}
