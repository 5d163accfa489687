package github

import (
	"crypto/x509"
	"net/http"
	"slices"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/meter-ml/meter-pipeline/internal/courier"
	"github.com/meter-ml/meter-pipeline/internal/forge"
	"github.com/meter-ml/meter-pipeline/internal/forge/forgetest"
	"github.com/meter-ml/meter-pipeline/internal/notify/notifytest"
)

// An api is GitHub with a memory: what it was told of commits and releases.
type api struct {
	*forgetest.Server
	t           *testing.T
	statuses    map[string]map[string]any // by context
	deployments []map[string]any
	states      map[string][]map[string]any // by deployment
}

const (
	setStatus   = "POST /repos/{owner}/{repo}/statuses/{sha}"
	list        = "GET /repos/{owner}/{repo}/deployments"
	deployOne   = "POST /repos/{owner}/{repo}/deployments"
	setProgress = "POST /repos/{owner}/{repo}/deployments/{deployment_id}/statuses"
)

func newAPI(t *testing.T) *api {
	t.Helper()
	a := &api{Server: forgetest.Start(t), t: t, statuses: map[string]map[string]any{}, states: map[string][]map[string]any{}}
	a.Serve(setStatus, a.status)
	a.Serve(list, a.listed)
	a.Serve(deployOne, a.deployment)
	a.Serve(setProgress, a.state)
	return a
}

func (a *api) status(r forgetest.Request) (int, any) {
	if r.Path["sha"] != notifytest.Commit {
		a.t.Errorf("a status of commit %s", r.Path["sha"])
	}
	a.statuses[r.Body["context"].(string)] = r.Body
	return http.StatusCreated, a.kept(r.Body, map[string]any{"target_url": nil, "avatar_url": nil, "id": len(a.statuses)})
}

func (a *api) listed(r forgetest.Request) (int, any) {
	found := []any{}
	for _, d := range slices.Backward(a.deployments) {
		if d["ref"] == r.Query.Get("sha") && d["environment"] == r.Query.Get("environment") && d["task"] == r.Query.Get("task") {
			found = append(found, d)
		}
	}
	return http.StatusOK, found
}

func (a *api) deployment(r forgetest.Request) (int, any) {
	made := a.kept(r.Body, map[string]any{
		"id": len(a.deployments) + 1, "sha": r.Body["ref"], "statuses_url": "https://example.org/x", "repository_url": "https://example.org/x",
	})
	a.deployments = append(a.deployments, made)
	return http.StatusCreated, made
}

func (a *api) state(r forgetest.Request) (int, any) {
	id := r.Path["deployment_id"]
	a.states[id] = append(a.states[id], r.Body)
	return http.StatusCreated, a.kept(r.Body, map[string]any{
		"id": 1, "target_url": "", "deployment_url": "https://example.org/x", "repository_url": "https://example.org/x",
	})
}

// kept is what GitHub answers: what it was told, and what it adds. GitHub's description does not say how long a text may
// be; its documentation does.
func (a *api) kept(told, adds map[string]any) map[string]any {
	if text, _ := told["description"].(string); utf8.RuneCountInString(text) > longestDescription {
		a.t.Errorf("a description of %d characters", utf8.RuneCountInString(text))
	}
	all := map[string]any{
		"node_id": "x", "url": "https://example.org/x", "creator": forgetest.Person("Bot"), "created_at": "2026-01-02T03:04:05Z", "updated_at": "2026-01-02T03:04:05Z",
	}
	for _, some := range []map[string]any{adds, told} {
		for key, value := range some {
			all[key] = value
		}
	}
	return all
}

// channel leads to any address: a server may stand before the fake.
func (*api) channel(t *testing.T, address string, roots *x509.CertPool) *Channel {
	t.Helper()
	client, err := forge.New(forge.Options{
		API: address, Repository: forgetest.Repository, Token: forgetest.Token,
		Sending: courier.Options{Roots: roots, Pause: 50 * time.Millisecond, Try: time.Second},
	})
	if err != nil {
		t.Fatal(err)
	}
	return New(client)
}
