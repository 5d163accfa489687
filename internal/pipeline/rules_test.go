package pipeline

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/forge/forgetest"
	"github.com/meter-ml/meter-pipeline/internal/history"
	"github.com/meter-ml/meter-pipeline/internal/workflow"
)

const (
	branchRules = "GET /repos/{owner}/{repo}/rules/branches/{branch}"
	rulesets    = "GET /repos/{owner}/{repo}/rulesets"
	oneRuleset  = "GET /repos/{owner}/{repo}/rulesets/{ruleset_id}"
	environment = "GET /repos/{owner}/{repo}/environments/{environment_name}"
	newRuleset  = "POST /repos/{owner}/{repo}/rulesets"
)

type object = map[string]any

// A talk is a session whose output can be read, on a machine that GitHub describes.
type talk struct {
	*Session
	t        *testing.T
	out, err *os.File
}

func newTalk(t *testing.T, env ...string) talk {
	t.Helper()
	dir := t.TempDir()
	file := func(name string) *os.File {
		f, err := os.Create(filepath.Join(t.TempDir(), name))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = f.Close() })
		return f
	}
	k := talk{t: t, out: file("out"), err: file("err")}
	k.Session = &Session{Host: Host{Dir: dir, Env: env, Out: k.out, Err: k.err}, Project: config.Default(dir), State: filepath.Join(dir, ".pipeline")}
	return k
}

func (k talk) said() string {
	k.t.Helper()
	var all string
	for _, f := range []*os.File{k.out, k.err} {
		content, err := os.ReadFile(f.Name())
		if err != nil {
			k.t.Fatal(err)
		}
		all += string(content)
	}
	return all
}

func githubEnv(s *forgetest.Server, more ...string) []string {
	env := slices.Clone(more)
	for _, name := range []string{"GITHUB_API_URL", "GITHUB_REPOSITORY", "GITHUB_TOKEN"} {
		env = append(env, name+"="+s.Get(name))
	}
	return env
}

// imported is what GitHub answers where a ruleset of ours was imported: it adds what is the default.
func imported(t *testing.T, rules workflow.Ruleset) []object {
	t.Helper()
	content, err := json.Marshal(rules.Rules)
	if err != nil {
		t.Fatal(err)
	}
	var all []object
	if err := json.Unmarshal(content, &all); err != nil {
		t.Fatal(err)
	}
	for _, rule := range all {
		rule["ruleset_id"], rule["ruleset_source"], rule["ruleset_source_type"] = 1, forgetest.Repository, "Repository"
		if p, ok := rule["parameters"].(object); ok && rule["type"] == "pull_request" {
			p["allowed_merge_methods"] = []string{"merge", "squash", "rebase"}
		}
	}
	return all
}

func answers(t *testing.T, s *forgetest.Server, spoil func(branch []object) []object, protected bool) {
	t.Helper()
	sets := workflow.Rulesets(workflow.Pipeline())
	for _, branch := range []string{"main", "develop"} {
		s.Answer(branchRules, "rules/branches/"+branch+"?per_page=100", http.StatusOK, spoil(imported(t, sets[0])))
	}
	tags := object{"id": 5, "name": "versions", "target": "tag", "source": forgetest.Repository, "enforcement": "active"}
	whole := object{"id": 5, "name": "versions", "target": "tag", "source": forgetest.Repository, "enforcement": "active", "conditions": sets[1].Conditions, "rules": sets[1].Rules}
	s.Answer(rulesets, "rulesets?per_page=100&targets=tag", http.StatusOK, []object{tags})
	s.Answer(oneRuleset, "rulesets/5", http.StatusOK, whole)
	for name, approved := range workflow.Environments(workflow.Pipeline()) {
		one := object{"id": 1, "node_id": "x", "name": name, "url": "x", "html_url": "x", "created_at": "2026-01-02T03:04:05Z", "updated_at": "2026-01-02T03:04:05Z"}
		one["deployment_branch_policy"] = nil
		if protected {
			one["deployment_branch_policy"] = object{"protected_branches": false, "custom_branch_policies": true}
		}
		if approved {
			one["protection_rules"] = []object{{"id": 1, "node_id": "x", "type": "required_reviewers", "reviewers": []object{{"type": "Team"}}}}
		}
		s.Answer(environment, "environments/"+name, http.StatusOK, one)
	}
}

// What is committed for import is what GitHub's API takes.
func TestRulesetsCanBeImported(t *testing.T) {
	s := forgetest.Start(t)
	for _, rules := range workflow.Rulesets(workflow.Pipeline()) {
		content, err := rules.JSON()
		if err != nil {
			t.Fatal(err)
		}
		s.Check(newRuleset, []byte(content))
	}
}

func TestRulesSaysWhatLacks(t *testing.T) {
	same := func(rules []object) []object { return rules }
	for name, tt := range map[string]struct {
		spoil     func([]object) []object
		protected bool
		want      []string
	}{
		"all there": {same, true, nil},
		"nothing protects the branches": {func([]object) []object { return []object{} }, true, []string{
			"main: there is no rule deletion", "develop: there is no rule pull_request", "main: there is no rule required_status_checks",
		}},
		"a job is not asked for": {func(rules []object) []object {
			p := rules[3]["parameters"].(object)
			p["required_status_checks"] = p["required_status_checks"].([]any)[1:]
			return rules
		}, true, []string{"main: job quality of GitHub Actions is not required"}},
		"another application may report it": {func(rules []object) []object {
			rules[3]["parameters"].(object)["required_status_checks"].([]any)[0].(object)["integration_id"] = 7
			return rules
		}, true, []string{"main: job quality of GitHub Actions is not required"}},
		"nobody approves": {func(rules []object) []object {
			p := rules[2]["parameters"].(object)
			p["required_approving_review_count"], p["require_code_owner_review"] = 0, false
			return rules
		}, true, []string{"main: 0 approvals are asked for, not 1", "develop: code owners are not asked"}},
		"stricter": {func(rules []object) []object {
			rules[2]["parameters"].(object)["required_approving_review_count"] = 2
			return rules
		}, true, nil},
		"any branch may use secrets": {same, false, []string{"environment evidence: any branch", "environment release: any branch"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := forgetest.Start(t)
			answers(t, s, tt.spoil, tt.protected)
			k := newTalk(t, githubEnv(s)...)
			err := CIRules(t.Context(), k.Session)
			if want := map[bool]int{true: engine.ExitPassed, false: engine.ExitFailed}[tt.want == nil]; ExitCode(err) != want {
				t.Errorf("exit code %d: %v", ExitCode(err), err)
			}
			for _, want := range tt.want {
				if !strings.Contains(k.said(), "- "+want) {
					t.Errorf("it does not say %q:\n%s", want, k.said())
				}
			}
		})
	}
	if err := CIRules(t.Context(), newTalk(t, "GITHUB_REPOSITORY=a/b").Session); ExitCode(err) != engine.ExitUsage || !strings.Contains(err.Error(), "GITHUB_TOKEN") {
		t.Errorf("without a token: %v", err)
	}
}

func TestHistoryOfCI(t *testing.T) {
	s := forgetest.Start(t)
	k := newTalk(t, githubEnv(s)...)
	k.Host.Now = func() time.Time { return time.Date(2026, 2, 2, 3, 4, 5, 0, time.UTC) }
	s.Answer("GET /repos/{owner}/{repo}/actions/workflows/{workflow_id}/runs",
		"actions/workflows/pipeline.yml/runs?created=%3E%3D2026-01-02&page=1&per_page=100&status=completed", http.StatusOK, []byte(`{"workflow_runs": [{"id": 6, "event": "pull_request"}, {"id": 5, "event": "push"}]}`))
	s.Answer("GET /repos/{owner}/{repo}/actions/runs/{run_id}/artifacts", "actions/runs/6/artifacts?per_page=100", http.StatusOK,
		[]byte(`{"artifacts": [{"id": 3, "name": "run-unit-1"}]}`))
	s.Answer("GET /repos/{owner}/{repo}/actions/runs/{run_id}/artifacts", "actions/runs/5/artifacts?per_page=100", http.StatusOK,
		[]byte(`{"artifacts": [{"id": 1, "name": "run-unit-1"}, {"id": 2, "name": "run-data-1", "expired": true}]}`))
	report := `{"schema_version": 1, "id": "20260101-000000-aaaaaaaa", "target": "unit", "status": "failed", "exit_code": 1, "branch": "main",
		"started": "2026-01-01T00:00:00Z", "seconds": 5, "stages": []}`
	deploys := `{"schema": 1, "deploys": [{"environment": "staging", "release": "r%s", "status": "done", "started": "2026-01-01T00:00:00Z", "finished": "2026-01-01T00:01:00Z"}]}`
	s.Answer("GET /repos/{owner}/{repo}/actions/artifacts/{artifact_id}/{archive_format}", "actions/artifacts/1/zip", http.StatusOK, archived(t, map[string]string{
		"report.json": report, history.DeploysName: fmt.Sprintf(deploys, "1"),
		"artifacts/coverage.json": `{"files": {"src/a.py": {"summary": {"percent_covered": 50, "num_statements": 4, "missing_lines": 2}}}}`,
	}))
	// The author of a pull request makes up a deploy.
	s.Answer("GET /repos/{owner}/{repo}/actions/artifacts/{artifact_id}/{archive_format}", "actions/artifacts/3/zip", http.StatusOK,
		archived(t, map[string]string{history.DeploysName: fmt.Sprintf(deploys, "2")}))
	if err := CIHistory(t.Context(), k.Session); err != nil {
		t.Fatal(err)
	}
	past, err := history.Recent(k.historyPath(), lookBack)
	if err != nil || len(past.Runs) != 1 || past.Runs[0].Target != "unit" || past.Runs[0].Exit != engine.ExitFailed {
		t.Errorf("%+v, %v: %s", past.Runs, err, k.said())
	}
	if all, err := history.Read(k.historyPath()); err != nil || len(all.Deploys) != 1 || all.Deploys[0].Release != "r1" {
		t.Errorf("%+v, %v", all.Deploys, err)
	}
	if c := k.leastCovered(); c.Unknown != "" || c.Run != "5 of CI" || len(c.Files) != 1 || c.Files[0].Missing != 2 {
		t.Errorf("%+v", c)
	}
	if !strings.Contains(k.said(), "1 reports of 2 runs since 2026-01-02") {
		t.Errorf("it says %q", k.said())
	}
}

// archived are files as an artifact has them.
func archived(t *testing.T, files map[string]string) []byte {
	t.Helper()
	var archive bytes.Buffer
	w := zip.NewWriter(&archive)
	for name, content := range files {
		f, err := w.Create("20260101-000000-aaaaaaaa/" + name)
		if err == nil {
			_, err = f.Write([]byte(content))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return archive.Bytes()
}

func TestComment(t *testing.T) {
	s := forgetest.Start(t)
	k := newTalk(t, githubEnv(s, "GITHUB_EVENT_NAME=pull_request", "GITHUB_REF=refs/pull/7/merge", "GITHUB_BASE_REF=main",
		"GITHUB_SERVER_URL=https://github.com", "GITHUB_RUN_ID=3")...)
	run := filepath.Join(k.State, "runs", "20260102-030405-aaaa")
	if err := os.MkdirAll(run, 0o755); err != nil {
		t.Fatal(err)
	}
	report := `{"schema_version": 1, "id": "20260102-030405-aaaa", "target": "quality", "status": "passed", "stages": []}`
	if err := os.WriteFile(filepath.Join(run, "report.json"), []byte(report), 0o600); err != nil {
		t.Fatal(err)
	}
	s.Answer("GET /repos/{owner}/{repo}/actions/workflows/{workflow_id}/runs",
		"actions/workflows/pipeline.yml/runs?branch=main&event=push&per_page=1&status=success", http.StatusOK, object{"total_count": 0, "workflow_runs": []object{}})
	s.Answer("GET /repos/{owner}/{repo}/issues/{issue_number}/comments", "issues/7/comments?per_page=100&page=1", http.StatusOK, []object{})
	s.Answer("POST /repos/{owner}/{repo}/issues/{issue_number}/comments", "issues/7/comments", http.StatusCreated, []byte("{}"))
	if err := CIComment(t.Context(), k.Session); err != nil {
		t.Fatal(err)
	}
	var sent struct{ Body string }
	if len(s.Bodies()) != 1 || json.Unmarshal([]byte(s.Bodies()[0]), &sent) != nil {
		t.Fatalf("sent: %q", s.Bodies())
	}
	for _, want := range []string{"4 of 5 jobs were not judged", "image:candidate | | ⚠️ not judged", "https://github.com/octo/demo/actions/runs/3"} {
		if !strings.Contains(sent.Body, want) {
			t.Errorf("the comment does not say %q:\n%s", want, sent.Body)
		}
	}
	if !strings.Contains(k.said(), "no push of main has passed yet") || !strings.Contains(k.said(), "was made") {
		t.Errorf("it says %q", k.said())
	}
	for _, env := range [][]string{{"GITHUB_EVENT_NAME=push", "GITHUB_REF=refs/heads/main"}, {"GITHUB_EVENT_NAME=pull_request", "GITHUB_REF=refs/pull/x/merge"}} {
		if err := CIComment(context.Background(), newTalk(t, githubEnv(s, env...)...).Session); ExitCode(err) != engine.ExitUsage {
			t.Errorf("%v: %v", env, err)
		}
	}
}
