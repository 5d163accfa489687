package github

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/meter-ml/meter-pipeline/internal/notify/notifytest"
)

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

func operations(t *testing.T) []*operation {
	t.Helper()
	content, err := os.ReadFile("testdata/operations.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Operations map[string]*operation `json:"operations"`
	}
	if err := json.Unmarshal(content, &file); err != nil {
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
			if op.schema, err = compiler.Compile(name); err != nil {
				t.Fatal(err)
			}
		}
		all = append(all, op)
	}
	if len(all) != 4 {
		t.Fatalf("%d operations", len(all))
	}
	return all
}

// An api is a real server that answers as GitHub does, and checks what it is asked against GitHub's description.
type api struct {
	t     *testing.T
	ops   []*operation
	token string

	mu          sync.Mutex
	statuses    map[string]map[string]any // by context
	deployments []map[string]any
	states      map[string][]map[string]any // by deployment
}

func newAPI(t *testing.T) *api {
	t.Helper()
	b := make([]byte, 20)
	if _, err := rand.Read(b); err != nil {
		t.Fatal(err)
	}
	return &api{t: t, ops: operations(t), token: "t" + hex.EncodeToString(b), statuses: map[string]map[string]any{}, states: map[string][]map[string]any{}}
}

// ServeHTTP implements http.Handler.
func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		a.t.Error(err)
	}
	for name, want := range map[string]string{
		"Authorization": "Bearer " + a.token, "Accept": "application/vnd.github+json", "X-GitHub-Api-Version": apiVersion,
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
		if text, _ := content["description"].(string); utf8.RuneCountInString(text) > longestDescription {
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

func (a *api) answer(w http.ResponseWriter, r *http.Request, content map[string]any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	path := strings.TrimPrefix(r.URL.Path, "/repos/meter-ml/meter-pipeline")
	switch {
	case strings.HasPrefix(path, "/statuses/"+notifytest.Commit):
		a.statuses[content["context"].(string)] = content
		reply(w, http.StatusCreated, content)
	case path == "/deployments" && r.Method == http.MethodGet:
		q := r.URL.Query()
		found := []map[string]any{}
		for _, d := range slices.Backward(a.deployments) {
			if d["ref"] == q.Get("sha") && d["environment"] == q.Get("environment") && d["task"] == q.Get("task") {
				found = append(found, d)
			}
		}
		reply(w, http.StatusOK, found)
	case path == "/deployments":
		content["id"] = len(a.deployments) + 1
		a.deployments = append(a.deployments, content)
		reply(w, http.StatusCreated, content)
	case strings.HasPrefix(path, "/deployments/"):
		id := strings.Split(path, "/")[2]
		a.states[id] = append(a.states[id], content)
		reply(w, http.StatusCreated, content)
	default:
		http.NotFound(w, r)
	}
}

func reply(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(v)
}

func (a *api) channel(t *testing.T, address string, roots *x509.CertPool) *Channel {
	t.Helper()
	c, err := New(Options{
		API: address, Repository: "meter-ml/meter-pipeline", Token: a.token, Roots: roots, Pause: 50 * time.Millisecond, Try: 300 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}
