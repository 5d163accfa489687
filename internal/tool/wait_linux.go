package tool

import (
	"errors"

	"golang.org/x/sys/unix"
)

// awaitExit returns when the process has ended, and leaves it a zombie: as long as it is one, its number and that of
// its group can't be given to another process, so that the group can be signalled safely.
func awaitExit(pid int) {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return
		}
	}
}
