package pipeline_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/rhysd/actionlint"

	"github.com/meter-ml/meter-pipeline/internal/evidence"
	"github.com/meter-ml/meter-pipeline/internal/forge/forgetest"
	"github.com/meter-ml/meter-pipeline/internal/stage/stagetest"
)

// A machine runs jobs of the committed workflow as GitHub's runner does: each in a checkout of its own, with the variables
// and files that GitHub sets, its steps one after another, and nothing of another job but the artifacts that it takes. What
// needs GitHub (checkout, Go, caches) is done in its place. Which jobs an event starts is tested in package workflow.
type machine struct {
	t         *testing.T
	binary    string
	origin    string // the repository that is checked out
	artifacts string // where uploads go, one directory each
	jobs      map[string]*actionlint.Job
	secrets   map[string]string
	env       map[string]string // of the event
}

// A past is a job that is over.
type past struct {
	code                  int
	log, summary, runID   string
	uploaded, environment string
}

func newMachine(t *testing.T, binary string, files map[string]string) *machine {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(stagetest.Repository(t), ".github/workflows/pipeline.yml"))
	if err != nil {
		t.Fatal(err)
	}
	doc, errs := actionlint.Parse(content)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	m := &machine{t: t, binary: binary, origin: t.TempDir(), artifacts: t.TempDir(), jobs: doc.Jobs, secrets: map[string]string{}}
	m.git("init", "-q", "-b", "main")
	m.commit(files)
	return m
}

func (m *machine) git(args ...string) string {
	m.t.Helper()
	cmd := exec.CommandContext(m.t.Context(), "git", args...)
	cmd.Dir = m.origin
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.com")
	out, err := cmd.CombinedOutput()
	if err != nil {
		m.t.Fatalf("git %q: %v: %s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func (m *machine) commit(files map[string]string) string {
	m.t.Helper()
	for name, content := range files {
		path := filepath.Join(m.origin, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o644)); err != nil {
			m.t.Fatal(err)
		}
	}
	m.git("add", "-A")
	m.git("commit", "-q", "-m", "change")
	return m.git("rev-parse", "HEAD")
}

// event sets the variables of one, with its payload.
func (m *machine) event(name, ref, base string, payload map[string]any) {
	m.t.Helper()
	content, err := json.Marshal(payload)
	if err != nil {
		m.t.Fatal(err)
	}
	file := filepath.Join(m.t.TempDir(), "event.json")
	if err := os.WriteFile(file, content, 0o600); err != nil {
		m.t.Fatal(err)
	}
	m.env = map[string]string{
		"CI": "true", "GITHUB_ACTIONS": "true", "GITHUB_EVENT_NAME": name, "GITHUB_REF": ref, "GITHUB_SHA": m.git("rev-parse", "HEAD"),
		"GITHUB_BASE_REF": base, "GITHUB_EVENT_PATH": file, "GITHUB_REPOSITORY": forgetest.Repository, "GITHUB_SERVER_URL": "https://github.com",
		"GITHUB_RUN_ID": "42", "GITHUB_RUN_ATTEMPT": "1", "GITHUB_ACTOR": "ada", "RUNNER_NAME": "test", "RUNNER_ENVIRONMENT": "github-hosted", "RUNNER_OS": "Linux",
	}
}

var expression = regexp.MustCompile(`\$\{\{ *([^}]*?) *\}\}`)

// fill puts in the values of the few expressions that stand in steps.
func (m *machine) fill(text string, runID string) string {
	return expression.ReplaceAllStringFunc(text, func(found string) string {
		what := expression.FindStringSubmatch(found)[1]
		switch first, otherwise, _ := strings.Cut(what, " || "); {
		case first == "steps.run.outputs.run":
			return runID
		case first == "github.run_attempt":
			return "1"
		case first == "github.actor":
			return m.env["GITHUB_ACTOR"]
		case first == "github.token":
			return forgetest.Token
		case strings.HasPrefix(first, "secrets.") || strings.HasPrefix(first, "vars."):
			if value := m.secrets[first[strings.Index(first, ".")+1:]]; value != "" || otherwise == "" {
				return value
			}
			return m.fill("${{ "+otherwise+" }}", runID)
		default:
			m.t.Fatalf("nothing is known of %s", found)
			return ""
		}
	})
}

// run does the steps of one job.
func (m *machine) run(id string) past {
	m.t.Helper()
	job := m.jobs[id]
	dir := filepath.Join(m.t.TempDir(), "work")
	files := m.t.TempDir()
	m.git("clone", "-q", "--no-local", m.origin, dir)
	done := past{}
	for _, step := range job.Steps {
		switch does := step.Exec.(type) {
		case *actionlint.ExecAction:
			name, _, _ := strings.Cut(does.Uses.Value, "@")
			m.action(name, does, dir, &done)
		case *actionlint.ExecRun:
			if strings.HasPrefix(does.Run.Value, "go tool mage -compile ") {
				m.t.Log("the runner was compiled before")
				if err := errors.Join(os.MkdirAll(filepath.Join(dir, "bin"), 0o755), os.Symlink(m.binary, filepath.Join(dir, "bin/pipeline"))); err != nil {
					m.t.Fatal(err)
				}
				continue
			}
			m.script(does.Run.Value, step, dir, files, &done)
		}
	}
	return done
}

func (m *machine) script(script string, step *actionlint.Step, dir, files string, done *past) {
	m.t.Helper()
	env := maps.Clone(m.env)
	env["GITHUB_OUTPUT"], env["GITHUB_STEP_SUMMARY"] = filepath.Join(files, "output"), filepath.Join(files, "summary")
	env["GITHUB_WORKSPACE"], env["PATH"], env["HOME"] = dir, os.Getenv("PATH"), os.Getenv("HOME")
	if step.Env != nil {
		for _, variable := range step.Env.Vars {
			env[variable.Name.Value] = m.fill(variable.Value.Value, "")
		}
	}
	cmd := exec.CommandContext(m.t.Context(), "bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", script)
	cmd.Dir = dir
	for key, value := range env {
		cmd.Env = append(cmd.Env, key+"="+value)
	}
	out, err := cmd.CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		done.code = exit.ExitCode()
	} else if err != nil {
		m.t.Fatal(err)
	}
	done.log = string(out)
	done.environment = fmt.Sprint(env)
	output, _ := os.ReadFile(env["GITHUB_OUTPUT"]) // there is none if no run began
	if id, ok := strings.CutPrefix(string(output), "run="); ok {
		done.runID = strings.TrimSpace(id)
	}
	summary, _ := os.ReadFile(env["GITHUB_STEP_SUMMARY"])
	done.summary = string(summary)
}

// action does in the place of an action what it does with artifacts; the others are not for a machine that has all.
func (m *machine) action(name string, does *actionlint.ExecAction, dir string, done *past) {
	m.t.Helper()
	with := func(key string) string { return m.fill(does.Inputs[key].Value.Value, done.runID) }
	switch name {
	case "actions/checkout", "actions/setup-go", "actions/cache/restore", "actions/cache/save":
	case "actions/download-artifact":
		found, err := filepath.Glob(filepath.Join(m.artifacts, with("pattern")))
		if err != nil {
			m.t.Fatal(err)
		}
		for _, artifact := range found {
			m.copy(os.DirFS(artifact), filepath.Join(dir, with("path")))
		}
	case "actions/upload-artifact":
		if done.runID == "" {
			return // the step's condition
		}
		path := with("path")
		matches, err := filepath.Glob(filepath.Join(dir, path))
		if err != nil || len(matches) != 1 || !strings.HasSuffix(path, "*") {
			m.t.Fatalf("upload %s: %q, %v", path, matches, err)
		}
		done.uploaded = with("name")
		m.copy(os.DirFS(matches[0]), filepath.Join(m.artifacts, done.uploaded, filepath.Base(matches[0])))
	default:
		m.t.Fatalf("nothing is known of the action %s", name)
	}
}

func (m *machine) copy(from fs.FS, to string) {
	m.t.Helper()
	if err := os.CopyFS(to, from); err != nil {
		m.t.Fatal(err)
	}
}

const descriptor = `name: readings
path: data/readings.csv
schema:
  primaryKey: [meter]
  fields:
    - name: meter
      type: string
      constraints: {required: true}
    - name: units
      type: number
      constraints: {minimum: 0}
`

func small() map[string]string {
	return map[string]string{
		"pipeline.yaml": "version: 1\n", ".gitignore": "/.pipeline/\n/bin/\n", "data/schemas/readings.yaml": descriptor,
		"data/readings.csv": "meter,units\na,1\nb,-2\nc,3\nd,4\n",
	}
}

// commands are what GitHub's runner would obey.
func commands(log string) []string {
	var obeyed []string
	stop := ""
	for line := range strings.Lines(log) {
		line = strings.TrimSpace(line)
		word, stops := strings.CutPrefix(line, "::stop-commands::")
		switch {
		case stop != "" && line == "::"+stop+"::":
			stop = ""
		case stop != "":
		case stops:
			stop = word
		case strings.HasPrefix(line, "::") || strings.Contains(line, "##["):
			obeyed = append(obeyed, line)
		}
	}
	return obeyed
}

func TestJobsOnALocalRunner(t *testing.T) {
	binary := compile(t, stagetest.Repository(t))
	m := newMachine(t, binary, small())
	first := m.git("rev-parse", "HEAD")
	keys := t.TempDir()
	key, err := evidence.Generate(filepath.Join(keys, "key"), filepath.Join(keys, "pub"))
	if err != nil {
		t.Fatal(err)
	}
	private, err := os.ReadFile(filepath.Join(keys, "key"))
	if err != nil {
		t.Fatal(err)
	}

	t.Run("push: a failure, with annotations and a summary", func(t *testing.T) {
		m.t = t
		m.secrets["EVIDENCE_KEY"] = string(private)
		m.event("push", "refs/heads/main", "", map[string]any{"before": strings.Repeat("0", 40)})
		done := m.run("data")
		if done.code != 1 || done.uploaded != "run-data-1" || !strings.HasPrefix(done.summary, "## ❌ data failed") {
			t.Fatalf("exit code %d, uploaded %q, summary %.60q:\n%s", done.code, done.uploaded, done.summary, done.log)
		}
		var errs, masks, groups int
		for _, command := range commands(done.log) {
			errs += strings.Count(command, "::error file=data/readings.csv,line=3,")
			groups += strings.Count(command, "::group::data/contracts: passed")
			if strings.HasPrefix(command, "::add-mask::") {
				masks++
			}
		}
		if errs != 1 || masks == 0 {
			t.Errorf("%d errors on the line, %d masks, %d groups: %q", errs, masks, groups, commands(done.log))
		}
		if strings.Contains(strings.ReplaceAll(done.log, "::add-mask::", ""), "PRIVATE KEY") && !maskedOnly(done.log) {
			t.Error("the key is in the log, and not to be masked")
		}
		if bundle := filepath.Join(m.artifacts, done.uploaded, done.runID, "artifacts/evidence/data.sigstore.json"); !there(bundle) {
			t.Errorf("there is no %s: key %.19s", bundle, key.ID)
		}
	})

	t.Run("push that mends it", func(t *testing.T) {
		m.t = t
		m.commit(map[string]string{"data/readings.csv": "meter,units\na,1\nb,2\nc,3\nd,4\n"})
		m.event("push", "refs/heads/develop", "", map[string]any{"before": first})
		done := m.run("data")
		if done.code != 0 || !strings.HasPrefix(done.summary, "## ✅ data passed") {
			t.Errorf("exit code %d, summary %.60q:\n%s", done.code, done.summary, done.log)
		}
	})

	t.Run("what was handed on is what the next machine has", func(t *testing.T) {
		m.t = t
		done := m.run("release") // it has no image to build: an error, never a pass
		if done.code != 3 || !strings.Contains(done.log, "nothing was judged") {
			t.Errorf("exit code %d:\n%s", done.code, done.log)
		}
		show := exec.CommandContext(t.Context(), binary, "evidence:show", m.artifacts)
		show.Dir = m.origin
		show.Env = append(os.Environ(), "EVIDENCE_PUBLIC_KEY=file:"+filepath.Join(keys, "pub"))
		if out, err := show.CombinedOutput(); err != nil || !strings.Contains(string(out), "data PASSED") || !strings.Contains(string(out), "data FAILED") ||
			!strings.Contains(string(out), "GitHub's runner") {
			t.Errorf("%v:\n%s", err, out)
		}
	})

	stores := map[string]string{"pull request": t.TempDir(), "pull request of a fork": t.TempDir()}
	for name, ref := range map[string]string{"pull request": "refs/pull/7/merge", "pull request of a fork": "refs/pull/8/merge"} {
		t.Run(name, func(t *testing.T) {
			m.t, m.artifacts = t, stores[name] // of a run of its own
			m.secrets = map[string]string{}    // GitHub gives none: it has no environment
			var rows strings.Builder
			for i := range 40 {
				fmt.Fprintf(&rows, "z%d,-1\n", i)
			}
			m.commit(map[string]string{"data/old.csv": "meter,units\n" + rows.String(), "data/schemas/old.yaml": strings.ReplaceAll(descriptor, "readings", "old")})
			base := m.git("rev-parse", "HEAD")
			m.commit(map[string]string{"data/readings.csv": "meter,units\na,1\nb,2\nc,3\nd,-4\n"})
			m.event("pull_request", ref, "main", map[string]any{"pull_request": map[string]any{"base": map[string]any{"sha": base}}})
			m.env["GITHUB_HEAD_REF"] = `zzz";echo${IFS}"hello";#`
			done := m.run("data")
			obeyed := commands(done.log)
			at := slices.IndexFunc(obeyed, func(c string) bool { return strings.HasPrefix(c, "::error ") })
			if done.code != 1 || at < 0 || !strings.Contains(obeyed[at], "file=data/readings.csv,line=5,") {
				t.Errorf("exit code %d; the changed line is not first: %q\n%s", done.code, obeyed, done.log)
			}
			if !strings.Contains(strings.Join(obeyed, "\n"), "shown, those on changed lines first") {
				t.Errorf("it does not say how many are shown: %q", obeyed)
			}
			if there(filepath.Join(m.artifacts, done.uploaded, done.runID, "artifacts/evidence")) || strings.Contains(done.environment, "PRIVATE") {
				t.Error("a pull request has made evidence")
			}
			m.git("reset", "-q", "--hard", base)
			m.git("rm", "-q", "data/old.csv", "data/schemas/old.yaml")
			m.commit(nil)
		})
	}

	t.Run("the comment of a pull request", func(t *testing.T) {
		m.t, m.artifacts = t, stores["pull request"]
		s := forgetest.Start(t)
		m.event("pull_request", "refs/pull/7/merge", "main", map[string]any{})
		m.env["GITHUB_API_URL"] = s.URL
		s.Answer("GET /repos/{owner}/{repo}/actions/workflows/{workflow_id}/runs",
			"actions/workflows/pipeline.yml/runs?branch=main&event=push&per_page=1&status=success", http.StatusForbidden, []byte(`{"message": "no"}`))
		s.Answer("GET /repos/{owner}/{repo}/issues/{issue_number}/comments", "issues/7/comments?per_page=100&page=1", http.StatusOK, []any{})
		s.Answer("POST /repos/{owner}/{repo}/issues/{issue_number}/comments", "issues/7/comments", http.StatusCreated, []byte("{}"))
		done := m.run("comment")
		if done.code != 0 || len(s.Bodies()) != 1 || !strings.Contains(s.Bodies()[0], "1 of 5 jobs failed, 4 not judged") {
			t.Errorf("exit code %d, sent %q:\n%s", done.code, s.Bodies(), done.log)
		}
	})

	t.Run("a tag", func(t *testing.T) {
		m.t = t
		m.event("push", "refs/tags/v1.2.3", "", map[string]any{"before": strings.Repeat("0", 40)})
		if done := m.run("retag"); done.code != 2 || !strings.Contains(done.log, "evidence.policies.production") {
			t.Errorf("exit code %d:\n%s", done.code, done.log)
		}
	})

	t.Run("weekly: what can't be judged", func(t *testing.T) {
		m.t = t
		m.event("schedule", "refs/heads/main", "", map[string]any{"schedule": "0 2 * * 0"})
		done := m.run("quality") // there is no Python in this project
		if done.code != 3 || !strings.HasPrefix(done.summary, "## ⚠️ quality could not be judged") || done.uploaded != "run-quality-1" {
			t.Errorf("exit code %d, summary %.60q:\n%s", done.code, done.summary, done.log)
		}
	})
}

func there(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// maskedOnly reports whether a key is only in the lines that have it masked.
func maskedOnly(log string) bool {
	for line := range strings.Lines(log) {
		if strings.Contains(line, "PRIVATE KEY") && !strings.HasPrefix(line, "::add-mask::") {
			return false
		}
	}
	return true
}
