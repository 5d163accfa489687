// Package githubtest stands in for the part of GitHub's API that is told of runs and deploys. It is imported by tests only.
package githubtest

import (
	"bytes"
	"crypto/rand"
	_ "embed" // the description
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

//go:embed operations.json
var description []byte

// An operation is what GitHub's description says of one.
type operation struct {
	Body       map[string]any `json:"body"`
	Parameters []struct {
		Name string `json:"name"`
		In   string `json:"in"`
	} `json:"parameters"`
	Responses []string `json:"responses"`

	path   *regexp.Regexp
	method string
	schema *jsonschema.Schema
}

func operations(t testing.TB) []*operation {
	t.Helper()
	var file struct {
		Operations map[string]*operation `json:"operations"`
	}
	if err := json.Unmarshal(description, &file); err != nil {
		t.Fatal(err)
	}
	var all []*operation
	for name, op := range file.Operations {
		var pattern string
		op.method, pattern, _ = strings.Cut(name, " ")
		op.path = regexp.MustCompile("^" + regexp.MustCompile(`\\\{[a-z_]+\\\}`).ReplaceAllString(regexp.QuoteMeta(pattern), `[^/]+`) + "$")
		if op.Body != nil {
			op.Body["additionalProperties"] = false // GitHub ignores what it does not know, which hides a misspelled name
			compiler := jsonschema.NewCompiler()
			if err := compiler.AddResource(name, op.Body); err != nil {
				t.Fatal(err)
			}
			schema, err := compiler.Compile(name)
			if err != nil {
				t.Fatal(err)
			}
			op.schema = schema
		}
		all = append(all, op)
	}
	if len(all) != 4 {
		t.Fatalf("%d operations", len(all))
	}
	return all
}

// An API is a real server that answers as GitHub does, and checks what it is asked against GitHub's description.
type API struct {
	Repository  string // owner/name
	Token       string
	Statuses    map[string]map[string]any // by context; of each commit alike
	Deployments []map[string]any
	States      map[string][]map[string]any // by deployment

	t   testing.TB
	ops []*operation
	mu  sync.Mutex
}

// New returns one that knows of no deployment, with a token of its own.
func New(t testing.TB, repository string) *API {
	t.Helper()
	b := make([]byte, 20)
	if _, err := rand.Read(b); err != nil {
		t.Fatal(err)
	}
	return &API{t: t, ops: operations(t), Repository: repository, Token: "t" + hex.EncodeToString(b), Statuses: map[string]map[string]any{}, States: map[string][]map[string]any{}}
}

var commit = regexp.MustCompile(`^/statuses/[0-9a-f]{40}$`)

// ServeHTTP implements http.Handler.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		a.t.Error(err)
	}
	for name, want := range map[string]string{
		"Authorization": "Bearer " + a.Token, "Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28",
	} {
		if got := r.Header.Get(name); got != want {
			a.t.Errorf("%s %s: header %s is not as GitHub asks", r.Method, r.URL.Path, name)
		}
	}
	at := slices.IndexFunc(a.ops, func(op *operation) bool { return op.method == r.Method && op.path.MatchString(r.URL.Path) })
	if at < 0 {
		a.t.Errorf("there is no operation %s %s", r.Method, r.URL.Path)
		http.NotFound(w, r)
		return
	}
	var content map[string]any
	if op := a.ops[at]; op.schema != nil {
		v, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
		if err != nil {
			a.t.Errorf("%v: %s", err, body)
		}
		if err := op.schema.Validate(v); err != nil {
			a.t.Errorf("%s %s: GitHub would refuse it: %v", r.Method, r.URL.Path, err)
		}
		content = v.(map[string]any)
		if text, _ := content["description"].(string); utf8.RuneCountInString(text) > 140 {
			a.t.Errorf("a description of %d characters", utf8.RuneCountInString(text))
		}
	} else {
		for name := range r.URL.Query() {
			if !slices.ContainsFunc(op.Parameters, func(p struct {
				Name string `json:"name"`
				In   string `json:"in"`
			},
			) bool {
				return p.Name == name && p.In == "query"
			}) {
				a.t.Errorf("there is no parameter %s", name)
			}
		}
	}
	a.answer(w, r, content)
}

func (a *API) answer(w http.ResponseWriter, r *http.Request, content map[string]any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	path := strings.TrimPrefix(r.URL.Path, "/repos/"+a.Repository)
	switch {
	case commit.MatchString(path):
		a.Statuses[content["context"].(string)] = content
		Reply(w, http.StatusCreated, content)
	case path == "/deployments" && r.Method == http.MethodGet:
		q := r.URL.Query()
		found := []map[string]any{}
		for _, d := range slices.Backward(a.Deployments) {
			if d["ref"] == q.Get("sha") && d["environment"] == q.Get("environment") && d["task"] == q.Get("task") {
				found = append(found, d)
			}
		}
		Reply(w, http.StatusOK, found)
	case path == "/deployments":
		content["id"] = len(a.Deployments) + 1
		a.Deployments = append(a.Deployments, content)
		Reply(w, http.StatusCreated, content)
	case strings.HasPrefix(path, "/deployments/"):
		id := strings.Split(path, "/")[2]
		a.States[id] = append(a.States[id], content)
		Reply(w, http.StatusCreated, content)
	default:
		http.NotFound(w, r)
	}
}

// Reply writes an answer.
func Reply(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(v)
}
