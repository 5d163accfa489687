// Package githubtest gives the fake of GitHub a memory: of what it was told of commits and releases. It is imported by
// tests only.
package githubtest

import (
	"maps"
	"net/http"
	"slices"
	"testing"
	"unicode/utf8"

	"github.com/meter-ml/meter-pipeline/internal/forge/forgetest"
)

// longestDescription is what GitHub's documentation allows; its description of the API does not say.
const longestDescription = 140

// An API is GitHub with a memory. Read it when nobody speaks to it any more.
type API struct {
	*forgetest.Server

	Statuses    map[string]map[string]any // by context: the last one
	Deployments []map[string]any
	States      map[string][]map[string]any // by deployment

	t       testing.TB
	commits []string
}

// Start serves until the test ends. It has statuses of these commits only; of all, if none is named.
func Start(t testing.TB, commits ...string) *API {
	t.Helper()
	a := &API{Server: forgetest.Start(t), t: t, commits: commits, Statuses: map[string]map[string]any{}, States: map[string][]map[string]any{}}
	a.Serve("POST /repos/{owner}/{repo}/statuses/{sha}", a.status)
	a.Serve("GET /repos/{owner}/{repo}/deployments", a.listed)
	a.Serve("POST /repos/{owner}/{repo}/deployments", a.deployment)
	a.Serve("POST /repos/{owner}/{repo}/deployments/{deployment_id}/statuses", a.state)
	return a
}

func (a *API) status(r forgetest.Request) (int, any) {
	if len(a.commits) > 0 && !slices.Contains(a.commits, r.Path["sha"]) {
		a.t.Errorf("a status of commit %s", r.Path["sha"])
	}
	a.Statuses[r.Body["context"].(string)] = r.Body
	return http.StatusCreated, a.kept(r.Body, map[string]any{"target_url": nil, "avatar_url": nil, "id": len(a.Statuses)})
}

func (a *API) listed(r forgetest.Request) (int, any) {
	found := []any{}
	for _, d := range slices.Backward(a.Deployments) {
		if d["ref"] == r.Query.Get("sha") && d["environment"] == r.Query.Get("environment") && d["task"] == r.Query.Get("task") {
			found = append(found, d)
		}
	}
	return http.StatusOK, found
}

func (a *API) deployment(r forgetest.Request) (int, any) {
	made := a.kept(r.Body, map[string]any{
		"id": len(a.Deployments) + 1, "sha": r.Body["ref"], "statuses_url": "https://example.org/x", "repository_url": "https://example.org/x",
	})
	a.Deployments = append(a.Deployments, made)
	return http.StatusCreated, made
}

func (a *API) state(r forgetest.Request) (int, any) {
	id := r.Path["deployment_id"]
	a.States[id] = append(a.States[id], r.Body)
	return http.StatusCreated, a.kept(r.Body, map[string]any{
		"id": 1, "target_url": "", "deployment_url": "https://example.org/x", "repository_url": "https://example.org/x",
	})
}

// kept is what GitHub answers: what it was told, and what it adds.
func (a *API) kept(told, adds map[string]any) map[string]any {
	if text, _ := told["description"].(string); utf8.RuneCountInString(text) > longestDescription {
		a.t.Errorf("a description of %d characters", utf8.RuneCountInString(text))
	}
	all := map[string]any{
		"node_id": "x", "url": "https://example.org/x", "creator": forgetest.Person("Bot"), "created_at": "2026-01-02T03:04:05Z", "updated_at": "2026-01-02T03:04:05Z",
	}
	maps.Copy(all, adds)
	maps.Copy(all, told)
	return all
}
