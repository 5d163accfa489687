package provision

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"github.com/meter-ml/meter-pipeline/internal/engine"
)

func TestKilledRunsServerIsSwept(t *testing.T) {
	c := newCheckout(t)
	other := startOther(t, c, engine.NeedPostgres)
	dir := other.said
	pid, alive := postmaster(filepath.Join(dir, "data"))
	if !alive {
		t.Fatalf("no server runs in %q", dir)
	}
	p := c.provisioner()
	if swept, err := p.Sweep(t.Context()); err != nil || slices.Contains(swept, dir) || !exists(dir) {
		t.Fatalf("the living run's server is swept: %q, %v", swept, err)
	}
	if err := other.Process.Kill(); err != nil { // SIGKILL: nothing of it can clean up
		t.Fatal(err)
	}
	_ = other.Wait()
	if _, alive := processStart(pid); !alive {
		t.Fatal("the server ended by itself, so that there is nothing to test")
	}
	swept, err := p.Sweep(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(swept, dir) || exists(dir) {
		t.Errorf("swept %q, want %s gone", swept, dir)
	}
	eventually(t, "the server ends", func() bool { _, alive := processStart(pid); return !alive })
	if swept, err := p.Sweep(t.Context()); err != nil || slices.Contains(swept, dir) {
		t.Errorf("the second sweep finds %q, %v", swept, err)
	}
}

func TestSweepLeavesAloneWhatIsNotDeadForSure(t *testing.T) {
	parent := t.TempDir()
	self, _ := processStart(os.Getpid())
	started := func(n uint64) string { return filepath.Join(parent, ownedDirName(clusterPrefix, os.Getpid(), n)+"abc") }
	mkdir := func(path string, withLock bool) string {
		if err := os.Mkdir(path, 0o755); err != nil {
			t.Fatal(err)
		}
		if withLock {
			if err := os.WriteFile(filepath.Join(path, ownerLock), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		return path
	}
	living := mkdir(started(self), true)
	reused := mkdir(started(self+1), true) // our number, but another process's
	elsewhere := mkdir(started(self+2), true)
	lock, err := openLock(filepath.Join(elsewhere, ownerLock)) // an owner in another container: only its lock is seen
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lock.try(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = lock.close() }()
	foreign := mkdir(filepath.Join(parent, clusterPrefix+"of-mine"), false)
	link := filepath.Join(parent, ownedDirName(clusterPrefix, 1<<22+1, 1)+"link")
	if err := os.Symlink(t.TempDir(), link); err != nil {
		t.Fatal(err)
	}
	// A server process is named that is not one.
	impostor := mkdir(started(self+3), true)
	if err := os.Mkdir(filepath.Join(impostor, "data"), 0o755); err != nil {
		t.Fatal(err)
	}
	bystander := startOther(t, newCheckout(t), "nothing")
	pidFile := []byte(strconv.Itoa(bystander.Process.Pid) + "\n/somewhere\n1700000000\n5432\n")
	if err := os.WriteFile(filepath.Join(impostor, "data", "postmaster.pid"), pidFile, 0o600); err != nil {
		t.Fatal(err)
	}

	c := newCheckout(t)
	c.env["TMPDIR"] = parent
	swept, err := c.provisioner().Sweep(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for path, gone := range map[string]bool{living: false, reused: true, elsewhere: false, foreign: false, link: false, impostor: true} {
		if exists(path) == gone || slices.Contains(swept, path) != gone {
			t.Errorf("%s: swept %v, want %v", filepath.Base(path), !exists(path), gone)
		}
	}
	if _, alive := processStart(bystander.Process.Pid); !alive {
		t.Error("a process that is no server was ended")
	}
}
