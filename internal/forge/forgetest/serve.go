package forgetest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
)

// A Request is one that GitHub's description allows.
type Request struct {
	Path  map[string]string // what stands in the place of {names}
	Query url.Values
	Body  map[string]any
}

// served is an operation that is answered as often as it is asked for.
type served struct {
	operation string
	path      *regexp.Regexp
	does      func(Request) (status int, body any)
}

var placeholder = regexp.MustCompile(`\\\{([a-z_]+)\\\}`)

// Serve says what an operation does. Requests come one at a time. Its answer is sent as JSON, and must be what GitHub's
// description says of its status.
func (s *Server) Serve(operation string, does func(Request) (status int, body any)) {
	s.t.Helper()
	if _, ok := s.operations[operation]; !ok {
		s.t.Fatalf("the description has no operation %s", operation)
	}
	_, pattern, _ := strings.Cut(operation, " ")
	s.mu.Lock()
	defer s.mu.Unlock()
	s.served = append(s.served, served{
		operation: operation, does: does,
		path: regexp.MustCompile("^" + placeholder.ReplaceAllString(regexp.QuoteMeta(pattern), `(?P<$1>[^/]+)`) + "$"),
	})
}

func (o served) answer(s *Server, r *http.Request, body []byte) (int, []byte) {
	request := Request{Path: map[string]string{}, Query: r.URL.Query()}
	for i, value := range o.path.FindStringSubmatch(r.URL.EscapedPath()) {
		request.Path[o.path.SubexpNames()[i]] = value
	}
	if request.Path["owner"]+"/"+request.Path["repo"] != Repository {
		s.t.Errorf("%s: the repository is %s", r.URL, Repository)
	}
	if len(body) > 0 {
		if err := json.Unmarshal(body, &request.Body); err != nil {
			s.t.Errorf("%s %s: %v", r.Method, r.URL, err)
		}
	}
	status, what := o.does(request)
	var content bytes.Buffer
	if err := json.NewEncoder(&content).Encode(what); err != nil {
		s.t.Error(err)
	}
	s.check(o.operation, fmt.Sprintf("responses/%d", status), content.Bytes())
	return status, content.Bytes()
}

// Person is an account as GitHub shows it beside what it did. Kind is "User" or "Bot".
func Person(kind string) map[string]any {
	user := map[string]any{"id": 1, "type": kind, "site_admin": false}
	for _, key := range []string{
		"login", "node_id", "avatar_url", "gravatar_id", "url", "html_url", "followers_url", "following_url", "gists_url", "starred_url",
		"subscriptions_url", "organizations_url", "repos_url", "events_url", "received_events_url",
	} {
		user[key] = "https://example.org/x"
	}
	return user
}
