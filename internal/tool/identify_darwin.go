package tool

import (
	"fmt"

	"golang.org/x/sys/unix"
)

func identify(pid int) identity {
	info, err := unix.SysctlKinfoProc("kern.proc.pid", pid)
	if err != nil {
		return identity{Pid: pid}
	}
	since := info.Proc.P_starttime
	return identity{Pid: pid, Start: fmt.Sprintf("%d.%06d", since.Sec, since.Usec)}
}
