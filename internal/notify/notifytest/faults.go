package notifytest

import (
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/notify"
)

// A Subject is a channel that speaks HTTP, as EightWays tests it.
type Subject struct {
	New     func(t *testing.T, address string, roots *x509.CertPool) notify.Channel // with a short pause, and at most a second for a try
	Message notify.Message
	Answer  http.Handler // what the real server answers
	Secrets []string     // that must be in no error and no line
	Revoked string       // what a person is told to do about 404
}

// fault is a way in which a server fails.
type fault struct {
	name   string
	server func(first bool, w http.ResponseWriter, r *http.Request, answer http.Handler)
	sent   bool   // it arrives in the end
	want   string // else, what the error holds
	tries  int    // how many requests the server gets at the most; 0 is any number
	atOnce bool   // it is not waited for what can't come
	slow   time.Duration
}

func faults(revoked string) []fault {
	status := func(code int, body string) func(bool, http.ResponseWriter, *http.Request, http.Handler) {
		return func(_ bool, w http.ResponseWriter, r *http.Request, _ http.Handler) {
			w.WriteHeader(code)
			_, _ = fmt.Fprintf(w, body, r.URL.Path, r.Header.Get("Authorization"))
		}
	}
	return []fault{
		{name: "429 with Retry-After", sent: true, slow: time.Second, server: func(first bool, w http.ResponseWriter, r *http.Request, answer http.Handler) {
			if !first {
				answer.ServeHTTP(w, r)
				return
			}
			w.Header().Set("Retry-After", "1")
			http.Error(w, "slow down", http.StatusTooManyRequests)
		}},
		{name: "429 for an hour", want: "it asks to wait 1h0m0s", tries: 1, atOnce: true, server: func(_ bool, w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			w.Header().Set("Retry-After", "3600")
			http.Error(w, "slow down", http.StatusTooManyRequests)
		}},
		{name: "500, then fine", sent: true, server: func(first bool, w http.ResponseWriter, r *http.Request, answer http.Handler) {
			if first {
				http.Error(w, "oops", http.StatusInternalServerError)
				return
			}
			answer.ServeHTTP(w, r)
		}},
		{name: "500 for ever", want: "500 Internal Server Error", server: status(http.StatusInternalServerError, "oops %s %s")},
		{name: "reset, then fine", sent: true, server: func(first bool, w http.ResponseWriter, r *http.Request, answer http.Handler) {
			if first {
				reset(w)
				return
			}
			answer.ServeHTTP(w, r)
		}},
		{name: "slow beyond the limit", want: "in time", server: func(_ bool, _ http.ResponseWriter, r *http.Request, _ http.Handler) {
			_, _ = io.Copy(io.Discard, r.Body) // else the server does not see that the client has gone
			<-r.Context().Done()
			// To return would answer 200, and a busy client may still read that from the connection that it is closing.
			panic(http.ErrAbortHandler)
		}},
		{name: "wrong content", want: "it answers 200", tries: 1, atOnce: true, server: status(http.StatusOK, "<html>Welcome to the hotel %s %s</html>")},
		{name: "404, revoked", want: revoked, tries: 1, atOnce: true, server: status(http.StatusNotFound, "no_service %s %s")},
		{name: "redirect to elsewhere", want: "is not followed", tries: 1, atOnce: true}, // see elsewhere
	}
}

func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	if t, ok := conn.(interface{ NetConn() net.Conn }); ok {
		if tcp, ok := t.NetConn().(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
	}
	_ = conn.Close()
}

// EightWays sends a message to servers that fail, each in its way, and looks at what is said, how often it is tried, how
// long it takes, and whether a secret comes out.
func EightWays(t *testing.T, s Subject) {
	t.Helper()
	for _, f := range faults(s.Revoked) {
		t.Run(f.name, func(t *testing.T) { s.provoke(t, f) })
	}
	t.Run("a certificate that nobody trusts", func(t *testing.T) {
		var got atomic.Int32
		server := silentServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { got.Add(1) }))
		defer server.Close()
		_, said, err := s.send(t, server.URL, x509.NewCertPool(), 5*time.Second)
		if err == nil || !strings.Contains(err.Error(), "certificate") || got.Load() != 0 {
			t.Errorf("error %v, %d requests", err, got.Load())
		}
		s.silent(t, said, err)
	})
	t.Run("in clear to another machine", func(t *testing.T) {
		_, said, err := s.send(t, "http://192.0.2.1", nil, time.Second)
		if err == nil || !strings.Contains(err.Error(), "nothing is sent in clear") {
			t.Errorf("error %v", err)
		}
		s.silent(t, said, err)
	})
	t.Run("nobody listens", func(t *testing.T) {
		server := httptest.NewTLSServer(http.NotFoundHandler())
		server.Close()
		_, said, err := s.send(t, server.URL, nil, time.Second)
		if err == nil || !strings.Contains(err.Error(), "refused") {
			t.Errorf("error %v", err)
		}
		s.silent(t, said, err)
	})
}

// silentServer speaks TLS, and keeps to itself what goes wrong on purpose.
func silentServer(handler http.Handler) *httptest.Server {
	server := httptest.NewUnstartedServer(handler)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	return server
}

func (s Subject) provoke(t *testing.T, f fault) {
	var requests, elsewhere atomic.Int32
	other := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
	defer other.Close()
	server := silentServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		first := requests.Add(1) == 1
		if f.server == nil {
			http.Redirect(w, r, other.URL+r.URL.Path, http.StatusTemporaryRedirect)
			return
		}
		f.server(first, w, r, s.Answer)
	}))
	defer server.Close()
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	roots.AddCert(other.Certificate())
	const limit = 2500 * time.Millisecond
	begun := time.Now()
	sent, said, err := s.send(t, server.URL, roots, limit)
	took := time.Since(begun)
	switch {
	case f.sent && (err != nil || sent == ""):
		t.Errorf("it is not sent: %v", err)
	case !f.sent && (err == nil || !strings.Contains(err.Error(), f.want)):
		t.Errorf("error %v, want it to hold %q", err, f.want)
	case f.tries > 0 && int(requests.Load()) > f.tries:
		t.Errorf("%d requests, want at most %d", requests.Load(), f.tries)
	case elsewhere.Load() > 0:
		t.Error("the redirect was followed")
	case took > limit+500*time.Millisecond, took < f.slow, f.atOnce && took > limit/2:
		t.Errorf("it took %v", took)
	}
	s.silent(t, said, err)
}

// silent demands that nothing that was said holds a secret.
func (s Subject) silent(t *testing.T, said []string, err error) {
	t.Helper()
	all := strings.Join(said, "\n")
	if err != nil {
		all += "\n" + err.Error()
	}
	t.Log(strings.TrimSpace(all))
	for _, secret := range s.Secrets {
		if strings.Contains(all, secret) {
			t.Errorf("a secret is shown: %s", all)
		}
	}
}

func (s Subject) send(t *testing.T, address string, roots *x509.CertPool, limit time.Duration) (sent string, said []string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	var mu sync.Mutex
	sent, err = s.New(t, address, roots).Send(ctx, s.Message, func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		said = append(said, fmt.Sprintf(format, args...))
	})
	return sent, said, err
}
