package notify_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/notify"
	"github.com/meter-ml/meter-pipeline/internal/notify/notifytest"
	"github.com/meter-ml/meter-pipeline/internal/plain"
	"github.com/meter-ml/meter-pipeline/internal/report/reporttest"
)

// lines are a message as the users' documentation shows it.
func lines(m notify.Message) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s\n", m.Icon, m.Title)
	for _, f := range m.Facts {
		fmt.Fprintf(&b, "- %s: %s\n", f.Label, f.Value)
	}
	for _, f := range m.Failures {
		fmt.Fprintf(&b, "- Stage: %s (%s)\n- Error: %s\n- Log: %s %s\n", f.Stage, f.Step, f.Error, f.Log, f.LogURL)
	}
	return b.String()
}

func TestDocumentedMessages(t *testing.T) {
	passed := &engine.Run{Target: "pipeline", Status: engine.StatusPassed, Duration: 50 * time.Minute, Started: reporttest.Start(), Stages: []engine.StageResult{{
		Name: "unit", Status: engine.StatusPassed, Steps: []engine.StepResult{{Stage: "unit", Name: "pytest", Status: engine.StatusPassed, Judgement: engine.Judgement{
			Judged: 95, Metrics: []engine.Metric{
				{Name: "tests_passed", Value: 95},
				{Name: "tests_failed"},
				{Name: "tests_skipped"},
				{Name: "coverage", Value: 88, Unit: "%", Threshold: 80, Direction: engine.DirectionAtLeast},
			},
		}}},
	}}}
	timeout := &engine.Run{Target: "pipeline", Status: engine.StatusError, ExitCode: 3, Duration: 10 * time.Minute, Stages: []engine.StageResult{{
		Name: "unit", Status: engine.StatusError, Steps: []engine.StepResult{{Stage: "unit", Name: "pytest", Status: engine.StatusError, Reason: "Test timeout", Log: "logs/unit/pytest.log"}},
	}}}
	for _, tt := range []struct {
		name, want string
		run        *engine.Run
		origin     notify.Origin
	}{
		{"success", `✅ CI/CD Pipeline Successful
- Verdict: pipeline passed in 50 min 00 s
- Checks: All checks passed (1)
- Docker images: built: ghcr.io/meter-ml/model-api:develop-latest@sha256:0123456789ab…
- Tests: 95/95 passed
- Coverage: 88 % (at least 80 %)
- Duration: 50 min 00 s
`, passed, notifytest.Origin()},
		{"failure", `❌ CI/CD Pipeline Failed
- Verdict: pipeline could not be judged in 10 min 00 s
- Checks: 1 of 1 step could not be judged
- Duration: 10 min 00 s
- Stage: Unit Tests (unit:pytest)
- Error: Test timeout
- Log: See GitHub Actions https://github.com/meter-ml/meter-pipeline/actions/runs/7/attempts/1
`, timeout, notify.Origin{RunURL: notifytest.Origin().RunURL}},
		{"failure on a laptop", `❌ CI/CD Pipeline Failed
- Verdict: pipeline could not be judged in 10 min 00 s
- Checks: 1 of 1 step could not be judged
- Duration: 10 min 00 s
- Stage: Unit Tests (unit:pytest)
- Error: Test timeout
- Log: .pipeline/runs/logs/unit/pytest.log ` + `
`, timeout, notify.Origin{}},
		{"recovery", `✅ CI/CD Pipeline Recovered
- Verdict: pipeline passed in 50 min 00 s
- Checks: All checks passed (1)
- Was red: the run before it failed, of commit abababab, 2026-11-23 13:25 UTC
- Tests: 95/95 passed
- Coverage: 88 % (at least 80 %)
- Duration: 50 min 00 s
`, passed, notify.Origin{Before: &notify.Before{Status: engine.StatusFailed, Commit: "abababab", Time: reporttest.Start().Add(-time.Hour)}}},
		{"version", `✅ CI/CD Pipeline Successful
- Verdict: pipeline passed in 50 min 00 s
- Version: v1.2.3
- Checks: All checks passed (1)
- Docker images: named: a:v1.2.3@sha256:abab…
- Tests: 95/95 passed
- Coverage: 88 % (at least 80 %)
- Duration: 50 min 00 s
`, passed, notify.Origin{Version: "v1.2.3", Images: []string{"a:v1.2.3@sha256:abab…"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, lines(notify.FromRun(tt.run, tt.origin))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// The release before serves again only where it does.
func TestReleaseBefore(t *testing.T) {
	for state, want := range map[notify.State]string{
		notify.Started: "In place of", notify.Deployed: "In place of", notify.Failed: "In place of", notify.RolledBack: "Serves again",
	} {
		text := lines(notify.FromRelease(notify.Release{Environment: "production", Name: "v2", Previous: "v1", State: state}, notify.Origin{}))
		if !strings.Contains(text, "- "+want+": v1\n") {
			t.Errorf("%s: %s", state, text)
		}
	}
}

func TestEvents(t *testing.T) {
	run := func(status engine.Status) *engine.Run { return &engine.Run{Status: status} }
	before := func(status engine.Status) notify.Origin { return notify.Origin{Before: &notify.Before{Status: status}} }
	for _, tt := range []struct {
		name string
		got  notify.Message
		want notify.Event
	}{
		{"green after nothing", notify.FromRun(run(engine.StatusPassed), notify.Origin{}), notify.Success},
		{"green after green", notify.FromRun(run(engine.StatusPassed), before(engine.StatusPassed)), notify.Success},
		{"green after red", notify.FromRun(run(engine.StatusPassed), before(engine.StatusFailed)), notify.Recovery},
		{"green after not judged", notify.FromRun(run(engine.StatusPassed), before(engine.StatusError)), notify.Recovery},
		{"red after red", notify.FromRun(run(engine.StatusFailed), before(engine.StatusFailed)), notify.Failure},
		{"not judged", notify.FromRun(run(engine.StatusError), notify.Origin{}), notify.Failure},
		{"everything skipped", notify.FromRun(run(engine.StatusSkipped), notify.Origin{}), notify.Failure},
		{"a word that nobody knows", notify.FromRun(run("ok"), notify.Origin{}), notify.Failure},
		{"deploy", notifytest.Messages()["deployed"], notify.Deploy},
		{"failed deploy", notifytest.Messages()["failed"], notify.Deploy},
		{"rollback", notifytest.Messages()["rolled_back"], notify.Rollback},
		{"alert", notifytest.Messages()["alert"], notify.Alert},
	} {
		if tt.got.Event != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, tt.got.Event, tt.want)
		}
	}
}

func TestWhoIsTold(t *testing.T) {
	all := []string{"success", "failure", "recovery", "deploy", "rollback", "alert"}
	success := notify.Message{Event: notify.Success, Branch: "release/1.2"}
	pull := notify.Message{Event: notify.Success, Pull: "7"}
	started := notify.Message{Event: notify.Deploy, Release: &notify.Release{State: notify.Started}}
	for _, tt := range []struct {
		name     string
		audience notify.Audience
		message  notify.Message
		want     string
	}{
		{"all", notify.Audience{Events: all}, success, ""},
		{"not of the event", notify.Audience{Events: []string{"failure"}}, success, "not told of the event success"},
		{"of nothing", notify.Audience{}, success, "not told of the event success"},
		{"branch", notify.Audience{Events: all, Branches: []string{"main", "release/*"}}, success, ""},
		{"another branch", notify.Audience{Events: all, Branches: []string{"main"}}, success, "branches main only"},
		{"a pattern is no prefix", notify.Audience{Events: all, Branches: []string{"release"}}, success, "branches release only"},
		{"pull request", notify.Audience{Events: all}, pull, ""},
		{"pull request from a branch called so", notify.Audience{Events: all, Branches: []string{"*"}}, pull, "this is a pull request"},
		{"a start", notify.Audience{Events: all}, started, "told to nobody"},
		{"a start, for the record", notify.Audience{Events: all, Records: true}, started, ""},
	} {
		if got := tt.audience.Refuses(tt.message); tt.want == "" && got != "" || !strings.Contains(got, tt.want) {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

// The branch of a pull request is its author's choice: no list of branches may take it for one of the repository's.
func TestBranchOfAPullRequest(t *testing.T) {
	o := notifytest.Origin()
	o.Pull = "7"
	if m := notify.FromRun(reporttest.Passed("/run"), o); m.Branch != "" || m.Change.Branch != "develop" {
		t.Errorf("branch %q, shown as %q", m.Branch, m.Change.Branch)
	}
}

// Every text of a message, whatever it was made of, can be shown in one line, but an error, which has several.
func TestTextIsPlain(t *testing.T) {
	for _, attack := range notifytest.Attacks() {
		for _, m := range notifytest.Attacked(attack.Text) {
			visit(reflect.ValueOf(m), "", func(path, text string) {
				if strings.ContainsFunc(text, func(r rune) bool {
					return unicode.IsControl(r) && (r != '\n' || !strings.HasSuffix(path, ".Error"))
				}) || !utf8.ValidString(text) || utf8.RuneCountInString(text) > 1000 {
					t.Errorf("%s: %s is %.100q", attack.Name, path, text)
				}
				if strings.HasSuffix(path, "URL") && text != "" && !strings.HasPrefix(text, "https://") {
					t.Errorf("%s: %s leads to %q", attack.Name, path, text)
				}
			})
		}
	}
}

func TestSecretsAreMasked(t *testing.T) {
	const canary = "canary-of-this-test"
	o := notifytest.Origin()
	o.Mask = plain.NewMask(canary)
	o.Change.Subject, o.Images = "Set it to "+canary, []string{canary}
	run := reporttest.Run("/run")
	run.Stages[2].Steps[0].Reason = "password " + canary
	run.Problems = []string{canary}
	all := fmt.Sprintf("%+v", notify.FromRun(run, o)) +
		fmt.Sprintf("%+v", *notify.FromRelease(notify.Release{Reason: canary, Actor: canary, BreakGlass: canary, Images: []string{canary}}, o).Release) +
		fmt.Sprintf("%+v", notify.FromAlarm(notify.Alarm{Summary: canary}, o))
	if !strings.Contains(all, "password ***") || strings.Contains(all, canary) {
		t.Errorf("a secret is shown: %s", all)
	}
}

func TestSamplesSayThatTheyAre(t *testing.T) {
	o := notifytest.Origin()
	o.Pull = "7"
	seen := map[notify.Event]bool{}
	for _, m := range notify.Samples(reporttest.Start(), o) {
		seen[m.Event] = true
		if !strings.HasPrefix(m.Title, "Sample: ") {
			t.Errorf("%s is called %q", m.Event, m.Title)
		}
		for _, stage := range m.Stages {
			if stage.Stage != notify.SampleName {
				t.Errorf("a sample speaks of the stage %s", stage.Stage)
			}
		}
		if m.Release != nil && m.Release.Environment != notify.SampleName {
			t.Errorf("a sample speaks of %s", m.Release.Environment)
		}
	}
	if len(seen) != 6 {
		t.Errorf("samples of %v", seen)
	}
}

func visit(v reflect.Value, path string, f func(path, text string)) {
	switch v.Kind() {
	case reflect.String:
		f(path, v.String())
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			return
		}
		for i := range v.NumField() {
			visit(v.Field(i), path+"."+v.Type().Field(i).Name, f)
		}
	case reflect.Slice:
		for i := range v.Len() {
			visit(v.Index(i), path, f)
		}
	case reflect.Pointer:
		if !v.IsNil() {
			visit(v.Elem(), path, f)
		}
	default:
	}
}
