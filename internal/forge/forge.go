// Package forge asks GitHub's REST API for what the pipeline tells people there: the rules of branches, one comment of a
// pull request, the reports that an earlier run has left.
//
// It stands beside the reports, under package pipeline, and imports nothing of this repository. Everything comes from
// GitHub's own variables; without a token nothing is asked.
package forge

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"
)

const (
	// TokenVariable names the token. A job's own is enough for all that is done here.
	TokenVariable = "GITHUB_TOKEN" //nolint:gosec // the name of a variable, and no token

	patience = 30 * time.Second // for one answer
	most     = 32 << 20         // bytes of one answer
	tries    = 3
)

// ErrNoToken says that nothing can be asked.
var ErrNoToken = errors.New(TokenVariable + " is not set: in Actions it is the job's token, elsewhere one that may read the repository")

// ErrNotFound says that there is no such thing, or that the token may not see it.
var ErrNotFound = errors.New("not found")

// A Client asks about one repository.
type Client struct {
	base       string // https://api.github.com
	repository string // owner/name
	token      string
	http       *http.Client
	pause      time.Duration // before the second try
}

var repositoryName = regexp.MustCompile(`^[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+$`)

// New reads GitHub's variables.
func New(get func(string) string) (*Client, error) {
	c := &Client{
		base: strings.TrimSuffix(get("GITHUB_API_URL"), "/"), repository: get("GITHUB_REPOSITORY"), token: get(TokenVariable),
		http: &http.Client{Timeout: patience}, pause: time.Second,
	}
	if c.base == "" {
		c.base = "https://api.github.com"
	}
	address, err := url.Parse(c.base)
	switch {
	case c.token == "":
		return nil, ErrNoToken
	case err != nil || address.Scheme != "https" && address.Hostname() != "127.0.0.1":
		return nil, fmt.Errorf("read GITHUB_API_URL: %q is no address to send a token to", c.base)
	case !repositoryName.MatchString(c.repository):
		return nil, fmt.Errorf("read GITHUB_REPOSITORY: %q is not of the form owner/name", c.repository)
	}
	return c, nil
}

// path puts segments together, each escaped: a branch's name is its author's choice.
func (c *Client) path(segments ...string) string {
	for i := range segments {
		segments[i] = url.PathEscape(segments[i])
	}
	return c.base + "/repos/" + c.repository + "/" + strings.Join(segments, "/")
}

// ask sends a request and reads the answer into out. Only what changes nothing is tried again.
func (c *Client) ask(ctx context.Context, method, address string, in, out any) error {
	content, err := c.bytes(ctx, method, address, in)
	if err != nil || out == nil {
		return err
	}
	if err := json.Unmarshal(content, out); err != nil {
		return fmt.Errorf("%s %s: read answer: %w", method, c.near(address), err)
	}
	return nil
}

func (c *Client) bytes(ctx context.Context, method, address string, in any) ([]byte, error) {
	var body []byte
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return nil, err
		}
	}
	for try := 1; ; try++ {
		content, again, err := c.once(ctx, method, address, body)
		if err == nil || !again || method != http.MethodGet || try == tries {
			return content, err
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), err)
		case <-time.After(c.pause * time.Duration(try)):
		}
	}
}

// once asks once. Again says that it may be better next time.
func (c *Client) once(ctx context.Context, method, address string, body []byte) (content []byte, again bool, err error) {
	fail := func(again bool, err error) ([]byte, bool, error) {
		return nil, again, fmt.Errorf("%s %s: %w", method, c.near(address), err)
	}
	request, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return fail(false, err)
	}
	request.Header.Set("Accept", "application/vnd.github+json")
	request.Header.Set("Authorization", "Bearer "+c.token)
	request.Header.Set("X-Github-Api-Version", "2022-11-28")
	request.Header.Set("User-Agent", "meter-pipeline")
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := c.http.Do(request)
	if err != nil {
		return fail(true, err)
	}
	defer func() { _ = response.Body.Close() }()
	content, err = io.ReadAll(io.LimitReader(response.Body, most+1))
	switch {
	case err != nil:
		return fail(true, err)
	case len(content) > most:
		return fail(false, fmt.Errorf("the answer is longer than %d bytes", most))
	case response.StatusCode == http.StatusNotFound:
		return fail(false, ErrNotFound)
	case response.StatusCode >= http.StatusMultipleChoices:
		return fail(response.StatusCode >= http.StatusInternalServerError, fmt.Errorf("GitHub says %s: %s", response.Status, reason(content)))
	}
	return content, false, nil
}

// near leaves out what is the same in each address.
func (c *Client) near(address string) string { return strings.TrimPrefix(address, c.base) }

// reason is GitHub's own word, which is on one line and short.
func reason(content []byte) string {
	var said struct {
		Message string `json:"message"`
	}
	if json.Unmarshal(content, &said) != nil || said.Message == "" {
		return "it gives no reason"
	}
	return fmt.Sprintf("%.200q", said.Message)
}
