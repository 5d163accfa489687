package provision

import (
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// mayWrite reports whether files can be made in a directory, which itself may have to be made.
func mayWrite(dir string) bool {
	return unix.Access(nearest(dir), unix.W_OK|unix.X_OK) == nil
}

// nearest is a directory, or of those above it the first that there is.
func nearest(dir string) string {
	for !exists(dir) && dir != filepath.Dir(dir) {
		dir = filepath.Dir(dir)
	}
	return dir
}

// makePublic makes a directory that everybody may enter, whatever the umask is.
func makePublic(dir string) error {
	if exists(dir) {
		return nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return os.Chmod(dir, 0o755) //nolint:gosec // a server may have to run what is in it as another user
}
