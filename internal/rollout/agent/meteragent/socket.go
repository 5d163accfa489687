package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"
)

const (
	// refusing is how long the engine's socket may refuse before an agent that serves ends itself.
	refusing = time.Minute
	// knocking is how often that is looked at.
	knocking = 5 * time.Second
)

var errRefusing = errors.New("the engine's socket has refused for too long: it is likely one of before a restart")

// answering returns a context that ends when a socket has refused for a while. An engine that was restarted may have made
// its socket anew, and a container that outlived it has the old one for ever. One that ends is started again by the
// engine, when it is back, and gets the socket of then; and an end at any place does no harm here.
func answering(ctx context.Context, path string, patience, often time.Duration) (context.Context, context.CancelFunc) {
	inner, cancel := context.WithCancelCause(ctx)
	go func() {
		var since time.Time
		for {
			select {
			case <-inner.Done():
				return
			case <-time.After(often):
			}
			connection, err := (&net.Dialer{Timeout: often}).DialContext(inner, "unix", path)
			switch {
			case err == nil:
				_ = connection.Close()
				since = time.Time{}
			case since.IsZero():
				since = time.Now()
			case time.Since(since) > patience:
				cancel(fmt.Errorf("%w: %w", errRefusing, err))
				return
			}
		}
	}()
	return inner, func() { cancel(context.Canceled) }
}
