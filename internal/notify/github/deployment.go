package github

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/courier"
	"github.com/meter-ml/meter-pipeline/internal/forge"
	"github.com/meter-ml/meter-pipeline/internal/notify"
	"github.com/meter-ml/meter-pipeline/internal/retry"
)

const (
	task        = "deploy"
	creations   = 3                      // as often a deployment is made whose answer was lost
	untilListed = 500 * time.Millisecond // before one is looked for that may have been made just now
)

// deployment is the body of https://docs.github.com/rest/deployments/deployments#create-a-deployment
type deployment struct {
	Ref         string `json:"ref"`
	Task        string `json:"task"`
	AutoMerge   bool   `json:"auto_merge"`
	Contexts    []any  `json:"required_contexts"` // empty: the gates of the pipeline have judged already
	Payload     origin `json:"payload"`
	Environment string `json:"environment"`
	Description string `json:"description"`
	Production  bool   `json:"production_environment"`
}

// origin tells one deployment of a commit from another one of the same.
type origin struct {
	Release string `json:"release"`
}

// progressed is the body of https://docs.github.com/rest/deployments/statuses#create-a-deployment-status
type progressed struct {
	State       string `json:"state"`
	LogURL      string `json:"log_url,omitempty"`
	Description string `json:"description"`
	Environment string `json:"environment"`
	Address     string `json:"environment_url,omitempty"`
}

// known is what is read of a deployment.
type known struct {
	ID          int64  `json:"id"`
	Environment string `json:"environment"`
	Payload     any    `json:"payload"`
}

func (k known) release() string {
	payload, _ := k.Payload.(map[string]any)
	release, _ := payload["release"].(string)
	return release
}

// deploy gives the release's deployment its state, and makes the deployment before that if there is none.
func (c *Channel) deploy(ctx context.Context, m notify.Message, say func(string, ...any)) (string, error) {
	id, err := c.find(ctx, m, say)
	if err != nil {
		return "", fmt.Errorf("look for the deployment on GitHub: %w", err)
	}
	made := 0
	if id == 0 {
		if id, err = c.create(ctx, m, say); err != nil {
			return "", fmt.Errorf("make a deployment on GitHub: %w", err)
		}
		made = 1
	}
	step := progress(m, strconv.FormatInt(id, 10))
	var answer struct {
		State string `json:"state"`
	}
	if err := c.do(ctx, step, &answer, say); err != nil {
		return "", fmt.Errorf("set the state of deployment %d on GitHub: %w", id, err)
	}
	if want := step.Body.(progressed).State; answer.State != want {
		return "", fmt.Errorf("set the state of deployment %d on GitHub: it says %q instead of %q", id, answer.State, want)
	}
	return fmt.Sprintf("%d new deployments, 1 state", made), nil
}

// create makes the release's deployment. Sent twice, it would be there twice: after a lost answer it is looked for first.
func (c *Channel) create(ctx context.Context, m notify.Message, say func(string, ...any)) (id int64, err error) {
	for range creations {
		var created known
		err = c.do(ctx, creation(m), &created, say)
		if err == nil && (created.ID == 0 || created.Environment != m.Release.Environment) {
			err = errors.New("it answers with another one than was asked for")
		}
		if !errors.Is(err, courier.ErrLost) {
			return created.ID, err
		}
		say("%v; it is looked for", err)
		if retry.Sleep(ctx, untilListed) != nil {
			break
		}
		if id, missing := c.find(ctx, m, say); missing != nil || id != 0 {
			return id, missing
		}
	}
	return 0, err
}

// find looks for the deployment that an earlier message of the same release made, also in another process.
func (c *Channel) find(ctx context.Context, m notify.Message, say func(string, ...any)) (int64, error) {
	query := url.Values{"sha": {m.Change.Commit}, "task": {task}, "environment": {m.Release.Environment}, "per_page": {"30"}}
	var all []known
	if err := c.do(ctx, forge.Call{Method: http.MethodGet, Path: []string{"deployments"}, Query: query.Encode()}, &all, say); err != nil {
		return 0, err
	}
	for _, one := range all { // the newest first
		if one.release() == m.Release.Name && one.Environment == m.Release.Environment {
			return one.ID, nil
		}
	}
	return 0, nil
}

func creation(m notify.Message) forge.Call {
	r := m.Release
	return forge.Call{Method: http.MethodPost, Path: []string{"deployments"}, Once: true, Body: deployment{
		Ref: m.Change.Commit, Task: task, Contexts: []any{}, Payload: origin{r.Name}, Environment: r.Environment,
		Description: notify.Cut("release "+r.Name, longestDescription), Production: r.Environment == "production",
	}}
}

func progress(m notify.Message, id string) forge.Call {
	r := m.Release
	state, description := "in_progress", "release "+r.Name+" is being deployed"
	switch r.State {
	case notify.Deployed:
		state, description = "success", "release "+r.Name+" serves"
	case notify.Failed:
		state, description = "failure", "release "+r.Name+" failed: "+r.Reason
	case notify.RolledBack:
		state, description = "failure", "rolled back to "+r.Previous+": "+r.Reason
	case notify.Started:
	}
	return forge.Call{Method: http.MethodPost, Path: []string{"deployments", id, "statuses"}, Body: progressed{
		State: state, LogURL: m.RunURL, Description: notify.Cut(description, longestDescription), Environment: r.Environment, Address: r.URL,
	}}
}
