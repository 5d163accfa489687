package registry_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/registry"
	"github.com/meter-ml/meter-pipeline/internal/registry/registrytest"
)

// nothing is a digest that no registry has.
const nothing = "sha256:0000000000000000000000000000000000000000000000000000000000000000"

// impatient is a client that gives up soon, and says to the test what it tries again.
func impatient(t *testing.T, o registry.Options) *registry.Client {
	t.Helper()
	if o.Patience == 0 {
		o.Patience = 700 * time.Millisecond
	}
	o.Pause = 20 * time.Millisecond
	if o.Log == nil {
		o.Log = t.Logf
	}
	client, err := registry.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// recorder notes what is written to the registry.
type recorder struct {
	mu   sync.Mutex
	seen []string
}

func (r *recorder) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.Method != http.MethodGet && request.Method != http.MethodHead {
		r.mu.Lock()
		r.seen = append(r.seen, request.Method+" "+request.URL.Path)
		r.mu.Unlock()
	}
	return http.DefaultTransport.RoundTrip(request)
}

func (r *recorder) writes() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.seen
}

func push(t *testing.T, c *registry.Client, repository string, sizes ...int64) (layout, digest string) {
	t.Helper()
	layout, digest = registrytest.Layout(t, sizes...)
	if _, err := c.Push(t.Context(), layout, digest, repository, nil); err != nil {
		t.Fatal(err)
	}
	return layout, digest
}

func contains(t *testing.T, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("there is no error, want one with %q", words)
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("the error lacks %q: %v", word, err)
		}
	}
}
