package provision

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// lockPause is how often a lock that another run holds is tried again.
const lockPause = 50 * time.Millisecond

// A fileLock is a lock of the operating system on a file. It ends with the process that holds it, however that ends,
// so it never has to be broken.
type fileLock struct {
	file *os.File
}

// openLock opens the file of a lock, without taking it.
func openLock(path string) (*fileLock, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("make directory of lock: %w", err)
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open lock: %w", err)
	}
	return &fileLock{file}, nil
}

// try takes the lock, shared (unix.LOCK_SH) or for oneself alone (unix.LOCK_EX), if that is possible at once.
func (l *fileLock) try(how int) (bool, error) {
	for {
		err := unix.Flock(int(l.file.Fd()), how|unix.LOCK_NB)
		switch {
		case err == nil:
			return true, nil
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EWOULDBLOCK):
			return false, nil
		default:
			return false, fmt.Errorf("lock %s: %w", l.file.Name(), err)
		}
	}
}

// take waits for the lock; waiting is called once if there is something to wait for.
func (l *fileLock) take(ctx context.Context, how int, waiting func()) error {
	told := false
	for {
		taken, err := l.try(how)
		if taken || err != nil {
			return err
		}
		if !told {
			told = true
			waiting()
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(lockPause):
		}
	}
}

// release lets another run have the lock, and keeps the file open.
func (l *fileLock) release() error {
	return unix.Flock(int(l.file.Fd()), unix.LOCK_UN)
}

// close lets the lock go.
func (l *fileLock) close() error {
	if l == nil {
		return nil
	}
	return l.file.Close()
}

// note keeps a word in the lock's file, for the run that takes the lock after this one died.
func (l *fileLock) note(word string) error {
	if err := l.file.Truncate(0); err != nil {
		return fmt.Errorf("note in lock: %w", err)
	}
	if _, err := l.file.WriteAt([]byte(word), 0); err != nil {
		return fmt.Errorf("note in lock: %w", err)
	}
	return nil
}

func (l *fileLock) noted() string {
	buffer := make([]byte, 64)
	n, _ := l.file.ReadAt(buffer, 0) // what can't be read was not noted
	return string(buffer[:n])
}
