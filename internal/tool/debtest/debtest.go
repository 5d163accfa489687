// Package debtest gets programs out of Debian's packages for tests, without installing or starting anything. What was
// unpacked is kept in the user's cache directory.
package debtest

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/tool"
)

// A Program is one of Debian's.
type Program struct {
	Path     string   // in the package, without the first slash: usr/bin/docker-registry
	Packages []string // its own, then those of libraries that a minimal Debian lacks
}

// Find returns where the program is: on the machine, else in a directory of its own, whose root is returned, too, for
// its libraries. Where it can't be had, the test is skipped with the reason, and fails in CI.
func Find(t testing.TB, p Program) (program, root string) {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	kept := filepath.Join(cache, "meter-pipeline", p.Packages[0])
	for _, root := range []string{"/", kept} {
		if info, err := os.Stat(filepath.Join(root, p.Path)); err == nil && info.Mode().IsRegular() {
			return filepath.Join(root, p.Path), root
		}
	}
	if err := p.unpack(t, kept); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("get %s: %v", p.Packages[0], err)
		}
		t.Skipf("%s is not here, and can't be had: %v: apt-get install %s", p.Packages[0], err, p.Packages[0])
	}
	return filepath.Join(kept, p.Path), kept
}

// unpack gets the packages. Tests of several packages may do so at once, so they are renamed to where they are kept.
func (p Program) unpack(t testing.TB, kept string) error {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(kept), 0o755); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(filepath.Dir(kept), p.Packages[0]+"-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	download := append([]string{"download"}, p.Packages...)
	if err := run(t, dir, "apt-get", download...); err != nil {
		if me, lookErr := user.Current(); lookErr != nil || me.Uid != "0" {
			return err
		}
		// A new machine does not know yet which packages there are.
		if err := run(t, dir, "apt-get", "update"); err != nil {
			return err
		}
		if err := run(t, dir, "apt-get", download...); err != nil {
			return err
		}
	}
	packages, err := filepath.Glob(filepath.Join(dir, "*.deb"))
	if err != nil || len(packages) != len(p.Packages) {
		return fmt.Errorf("apt-get download left %d packages, not %d: %w", len(packages), len(p.Packages), err)
	}
	for _, one := range packages {
		if err := run(t, dir, "dpkg-deb", "--extract", one, "unpacked"); err != nil {
			return err
		}
	}
	err = os.Rename(filepath.Join(dir, "unpacked"), kept)
	if _, statErr := os.Stat(filepath.Join(kept, p.Path)); statErr == nil {
		return nil // perhaps another test's
	}
	return err
}

func run(t testing.TB, dir, program string, args ...string) error {
	t.Helper()
	runner := tool.NewRunner(tool.Options{
		State: filepath.Join(t.TempDir(), ".pipeline"), Run: "debtest-" + strconv.Itoa(os.Getpid()) + "-" + strconv.FormatInt(time.Now().UnixNano(), 36),
	})
	defer func() { _ = runner.Close() }()
	out, err := runner.Run(t.Context(), engine.Invocation{Program: program, Args: args, Dir: dir, Env: os.Environ()})
	if err != nil {
		return err
	}
	if out.ExitCode != 0 {
		return fmt.Errorf("%s %q: exit code %d: %s", program, args, out.ExitCode, out.Stderr)
	}
	return nil
}
