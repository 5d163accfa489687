package keys

import (
	"os"

	"golang.org/x/sys/unix"
)

// unnamed makes a file in dir that never has a name: whenever the process ends, nothing is left. Not every file system
// can do that.
func unnamed(dir string) (*os.File, error) {
	file, err := os.OpenFile(dir, os.O_RDWR|unix.O_TMPFILE, 0o600)
	if err != nil {
		return named(dir)
	}
	return file, nil
}
