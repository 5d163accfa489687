package provision

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/meter-ml/meter-pipeline/internal/filelock"
)

// A fileLock is a lock on a file of its own, which can hold a word.
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

// try takes the lock for oneself alone, if that is possible at once.
func (l *fileLock) try() (bool, error) { return filelock.Try(l.file) }

// take waits to have the lock for oneself alone; waiting is called once if there is something to wait for.
func (l *fileLock) take(ctx context.Context, waiting func()) error {
	return filelock.Take(ctx, l.file, waiting)
}

// share waits to have the lock with others.
func (l *fileLock) share(ctx context.Context, waiting func()) error {
	return filelock.Share(ctx, l.file, waiting)
}

// release lets another run have the lock, and keeps the file open.
func (l *fileLock) release() error { return filelock.Release(l.file) }

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
