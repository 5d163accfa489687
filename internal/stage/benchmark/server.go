package benchmark

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/stage/python"
)

const (
	askAgain  = 20 * time.Millisecond // between two questions whether a server is ready
	tailLines = 10                    // of its log, in an error
)

// server is a started program that answers HTTP on this machine.
type server struct {
	url    string
	tail   *tail
	cancel context.CancelFunc
	ended  chan struct{}
	out    engine.Output
	err    error
}

// startServer starts a command and waits until it is ready. It is ended by stop, which the caller must call unless
// there is an error.
func startServer(ctx context.Context, scope engine.Scope, i engine.Invocation, port int, ready string, limit time.Duration) (*server, error) {
	ctx, cancel := context.WithCancel(ctx)
	s := &server{url: fmt.Sprintf("http://127.0.0.1:%d", port), tail: &tail{}, cancel: cancel, ended: make(chan struct{})}
	i.Line = func(line string) {
		scope.Log("%s", line)
		s.tail.add(line)
	}
	go func() {
		defer close(s.ended)
		s.out, s.err = scope.Run(ctx, i)
	}()
	if err := s.await(ctx, ready, limit); err != nil {
		_ = s.stop() // the error says how it ended
		return nil, err
	}
	return s, nil
}

// await asks until the server says that it is ready. A server that ends, or takes too long, has not come up.
func (s *server) await(ctx context.Context, ready string, limit time.Duration) error {
	client := &http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	last := "it did not answer"
	for {
		status, err := ask(ctx, client, s.url+ready)
		switch {
		case err == nil && status == "":
			return nil
		case err == nil:
			last = "its last answer was " + status
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-s.ended:
			if s.err != nil {
				return fmt.Errorf("start the server: %w%s", s.err, s.tail)
			}
			return fmt.Errorf("the server did not come up: it ended with exit code %d%s", s.out.ExitCode, s.tail)
		case <-deadline.C:
			return fmt.Errorf("the server did not come up: it was not ready after %s, %s%s", limit, last, s.tail)
		case <-time.After(askAgain):
		}
	}
}

// ask returns an empty status for 200, else the status with the beginning of the answer.
func ask(ctx context.Context, client *http.Client, url string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return "", err
	}
	response, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, 4096))
	if err != nil || response.StatusCode == http.StatusOK {
		return "", err
	}
	return strings.TrimSpace(response.Status + " " + python.Shorten(string(body), 300)), nil
}

// stop ends the server and waits for it. The error says that it had ended before.
func (s *server) stop() error {
	select {
	case <-s.ended:
		s.cancel()
		return errors.Join(fmt.Errorf("the server ended by itself, with exit code %d%s", s.out.ExitCode, s.tail), s.err)
	default:
	}
	s.cancel()
	<-s.ended
	return nil
}

// tail keeps the last lines of a log.
type tail struct {
	mu    sync.Mutex
	lines []string
}

func (t *tail) add(line string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lines = append(t.lines, python.Shorten(line, 300))
	if len(t.lines) > tailLines {
		t.lines = t.lines[1:]
	}
}

// String is for the end of an error.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.lines) == 0 {
		return "; its log is empty"
	}
	return "; the end of its log:\n" + strings.Join(t.lines, "\n")
}
