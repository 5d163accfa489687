package registry_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/registry"
	"github.com/meter-ml/meter-pipeline/internal/registry/registrytest"
)

// A step is one request that a scripted registry expects, and its answer. What no real registry can be brought to do
// on demand is tested with these.
type step struct {
	method, path string // the path's end
	answer       http.HandlerFunc
}

// scripted is a registry that fails the test at any request but the expected next one, and if one does not come.
func scripted(t *testing.T, steps ...step) (host string) {
	t.Helper()
	var mu sync.Mutex
	next := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v2/" {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		if next == len(steps) || r.Method != steps[next].method || !strings.HasSuffix(r.URL.Path, steps[next].path) {
			t.Errorf("request %d: %s %s was not expected", next, r.Method, r.URL.Path)
			http.Error(w, "not expected", http.StatusTeapot)
			return
		}
		next++
		steps[next-1].answer(w, r)
	}))
	t.Cleanup(func() {
		server.Close()
		if next != len(steps) {
			t.Errorf("%d of %d requests came", next, len(steps))
		}
	})
	return strings.TrimPrefix(server.URL, "http://")
}

const someDigest = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a" // of {}

func found(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
	w.Header().Set("Content-Length", "2")
	w.Header().Set("Docker-Content-Digest", someDigest)
	_, _ = io.WriteString(w, "{}")
}

func answer(status int, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		for i := 0; i < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(status)
	}
}

// reset reads a part of what is sent, and then breaks the connection.
func reset(w http.ResponseWriter, r *http.Request) {
	_, _ = io.CopyN(io.Discard, r.Body, 64<<10)
	connection, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		panic(err)
	}
	_ = connection.(*net.TCPConn).SetLinger(0)
	_ = connection.Close()
}

func TestWhatIsTriedAgain(t *testing.T) {
	head := func(a http.HandlerFunc) step { return step{http.MethodHead, "/manifests/x", a} }
	tests := map[string]struct {
		steps   []step
		atLeast time.Duration
		want    string // of the error; empty: success
	}{
		"429 with seconds": {[]step{head(answer(429, "Retry-After", "1")), head(found)}, time.Second, ""},
		"503 with a date": {[]step{head(func(w http.ResponseWriter, r *http.Request) {
			answer(503, "Retry-After", time.Now().Add(2*time.Second).UTC().Format(http.TimeFormat))(w, r)
		}), head(found)}, 500 * time.Millisecond, ""},
		"503 twice":             {[]step{head(answer(503)), head(answer(503)), head(found)}, 30 * time.Millisecond, ""},
		"500, 502, 504":         {[]step{head(answer(500)), head(answer(502)), head(answer(504)), head(found)}, 70 * time.Millisecond, ""},
		"a reset":               {[]step{head(reset), head(found)}, 0, ""},
		"not longer than asked": {[]step{head(answer(429, "Retry-After", "3600"))}, 0, "given up after 1 tries"},
		"not 400":               {[]step{head(answer(400))}, 0, "400"},
		"not 404":               {[]step{head(answer(404))}, 0, "the registry has none"},
		"not 403":               {[]step{head(answer(403))}, 0, "refuses nobody in particular (403)"},
		"not 501":               {[]step{head(answer(501))}, 0, "501"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Setenv("DOCKER_CONFIG", t.TempDir())
			host := scripted(t, test.steps...)
			begun := time.Now()
			_, err := impatient(t, registry.Options{Patience: 20 * time.Second}).Resolve(t.Context(), host+"/a/b:x")
			if test.want == "" && err != nil {
				t.Error(err)
			}
			if test.want != "" {
				contains(t, err, test.want)
			}
			if took := time.Since(begun); took < test.atLeast {
				t.Errorf("it took %v, want at least %v", took, test.atLeast)
			}
		})
	}
}

func TestPatienceEnds(t *testing.T) {
	var tries atomic.Int64
	host, _ := breaking(t, func(*http.Request) http.HandlerFunc {
		tries.Add(1)
		return answer(503)
	})
	_, err := impatient(t, registry.Options{Patience: 2 * time.Second}).Resolve(t.Context(), host+"/a/b:x")
	contains(t, err, "given up after", "503")
	if tries.Load() < 3 {
		t.Errorf("%d tries", tries.Load())
	}
}

func TestWaitingEndsWithTheContext(t *testing.T) {
	host := scripted(t, step{http.MethodHead, "/manifests/x", answer(429, "Retry-After", "20")})
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	begun := time.Now()
	_, err := impatient(t, registry.Options{Patience: time.Minute}).Resolve(ctx, host+"/a/b:x")
	if !errors.Is(err, context.DeadlineExceeded) || time.Since(begun) > 15*time.Second {
		t.Errorf("after %v: %v", time.Since(begun), err)
	}
}

// breaking is a real registry behind a proxy that answers itself, or breaks the connection, where fault says so.
func breaking(t *testing.T, fault func(*http.Request) http.HandlerFunc) (host string, behind *registrytest.Server) {
	t.Helper()
	behind = registrytest.Start(t)
	target := &url.URL{Scheme: "http", Host: behind.Host}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Host = r.In.Host // it makes the addresses of uploads from it
	}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if broken := fault(r); broken != nil {
			broken(w, r)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://"), behind
}

func TestPushThroughFaults(t *testing.T) {
	tests := map[string]struct {
		method, path string
		fault        http.HandlerFunc
		atLeast      time.Duration
	}{
		"reset in the middle of an upload":     {http.MethodPatch, "/blobs/uploads/", reset, 0},
		"429 for an upload":                    {http.MethodPatch, "/blobs/uploads/", answer(429, "Retry-After", "1"), time.Second},
		"503 where an upload begins":           {http.MethodPost, "/blobs/uploads/", answer(503), 0},
		"reset where an upload ends":           {http.MethodPut, "/blobs/uploads/", reset, 0},
		"the registry has forgotten an upload": {http.MethodPut, "/blobs/uploads/", forgotten, 0},
		"502 for the manifest":                 {http.MethodPut, "/manifests/", answer(502), 0},
		"reset at the first request":           {http.MethodGet, "/v2/", reset, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var faults atomic.Int64
			host, behind := breaking(t, func(r *http.Request) http.HandlerFunc {
				if r.Method != test.method || !strings.Contains(r.URL.Path, test.path) || faults.Add(1) > 1 {
					return nil
				}
				return test.fault
			})
			layout, digest := registrytest.Layout(t, 4<<20)
			begun := time.Now()
			pushed, err := impatient(t, registry.Options{Patience: 10 * time.Second}).Push(t.Context(), layout, digest, host+"/a/b", nil)
			if err != nil || pushed.Sent != 2 {
				t.Fatalf("pushed %+v, %v", pushed, err)
			}
			if faults.Load() < 2 || time.Since(begun) < test.atLeast {
				t.Errorf("%d requests could be broken, and it took %v", faults.Load(), time.Since(begun))
			}
			if blobs := behind.Blobs("a/b"); len(blobs) != 2 {
				t.Errorf("the registry has the blobs %q", blobs)
			}
		})
	}
}

func forgotten(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusNotFound)
	_, _ = io.WriteString(w, `{"errors": [{"code": "BLOB_UPLOAD_UNKNOWN", "message": "blob upload unknown to registry"}]}`)
}

// A registry that answers, but not with what was pushed, or tagged by somebody else meanwhile.
func TestReadBack(t *testing.T) {
	t.Run("another manifest", func(t *testing.T) {
		reads := 0
		host, _ := breaking(t, func(r *http.Request) http.HandlerFunc {
			if r.Method != http.MethodGet || !strings.Contains(r.URL.Path, "/manifests/") {
				return nil
			}
			if reads++; reads == 1 {
				return nil
			}
			return found
		})
		layout, digest := registrytest.Layout(t, 1<<10)
		_, err := impatient(t, registry.Options{}).Push(t.Context(), layout, digest, host+"/a/b", nil)
		contains(t, err, "read back", "does not match requested digest", digest)
	})
	t.Run("another tag", func(t *testing.T) {
		host, _ := breaking(t, func(r *http.Request) http.HandlerFunc {
			if r.Method == http.MethodHead && strings.HasSuffix(r.URL.Path, "/manifests/main-latest") {
				return found
			}
			return nil
		})
		client := impatient(t, registry.Options{})
		_, digest := push(t, client, host+"/a/b", 1<<10)
		_, err := client.Tag(t.Context(), host+"/a/b", digest, "main-latest", false)
		contains(t, err, digest, someDigest, "another run moved it")
	})
}

func TestNoSecretIsTold(t *testing.T) {
	const secret = "pa55/w:rd+canary"
	echo := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, "\x1b[31myou sent "+secret+" as "+base64.StdEncoding.EncodeToString([]byte("meter:"+secret)))
		}
	}
	read := func(a http.HandlerFunc) step { return step{http.MethodGet, "/manifests/" + someDigest, a} }
	host := scripted(t, read(echo(502)), read(echo(400)))
	var said strings.Builder
	client := impatient(t, registry.Options{Host: host, Username: "meter", Password: secret, Log: func(format string, args ...any) {
		fmt.Fprintf(&said, format, args...)
	}})
	_, err := client.Fetch(t.Context(), host+"/a/b", someDigest)
	contains(t, err, "you sent ***")
	for _, text := range []string{err.Error(), said.String()} {
		if !strings.Contains(text, "***") || strings.Contains(text, secret) || strings.Contains(text, "\x1b") || strings.Contains(text, base64.StdEncoding.EncodeToString([]byte(secret))[:8]) {
			t.Errorf("it tells %q", text)
		}
	}
}

// refusing fails the test if anything is sent in the clear.
type refusing struct{ t *testing.T }

func (r refusing) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.URL.Scheme != "https" {
		r.t.Errorf("sent in the clear: %s", request.URL)
	}
	return nil, errors.New("there is nobody")
}

func TestOnlyThisMachineIsSpokenWithInTheClear(t *testing.T) {
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	for _, host := range []string{"10.0.0.1:5000", "192.168.7.7", "registry.local:5000", "registry.example", "127.0.0.1.example:5000"} {
		client := impatient(t, registry.Options{Transport: refusing{t}, Patience: 50 * time.Millisecond})
		_, err := client.Resolve(t.Context(), host+"/a/b:x")
		contains(t, err, host)
	}
}
