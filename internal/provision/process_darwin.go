package provision

import (
	"time"

	"golang.org/x/sys/unix"
)

// processStart says when a process started, in microseconds: together with its number it names the process for ever.
func processStart(pid int) (uint64, bool) {
	info, err := unix.SysctlKinfoProc("kern.proc.pid", pid)
	if err != nil || info.Proc.P_pid != int32(pid) || info.Proc.P_stat == 5 { // 5: SZOMB, ended
		return 0, false
	}
	at := info.Proc.P_starttime
	return uint64(at.Sec)*1_000_000 + uint64(at.Usec), true
}

// isServer reports whether a process is the server that wrote when it started.
func isServer(pid int, _ string, started int64) bool {
	at, alive := processStart(pid)
	if !alive {
		return false
	}
	difference := time.Unix(started, 0).Sub(time.UnixMicro(int64(at)))
	return difference > -2*time.Second && difference < 5*time.Second
}
