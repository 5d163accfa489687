// Package forgetest stands in for GitHub's API, strictly: it answers only what a test has told it to, checks each request
// and each of its own answers against GitHub's published description, and fails the test for an answer that nobody fetched.
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

// A Server is a fake of GitHub.
type Server struct {
	URL string

	t        testing.TB
	compiler *jsonschema.Compiler
	mu       sync.Mutex
	answers  []*answer
	bodies   []string
}

type answer struct {
	operation, path string
	status          int
	body            []byte
	used            bool
}

type operation struct {
	Parameters []struct {
		Name string `json:"name"`
		In   string `json:"in"`
	} `json:"parameters"`
	Body      json.RawMessage            `json:"body"`
	Responses map[string]json.RawMessage `json:"responses"`
}

// Start serves until the test ends.
func Start(t testing.TB) *Server {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(description))
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{t: t, compiler: jsonschema.NewCompiler()}
	if err := s.compiler.AddResource("api.json", doc); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(s.serve))
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

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		s.t.Error(err)
	}
	if r.Header.Get("Authorization") != "Bearer "+Token || r.Header.Get("X-Github-Api-Version") == "" || r.Header.Get("User-Agent") == "" {
		s.t.Errorf("%s %s: headers are missing: %v", r.Method, r.URL, r.Header)
	}
	at := slices.IndexFunc(s.answers, func(a *answer) bool {
		return !a.used && strings.HasPrefix(a.operation, r.Method+" ") && a.path == r.URL.RequestURI()
	})
	if at < 0 {
		s.t.Errorf("%s %s was not expected", r.Method, r.URL.RequestURI())
		w.WriteHeader(http.StatusTeapot)
		return
	}
	a := s.answers[at]
	a.used = true
	s.parameters(a.operation, r)
	if len(body) > 0 {
		s.check(a.operation, "body", body)
		s.bodies = append(s.bodies, string(body))
	}
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body)
}

// parameters demands that a query has no name that GitHub does not know: it would be ignored unsaid.
func (s *Server) parameters(name string, r *http.Request) {
	var api struct {
		Operations map[string]operation `json:"operations"`
	}
	if err := json.Unmarshal(description, &api); err != nil {
		s.t.Fatal(err)
	}
	op, ok := api.Operations[name]
	if !ok {
		s.t.Errorf("the description has no operation %s", name)
	}
	for key := range r.URL.Query() {
		if !slices.ContainsFunc(op.Parameters, func(p struct {
			Name string `json:"name"`
			In   string `json:"in"`
		},
		) bool {
			return p.Name == key && p.In == "query"
		}) {
			s.t.Errorf("%s has no parameter %s", name, key)
		}
	}
}

// Check holds a request's body against GitHub's description of an operation.
func (s *Server) Check(operation string, content []byte) {
	s.t.Helper()
	s.check(operation, "body", content)
}
