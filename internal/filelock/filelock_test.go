package filelock

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func open(t *testing.T, path string) *os.File {
	t.Helper()
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	return file
}

func TestLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	first, second := open(t, path), open(t, path)
	if err := Take(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	if taken, err := Try(second); taken || err != nil {
		t.Errorf("taken twice: %t, %v", taken, err)
	}
	short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	waits := 0
	if err := Share(short, second, func() { waits++ }); !errors.Is(err, context.DeadlineExceeded) || waits != 1 {
		t.Errorf("shared while taken: %v, told %d times", err, waits)
	}
	time.AfterFunc(10*time.Millisecond, func() { _ = first.Close() }) // as a killed process does
	if err := Take(t.Context(), second); err != nil {
		t.Errorf("after the first is gone: %v", err)
	}
	if err := Release(second); err != nil {
		t.Error(err)
	}
	if taken, err := Try(second); !taken || err != nil {
		t.Errorf("what nobody has: %t, %v", taken, err)
	}
}

func TestSharedTogether(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	first, second := open(t, path), open(t, path)
	if err := errors.Join(Share(t.Context(), first), Share(t.Context(), second)); err != nil {
		t.Error(err)
	}
	_ = second.Close()
	if err := Take(t.Context(), second); err == nil {
		t.Error("a closed file was locked")
	}
}
