// Package filelock is a lock of the operating system on a file. It ends with the process that holds it, however that
// ends, so it never has to be broken. It stands at the bottom of the import graph.
package filelock

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// pause is how often a lock that another holds is tried again.
const pause = 5 * time.Millisecond

// Take waits until it has the file for itself alone; waiting is called once if there is something to wait for. Two openings
// of one file exclude each other also within one process. A file that was opened for reading alone can be locked, too.
func Take(ctx context.Context, file *os.File, waiting ...func()) error {
	return take(ctx, file, unix.LOCK_EX, waiting)
}

// Share waits until nobody has the file for itself alone.
func Share(ctx context.Context, file *os.File, waiting ...func()) error {
	return take(ctx, file, unix.LOCK_SH, waiting)
}

// Try is Take if that is possible at once.
func Try(file *os.File) (bool, error) { return try(file, unix.LOCK_EX) }

// Release lets others have it.
func Release(file *os.File) error {
	if err := unix.Flock(int(file.Fd()), unix.LOCK_UN); err != nil {
		return fmt.Errorf("unlock %s: %w", file.Name(), err)
	}
	return nil
}

func take(ctx context.Context, file *os.File, how int, waiting []func()) error {
	for {
		taken, err := try(file, how)
		if taken || err != nil {
			return err
		}
		for _, call := range waiting {
			call()
		}
		waiting = nil
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for lock %s: %w", file.Name(), context.Cause(ctx))
		case <-time.After(pause):
		}
	}
}

func try(file *os.File, how int) (bool, error) {
	for {
		err := unix.Flock(int(file.Fd()), how|unix.LOCK_NB)
		switch {
		case err == nil:
			return true, nil
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EWOULDBLOCK):
			return false, nil
		default:
			return false, fmt.Errorf("lock %s: %w", file.Name(), err)
		}
	}
}
