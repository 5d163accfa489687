// Package forgetest stands in for GitHub's API, strictly: it answers only what a test has told it to, checks each request
// and each of its own answers against GitHub's published description, and fails the test for an answer that nobody fetched.
// A test tells it answers one by one (Answer), or what an operation does (Serve).
package forgetest

import (
	"bytes"
	_ "embed" // the description
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

//go:embed api.json
var description []byte

// Token is what the server wants to see.
const Token = "test-token"

// Repository is the one that it has.
const Repository = "octo/demo"

// A Server is a fake of GitHub. It is a handler, too, for a test that has a server of its own.
type Server struct {
	URL string

	t          testing.TB
	compiler   *jsonschema.Compiler
	operations map[string]operation
	mu         sync.Mutex
	answers    []*answer
	served     []served
	bodies     []string
}

type answer struct {
	operation, path string
	status          int
	body            []byte
	used            bool
}

type operation struct {
	Parameters []parameter `json:"parameters"`
}

type parameter struct {
	Name string `json:"name"`
	In   string `json:"in"`
}

// Start serves until the test ends.
func Start(t testing.TB) *Server {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(description))
	if err != nil {
		t.Fatal(err)
	}
	for _, op := range doc.(map[string]any)["operations"].(map[string]any) {
		if body, ok := op.(map[string]any)["body"].(map[string]any); ok {
			body["additionalProperties"] = false // GitHub ignores what it does not know, which hides a misspelled name
		}
	}
	var api struct {
		Operations map[string]operation `json:"operations"`
	}
	if err := json.Unmarshal(description, &api); err != nil {
		t.Fatal(err)
	}
	s := &Server{t: t, compiler: jsonschema.NewCompiler(), operations: api.Operations}
	if err := s.compiler.AddResource("api.json", doc); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(s)
	s.URL = server.URL
	t.Cleanup(func() {
		server.Close()
		for _, a := range s.answers {
			if !a.used {
				t.Errorf("nobody asked for %s %s", a.operation, a.path)
			}
		}
	})
	return s
}

// Get is the environment of a job.
func (s *Server) Get(name string) string {
	return map[string]string{"GITHUB_API_URL": s.URL, "GITHUB_REPOSITORY": Repository, "GITHUB_TOKEN": Token}[name]
}

// Answer tells the server what to say, once, to an operation of the description ("GET /repos/{owner}/{repo}/rulesets") at
// a path below the repository, with its query if it has one. A body that is no []byte is sent as JSON.
func (s *Server) Answer(operation, path string, status int, body any) {
	s.t.Helper()
	s.mu.Lock() // a program that is no part of the test may ask at any time
	defer s.mu.Unlock()
	content, ok := body.([]byte)
	if !ok {
		var err error
		if content, err = json.Marshal(body); err != nil {
			s.t.Fatal(err)
		}
		s.check(operation, fmt.Sprintf("responses/%d", status), content)
	}
	s.answers = append(s.answers, &answer{operation: operation, path: "/repos/" + Repository + "/" + path, status: status, body: content})
}

// Bodies are those of the requests, in their order.
func (s *Server) Bodies() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.bodies)
}

// check holds a document against a schema of the description.
func (s *Server) check(operation, part string, content []byte) {
	s.t.Helper()
	escape := strings.NewReplacer("~", "~0", "/", "~1").Replace
	fragment := "/operations/" + escape(operation) + "/" + part
	schema, err := s.compiler.Compile("api.json#" + (&url.URL{Fragment: fragment}).EscapedFragment())
	if err != nil {
		s.t.Fatalf("%s: %v", fragment, err)
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(content))
	if err == nil {
		err = schema.Validate(document)
	}
	if err != nil {
		s.t.Errorf("%s is not what GitHub's description says of %s: %v", operation, part, err)
	}
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		s.t.Error(err)
	}
	for name, want := range map[string]string{
		"Authorization": "Bearer " + Token, "Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28",
	} {
		if r.Header.Get(name) != want || r.Header.Get("User-Agent") == "" {
			s.t.Errorf("%s %s: header %s is not as GitHub asks: %v", r.Method, r.URL, name, r.Header)
		}
	}
	operation, answer := s.find(r)
	if answer == nil {
		s.t.Errorf("%s %s was not expected", r.Method, r.URL.RequestURI())
		w.WriteHeader(http.StatusTeapot)
		return
	}
	s.parameters(operation, r)
	if len(body) > 0 {
		s.check(operation, "body", body)
		s.bodies = append(s.bodies, string(body))
	}
	status, content := answer(body)
	w.WriteHeader(status)
	_, _ = w.Write(content)
}

// find returns who answers a request: an answer for once, or what its operation does.
func (s *Server) find(r *http.Request) (operation string, answer func(body []byte) (int, []byte)) {
	for _, a := range s.answers {
		if !a.used && strings.HasPrefix(a.operation, r.Method+" ") && a.path == r.URL.RequestURI() {
			a.used = true
			return a.operation, func([]byte) (int, []byte) { return a.status, a.body }
		}
	}
	for _, one := range s.served {
		if method, _, _ := strings.Cut(one.operation, " "); method == r.Method && one.path.MatchString(r.URL.EscapedPath()) {
			return one.operation, func(body []byte) (int, []byte) { return one.answer(s, r, body) }
		}
	}
	return "", nil
}

// parameters demands that a query has no name that GitHub does not know: it would be ignored unsaid.
func (s *Server) parameters(name string, r *http.Request) {
	op, ok := s.operations[name]
	if !ok {
		s.t.Errorf("the description has no operation %s", name)
	}
	for key := range r.URL.Query() {
		if !slices.ContainsFunc(op.Parameters, func(p parameter) bool { return p.Name == key && p.In == "query" }) {
			s.t.Errorf("%s has no parameter %s", name, key)
		}
	}
}

// Check holds a request's body against GitHub's description of an operation.
func (s *Server) Check(operation string, content []byte) {
	s.t.Helper()
	s.check(operation, "body", content)
}
