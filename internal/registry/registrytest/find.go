package registrytest

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

// find returns the registry's program: the machine's, else the one that an earlier test unpacked, else it unpacks
// Debian's package, which installs and starts nothing.
func find(t testing.TB) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	kept := filepath.Join(cache, "meter-pipeline", "docker-registry")
	for _, path := range []string{"/usr/bin/docker-registry", filepath.Join(kept, "usr/bin/docker-registry")} {
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			return path
		}
	}
	if err := unpack(t, kept); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("get docker-registry: %v", err)
		}
		t.Skipf("docker-registry is not here, and can't be had: %v: apt-get install docker-registry", err)
	}
	return filepath.Join(kept, "usr/bin/docker-registry")
}

// unpack gets the package. Tests of several packages may do so at once, so it is renamed to where it is kept.
func unpack(t testing.TB, kept string) error {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(kept), 0o755); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(filepath.Dir(kept), "docker-registry-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := run(t, dir, "apt-get", "download", "docker-registry"); err != nil {
		if me, lookErr := user.Current(); lookErr != nil || me.Uid != "0" {
			return err
		}
		// A new machine does not know yet which packages there are.
		if err := run(t, dir, "apt-get", "update"); err != nil {
			return err
		}
		if err := run(t, dir, "apt-get", "download", "docker-registry"); err != nil {
			return err
		}
	}
	packages, err := filepath.Glob(filepath.Join(dir, "*.deb"))
	if err != nil || len(packages) != 1 {
		return fmt.Errorf("apt-get download left %d packages: %w", len(packages), err)
	}
	if err := run(t, dir, "dpkg-deb", "--extract", packages[0], "unpacked"); err != nil {
		return err
	}
	err = os.Rename(filepath.Join(dir, "unpacked"), kept)
	if _, statErr := os.Stat(filepath.Join(kept, "usr/bin/docker-registry")); statErr == nil {
		return nil // perhaps another test's
	}
	return err
}

func run(t testing.TB, dir, program string, args ...string) error {
	t.Helper()
	runner := tool.NewRunner(tool.Options{
		State: filepath.Join(t.TempDir(), ".pipeline"), Run: "registrytest-get-" + strconv.Itoa(os.Getpid()) + "-" + strconv.FormatInt(time.Now().UnixNano(), 36),
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
