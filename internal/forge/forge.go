// Package forge speaks GitHub's REST API, as far as the pipeline needs it: the rules of branches, one comment of a pull
// request, the reports that an earlier run has left; what becomes of a commit, package notify/github says through it.
//
// It stands under package pipeline and the channels. The token goes to the address of the API alone, and to no place that
// an answer points to.
package forge

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/courier"
)

// GitHub's own variables; the first is a secret.
const (
	TokenVariable      = "GITHUB_TOKEN" //nolint:gosec // the name of a variable, and no token
	RepositoryVariable = "GITHUB_REPOSITORY"
	APIVariable        = "GITHUB_API_URL"
)

const (
	publicAPI = "https://api.github.com"
	most      = 32 << 20        // bytes of one answer
	limit     = 2 * time.Minute // of one call with all its tries, where the caller gives it no less
)

// ErrNoToken says that nothing can be asked.
var ErrNoToken = errors.New(TokenVariable + " is not set: in Actions it is the job's token, elsewhere one that may read the repository")

// ErrNotFound says that there is no such thing, or that the token may not see it.
var ErrNotFound = errors.New("not found")

// Options say which repository it is about.
type Options struct {
	API        string // empty is the public one
	Repository string // owner/name
	Token      string
	Sending    courier.Options // the token need not stand among its secrets
}

// A Client speaks about one repository.
type Client struct {
	base    string // of the repository's part of the API
	token   string
	courier *courier.Courier
}

// New returns a client.
func New(o Options) (*Client, error) {
	owner, name, _ := strings.Cut(o.Repository, "/")
	part := regexp.MustCompile(`^[A-Za-z0-9_.-]+$`)
	if !part.MatchString(owner) || !part.MatchString(name) || strings.Trim(owner, ".") == "" || strings.Trim(name, ".") == "" {
		return nil, fmt.Errorf("the repository is %q, not owner/name: set %s", o.Repository, RepositoryVariable)
	}
	token := strings.TrimSpace(o.Token)
	if strings.ContainsAny(token, " \r\n\t") {
		return nil, errors.New(TokenVariable + " holds spaces or line ends: set it to the token alone")
	}
	o.Sending.Secrets = append([]string{token}, o.Sending.Secrets...)
	o.Sending.Longest = most
	return &Client{
		base:  strings.TrimRight(cmp.Or(o.API, publicAPI), "/") + "/repos/" + url.PathEscape(owner) + "/" + url.PathEscape(name),
		token: token, courier: courier.New(o.Sending),
	}, nil
}

// FromVariables returns a client for the repository of a job.
func FromVariables(get func(string) string) (*Client, error) {
	o := Options{
		API: get(APIVariable), Repository: get(RepositoryVariable), Token: get(TokenVariable),
		Sending: courier.Options{Pause: time.Second, Try: 30 * time.Second, Tries: 3}, // archives are large, and nobody sets an end
	}
	if o.Token == "" {
		return nil, ErrNoToken
	}
	if err := courier.Allowed(cmp.Or(o.API, publicAPI)); err != nil {
		return nil, fmt.Errorf("read %s: %q is no address to send a token to: %w", APIVariable, o.API, err)
	}
	return New(o)
}

// Close lets connections go.
func (c *Client) Close() { c.courier.Close() }

// A Call is one question or one order.
type Call struct {
	Method string
	Path   []string // below the repository's, in segments: a branch's name is its author's choice
	Query  string
	Body   any  // nil is none
	Once   bool // it is not sent again if it may have been carried out; the error is courier.ErrLost then

	follow bool // see courier.Request
}

// URL is where a call goes.
func (c *Client) URL(call Call) string { return c.base + call.local() }

func (call Call) local() string {
	var b strings.Builder
	for _, segment := range call.Path {
		b.WriteString("/" + url.PathEscape(segment))
	}
	if call.Query != "" {
		b.WriteString("?" + call.Query)
	}
	return b.String()
}

// A Refusal is an answer that says no.
type Refusal struct {
	Status int
	Words  string // GitHub's own, on one line and short
}

func (r *Refusal) Error() string {
	return fmt.Sprintf("it answers %d %s: %s", r.Status, http.StatusText(r.Status), cmp.Or(r.Words, "it gives no reason"))
}

// Is makes a thing that is not there ErrNotFound.
func (r *Refusal) Is(target error) bool {
	return target == ErrNotFound && r.Status == http.StatusNotFound
}

// Do makes a call, again where that may help, and reads the answer into out, unless that is nil. Say is told of each try
// that failed.
func (c *Client) Do(ctx context.Context, call Call, out any, say func(format string, args ...any)) error {
	content, status, err := c.send(ctx, call, say)
	if err == nil && out != nil && json.Unmarshal(content, out) != nil {
		err = fmt.Errorf("it answers %d with what is not its JSON: see what stands between here and %s", status, APIVariable)
	}
	if err != nil {
		return fmt.Errorf("%s %s: %w", call.Method, call.local(), err)
	}
	return nil
}

// ask is Do where nobody is told of tries.
func (c *Client) ask(ctx context.Context, call Call, out any) error {
	return c.Do(ctx, call, out, quiet)
}

func quiet(string, ...any) {}

func (c *Client) send(ctx context.Context, call Call, say func(string, ...any)) (content []byte, status int, err error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	request := courier.Request{Method: call.Method, URL: c.URL(call), Once: call.Once, Follow: call.follow, Header: http.Header{
		"Accept": {"application/vnd.github+json"}, "Authorization": {"Bearer " + c.token},
		"X-Github-Api-Version": {"2022-11-28"}, "User-Agent": {"meter-pipeline"},
	}}
	if call.Body != nil {
		if request.Body, err = json.Marshal(call.Body); err != nil {
			return nil, 0, err
		}
		request.Header.Set("Content-Type", "application/json")
	}
	answer, err := c.courier.Do(ctx, request, say)
	if err != nil {
		return nil, 0, err
	}
	if answer.Status >= http.StatusMultipleChoices {
		return nil, answer.Status, &Refusal{Status: answer.Status, Words: c.reason(answer)}
	}
	return answer.Body, answer.Status, nil
}

// reason is what GitHub says in words, or whoever answers in its place.
func (c *Client) reason(answer courier.Answer) string {
	var said struct {
		Message string `json:"message"`
	}
	if json.Unmarshal(answer.Body, &said) == nil {
		answer.Body = []byte(said.Message)
	}
	words := c.courier.Words(answer)
	if words == "" {
		return ""
	}
	return fmt.Sprintf("%q", words)
}
