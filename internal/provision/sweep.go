package provision

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Sweep ends the database servers that killed runs left, removes their data, and says what it removed. A run that
// lives is left alone, and so is what belongs to another user.
func (p *Provisioner) Sweep(ctx context.Context) ([]string, error) {
	var swept []string
	var errs []error
	for _, parent := range p.tempDirs() {
		entries, err := os.ReadDir(parent)
		if err != nil {
			continue // no place for clusters either
		}
		for _, entry := range entries {
			if !strings.HasPrefix(entry.Name(), clusterPrefix) {
				continue
			}
			removed, err := sweepCluster(ctx, filepath.Join(parent, entry.Name()))
			errs = append(errs, err)
			if removed {
				swept = append(swept, filepath.Join(parent, entry.Name()))
			}
		}
	}
	return swept, errors.Join(errs...)
}

// saySwept is the sweep as a part of starting a server: what it can't do is said, and stops nothing.
func (p *Provisioner) saySwept(ctx context.Context, say func(string)) {
	swept, err := p.Sweep(ctx)
	for _, dir := range swept {
		say("removed a database server that a killed run left: " + dir)
	}
	if err != nil {
		say("a database server that a killed run left could not be removed: " + err.Error())
	}
}

func sweepCluster(ctx context.Context, dir string) (bool, error) {
	info, err := os.Lstat(dir)
	if err != nil || !info.IsDir() {
		return false, nil // its run has just removed it, or it is nobody's cluster
	}
	if owner, ok := info.Sys().(*syscall.Stat_t); !ok || int(owner.Uid) != os.Geteuid() {
		return false, nil
	}
	if ownerLives(filepath.Base(dir)) {
		return false, nil
	}
	// A lock is seen from everywhere, a process only from its own container.
	if path := filepath.Join(dir, clusterLock); exists(path) {
		lock, err := openLock(path)
		if err != nil {
			return false, err
		}
		defer func() { _ = lock.close() }()
		if free, err := lock.try(unix.LOCK_EX); err != nil || !free {
			return false, err
		}
	}
	data := filepath.Join(dir, "data")
	if pid, ok := postmaster(data); ok {
		endServer(ctx, pid, func() bool {
			_, lives := postmaster(data)
			return !lives
		})
		if _, lives := postmaster(data); lives {
			return false, fmt.Errorf("end database server in %s: process %d does not end", dir, pid)
		}
	}
	return true, removeCluster(dir)
}

// ownerLives reads the owner from a directory's name, and looks for it.
func ownerLives(name string) bool {
	parts := strings.Split(strings.TrimPrefix(name, clusterPrefix), "-")
	if len(parts) != 3 {
		return true // not ours to judge
	}
	pid, err := strconv.Atoi(parts[0])
	if err != nil {
		return true
	}
	started, alive := processStart(pid)
	return alive && strconv.FormatUint(started, 10) == parts[1]
}
