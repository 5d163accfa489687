package pipeline_test

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/meter-ml/meter-pipeline/internal/evidence"
	"github.com/meter-ml/meter-pipeline/internal/forge/forgetest"
	"github.com/meter-ml/meter-pipeline/internal/stage/stagetest"
	"github.com/meter-ml/meter-pipeline/internal/workflow/workflowtest"
)

// newMachine is a runner of the committed workflow's jobs, and a repository of some files. Which jobs an event starts is
// tested in package workflow.
func newMachine(t *testing.T, binary string, files map[string]string) *workflowtest.Runner {
	t.Helper()
	m := &workflowtest.Runner{
		T: t, Binary: binary, Origin: t.TempDir(), Artifacts: t.TempDir(), Repository: forgetest.Repository, Token: forgetest.Token,
		Jobs:    workflowtest.Read(t, filepath.Join(stagetest.Repository(t), ".github/workflows/pipeline.yml")),
		Secrets: map[string]map[string]string{}, Machine: map[string]string{},
	}
	m.Git("init", "-q", "-b", "main")
	m.Commit("first", files)
	return m
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
	binary := workflowtest.Compile(t, stagetest.Repository(t))
	m := newMachine(t, binary, small())
	first := m.Git("rev-parse", "HEAD")
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
		m.T = t
		m.Secrets["evidence"] = map[string]string{"EVIDENCE_KEY": string(private)}
		m.Begin(workflowtest.Event{Name: "push", Ref: "refs/heads/main", Payload: map[string]any{"before": strings.Repeat("0", 40)}})
		done := m.Run("data", nil)
		if done.Code != 1 || done.Uploaded != "run-data-1" || !strings.HasPrefix(done.Summary, "## ❌ data failed") {
			t.Fatalf("exit code %d, uploaded %q, summary %.60q:\n%s", done.Code, done.Uploaded, done.Summary, done.Log)
		}
		var errs, masks, groups int
		for _, command := range commands(done.Log) {
			errs += strings.Count(command, "::error file=data/readings.csv,line=3,")
			groups += strings.Count(command, "::group::data/contracts: passed")
			if strings.HasPrefix(command, "::add-mask::") {
				masks++
			}
		}
		if errs != 1 || masks == 0 {
			t.Errorf("%d errors on the line, %d masks, %d groups: %q", errs, masks, groups, commands(done.Log))
		}
		if strings.Contains(strings.ReplaceAll(done.Log, "::add-mask::", ""), "PRIVATE KEY") && !maskedOnly(done.Log) {
			t.Error("the key is in the log, and not to be masked")
		}
		if bundle := filepath.Join(m.Artifacts, done.Uploaded, done.RunID, "artifacts/evidence/data.sigstore.json"); !there(bundle) {
			t.Errorf("there is no %s: key %.19s", bundle, key.ID)
		}
	})

	t.Run("push that mends it", func(t *testing.T) {
		m.T = t
		m.Commit("change", map[string]string{"data/readings.csv": "meter,units\na,1\nb,2\nc,3\nd,4\n"})
		m.Begin(workflowtest.Event{Name: "push", Ref: "refs/heads/develop", Payload: map[string]any{"before": first}})
		done := m.Run("data", nil)
		if done.Code != 0 || !strings.HasPrefix(done.Summary, "## ✅ data passed") {
			t.Errorf("exit code %d, summary %.60q:\n%s", done.Code, done.Summary, done.Log)
		}
	})

	t.Run("what was handed on is what the next machine has", func(t *testing.T) {
		m.T = t
		done := m.Run("release", nil) // it has no image to build: an error, never a pass
		if done.Code != 3 || !strings.Contains(done.Log, "nothing was judged") {
			t.Errorf("exit code %d:\n%s", done.Code, done.Log)
		}
		show := exec.CommandContext(t.Context(), binary, "evidence:show", m.Artifacts)
		show.Dir = m.Origin
		show.Env = append(os.Environ(), "EVIDENCE_PUBLIC_KEY=file:"+filepath.Join(keys, "pub"))
		if out, err := show.CombinedOutput(); err != nil || !strings.Contains(string(out), "data PASSED") || !strings.Contains(string(out), "data FAILED") ||
			!strings.Contains(string(out), "GitHub's runner") {
			t.Errorf("%v:\n%s", err, out)
		}
	})

	stores := map[string]string{"pull request": t.TempDir(), "pull request of a fork": t.TempDir()}
	for name, ref := range map[string]string{"pull request": "refs/pull/7/merge", "pull request of a fork": "refs/pull/8/merge"} {
		t.Run(name, func(t *testing.T) {
			m.T, m.Artifacts = t, stores[name] // of a run of its own
			var rows strings.Builder
			for i := range 40 {
				fmt.Fprintf(&rows, "z%d,-1\n", i)
			}
			m.Commit("change", map[string]string{"data/old.csv": "meter,units\n" + rows.String(), "data/schemas/old.yaml": strings.ReplaceAll(descriptor, "readings", "old")})
			base := m.Git("rev-parse", "HEAD")
			m.Commit("change", map[string]string{"data/readings.csv": "meter,units\na,1\nb,2\nc,3\nd,-4\n"})
			m.Begin(workflowtest.Event{
				Name: "pull_request", Ref: ref, Base: "main", Head: `zzz";echo${IFS}"hello";#`,
				Payload: map[string]any{"pull_request": map[string]any{"base": map[string]any{"sha": base}}},
			})
			done := m.Run("data", nil)
			obeyed := commands(done.Log)
			at := slices.IndexFunc(obeyed, func(c string) bool { return strings.HasPrefix(c, "::error ") })
			if done.Code != 1 || at < 0 || !strings.Contains(obeyed[at], "file=data/readings.csv,line=5,") {
				t.Errorf("exit code %d; the changed line is not first: %q\n%s", done.Code, obeyed, done.Log)
			}
			if !strings.Contains(strings.Join(obeyed, "\n"), "shown, those on changed lines first") {
				t.Errorf("it does not say how many are shown: %q", obeyed)
			}
			if there(filepath.Join(m.Artifacts, done.Uploaded, done.RunID, "artifacts/evidence")) || strings.Contains(done.Environment, "PRIVATE") {
				t.Error("a pull request has made evidence")
			}
			m.Git("reset", "-q", "--hard", base)
			m.Git("rm", "-q", "data/old.csv", "data/schemas/old.yaml")
			m.Commit("change", nil)
		})
	}

	t.Run("the comment of a pull request", func(t *testing.T) {
		m.T, m.Artifacts = t, stores["pull request"]
		s := forgetest.Start(t)
		m.Begin(workflowtest.Event{Name: "pull_request", Ref: "refs/pull/7/merge", Base: "main", Payload: map[string]any{}})
		m.Machine["GITHUB_API_URL"] = s.URL
		s.Answer("GET /repos/{owner}/{repo}/actions/workflows/{workflow_id}/runs",
			"actions/workflows/pipeline.yml/runs?branch=main&event=push&per_page=1&status=success", http.StatusForbidden, []byte(`{"message": "no"}`))
		s.Answer("GET /repos/{owner}/{repo}/issues/{issue_number}/comments", "issues/7/comments?per_page=100&page=1", http.StatusOK, []any{})
		s.Answer("POST /repos/{owner}/{repo}/issues/{issue_number}/comments", "issues/7/comments", http.StatusCreated, []byte("{}"))
		done := m.Run("comment", nil)
		if done.Code != 0 || len(s.Bodies()) != 1 || !strings.Contains(s.Bodies()[0], "1 of 5 jobs failed, 4 not judged") {
			t.Errorf("exit code %d, sent %q:\n%s", done.Code, s.Bodies(), done.Log)
		}
	})

	t.Run("a tag", func(t *testing.T) {
		m.T = t
		m.Begin(workflowtest.Event{Name: "push", Ref: "refs/tags/v1.2.3", Payload: map[string]any{"before": strings.Repeat("0", 40)}})
		if done := m.Run("retag", nil); done.Code != 2 || !strings.Contains(done.Log, "evidence.policies.production") {
			t.Errorf("exit code %d:\n%s", done.Code, done.Log)
		}
	})

	t.Run("the weekly report becomes an issue", func(t *testing.T) {
		m := newMachine(t, binary, small())
		m.Jobs = workflowtest.Read(t, filepath.Join(stagetest.Repository(t), ".github/workflows/maintenance.yml"))
		s := forgetest.Start(t)
		m.Begin(workflowtest.Event{Name: "schedule", Ref: "refs/heads/main", Payload: map[string]any{"schedule": "0 5 * * 1"}})
		s.Serve("GET /repos/{owner}/{repo}/actions/workflows/{workflow_id}/runs", func(forgetest.Request) (int, any) {
			return http.StatusOK, map[string]any{"total_count": 0, "workflow_runs": []any{}}
		})
		m.Machine["GITHUB_API_URL"] = s.URL
		// GitHub's own program takes what the step gives it, and refuses anything else.
		bin, issue := t.TempDir(), filepath.Join(t.TempDir(), "issue")
		gh := `#!/bin/sh
set -eu
[ "$#" = 6 ] && [ "$1 $2 $3 $5" = "issue create --title --body-file" ] && [ "$GH_TOKEN" = "` + forgetest.Token + `" ]
{ printf '%s\n' "$4"; cat "$6"; } > "` + issue + `"
`
		if err := os.WriteFile(filepath.Join(bin, "gh"), []byte(gh), 0o755); err != nil {
			t.Fatal(err)
		}
		m.Machine["PATH"] = bin + string(filepath.ListSeparator) + os.Getenv("PATH")
		started := workflowtest.Walk(t, m.Jobs, m.Contexts(), func(id string, needs map[string]any) string {
			if id != "rules" { // its questions are tested with ci:rules
				if done := m.Run(id, needs); done.Code != 0 {
					t.Errorf("%s: exit code %d:\n%s", id, done.Code, done.Log)
				}
			}
			return "success"
		})
		if started["rules"] != "success" || started["weekly"] != "success" || started["monthly"] != "skipped" || started["quarterly"] != "skipped" {
			t.Errorf("jobs: %v", started)
		}
		told, err := os.ReadFile(issue)
		if err != nil || !strings.Contains(strings.SplitN(string(told), "\n", 2)[0], "Weekly") || !strings.Contains(string(told), "What this rests on") {
			t.Errorf("the issue is %q, %v", told, err)
		}
	})

	t.Run("weekly: what can't be judged", func(t *testing.T) {
		m.T = t
		m.Begin(workflowtest.Event{Name: "schedule", Ref: "refs/heads/main", Payload: map[string]any{"schedule": "0 2 * * 0"}})
		done := m.Run("quality", nil) // there is no Python in this project
		if done.Code != 3 || !strings.HasPrefix(done.Summary, "## ⚠️ quality could not be judged") || done.Uploaded != "run-quality-1" {
			t.Errorf("exit code %d, summary %.60q:\n%s", done.Code, done.Summary, done.Log)
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
