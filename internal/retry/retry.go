// Package retry is what those who ask a server over HTTP once more have in common: which answers say that it may help,
// how long a server asks to wait, and a pause that ends with its context, which others take too. How often and for how long
// is theirs to say.
package retry

import (
	"context"
	"net/http"
	"strconv"
	"time"
)

// Status reports whether a status says that the same request may succeed later.
func Status(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	case http.StatusNotImplemented, http.StatusHTTPVersionNotSupported:
		return false
	}
	return status >= 500
}

// After reads the header Retry-After: seconds, or a date. 0 is that the server does not say; ok is false then.
func After(header http.Header, now time.Time) (wait time.Duration, ok bool) {
	value := header.Get("Retry-After")
	if seconds, err := strconv.Atoi(value); err == nil && seconds >= 0 && seconds < 1<<30 {
		return time.Duration(seconds) * time.Second, true
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(at.Sub(now), 0), true
	}
	return 0, false
}

// Sleep waits, or returns why the context ended.
func Sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
