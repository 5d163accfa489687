package courier

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// What may have been carried out is not sent again, and what was surely not is.
func TestOnce(t *testing.T) {
	for _, tt := range []struct {
		name  string
		first func(w http.ResponseWriter)
		again bool
	}{
		{"turned away", func(w http.ResponseWriter) { w.WriteHeader(http.StatusTooManyRequests) }, true},
		{"GitHub's limit", func(w http.ResponseWriter) {
			w.Header().Set("Retry-After", "0")
			w.WriteHeader(http.StatusForbidden)
		}, true},
		{"bad gateway", func(w http.ResponseWriter) { w.WriteHeader(http.StatusBadGateway) }, false},
		{"reset", func(http.ResponseWriter) { panic(http.ErrAbortHandler) }, false},
		{"slow", func(http.ResponseWriter) { time.Sleep(300 * time.Millisecond) }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			requests := 0
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if requests++; requests == 1 {
					tt.first(w)
				}
			}))
			_, err := New(Options{Pause: time.Millisecond, Try: 200 * time.Millisecond}).Do(t.Context(), Request{Method: http.MethodPost, URL: server.URL, Once: true}, t.Logf)
			server.Close()
			if tt.again && (err != nil || requests != 2) || !tt.again && (!errors.Is(err, ErrLost) || requests != 1) {
				t.Errorf("%d requests, %v", requests, err)
			}
		})
	}
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	_, err := New(Options{Pause: time.Millisecond, Tries: 3}).Do(t.Context(), Request{Method: http.MethodPost, URL: server.URL, Once: true}, t.Logf)
	if err == nil || errors.Is(err, ErrLost) || !strings.Contains(err.Error(), "given up after 3 tries") {
		t.Errorf("nobody listens: %v", err)
	}
}

func TestTries(t *testing.T) {
	requests := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		requests++
		w.WriteHeader(http.StatusBadGateway)
	}))
	defer server.Close()
	_, err := New(Options{Pause: time.Millisecond, Tries: 3}).Do(t.Context(), Request{Method: http.MethodGet, URL: server.URL}, t.Logf)
	if err == nil || requests != 3 {
		t.Errorf("%d requests, %v", requests, err)
	}
}

// GitHub keeps archives on another server, which is told nothing of the token; and what is there may point no further.
func TestFollow(t *testing.T) {
	var told http.Header
	there := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		told = r.Header
		if r.URL.Path == "/further" {
			http.Redirect(w, r, "/", http.StatusFound)
			return
		}
		_, _ = fmt.Fprint(w, "archive")
	}))
	defer there.Close()
	to := there.URL
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to, http.StatusFound) }))
	defer server.Close()
	request := Request{Method: http.MethodGet, URL: server.URL, Header: http.Header{"Authorization": {"Bearer x"}}, Follow: true}
	answer, err := New(Options{}).Do(t.Context(), request, t.Logf)
	if err != nil || string(answer.Body) != "archive" || told.Get("Authorization") != "" {
		t.Errorf("%q, %v, told %v", answer.Body, err, told)
	}
	for _, to = range []string{there.URL + "/further", "http://192.0.2.1/", "::"} {
		if _, err := New(Options{Tries: 1}).Do(t.Context(), request, t.Logf); err == nil {
			t.Errorf("%s was followed", to)
		}
	}
	request.Follow, to = false, there.URL
	if _, err := New(Options{}).Do(t.Context(), request, t.Logf); err == nil || !strings.Contains(err.Error(), "is not followed") {
		t.Errorf("unasked: %v", err)
	}
}

func TestLongAnswer(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, strings.Repeat("x", 11)) }))
	defer server.Close()
	for longest, fits := range map[int]bool{10: false, 11: true} {
		_, err := New(Options{Longest: longest}).Do(t.Context(), Request{Method: http.MethodGet, URL: server.URL}, t.Logf)
		if fits != (err == nil) {
			t.Errorf("%d bytes: %v", longest, err)
		}
	}
}
