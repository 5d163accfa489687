package tool

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// awaitExit returns when the program has ended, and leaves it a zombie: as long as it is one, its number, its group's
// and its session's can't be given to another process, so that they can be signalled safely.
func (p *process) awaitExit() {
	for {
		err := unix.Waitid(unix.P_PID, p.tree.leader.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

// tree is a program and all that it started: its session and group, what carries its mark, and their children. What
// was seen once stays known: a child whose parent has ended can't be told from any other process.
type tree struct {
	leader identity
	marker string
	after  uint64 // nobody of it is older

	mu    sync.Mutex
	known kin
}

func newTree(pid int, marker string) *tree {
	t := &tree{leader: identity{Pid: pid}, marker: marker, known: kin{}}
	if s, err := readStat(pid); err == nil {
		t.after = s.start
		t.leader.Start = s.since()
	}
	return t
}

// signal reaches everybody. The group is signalled as a whole, so that nobody slips away by forking meanwhile.
func (t *tree) signal(sig syscall.Signal) {
	found := t.find() // before the signal, which may take from them the parent that they are known by
	_ = syscall.Kill(-t.leader.Pid, sig)
	for _, s := range found {
		if s.group != t.leader.Pid {
			_ = s.signal(sig)
		}
	}
}

// others counts who still runs beside the program itself.
func (t *tree) others() int {
	return len(slices.DeleteFunc(t.find(), func(s stat) bool { return s.pid == t.leader.Pid }))
}

func (t *tree) find() []stat {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.known.family(func(s stat) bool {
		return s.start >= t.after && (s.session == t.leader.Pid || s.group == t.leader.Pid ||
			marked(s.pid, func(mark string) bool { return mark == t.marker }))
	})
}

// kin are processes that were found to belong, by number and start.
type kin map[kinKey]bool

type kinKey struct {
	pid   int
	start uint64
}

// family returns the living processes that belong, and the children of those that do.
func (k kin) family(belongs func(stat) bool) []stat {
	all := processes()
	in := map[int]bool{}
	for _, s := range all {
		in[s.pid] = k[kinKey{s.pid, s.start}] || belongs(s)
	}
	for grown := true; grown; {
		grown = false
		for _, s := range all {
			if !in[s.pid] && in[s.parent] {
				in[s.pid], grown = true, true
			}
		}
	}
	all = slices.DeleteFunc(all, func(s stat) bool { return !in[s.pid] })
	for _, s := range all {
		k[kinKey{s.pid, s.start}] = true
	}
	return all
}

// stat is what /proc says of a process.
type stat struct {
	pid, parent, group, session int
	name                        string
	state                       byte
	start                       uint64 // in clock ticks since the machine started
}

// since names the moment at which the process started so that no other process has the same number and moment.
func (s stat) since() string { return bootID() + "/" + strconv.FormatUint(s.start, 10) }

func bootID() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// signal makes sure that it reaches the process that was looked at, and no later one with its number.
func (s stat) signal(sig syscall.Signal) error {
	handle, err := os.FindProcess(s.pid) // a handle that stays with the process, where the kernel has them
	if err != nil {
		return fmt.Errorf("find process %d: %w", s.pid, err)
	}
	defer func() { _ = handle.Release() }()
	if now, err := readStat(s.pid); err != nil || now.start != s.start {
		return nil // it is gone, which is what was wanted
	}
	if err := handle.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("signal process %d (%s): %w", s.pid, s.name, err)
	}
	return nil
}

// processes lists who runs. Zombies don't: they only wait for their parent to notice.
func processes() []stat {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer func() { _ = dir.Close() }()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil
	}
	var all []stat
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		if s, err := readStat(pid); err == nil && s.state != 'Z' && s.state != 'X' {
			all = append(all, s)
		}
	}
	return all
}

// readStat is called for every process of the machine, so it does without what os.ReadFile does beside reading.
func readStat(pid int) (stat, error) {
	file, err := unix.Open("/proc/"+strconv.Itoa(pid)+"/stat", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return stat{}, err
	}
	defer func() { _ = unix.Close(file) }()
	var b [1024]byte // a name has at the most 64 bytes, and there are about 50 numbers
	n, err := unix.Read(file, b[:])
	if err != nil {
		return stat{}, err
	}
	return parseStat(b[:n])
}

// parseStat reads proc_pid_stat(5). The name is in brackets and may hold spaces and brackets itself.
func parseStat(b []byte) (stat, error) {
	open, shut := bytes.IndexByte(b, '('), bytes.LastIndexByte(b, ')')
	if open < 1 || shut < open {
		return stat{}, errors.New("parse process status: no name")
	}
	fields := strings.Fields(string(b[shut+1:]))
	if len(fields) < 20 {
		return stat{}, errors.New("parse process status: too few fields")
	}
	s := stat{name: string(b[open+1 : shut]), state: fields[0][0]}
	var errs [5]error
	s.pid, errs[0] = strconv.Atoi(strings.TrimSpace(string(b[:open])))
	s.parent, errs[1] = strconv.Atoi(fields[1])
	s.group, errs[2] = strconv.Atoi(fields[2])
	s.session, errs[3] = strconv.Atoi(fields[3])
	s.start, errs[4] = strconv.ParseUint(fields[19], 10, 64)
	return s, errors.Join(errs[:]...)
}

// marked reports whether one of the marks that a process was started with fits.
func marked(pid int, fits func(mark string) bool) bool {
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "environ"))
	if err != nil {
		return false // another user's, or gone
	}
	for entry := range bytes.SplitSeq(b, []byte{0}) {
		if marks, ok := bytes.CutPrefix(entry, []byte(RunVariable+"=")); ok {
			return slices.ContainsFunc(strings.Split(string(marks), ","), fits)
		}
	}
	return false
}
