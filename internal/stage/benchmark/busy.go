package benchmark

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// statFile is where Linux says how the cores have spent their time since the start of the machine.
const statFile = "/proc/stat"

// tick is the unit of that file. Every Linux that runs today has a hundred a second there, whatever its kernel's own.
const tick = 10 * time.Millisecond

// account is how all cores together have spent their time up to a moment.
type account struct {
	worked int64         // ticks in which a core worked, for whomever
	steal  int64         // ticks that the host of a virtual machine gave to others
	total  int64         // ticks that there were
	own    time.Duration // of the work, what this process and the programs that it started and that have ended took
}

// A gauge reads the account.
type gauge func() (account, error)

// readAccount needs no rights, and sees every process of the machine. Programs count as own once they have ended.
func readAccount() (account, error) {
	content, err := os.ReadFile(statFile)
	if err != nil {
		return account{}, err
	}
	a, err := parseStat(content)
	if err != nil {
		return account{}, err
	}
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var used syscall.Rusage
		if err := syscall.Getrusage(who, &used); err != nil {
			return account{}, fmt.Errorf("read own CPU time: %w", err)
		}
		a.own += time.Duration(used.Utime.Nano() + used.Stime.Nano())
	}
	return a, nil
}

// parseStat reads the line of all cores: user, nice, system, idle, iowait, irq, softirq, steal; guests' time is in
// user's and nice's already (proc(5)).
func parseStat(content []byte) (account, error) {
	line, _, _ := bytes.Cut(content, []byte("\n"))
	fields := strings.Fields(string(line))
	if len(fields) < 9 || fields[0] != "cpu" {
		return account{}, errors.New("read " + statFile + ": its first line is not that of all cores")
	}
	var a account
	for i, field := range fields[1:9] {
		ticks, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return account{}, fmt.Errorf("read %s: %w", statFile, err)
		}
		a.total += ticks
		switch i {
		case 3, 4: // idle, waiting for a disk
		case 7:
			a.steal += ticks
		default:
			a.worked += ticks
		}
	}
	return a, nil
}

// Busy is how much of the cores' time others had while something was measured, each from 0 to 1 of all cores.
type Busy struct {
	Others float64 `json:"others"` // other processes of this machine
	Steal  float64 `json:"steal"`  // other machines on the same host
}

// share is what may not be too much.
func (b Busy) share() float64 { return b.Others + b.Steal }

// since compares two accounts. What is measured in ticks can be off by some of them, so nothing is below zero.
func (a account) since(before account) (Busy, error) {
	total := float64(a.total - before.total)
	if total <= 0 {
		return Busy{}, errors.New("the cores' clock stood still")
	}
	own := float64(a.own-before.own) / float64(tick)
	return Busy{
		Others: clamp((float64(a.worked-before.worked) - own) / total),
		Steal:  clamp(float64(a.steal-before.steal) / total),
	}, nil
}

func clamp(v float64) float64 { return min(max(v, 0), 1) }
