package github

import (
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/meter-ml/meter-pipeline/internal/forge/forgetest"
	"github.com/meter-ml/meter-pipeline/internal/notify"
	"github.com/meter-ml/meter-pipeline/internal/notify/notifytest"
)

func TestStatusesOfStages(t *testing.T) {
	a := newAPI(t)
	sent, err := a.channel(t, a.URL, nil).Send(t.Context(), notifytest.Messages()["failure"], t.Logf)
	if err != nil || sent != "3 commit statuses" {
		t.Fatalf("%q, %v", sent, err)
	}
	want := map[string]string{"pipeline/quality": "failure", "pipeline/security": "error", "pipeline/unit": "failure"}
	for name, state := range want {
		if a.Statuses[name]["state"] != state {
			t.Errorf("%s: %v", name, a.Statuses[name])
		}
	}
	if len(a.Statuses) != len(want) {
		t.Errorf("a skipped stage has a status: %v", a.Statuses)
	}
	if got := a.Statuses["pipeline/unit"]["target_url"]; got != "https://github.com/meter-ml/meter-pipeline/actions/runs/7/attempts/1" {
		t.Errorf("it leads to %v", got)
	}
}

func TestDeploymentGetsItsStates(t *testing.T) {
	a := newAPI(t)
	for _, name := range []string{"started", "failed", "rolled_back"} {
		// Each in a process of its own, which knows nothing of the others.
		if _, err := a.channel(t, a.URL, nil).Send(t.Context(), notifytest.Messages()[name], t.Logf); err != nil {
			t.Fatal(err)
		}
	}
	var states []string
	for _, s := range a.States["1"] {
		states = append(states, fmt.Sprint(s["state"], ": ", s["description"]))
	}
	want := "in_progress: release 20261123-1 is being deployed|failure: release 20261123-1 failed: green did not become ready|failure: rolled back to 20261122-4: errors rose to 3.1 %"
	if got := strings.Join(states, "|"); got != want || len(a.Deployments) != 1 {
		t.Errorf("%d deployments, %s", len(a.Deployments), got)
	}
	other := notifytest.Messages()["deployed"]
	other.Release.Name = "20261123-2"
	if _, err := a.channel(t, a.URL, nil).Send(t.Context(), other, t.Logf); err != nil {
		t.Fatal(err)
	}
	if len(a.Deployments) != 2 || a.States["2"][0]["state"] != "success" || a.States["2"][0]["environment_url"] != "https://meter.example.org" {
		t.Errorf("another release of the same commit: %v", a.States)
	}
	if d := a.Deployments[0]; d["auto_merge"] != false || len(d["required_contexts"].([]any)) != 0 || d["production_environment"] != true || d["ref"] != notifytest.Commit {
		t.Errorf("deployment %v", d)
	}
}

func TestWhatGitHubIsNotTold(t *testing.T) {
	a := newAPI(t)
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("it is asked") }))
	defer server.Close()
	dirty := notifytest.Messages()["failure"]
	dirty.Dirty = true
	for want, m := range map[string]notify.Message{
		"keeps no alerts": notifytest.Messages()["alert"], "not committed": dirty, "this is about none": {Event: notify.Success},
	} {
		if _, err := a.channel(t, server.URL, nil).Send(t.Context(), m, t.Logf); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

func TestFailuresOfTheServer(t *testing.T) {
	for name, message := range map[string]string{"statuses": "success", "deployments": "deployed"} {
		t.Run(name, func(t *testing.T) {
			a := newAPI(t)
			notifytest.EightWays(t, notifytest.Subject{
				Message: notifytest.Messages()[message], Answer: a, Secrets: []string{forgetest.Token}, Revoked: "the token may not write there",
				New: func(t *testing.T, address string, roots *x509.CertPool) notify.Channel {
					t.Helper()
					return a.channel(t, address, roots)
				},
			})
		})
	}
}

// A deployment whose answer was lost is there once, whether GitHub has made it or not.
func TestLostAnswer(t *testing.T) {
	for name, carriedOut := range map[string]bool{"it was made": true, "it was not": false} {
		t.Run(name, func(t *testing.T) {
			a := newAPI(t)
			lost := false
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if lost || r.Method != http.MethodPost {
					a.ServeHTTP(w, r)
					return
				}
				lost = true
				if carriedOut {
					a.ServeHTTP(httptest.NewRecorder(), r)
				}
				panic(http.ErrAbortHandler)
			}))
			defer server.Close()
			sent, err := a.channel(t, server.URL, nil).Send(t.Context(), notifytest.Messages()["deployed"], t.Logf)
			if err != nil || !lost || len(a.Deployments) != 1 || len(a.States["1"]) != 1 {
				t.Errorf("%q, %v: %d deployments, states %v", sent, err, len(a.Deployments), a.States)
			}
		})
	}
}

// GitHub's own limits come as 403, and say when they end.
func TestSecondaryLimit(t *testing.T) {
	a := newAPI(t)
	first := true
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if first {
			first = false
			w.Header().Set("X-RateLimit-Remaining", "0")
			w.Header().Set("X-RateLimit-Reset", fmt.Sprint(time.Now().Add(time.Second).Unix()))
			http.Error(w, `{"message": "You have exceeded a secondary rate limit"}`, http.StatusForbidden)
			return
		}
		a.ServeHTTP(w, r)
	}))
	defer server.Close()
	if _, err := a.channel(t, server.URL, nil).Send(t.Context(), notifytest.Messages()["success"], t.Logf); err != nil || first {
		t.Error(err)
	}
}

func TestAnswers(t *testing.T) {
	for _, tt := range []struct {
		status     int
		body, want string
	}{
		{201, `{"state":"success","context":"pipeline/other"}`, "another status"},
		{201, `{}`, "another status"},
		{401, `{"message":"Bad credentials"}`, "set GITHUB_TOKEN"},
		{403, `{"message":"Resource not accessible by integration"}`, "statuses: write"},
		{422, `{"message":"No commit found for SHA"}`, "was it pushed?"},
	} {
		t.Run(tt.body, func(t *testing.T) {
			a := newAPI(t)
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(tt.status)
				_, _ = io.WriteString(w, tt.body)
			}))
			defer server.Close()
			if _, err := a.channel(t, server.URL, nil).Send(t.Context(), notifytest.Messages()["success"], t.Logf); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

func TestHostileTextIsHarmless(t *testing.T) {
	a := newAPI(t)
	for _, attack := range notifytest.Attacks() {
		t.Run(attack.Name, func(t *testing.T) {
			clear(a.Statuses)
			for _, m := range notifytest.Attacked(attack.Text) {
				if m.Event == notify.Alert {
					continue
				}
				if _, err := a.channel(t, a.URL, nil).Send(t.Context(), m, t.Logf); err != nil {
					t.Error(err)
				}
				preview, err := a.channel(t, a.URL, nil).Preview(m)
				if err != nil || strings.Contains(preview, forgetest.Token) {
					t.Error("the preview shows the token", err)
				}
			}
			for _, content := range a.Statuses {
				for field, v := range content {
					if text, ok := v.(string); ok && strings.ContainsFunc(text, unicode.IsControl) {
						t.Errorf("%s %q steers who reads it", field, text)
					}
				}
				if url, ok := content["target_url"]; ok {
					t.Errorf("it leads to %v", url)
				}
			}
		})
	}
}
