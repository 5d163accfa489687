package tool

import (
	"context"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

// samePress is the time within which a further signal is the same Ctrl-C: "go tool" passes on to its child what the
// terminal has sent to that child as well.
const samePress = 100 * time.Millisecond

// Context returns a context that the first SIGINT, SIGTERM or SIGHUP cancels. A later one calls kill, which should be
// Runner.Kill. Call stop when the run is over: then signals do again what they did before.
func Context(parent context.Context, kill func()) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(parent)
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) { // as under nohup
		signal.Notify(signals, syscall.SIGHUP)
	}
	stopped := make(chan struct{})
	var once sync.Once
	go heed(signals, stopped, cancel, kill)
	return ctx, func() {
		once.Do(func() {
			signal.Stop(signals)
			close(stopped)
			cancel()
		})
	}
}

func heed(signals <-chan os.Signal, stopped <-chan struct{}, cancel, kill func()) {
	var first time.Time
	for {
		select {
		case <-stopped:
			return
		case <-signals:
		}
		switch now := time.Now(); {
		case first.IsZero():
			first = now
			cancel()
		case now.Sub(first) >= samePress:
			kill()
		}
	}
}
