package tool

import (
	"os"
	"slices"
	"strings"
)

func identify(pid int) identity {
	s, err := readStat(pid)
	if err != nil {
		return identity{Pid: pid}
	}
	return identity{Pid: pid, Start: s.since()}
}

// find returns what still runs of a dead run: what carries its mark, and what is in the session of one of its programs
// as long as that program itself is still there. Without it the session's number may be another one's by now.
func (r *remains) find() []stat {
	sessions := map[int]bool{}
	for id := range r.programs {
		if s, err := readStat(id.Pid); err == nil && s.since() == id.Start {
			sessions[id.Pid] = true
		}
	}
	own := os.Getpid()
	spared := lineage(own)
	belongs := func(s stat) bool {
		return !spared[s.pid] && (sessions[s.session] || sessions[s.group] ||
			marked(s.pid, func(mark string) bool { return strings.HasPrefix(mark, r.run+"/") }))
	}
	mine := kin{}.family(func(s stat) bool { return s.pid == own })
	return slices.DeleteFunc(r.known.family(belongs), func(s stat) bool {
		return spared[s.pid] || slices.ContainsFunc(mine, func(m stat) bool { return m.pid == s.pid })
	})
}

// lineage is a process with its ancestors: whatever they carry, a sweep must not end who asked for it, nor what that
// one has started itself.
func lineage(pid int) map[int]bool {
	all := map[int]bool{}
	for pid > 0 && !all[pid] {
		all[pid] = true
		s, err := readStat(pid)
		if err != nil {
			break
		}
		pid = s.parent
	}
	return all
}
