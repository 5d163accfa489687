package courier

import (
	"context"
	"net/http"
	"testing"
	"time"
)

func TestHowLongItAsksToWait(t *testing.T) {
	now := time.Date(2026, time.November, 23, 14, 25, 1, 0, time.UTC)
	for _, tt := range []struct {
		name   string
		status int
		header http.Header
		again  bool
		after  time.Duration
	}{
		{"seconds", 429, http.Header{"Retry-After": {"7"}}, true, 7 * time.Second},
		{"a date", 503, http.Header{"Retry-After": {"Mon, 23 Nov 2026 14:25:31 GMT"}}, true, 30 * time.Second},
		{"a date that is over", 503, http.Header{"Retry-After": {"Mon, 23 Nov 2026 14:24:31 GMT"}}, true, 0},
		{"below zero", 429, http.Header{"Retry-After": {"-5"}}, true, 0},
		{"nonsense", 429, http.Header{"Retry-After": {"soon"}}, true, 0},
		{"GitHub's limit", 403, http.Header{"X-Ratelimit-Remaining": {"0"}, "X-Ratelimit-Reset": {"1795443961"}}, true, time.Minute},
		{"GitHub's secondary limit", 403, http.Header{"Retry-After": {"60"}}, true, time.Minute},
		{"forbidden", 403, http.Header{"X-Ratelimit-Remaining": {"17"}}, false, 0},
		{"not implemented", 501, nil, false, 0},
		{"bad gateway", 502, nil, true, 0},
		{"not found", 404, nil, false, 0},
		{"fine", 200, nil, false, 0},
	} {
		answer := Answer{Status: tt.status, Header: tt.header}
		if tt.header == nil {
			answer.Header = http.Header{}
		}
		if got := again(answer); got != tt.again {
			t.Errorf("%s: again is %v", tt.name, got)
		}
		if got := asked(answer, now); got != tt.after {
			t.Errorf("%s: it asks for %v, want %v", tt.name, got, tt.after)
		}
	}
}

// A context that is over before it begins sends nothing.
func TestNoTime(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := New(Options{}).Do(ctx, Request{Method: http.MethodPost, URL: "https://127.0.0.1:1"}, t.Logf)
	if err == nil || err.Error() != "it was not done in time" {
		t.Errorf("error %v", err)
	}
}
