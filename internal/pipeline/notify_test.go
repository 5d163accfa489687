package pipeline

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/notify"
)

// A newsroom is a project whose channels are servers of this machine.
type newsroom struct {
	t      *testing.T
	host   Host
	secret string

	mu     sync.Mutex
	slack  []string // what came
	github []string // state and context of each status
	answer int      // of Slack; 0 is 200
}

func newNewsroom(t *testing.T) *newsroom {
	t.Helper()
	b := make([]byte, 16)
	if _, err := rand.Read(b); err != nil {
		t.Fatal(err)
	}
	n := &newsroom{t: t, secret: hex.EncodeToString(b)}
	server := httptest.NewServer(http.HandlerFunc(n.serve))
	t.Cleanup(server.Close)
	dir := t.TempDir()
	n.host = Host{Dir: dir, Now: time.Now, Env: []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "GITHUB_ACTIONS=true", "GITHUB_SERVER_URL=https://github.com", "GITHUB_REPOSITORY=meter-ml/meter-pipeline",
		"GITHUB_RUN_ID=7", "GITHUB_REF=refs/heads/develop", "GITHUB_EVENT_NAME=push", "GITHUB_API_URL=" + server.URL,
		"SLACK_WEBHOOK_URL=" + server.URL + "/services/T0/B0/" + n.secret, "GITHUB_TOKEN=" + n.secret,
	}}
	if err := os.WriteFile(filepath.Join(dir, "pipeline.yaml"), []byte("name: meter\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	d := desk{t: t, host: n.host}
	for _, args := range [][]string{{"init", "-q", "-b", "develop"}, {"add", "."}, {"commit", "-q", "-m", "Use reactive power"}} {
		d.git(args...)
	}
	return n
}

// git is of a person called Ada.
func (d *desk) git(args ...string) {
	d.t.Helper()
	_, _, said := d.act(func(ctx context.Context, s *Session) error {
		out, err := s.Runner.Run(ctx, engine.Invocation{Program: "git", Args: args, Dir: s.Host.Dir, Env: append(s.Host.Env,
			"GIT_AUTHOR_NAME=Ada Lovelace", "GIT_AUTHOR_EMAIL=a@example.org", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.org", "GIT_CONFIG_GLOBAL=/dev/null")})
		if err == nil && out.ExitCode != 0 {
			d.t.Fatalf("git %v: %s", args, out.Stderr)
		}
		return err
	})
	if said != "" {
		d.t.Fatalf("git %v: %s", args, said)
	}
}

func (n *newsroom) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		n.t.Error(err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if strings.HasPrefix(r.URL.Path, "/services/") {
		if n.answer != 0 {
			http.Error(w, "no_service "+r.URL.Path+" ##[error]x", n.answer)
			return
		}
		n.slack = append(n.slack, string(body))
		_, _ = io.WriteString(w, "ok")
		return
	}
	if r.Method == http.MethodGet {
		_, _ = io.WriteString(w, "[]")
		return
	}
	var content map[string]any
	if err := json.Unmarshal(body, &content); err != nil || r.Header.Get("Authorization") != "Bearer "+n.secret {
		n.t.Error(err)
	}
	content["id"] = 1
	state, _ := content["state"].(string)
	name, _ := content["context"].(string)
	n.github = append(n.github, strings.TrimSpace(state+" "+name))
	w.WriteHeader(http.StatusCreated)
	_ = json.NewEncoder(w).Encode(content)
}

// act runs an action there, and demands that the secret is nowhere: not on the terminal and in no file.
func (n *newsroom) act(action Action) (code int, out, said string) {
	n.t.Helper()
	d := desk{t: n.t, host: n.host}
	code, out, said = d.act(action)
	// GitHub's runner is told what to mask, and shows no such line.
	shown := regexp.MustCompile(`(?m)^::add-mask::.*$`).ReplaceAllString(out+"\n"+said, "")
	if strings.Contains(shown, n.secret) {
		n.t.Errorf("the secret is shown: %s%s", out, said)
	}
	err := filepath.WalkDir(n.host.Dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		if strings.Contains(string(content), n.secret) {
			n.t.Errorf("the secret is in %s", path)
		}
		return err
	})
	if err != nil {
		n.t.Error(err)
	}
	return code, out, said
}

// sham is a stage with one step of that status.
type sham struct{ status engine.Status }

// Name implements engine.Stage.
func (sham) Name() string { return "unit" }

// Steps implements engine.Stage.
func (s sham) Steps(*config.Project) ([]engine.Step, error) {
	return []engine.Step{{Name: "pytest", Judges: "tests", Func: func(context.Context, engine.Scope) (engine.Judgement, error) {
		j := engine.Judgement{Judged: 2, Unit: "tests", Metrics: []engine.Metric{{Name: "tests_passed", Value: 1}, {Name: "tests_failed", Value: 1}}}
		if s.status == engine.StatusFailed {
			j.Findings = []engine.Finding{{Rule: "test-failed", Message: "<!channel> one is not two"}}
		}
		return j, nil
	}}}, nil
}

func (n *newsroom) judge(status engine.Status) (code int, said string) {
	n.t.Helper()
	code, _, said = n.act(func(ctx context.Context, s *Session) error {
		return s.Judge(ctx, Request{Target: "pipeline", Notify: true, Stages: func(Host) []engine.Stage { return []engine.Stage{sham{status}} }})
	})
	return code, said
}

func TestARunIsTold(t *testing.T) {
	n := newNewsroom(t)
	code, said := n.judge(engine.StatusFailed)
	if code != engine.ExitFailed || !strings.Contains(said, "notify:slack: told: failure: 1 message\n") ||
		!strings.Contains(said, "notify:mail: not told: notify.mail.to names nobody in pipeline.yaml\n") {
		t.Errorf("%d %s", code, said)
	}
	for _, want := range []string{"CI/CD Pipeline Failed", "Ada Lovelace", "Use reactive power", "develop", "/actions/runs/7", "1/2 passed", "one is not two"} {
		if !strings.Contains(n.slack[0], want) {
			t.Errorf("Slack is not told of %q: %s", want, n.slack[0])
		}
	}
	if code, said := n.judge(engine.StatusPassed); code != engine.ExitPassed || !strings.Contains(n.slack[1], "CI/CD Pipeline Recovered") {
		t.Errorf("the first green run: %d %s", code, said)
	}
	if n.judge(engine.StatusPassed); !strings.Contains(n.slack[2], "CI/CD Pipeline Successful") {
		t.Errorf("the second green run: %s", n.slack[2])
	}
}

// Nothing that goes wrong here changes a verdict, and everything that does is said.
func TestWhatCantBeToldFailsNothing(t *testing.T) {
	n := newNewsroom(t)
	n.answer = http.StatusNotFound
	code, said := n.judge(engine.StatusPassed)
	if code != engine.ExitPassed || !strings.Contains(said, "notify:slack: WARNING: not told: success: tell Slack: it answers 404") || strings.Contains(said, "##[") {
		t.Errorf("%d %s", code, said)
	}
	n.host.Env = append(n.host.Env, "SLACK_WEBHOOK_URL="+n.secret, "GITHUB_REPOSITORY=nonsense")
	code, said = n.judge(engine.StatusFailed)
	if code != engine.ExitFailed || !strings.Contains(said, "is not the address of a webhook") || !strings.Contains(said, "not owner/name") {
		t.Errorf("%d %s", code, said)
	}
}

func TestReleasesAndAlarms(t *testing.T) {
	n := newNewsroom(t)
	_, _, said := n.act(func(ctx context.Context, s *Session) error {
		r := notify.Release{Environment: "production", Name: "r1", State: notify.Started}
		s.TellRelease(ctx, r)
		r.State, r.Reason, r.Previous = notify.RolledBack, "errors rose", "r0"
		s.TellRelease(ctx, r)
		s.TellAlarm(ctx, notify.Alarm{Severity: notify.Critical, Name: "HighErrorRate", Release: "r1"})
		return nil
	})
	if len(n.slack) != 2 || !strings.Contains(n.slack[0], "Deploy Rolled Back") || !strings.Contains(n.slack[1], "HighErrorRate") {
		t.Errorf("Slack: %v\n%s", n.slack, said)
	}
	// Each makes a deployment, since this server remembers none, and gives it a state.
	if got := strings.Join(n.github, "|"); got != "|in_progress||failure" {
		t.Errorf("GitHub: %s\n%s", got, said)
	}
}

func TestNotifyTest(t *testing.T) {
	n := newNewsroom(t)
	code, out, said := n.act(NotifyTest(true))
	if code != engine.ExitPassed || len(n.slack)+len(n.github) > 0 || strings.Count(out, "notify:slack ") != 6 || !strings.Contains(out, "POST http") {
		t.Errorf("dry: %d %s %s", code, out, said)
	}
	if code, _, said = n.act(NotifyTest(false)); code != engine.ExitPassed || len(n.slack) != 6 || !strings.Contains(n.slack[0], "Sample: ") {
		t.Errorf("%d, %d messages: %s", code, len(n.slack), said)
	}
	if last := n.github[2]; last != "success pipeline/notify-test" {
		t.Errorf("the last status of a sample is %q of %q", last, n.github)
	}
	n.answer = http.StatusGone
	if code, _, said = n.act(NotifyTest(false)); code != engine.ExitError || !strings.Contains(said, "not every message arrived") {
		t.Errorf("a channel that is gone: %d %s", code, said)
	}
	n.host.Env = append(n.host.Env, "SLACK_WEBHOOK_URL=", "GITHUB_TOKEN=")
	if code, _, said = n.act(NotifyTest(false)); code != engine.ExitError || !strings.Contains(said, "no channel is configured") || !strings.Contains(said, "SLACK_WEBHOOK_URL is not set") {
		t.Errorf("without channels: %d %s", code, said)
	}
}

func TestReportsOfJobsAreTold(t *testing.T) {
	n := newNewsroom(t)
	n.judge(engine.StatusFailed)
	n.judge(engine.StatusFailed)
	runs, err := filepath.Glob(filepath.Join(n.host.Dir, ".pipeline", "runs", "*"))
	if err != nil || len(runs) != 2 {
		t.Fatal(runs, err)
	}
	n.slack = nil
	n.host.Env = append(n.host.Env, `PIPELINE_JOBS={"unit":{"result":"failure"},"data":{"result":"failure"},"production":{"result":"skipped"}}`)
	code, _, said := n.act(NotifyReports(runs[1]))
	if code != engine.ExitPassed || len(n.slack) != 1 || !strings.Contains(n.slack[0], "one is not two") || !strings.Contains(n.slack[0], "CI/CD Pipeline Failed") {
		t.Errorf("%d %s %s", code, n.slack, said)
	}
	if code, _, said = n.act(NotifyReports("nowhere")); code != engine.ExitPassed || len(n.slack) != 2 || !strings.Contains(n.slack[1], "no report says why") {
		t.Errorf("no job came as far as a report: %d %s", code, said)
	}
	n.host.Env = append(n.host.Env, `PIPELINE_JOBS={"retag":{"result":"success"},"unit":{"result":"skipped"}}`)
	if code, _, said = n.act(NotifyReports("nowhere")); code != engine.ExitPassed || len(n.slack) != 2 || !strings.Contains(said, "no job judged anything") {
		t.Errorf("nothing was judged: %d %s", code, said)
	}
	n.host.Env = append(n.host.Env, "PIPELINE_JOBS=")
	if code, _, said = n.act(NotifyReports("nowhere")); code != engine.ExitUsage || len(n.slack) != 2 {
		t.Errorf("a directory that is not there: %d %s", code, said)
	}
}

// Of failed jobs that were run again, both reports are there.
func TestJobsRunAgainAreARecovery(t *testing.T) {
	n := newNewsroom(t)
	n.judge(engine.StatusFailed)
	n.judge(engine.StatusPassed)
	if err := os.Remove(filepath.Join(n.host.Dir, ".pipeline", "history.jsonl")); err != nil { // CI's machine has none
		t.Fatal(err)
	}
	n.slack = nil
	if code, _, said := n.act(NotifyReports(filepath.Join(".pipeline", "runs"))); code != engine.ExitPassed || len(n.slack) != 1 || !strings.Contains(n.slack[0], "CI/CD Pipeline Recovered") {
		t.Errorf("%d %s %s", code, n.slack, said)
	}
}

func TestHeadOfAPullRequest(t *testing.T) {
	file := filepath.Join(t.TempDir(), "event.json")
	for content, want := range map[string]string{
		`{"pull_request":{"head":{"sha":"abc"}}}`: "abc", `{"ref":"refs/heads/main"}`: "", `[]`: "", `{`: "",
	} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := pullHead(file); got != want {
			t.Errorf("%s: %q", content, got)
		}
	}
	if pullHead("") != "" || pullHead(file+"x") != "" {
		t.Error("there is a head without an event")
	}
}
