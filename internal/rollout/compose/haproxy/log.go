package haproxy

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A Log takes the proxy's log. The proxy keeps the lines in a ring buffer until somebody takes them, so who is slow, or
// comes back after a while, loses none; and each has a number, so that one that is lost all the same is noticed.
type Log struct {
	listener *net.UnixListener
	socket   Socket
	ended    sync.WaitGroup

	mu          sync.Mutex
	records     records
	connections map[net.Conn]bool
	closed      bool
	connected   chan struct{} // closed by the first connection
}

// patience is how long the proxy gets to connect by itself before it is made to.
const patience = 400 * time.Millisecond

// Listen takes the log at path over, from whoever had it before. Socket is the admin socket of the same proxy, which
// need not run yet.
func Listen(ctx context.Context, path string, socket Socket) (*Log, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("take over the proxy's log: %w", err)
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("take over the proxy's log: %w", err)
	}
	l := &Log{
		listener: listener.(*net.UnixListener), socket: socket, //nolint:forcetypeassert // of a network named unix it is
		connections: map[net.Conn]bool{}, connected: make(chan struct{}), records: newRecords(),
	}
	// Who has it next has a socket of the same name: it is not this one's to remove.
	l.listener.SetUnlinkOnClose(false)
	// The proxy runs as another user; nobody else gets into the directory.
	if err := os.Chmod(path, 0o666); err != nil { //nolint:gosec // see above
		return nil, errors.Join(fmt.Errorf("take over the proxy's log: %w", err), listener.Close())
	}
	l.ended.Go(l.accept)
	l.ended.Go(l.insist)
	return l, nil
}

// insist makes a proxy connect that still is with another: one that was stopped, and holds its connection open.
func (l *Log) insist() {
	select {
	case <-l.connected:
	case <-time.After(patience):
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		_ = l.socket.reconnect(ctx) // without a proxy there is nothing to connect; if it fails, it connects later
	}
}

// Close ends it.
func (l *Log) Close() error {
	l.mu.Lock()
	l.closed = true
	err := l.listener.Close()
	for c := range l.connections {
		err = errors.Join(err, c.Close())
	}
	select {
	case <-l.connected:
	default:
		close(l.connected)
	}
	l.mu.Unlock()
	l.ended.Wait()
	return err
}

func (l *Log) accept() {
	for {
		connection, err := l.listener.Accept()
		if err != nil {
			if l.isClosed() {
				return
			}
			time.Sleep(10 * time.Millisecond) // too many files are open: the proxy keeps the lines
			continue
		}
		if !l.take(connection) {
			_ = connection.Close()
			return
		}
		l.ended.Go(func() { l.read(connection) })
	}
}

func (l *Log) isClosed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closed
}

func (l *Log) take(c net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	select {
	case <-l.connected:
	default:
		close(l.connected)
	}
	l.connections[c] = true
	return true
}

// read takes lines, each after its length and a space (RFC 6587, 3.4.1), until the proxy ends the connection.
func (l *Log) read(c net.Conn) {
	defer func() {
		_ = c.Close()
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.connections, c)
	}()
	l.look()
	in := bufio.NewReaderSize(c, 64<<10)
	for {
		text, err := frame(in)
		if err == nil {
			err = l.add(text)
		}
		if err != nil {
			return // what is lost with it is a number that is missing
		}
	}
}

// look compares with what the proxy says: whoever connects may be another one than before.
func (l *Log) look() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	state, err := l.socket.State(ctx)
	if err != nil {
		return // Between asks again, and fails if it still gets no answer
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.records.compare(state)
}

// longestLine is above the ring's maxlen.
const longestLine = 4096

func frame(in *bufio.Reader) (string, error) {
	head, err := in.ReadString(' ')
	if err != nil {
		return "", err
	}
	length, err := strconv.Atoi(strings.TrimSuffix(head, " "))
	if err != nil || length < 0 || length > longestLine {
		return "", fmt.Errorf("read log of the proxy: a length of %.20q", head)
	}
	text := make([]byte, length)
	_, err = io.ReadFull(in, text)
	return string(text), err
}

func (l *Log) add(text string) error {
	line, err := parse(strings.TrimRight(text, "\n"))
	if errors.Is(err, errOther) {
		return nil
	}
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.records.add(line)
	return nil
}

// Between is what ended in from <= t < to, and an error if any of it is not known. To must not be in the future.
func (l *Log) Between(ctx context.Context, from, to time.Time) (Interval, error) {
	if err := l.await(ctx); err != nil {
		return Interval{}, fmt.Errorf("read log of the proxy: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.records.between(from, to)
}

// await waits for the lines of all that the proxy has answered by now.
func (l *Log) await(ctx context.Context) error {
	state, err := l.socket.State(ctx)
	if err != nil {
		return err
	}
	select {
	case <-l.connected:
	default:
		return errors.New("the proxy has not connected to it yet")
	}
	l.mu.Lock()
	l.records.compare(state)
	l.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	for {
		l.mu.Lock()
		complete, next := l.records.complete(state), l.records.next
		l.mu.Unlock()
		switch {
		case complete:
			return nil
		case ctx.Err() != nil:
			return fmt.Errorf("the proxy has answered %d requests, and logged %d", state.Answered, next)
		}
		select {
		case <-ctx.Done():
		case <-time.After(2 * time.Millisecond):
		}
	}
}
