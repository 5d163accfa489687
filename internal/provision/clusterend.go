package provision

import (
	"bufio"
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// How a server is asked to end, and how long each way may take: 3 seconds in all.
const (
	fastShutdown      = 2000 * time.Millisecond // sessions are broken off, data is written
	immediateShutdown = 700 * time.Millisecond  // nothing is written
	killShutdown      = 300 * time.Millisecond
)

// close ends the server and removes its data.
func (c *cluster) close(ctx context.Context) error {
	if c.admin != nil {
		bye, cancel := context.WithTimeout(context.WithoutCancel(ctx), 200*time.Millisecond)
		c.admin.close(bye)
		cancel()
	}
	c.end(ctx)
	_ = c.output.file.Close() // nobody reads it any more
	err := removeServer(c.dir)
	_ = c.lock.close() // after the directory is gone, so that no other run sweeps it meanwhile
	return err
}

// end ends the server. A cancelled context does not make it less thorough: a clean-up is what follows a cancellation.
func (c *cluster) end(ctx context.Context) {
	if c.stop == nil {
		return
	}
	gone := func() bool {
		select {
		case <-c.exited:
			return true
		default:
			return false
		}
	}
	if pid, ok := postmaster(c.data); ok {
		endServer(context.WithoutCancel(ctx), pid, gone)
	}
	c.stop() // the runner ends what is left of the process group
	select {
	case <-c.exited:
	case <-time.After(killShutdown):
	}
}

// endServer asks a server to end, ever less politely.
func endServer(ctx context.Context, pid int, gone func() bool) {
	for _, step := range []struct {
		signal unix.Signal
		limit  time.Duration
	}{{unix.SIGINT, fastShutdown}, {unix.SIGQUIT, immediateShutdown}, {unix.SIGKILL, killShutdown}} {
		if unix.Kill(pid, step.signal) != nil {
			return
		}
		for deadline := time.Now().Add(step.limit); time.Now().Before(deadline); {
			if gone() {
				return
			}
			select {
			case <-ctx.Done():
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	}
}

// postmaster returns the living server process of a data directory. The file that names it may be old, and its number
// may be another process's by now, so the process is asked too.
func postmaster(data string) (int, bool) {
	file, err := os.Open(filepath.Join(data, "postmaster.pid"))
	if err != nil {
		return 0, false
	}
	defer func() { _ = file.Close() }()
	var lines []string // 1: pid, 2: data directory, 3: start in Unix seconds
	for scanner := bufio.NewScanner(file); len(lines) < 3 && scanner.Scan(); {
		lines = append(lines, strings.TrimSpace(scanner.Text()))
	}
	if len(lines) < 3 {
		return 0, false
	}
	pid, err := strconv.Atoi(lines[0])
	if err != nil || pid <= 1 {
		return 0, false
	}
	started, err := strconv.ParseInt(lines[2], 10, 64)
	if err != nil || !isServer(pid, data, started) {
		return 0, false
	}
	return pid, true
}
