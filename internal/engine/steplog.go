package engine

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/meter-ml/meter-pipeline/internal/plain"
)

// stepLog is where a step's output goes: the log file, and the reporters. A step that was given up may go on calling
// it; after close nothing gets through.
type stepLog struct {
	mu     sync.Mutex
	file   *os.File
	closed bool
	err    error // the first failure to write
	mask   *plain.Mask
	send   func(Event)
}

func openLog(path string, mask *plain.Mask, send func(Event)) (*stepLog, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return nil, fmt.Errorf("make log directory: %w", err)
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	return &stepLog{file: file, mask: mask, send: send}, nil
}

// line takes a line of output: it is logged and streamed.
func (l *stepLog) line(s string) {
	s = l.mask.String(plain.Text(s))
	l.write(s, &Event{Kind: EventOutput, Text: s})
}

// note takes what the engine has to say: it is logged only.
func (l *stepLog) note(format string, args ...any) {
	l.write(l.mask.String(plain.Text(fmt.Sprintf(format, args...))), nil)
}

func (l *stepLog) event(e Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		e.Text = l.mask.String(plain.Line(e.Text))
		l.send(e)
	}
}

// lines are a panel: each is made harmless by itself.
func (l *stepLog) lines(lines []string) {
	safe := make([]string, len(lines))
	for i, line := range lines {
		safe[i] = l.mask.String(plain.Line(line))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		l.send(Event{Kind: EventPanel, Text: strings.Join(safe, "\n")})
	}
}

// write does not buffer: a log must be whole up to the moment in which its owner was killed.
func (l *stepLog) write(s string, e *Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	if _, err := l.file.WriteString(strings.TrimRight(s, "\n") + "\n"); err != nil && l.err == nil {
		l.err = fmt.Errorf("write log: %w: check that the disk has room", err)
	}
	if e != nil {
		l.send(*e)
	}
}

func (l *stepLog) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return l.err
	}
	l.closed = true
	if err := l.file.Close(); err != nil && l.err == nil {
		l.err = fmt.Errorf("close log: %w: check that the disk has room", err)
	}
	return l.err
}
