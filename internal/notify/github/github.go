// Package github tells GitHub what became of a commit: one commit status for each stage, and a deployment with its states
// for each release, which GitHub shows beside the commit, in the pull request and on the page of environments.
//
// The token goes to the address of the API alone, and to no place that an answer points to.
package github

import (
	"cmp"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/notify"
	"github.com/meter-ml/meter-pipeline/internal/notify/courier"
)

// Variables of GitHub Actions; the first is a secret.
const (
	TokenVariable      = "GITHUB_TOKEN" //nolint:gosec // a name, no credential
	RepositoryVariable = "GITHUB_REPOSITORY"
	APIVariable        = "GITHUB_API_URL"
)

const (
	publicAPI  = "https://api.github.com"
	apiVersion = "2022-11-28"
)

// Options say which repository is told.
type Options struct {
	API        string // empty is the public one
	Repository string // owner/name
	Token      string
	Roots      *x509.CertPool // nil is the machine's own list
	Secrets    []string
	Pause      time.Duration // see courier.Options
	Try        time.Duration
}

// A Channel is one repository.
type Channel struct {
	base    string // of the repository's part of the API
	token   string
	courier *courier.Courier
}

// New returns a channel.
func New(o Options) (*Channel, error) {
	owner, name, _ := strings.Cut(o.Repository, "/")
	part := regexp.MustCompile(`^[A-Za-z0-9_.-]+$`)
	if !part.MatchString(owner) || !part.MatchString(name) || strings.Trim(owner, ".") == "" || strings.Trim(name, ".") == "" {
		return nil, fmt.Errorf("the repository is %q, not owner/name: set %s", o.Repository, RepositoryVariable)
	}
	token := strings.TrimSpace(o.Token)
	if strings.ContainsAny(token, " \r\n\t") {
		return nil, errors.New(TokenVariable + " holds spaces or line ends: set it to the token alone")
	}
	return &Channel{
		base:  strings.TrimRight(cmp.Or(o.API, publicAPI), "/") + "/repos/" + url.PathEscape(owner) + "/" + url.PathEscape(name),
		token: token,
		courier: courier.New(courier.Options{
			Roots: o.Roots, Secrets: append([]string{token}, o.Secrets...), Pause: o.Pause, Try: o.Try,
		}),
	}, nil
}

// A call is one request to the API, with what it must answer.
type call struct {
	method string
	path   string // below the repository's
	body   any
	want   int
}

// Send implements notify.Channel.
func (c *Channel) Send(ctx context.Context, m notify.Message, say func(string, ...any)) (string, error) {
	defer c.courier.Close()
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
		if want := call.body.(status); made.State != want.State || made.Context != want.Context {
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
		calls = []call{creation(m), progress(m, "{id}")}
	}
	var b strings.Builder
	for _, call := range calls {
		content, err := json.MarshalIndent(call.body, "", "  ")
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&b, "%s %s%s\n%s\n", call.method, c.base, call.path, content)
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

// do makes one call, and reads the answer.
func (c *Channel) do(ctx context.Context, call call, into any, say func(string, ...any)) error {
	var body []byte
	header := http.Header{
		"Accept": {"application/vnd.github+json"}, "Authorization": {"Bearer " + c.token},
		"X-Github-Api-Version": {apiVersion}, "User-Agent": {"meter-pipeline"},
	}
	if call.body != nil {
		content, err := json.Marshal(call.body)
		if err != nil {
			return err
		}
		body = content
		header.Set("Content-Type", "application/json")
	}
	answer, err := c.courier.Do(ctx, courier.Request{Method: call.method, URL: c.base + call.path, Header: header, Body: body}, say)
	if err != nil {
		return err
	}
	if answer.Status != call.want {
		return fmt.Errorf("it answers %d %q: %s", answer.Status, c.courier.Words(answer), remedy(answer.Status))
	}
	if err := json.Unmarshal(answer.Body, into); err != nil {
		return fmt.Errorf("it answers %d with what is not its JSON: see what stands between here and %s", answer.Status, APIVariable)
	}
	return nil
}

func remedy(code int) string {
	switch code {
	case http.StatusUnauthorized:
		return "the token is not valid, or no longer: set " + TokenVariable
	case http.StatusForbidden, http.StatusNotFound:
		return "the token may not write there: give the job `permissions: {statuses: write, deployments: write}`; that of a fork's pull request never may"
	case http.StatusUnprocessableEntity:
		return "it does not know the commit (was it pushed?), or does not take the content: `mage notify:test -dryRun` prints it"
	case http.StatusConflict:
		return "the commit's checks are in the way of the deployment"
	}
	return "see https://docs.github.com/rest"
}
