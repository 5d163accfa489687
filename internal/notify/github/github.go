// Package github tells GitHub what became of a commit: one commit status for each stage, and a deployment with its states
// for each release, which GitHub shows beside the commit, in the pull request and on the page of environments.
package github

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"github.com/meter-ml/meter-pipeline/internal/forge"
	"github.com/meter-ml/meter-pipeline/internal/notify"
)

// A Channel is one repository.
type Channel struct{ client *forge.Client }

// New returns a channel.
func New(client *forge.Client) *Channel { return &Channel{client} }

// Send implements notify.Channel.
func (c *Channel) Send(ctx context.Context, m notify.Message, say func(string, ...any)) (string, error) {
	defer c.client.Close()
	if reason := c.Unfit(m); reason != "" {
		return "", errors.New(reason)
	}
	if m.Release != nil {
		return c.deploy(ctx, m, say)
	}
	calls := statuses(m)
	for i, call := range calls {
		var made struct{ State, Context string }
		if err := c.do(ctx, call, &made, say); err != nil {
			return "", fmt.Errorf("set commit status %d of %d on GitHub: %w", i+1, len(calls), err)
		}
		if want := call.Body.(status); made.State != want.State || made.Context != want.Context {
			return "", fmt.Errorf("set commit status %d of %d on GitHub: it answers with another status than the one that was set", i+1, len(calls))
		}
	}
	return fmt.Sprintf("%d commit statuses", len(calls)), nil
}

// Preview implements notify.Channel.
func (c *Channel) Preview(m notify.Message) (string, error) {
	if reason := c.Unfit(m); reason != "" {
		return reason + "\n", nil
	}
	calls := statuses(m)
	if m.Release != nil {
		calls = []forge.Call{creation(m), progress(m, "{id}")}
	}
	var b strings.Builder
	for _, call := range calls {
		content, err := json.MarshalIndent(call.Body, "", "  ")
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&b, "%s %s\n%s\n", call.Method, c.client.URL(call), content)
	}
	return b.String(), nil
}

// Unfit implements notify.Picky.
func (*Channel) Unfit(m notify.Message) string {
	switch {
	case m.Event == notify.Alert:
		return "GitHub keeps no alerts"
	case !regexp.MustCompile(`^[0-9a-f]{40}(?:[0-9a-f]{24})?$`).MatchString(m.Change.Commit):
		return "GitHub keeps statuses of commits, and this is about none"
	case m.Dirty:
		return "the work tree has changes that are not committed, so nothing is known of the commit itself"
	}
	return ""
}

// do makes one call, reads the answer, and says what helps if it is no.
func (c *Channel) do(ctx context.Context, call forge.Call, into any, say func(string, ...any)) error {
	err := c.client.Do(ctx, call, into, say)
	if refusal, ok := errors.AsType[*forge.Refusal](err); ok {
		return fmt.Errorf("%w: %s", err, remedy(refusal.Status))
	}
	return err
}

func remedy(code int) string {
	switch code {
	case http.StatusUnauthorized:
		return "the token is not valid, or no longer: set " + forge.TokenVariable
	case http.StatusForbidden, http.StatusNotFound:
		return "the token may not write there: give the job `permissions: {statuses: write, deployments: write}`; that of a fork's pull request never may"
	case http.StatusUnprocessableEntity:
		return "it does not know the commit (was it pushed?), or does not take the content: `mage notify:test -dryRun` prints it"
	case http.StatusConflict:
		return "the commit's checks are in the way of the deployment"
	}
	return "see https://docs.github.com/rest"
}
