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
	"time"
)

// serversDir is where MLflow servers of this checkout store what they are told, in .pipeline. PostgreSQL's data are
// elsewhere, since its user may not enter here.
const serversDir = "servers"

// Sweep ends the servers that killed runs left, removes their data, and says what it removed. A run that lives is left
// alone, and so is what belongs to another user.
func (p *Provisioner) Sweep(ctx context.Context) ([]string, error) {
	var swept []string
	var errs []error
	each := func(parent, prefix string, remove func(context.Context, string) error) {
		entries, err := os.ReadDir(parent)
		if err != nil {
			return // no place for servers either
		}
		for _, entry := range entries {
			if !strings.HasPrefix(entry.Name(), prefix) {
				continue
			}
			dir := filepath.Join(parent, entry.Name())
			removed, err := sweepServer(ctx, dir, prefix, remove)
			errs = append(errs, err)
			if removed {
				swept = append(swept, dir)
			}
		}
	}
	for _, parent := range p.tempDirs() {
		each(parent, clusterPrefix, endCluster)
	}
	each(p.own(serversDir), mlflowPrefix, func(_ context.Context, dir string) error {
		killServer(dir)
		return removeServer(dir)
	})
	return swept, errors.Join(errs...)
}

// saySwept is the sweep as a part of starting a server: what it can't do is said, and stops nothing.
func (p *Provisioner) saySwept(ctx context.Context, say func(string)) {
	swept, err := p.Sweep(ctx)
	for _, dir := range swept {
		say("removed a server that a killed run left: " + dir)
	}
	if err != nil {
		say("a server that a killed run left could not be removed: " + err.Error())
	}
}

// sweepServer removes a server whose owner is dead for sure.
func sweepServer(ctx context.Context, dir, prefix string, remove func(context.Context, string) error) (bool, error) {
	info, err := os.Lstat(dir)
	if err != nil || !info.IsDir() {
		return false, nil // its run has just removed it, or it is nobody's server
	}
	if owner, ok := info.Sys().(*syscall.Stat_t); !ok || int(owner.Uid) != os.Geteuid() {
		return false, nil
	}
	if ownerLives(strings.TrimPrefix(filepath.Base(dir), prefix)) {
		return false, nil
	}
	// A lock is seen from everywhere, a process only from its own container.
	if path := filepath.Join(dir, ownerLock); exists(path) {
		lock, err := openLock(path)
		if err != nil {
			return false, err
		}
		defer func() { _ = lock.close() }()
		if free, err := lock.try(); err != nil || !free {
			return false, err
		}
	}
	if err := remove(ctx, dir); err != nil {
		return false, err
	}
	return true, nil
}

// endCluster ends a database server that has no owner any more, and removes it.
func endCluster(ctx context.Context, dir string) error {
	data := filepath.Join(dir, "data")
	if pid, ok := postmaster(data); ok {
		endServer(ctx, pid, func() bool {
			_, lives := postmaster(data)
			return !lives
		})
		if _, lives := postmaster(data); lives {
			return fmt.Errorf("end database server in %s: process %d does not end", dir, pid)
		}
	}
	return removeServer(dir)
}

// ownerLives reads the owner from a directory's name without its prefix, and looks for it.
func ownerLives(name string) bool {
	parts := strings.Split(name, "-")
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

// removeServer removes a server's directory. A process that is just ending may still write into it.
func removeServer(dir string) error {
	var err error
	for range 10 {
		if err = os.RemoveAll(dir); err == nil {
			return nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	return fmt.Errorf("remove data of a server: %w", err)
}
