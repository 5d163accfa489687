package forge_test

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/meter-ml/meter-pipeline/internal/forge"
	"github.com/meter-ml/meter-pipeline/internal/forge/forgetest"
)

const (
	branchRules  = "GET /repos/{owner}/{repo}/rules/branches/{branch}"
	environment  = "GET /repos/{owner}/{repo}/environments/{environment_name}"
	listComments = "GET /repos/{owner}/{repo}/issues/{issue_number}/comments"
	newComment   = "POST /repos/{owner}/{repo}/issues/{issue_number}/comments"
	editComment  = "PATCH /repos/{owner}/{repo}/issues/comments/{comment_id}"
	archive      = "GET /repos/{owner}/{repo}/actions/artifacts/{artifact_id}/{archive_format}"
)

type object = map[string]any

func client(t *testing.T, s *forgetest.Server) *forge.Client {
	t.Helper()
	c, err := forge.FromVariables(s.Get)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestNew(t *testing.T) {
	for name, tt := range map[string]struct {
		api, repository, token string
		want                   string
	}{
		"all there":                   {"https://ghe.example.org/api/v3", "a/b", "x", ""},
		"github.com":                  {"", "a/b", "x", ""},
		"no token":                    {"", "a/b", "", "GITHUB_TOKEN is not set"},
		"no repository":               {"", "", "x", "owner/name"},
		"a repository that leads off": {"", "a/b/../c", "x", "owner/name"},
		"a token in the clear":        {"http://ghe.example.org", "a/b", "x", "no address"},
	} {
		_, err := forge.FromVariables(func(key string) string {
			return map[string]string{"GITHUB_API_URL": tt.api, "GITHUB_REPOSITORY": tt.repository, "GITHUB_TOKEN": tt.token}[key]
		})
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestOptions(t *testing.T) {
	for _, tt := range []struct{ repository, token string }{
		{"", "x"}, {"meter", "x"}, {"a/b/c", "x"}, {"a/..", "x"}, {"a/b?c", "x"}, {"a/b", "secret-word\nX-Other: y"},
	} {
		if _, err := forge.New(forge.Options{Repository: tt.repository, Token: tt.token}); err == nil || strings.Contains(err.Error(), "secret-word") {
			t.Errorf("%+v: %v", tt, err)
		}
	}
}

func TestRulesAndEnvironments(t *testing.T) {
	s := forgetest.Start(t)
	s.Answer(branchRules, "rules/branches/feature%2Fa?per_page=100", http.StatusOK, []object{{"type": "deletion"}})
	rules, err := client(t, s).Rules(t.Context(), "feature/a")
	if err != nil || len(rules) != 1 || rules[0].Type != "deletion" {
		t.Errorf("%+v, %v", rules, err)
	}
	s.Answer(environment, "environments/production", http.StatusNotFound, []byte(`{"message": "Not Found"}`))
	if _, err := client(t, s).Environment(t.Context(), "production"); !errors.Is(err, forge.ErrNotFound) {
		t.Errorf("an environment that is not there: %v", err)
	}
}

func said(body, kind string, id int) object {
	return object{
		"id": id, "node_id": "x", "url": "https://example.org/x", "html_url": "https://example.org/x", "issue_url": "https://example.org/x",
		"body": body, "user": forgetest.Person(kind), "created_at": "2026-01-02T03:04:05Z", "updated_at": "2026-01-02T03:04:05Z", "author_association": "NONE",
	}
}

func TestOneCommentInPlace(t *testing.T) {
	const mark, body = "<!-- mark -->", "<!-- mark -->\nnew"
	page := func(n string) string { return "issues/7/comments?per_page=100&page=" + n }
	for name, tt := range map[string]struct {
		there []object
		did   string
		sent  []string
	}{
		"none":                  {nil, "made", []string{`{"body":"\u003c!-- mark --\u003e\nnew"}`}},
		"an older one":          {[]object{said("hello", "User", 1), said(mark+"\nold", "Bot", 2)}, "updated", []string{`{"body":"\u003c!-- mark --\u003e\nnew"}`}},
		"the same":              {[]object{said(mark+"\r\nnew", "Bot", 2)}, "unchanged", nil},
		"a person who pretends": {[]object{said(mark+"\nold", "User", 3)}, "made", []string{`{"body":"\u003c!-- mark --\u003e\nnew"}`}},
	} {
		t.Run(name, func(t *testing.T) {
			s := forgetest.Start(t)
			if tt.there != nil {
				s.Answer(listComments, page("1"), http.StatusOK, tt.there)
			}
			switch tt.did {
			case "made":
				last := "1"
				if tt.there != nil {
					last = "2"
				}
				s.Answer(listComments, page(last), http.StatusOK, []object{})
				s.Answer(newComment, "issues/7/comments", http.StatusCreated, said(body, "Bot", 9))
			case "updated":
				s.Answer(editComment, "issues/comments/2", http.StatusOK, said(body, "Bot", 2))
			}
			did, err := client(t, s).Upsert(t.Context(), 7, mark, body)
			if err != nil || did != tt.did {
				t.Errorf("it was %s, %v", did, err)
			}
			if diff := cmp.Diff(tt.sent, s.Bodies()); diff != "" {
				t.Errorf("sent (-want +got):\n%s", diff)
			}
		})
	}
}

func zipped(t *testing.T, files map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for name, content := range files {
		f, err := w.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestReportsOfTheBase(t *testing.T) {
	s := forgetest.Start(t)
	artifact := func(id int, name string, expired bool) object {
		return object{
			"id": id, "node_id": "x", "name": name, "size_in_bytes": 1, "url": "x", "archive_download_url": "x", "expired": expired,
			"created_at": nil, "expires_at": nil, "updated_at": nil,
		}
	}
	s.Answer("GET /repos/{owner}/{repo}/actions/runs/{run_id}/artifacts", "actions/runs/5/artifacts?per_page=100", http.StatusOK,
		object{"total_count": 3, "artifacts": []object{artifact(1, "run-unit-1", false), artifact(2, "other", false), artifact(3, "run-data-1", true)}})
	// The one answer without a schema: an archive, to which GitHub redirects.
	s.Answer(archive, "actions/artifacts/1/zip", http.StatusOK, zipped(t, map[string]string{"a/report.json": "{}", "../../report.json": "[]", "a/other": "x"}))
	reports, err := client(t, s).Files(t.Context(), forge.Past{ID: 5}, "run-", "report.json")
	if err != nil || len(reports) != 2 {
		t.Errorf("%q, %v", reports, err)
	}
	s.Answer("GET /repos/{owner}/{repo}/actions/workflows/{workflow_id}/runs",
		"actions/workflows/pipeline.yml/runs?branch=main&event=push&per_page=1&status=success", http.StatusOK, object{"total_count": 0, "workflow_runs": []object{}})
	if _, err := client(t, s).Newest(t.Context(), "pipeline.yml", "main"); !errors.Is(err, forge.ErrNotFound) {
		t.Errorf("no run: %v", err)
	}
}

func TestSince(t *testing.T) {
	s := forgetest.Start(t)
	day := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	many := func(n int) []byte {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `{"id": %d},`, i+1)
		}
		return []byte(`{"total_count": 120, "workflow_runs": [` + strings.TrimSuffix(b.String(), ",") + `]}`)
	}
	for _, page := range []string{"1", "2"} {
		s.Answer("GET /repos/{owner}/{repo}/actions/workflows/{workflow_id}/runs",
			"actions/workflows/pipeline.yml/runs?created=%3E%3D2026-01-02&page="+page+"&per_page=100&status=completed", http.StatusOK, many(map[string]int{"1": 100, "2": 20}[page]))
	}
	if runs, more, err := client(t, s).Since(t.Context(), "pipeline.yml", day, 500); err != nil || len(runs) != 120 || more {
		t.Errorf("%d runs, more: %t, %v", len(runs), more, err)
	}
	s.Answer("GET /repos/{owner}/{repo}/actions/workflows/{workflow_id}/runs",
		"actions/workflows/pipeline.yml/runs?created=%3E%3D2026-01-02&page=1&per_page=100&status=completed", http.StatusOK, many(100))
	if runs, more, err := client(t, s).Since(t.Context(), "pipeline.yml", day, 50); err != nil || len(runs) != 50 || !more {
		t.Errorf("%d runs, more: %t, %v", len(runs), more, err)
	}
}

func TestTroubles(t *testing.T) {
	path := "rules/branches/main?per_page=100"
	t.Run("a passing one", func(t *testing.T) {
		s := forgetest.Start(t)
		s.Answer(branchRules, path, http.StatusBadGateway, []byte("<html>"))
		s.Answer(branchRules, path, http.StatusOK, []object{})
		if _, err := client(t, s).Rules(t.Context(), "main"); err != nil {
			t.Error(err)
		}
	})
	for name, tt := range map[string]struct {
		status int
		body   string
		want   string
	}{
		"no right":      {http.StatusForbidden, `{"message": "Resource not accessible by integration"}`, "not accessible"},
		"a hostile one": {http.StatusForbidden, `{"message": "\u001b]0;x\u0007::add-mask::y\n::z::"}`, `it answers 403 Forbidden: "::add-mask::y ::z::"`},
		"no JSON":       {http.StatusOK, "<html>", "it answers 200 with what is not its JSON"},
		"no reason":     {http.StatusForbidden, `{}`, "it gives no reason"},
	} {
		t.Run(name, func(t *testing.T) {
			s := forgetest.Start(t)
			s.Answer(branchRules, path, tt.status, []byte(tt.body))
			if _, err := client(t, s).Rules(t.Context(), "main"); err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), forgetest.Token) {
				t.Errorf("%v", err)
			}
		})
	}
}
