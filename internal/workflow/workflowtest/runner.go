package workflowtest

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rhysd/actionlint"
)

// A Runner runs jobs of a workflow as GitHub's runner does: each in a checkout of its own, with the variables and files
// that GitHub sets, its steps one after another, and nothing of another job but the artifacts that it takes. What needs
// GitHub (checkout, Go, caches, code scanning) is done in its place.
type Runner struct {
	T          testing.TB
	Binary     string // the compiled targets
	Origin     string // the repository that is checked out
	Artifacts  string // where uploads go, one directory each
	Repository string // owner/name
	Token      string // a job's own
	Jobs       map[string]*actionlint.Job
	Secrets    map[string]map[string]string // and variables, by the environment that holds them; "" is the repository's
	Machine    map[string]string            // what the runner's own environment adds

	event Event
	file  string // with the event's payload
}

// An Event is what starts a run.
type Event struct {
	Name, Ref, SHA string
	Base, Head     string // branches of a pull request
	Run, Attempt   string // its number, and how often it was started
	Payload        map[string]any
}

// Past is a job that is over.
type Past struct {
	Code                  int
	Took                  time.Duration
	Log, Summary, RunID   string
	Outputs               map[string]string // of the step that has some
	Uploaded, Environment string
	Scanned               []string // tools whose findings were uploaded
}

// Read reads a workflow.
func Read(t testing.TB, path string) map[string]*actionlint.Job {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	doc, errs := actionlint.Parse(content)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	return doc.Jobs
}

// Compile builds the targets once, as a job does.
func Compile(t testing.TB, repository string) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "pipeline")
	cmd := exec.CommandContext(t.Context(), "go", "tool", "mage", "-compile", binary)
	cmd.Dir = repository
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("compile targets: %v\n%s", err, out)
	}
	return binary
}

// Git runs git in the origin.
func (r *Runner) Git(args ...string) string {
	r.T.Helper()
	cmd := exec.CommandContext(r.T.Context(), "git", args...)
	cmd.Dir = r.Origin
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.com")
	out, err := cmd.CombinedOutput()
	if err != nil {
		r.T.Fatalf("git %q: %v: %s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// Commit changes files of the origin.
func (r *Runner) Commit(subject string, files map[string]string) string {
	r.T.Helper()
	for name, content := range files {
		path := filepath.Join(r.Origin, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o644)); err != nil {
			r.T.Fatal(err)
		}
	}
	r.Git("add", "-A")
	r.Git("commit", "-q", "-m", subject)
	return r.Git("rev-parse", "HEAD")
}

// Begin takes an event, and keeps what its jobs upload apart from other runs'.
func (r *Runner) Begin(event Event) {
	r.T.Helper()
	if event.SHA == "" {
		event.SHA = r.Git("rev-parse", "HEAD")
	}
	event.Run, event.Attempt = cmp.Or(event.Run, "42"), cmp.Or(event.Attempt, "1")
	content, err := json.Marshal(event.Payload)
	if err != nil {
		r.T.Fatal(err)
	}
	r.event, r.file = event, filepath.Join(r.T.TempDir(), "event.json")
	if err := os.WriteFile(r.file, content, 0o600); err != nil {
		r.T.Fatal(err)
	}
}

// Contexts are GitHub's, of the event.
func (r *Runner) Contexts() map[string]any {
	return map[string]any{
		"github": map[string]any{
			"event_name": r.event.Name, "ref": r.event.Ref, "repository": r.Repository, "run_id": r.event.Run, "run_attempt": r.event.Attempt, "actor": "ada",
			"token": r.Token, "event": r.event.Payload,
		},
		"vars": asContext(r.Secrets[""]),
	}
}

func asContext(values map[string]string) map[string]any {
	all := map[string]any{}
	for name, value := range values {
		all[name] = value
	}
	return all
}

// variables are those that GitHub sets for every step.
func (r *Runner) variables() map[string]string {
	env := map[string]string{
		"CI": "true", "GITHUB_ACTIONS": "true", "GITHUB_EVENT_NAME": r.event.Name, "GITHUB_REF": r.event.Ref, "GITHUB_SHA": r.event.SHA,
		"GITHUB_BASE_REF": r.event.Base, "GITHUB_HEAD_REF": r.event.Head, "GITHUB_EVENT_PATH": r.file, "GITHUB_REPOSITORY": r.Repository,
		"GITHUB_SERVER_URL": "https://github.com", "GITHUB_RUN_ID": r.event.Run, "GITHUB_RUN_ATTEMPT": r.event.Attempt, "GITHUB_ACTOR": "ada",
		"RUNNER_NAME": "test", "RUNNER_ENVIRONMENT": "github-hosted", "RUNNER_OS": "Linux", "PATH": os.Getenv("PATH"), "HOME": os.Getenv("HOME"),
	}
	maps.Copy(env, r.Machine)
	return env
}

// Run does the steps of one job, which knows what became of those that it needs.
func (r *Runner) Run(id string, needs map[string]any) Past {
	r.T.Helper()
	began := time.Now()
	job := r.Jobs[id]
	j := &running{Runner: r, job: job, dir: filepath.Join(r.T.TempDir(), "work"), files: r.T.TempDir(), status: map[string]string{}, contexts: r.Contexts(), past: Past{Outputs: map[string]string{}}}
	j.contexts["needs"], j.contexts["runner"] = needs, map[string]any{"os": "Linux"}
	held := maps.Clone(r.Secrets[""])
	if held == nil {
		held = map[string]string{}
	}
	if job.Environment != nil {
		maps.Copy(held, r.Secrets[j.evaluator().Fill(job.Environment.Name.Value)])
	}
	j.contexts["secrets"], j.contexts["vars"] = asContext(held), asContext(held)
	for i, step := range job.Steps {
		e := j.evaluator()
		status := "skipped"
		if e.Goes(step.If) {
			status = j.step(step)
		}
		j.status[fmt.Sprint(i)] = status
		if status == "skipped" {
			delete(j.status, fmt.Sprint(i)) // a step that is skipped stops no later one
		}
	}
	j.past.Took = time.Since(began)
	return j.past
}
