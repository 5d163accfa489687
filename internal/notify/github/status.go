package github

import (
	"net/http"
	"strings"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/forge"
	"github.com/meter-ml/meter-pipeline/internal/notify"
)

// GitHub's limits, in characters.
const (
	longestDescription = 140
	longestContext     = 100
)

// prefix stands before each context, which rules for the protection of branches name.
const prefix = "pipeline/"

// status is the body of https://docs.github.com/rest/commits/statuses#create-a-commit-status
type status struct {
	State       string `json:"state"`
	TargetURL   string `json:"target_url,omitempty"`
	Description string `json:"description"`
	Context     string `json:"context"`
}

// statuses are the calls for the stages that were judged. A stage that was skipped gets none, since GitHub has no word
// for it, and "success" would not be true; a protected branch then waits for it, as it should.
func statuses(m notify.Message) []forge.Call {
	var calls []forge.Call
	for _, stage := range m.Stages {
		state := state(stage.Status)
		if state == "" {
			continue
		}
		calls = append(calls, forge.Call{Method: http.MethodPost, Path: []string{"statuses", m.Change.Commit}, Body: status{
			State: state, TargetURL: m.RunURL,
			Description: notify.Cut(strings.ReplaceAll(stage.Description, "\n", " "), longestDescription),
			Context:     notify.Cut(prefix+stage.Stage, longestContext),
		}})
	}
	return calls
}

// state is GitHub's word for a status.
func state(s engine.Status) string {
	switch s {
	case engine.StatusPassed:
		return "success"
	case engine.StatusFailed:
		return "failure"
	case engine.StatusSkipped:
		return ""
	default: // what is of no known status was not judged
		return "error"
	}
}
