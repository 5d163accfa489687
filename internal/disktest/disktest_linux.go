// Package disktest is a disk that is soon full, for tests of what happens then. It is a file system in memory, so only
// Linux has it, and only root may mount it.
package disktest

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// Small returns a directory on a disk of its own of that size, as "4m". Nothing on it may be open any more when the test
// ends.
func Small(t *testing.T, size string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can mount a disk that is full soon")
	}
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Skipf("mount a small tmpfs: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Errorf("something in it is still open: %v", errors.Join(err, unix.Unmount(dir, unix.MNT_DETACH)))
		}
	})
	return dir
}

// Fill leaves no room on the disk of a directory, by the file whose path it returns.
func Fill(t *testing.T, dir string) (filler string) {
	t.Helper()
	filler = filepath.Join(dir, "filler")
	file, err := os.OpenFile(filler, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil && !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	for err = nil; err == nil; _, err = file.Write(make([]byte, 4096)) {
	}
	if !errors.Is(err, unix.ENOSPC) {
		t.Error(err)
	}
	return filler
}
