package provision

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// processStart says when a process started, in a unit of the system's own: together with its number it names the
// process for ever. A process that has ended, though nobody has waited for it, does not live.
func processStart(pid int) (uint64, bool) {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, false
	}
	// The second field is the program's name in parentheses, and may contain anything.
	_, rest, ok := strings.Cut(string(content[max(0, strings.LastIndexByte(string(content), ')')):]), ") ")
	fields := strings.Fields(rest)
	if !ok || len(fields) < 20 || fields[0] == "Z" || fields[0] == "X" {
		return 0, false
	}
	started, err := strconv.ParseUint(fields[19], 10, 64)
	return started, err == nil
}

// isServer reports whether a process is the server of a data directory, which it has as its working directory.
func isServer(pid int, data string, _ int64) bool {
	if _, alive := processStart(pid); !alive {
		return false
	}
	cwd, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", pid))
	if err != nil {
		return false
	}
	resolved, err := filepath.EvalSymlinks(data)
	return err == nil && cwd == resolved
}
