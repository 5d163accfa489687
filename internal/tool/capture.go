package tool

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/plain"
)

// capture keeps a program's output whole for its parser, and hands it on line by line to whoever looks on.
type capture struct {
	mu    sync.Mutex // lines of both streams, one at a time
	mask  *plain.Mask
	line  func(string)
	limit int
	used  int
	over  chan struct{} // closed when the output is longer than limit

	out, err stream
	readers  sync.WaitGroup
}

// stream is one of stdout and stderr.
type stream struct {
	read, write *os.File
	kept        bytes.Buffer
	lines       splitter
	broken      error
}

func newCapture(r *Runner, i engine.Invocation) (*capture, error) {
	c := &capture{line: i.Line, mask: r.mask, limit: r.opts.MaxOutput, over: make(chan struct{})}
	if len(i.Secrets) > 0 {
		c.mask = plain.NewMask(append(append([]string(nil), r.opts.Secrets...), i.Secrets...)...)
	}
	for _, s := range []*stream{&c.out, &c.err} {
		var err error
		if s.read, s.write, err = os.Pipe(); err != nil {
			c.abort()
			return nil, fmt.Errorf("make pipe: %w", err)
		}
		s.lines = splitter{mask: c.mask, emit: c.emit}
	}
	return c, nil
}

// abort closes what was opened for a program that did not start.
func (c *capture) abort() {
	for _, f := range []*os.File{c.out.read, c.out.write, c.err.read, c.err.write} {
		if f != nil {
			_ = f.Close()
		}
	}
}

// begin starts reading; the program has its own copy of the ends that are written to.
func (c *capture) begin() {
	for _, s := range []*stream{&c.out, &c.err} {
		_ = s.write.Close()
		c.readers.Go(func() { c.copy(s) })
	}
}

func (c *capture) copy(s *stream) {
	defer func() { _ = s.read.Close() }()
	buf := make([]byte, 64<<10)
	for {
		n, err := s.read.Read(buf)
		c.take(s, buf[:n])
		if errors.Is(err, io.EOF) || errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, os.ErrClosed) {
			break
		}
		if err != nil {
			s.broken = fmt.Errorf("read output: %w", err)
			break
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s.lines.flush()
}

func (c *capture) take(s *stream, b []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.used > c.limit {
		return // read on, so that the program can end, but keep no more of it
	}
	c.used += len(b)
	if c.used > c.limit {
		close(c.over)
		return
	}
	s.kept.Write(b)
	s.lines.write(b)
}

func (c *capture) emit(line string) {
	if c.line != nil {
		c.line(line)
	}
}

// say adds a line of the runner's own.
func (c *capture) say(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.emit(fmt.Sprintf("[pipeline] "+format, args...))
}

// finish waits for the end of the output. A process that could not be found may hold the pipe open for ever, so there
// is a limit; it reports whether that was reached.
func (c *capture) finish(limit time.Duration) (held bool) {
	done := make(chan struct{})
	go func() { c.readers.Wait(); close(done) }()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-done:
		return false
	case <-timer.C:
	}
	now := time.Now()
	_ = c.out.read.SetReadDeadline(now)
	_ = c.err.read.SetReadDeadline(now)
	<-done
	return true
}

func (c *capture) output(code int) (engine.Output, error) {
	return engine.Output{
		Stdout: c.mask.Bytes(c.out.kept.Bytes()), Stderr: c.mask.Bytes(c.err.kept.Bytes()), ExitCode: code,
	}, errors.Join(c.out.broken, c.err.broken)
}
