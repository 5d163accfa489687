package pipeline

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/report/github"
	"github.com/meter-ml/meter-pipeline/internal/workflow"
	"github.com/meter-ml/meter-pipeline/internal/worktree"
)

// onGitHub adds what only a job of Actions has, and says which secrets it lacks.
func (s *Session) onGitHub(ctx context.Context, o *github.Options) {
	o.Output, o.Masks = s.Host.Get("GITHUB_OUTPUT"), s.masks()
	changes, why := s.changes(ctx)
	if o.Why = why; why == "" {
		o.Changed = changes.Has
	}
	if s.Host.Get("GITHUB_EVENT_NAME") != "push" {
		return // a pull request has none, and needs none
	}
	for _, line := range workflow.Missing(s.Host.Env) {
		s.say("%s", line)
	}
}

// diffTime bounds the question what was changed, which only decides what is shown first.
const diffTime = 20 * time.Second

// changes are the lines that the pull request or the push has touched, or why that is not known.
func (s *Session) changes(ctx context.Context) (worktree.Changes, string) {
	ctx, cancel := context.WithTimeout(ctx, diffTime)
	defer cancel()
	base, err := before(s.Host.Get("GITHUB_EVENT_PATH"))
	if err != nil {
		return nil, err.Error()
	}
	changes, err := worktree.Changed(ctx, s.Runner, s.Host.Dir, unsigning(s.Host.Env), base)
	if err != nil {
		return nil, err.Error()
	}
	return changes, ""
}

// before is the commit that GitHub says was there before: of a pull request its base, of a push what the branch was.
func before(path string) (string, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("read GITHUB_EVENT_PATH: %w", err)
	}
	var event struct {
		Before string `json:"before"`
		Pull   struct {
			Base struct {
				SHA string `json:"sha"`
			} `json:"base"`
		} `json:"pull_request"`
	}
	if err := json.Unmarshal(content, &event); err != nil {
		return "", fmt.Errorf("read GITHUB_EVENT_PATH: %w", err)
	}
	if event.Pull.Base.SHA != "" {
		return event.Pull.Base.SHA, nil
	}
	return event.Before, nil
}

// shortestMask is how long a value must be to be masked by the runner: a shorter one is no secret, and would make a log
// unreadable.
const shortestMask = 4

// masks are the values that GitHub's runner is told of: it knows its secrets, but no part of one.
func (s *Session) masks() []string {
	var masks []string
	for _, secret := range s.Host.Secrets(s.Project) {
		masks = append(masks, secret)
		if address, err := url.Parse(secret); err == nil && address.User != nil {
			if password, ok := address.User.Password(); ok {
				masks = append(masks, password, url.QueryEscape(password))
			}
		}
		for line := range strings.Lines(secret) { // the runner looks at lines
			masks = append(masks, strings.TrimSpace(line))
		}
	}
	var long []string
	seen := map[string]bool{}
	for _, mask := range masks {
		if len(mask) >= shortestMask && !seen[mask] {
			seen[mask] = true
			long = append(long, mask)
		}
	}
	return long
}
