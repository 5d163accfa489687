package provision

import (
	"bytes"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// TestAsAnotherUser runs the essential tests once more as a user without rights, in a path with spaces and umlauts.
func TestAsAnotherUser(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Log("all tests run as a user without rights already")
		return
	}
	nobody, err := user.Lookup("nobody")
	if err != nil {
		t.Fatal(err)
	}
	home, err := os.MkdirTemp("", "provision-nobody-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(home) })
	// A checkout that the user can read: ours may be in root's home.
	directory := filepath.Join(home, "Größe über alles", "internal", "provision")
	requirements := filepath.Join(home, "Größe über alles", "requirements")
	copies := map[string]string{}
	for _, name := range []string{"dev.txt", "uv.txt"} {
		copies[filepath.Join(repository(t), "requirements", name)] = filepath.Join(requirements, name)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	copies[self] = filepath.Join(home, "provision.test")
	copies[newCheckout(t).withUV().env["UV"]] = filepath.Join(home, "bin", "uv")
	for from, to := range copies {
		content, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, content, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(directory, 0o755); err != nil {
		t.Fatal(err)
	}
	uid, _ := strconv.Atoi(nobody.Uid)
	gid, _ := strconv.Atoi(nobody.Gid)
	if err := filepath.Walk(home, func(path string, _ os.FileInfo, err error) error {
		if err != nil {
			return err
		}
		return os.Chown(path, uid, gid)
	}); err != nil {
		t.Fatal(err)
	}

	cmd := exec.CommandContext(t.Context(), filepath.Join(home, "provision.test"), "-test.v", "-test.run",
		"^(TestPostgresGivesEachAskerADatabase|TestCloseEndsTheServer|TestKilledRunsServerIsSwept|TestPythonIsMadeOnceAndFits|TestDatabaseURLComesFirst)$")
	cmd.Dir = directory
	env := newEnviron(os.Environ()).with(map[string]string{
		"HOME": home, "TMPDIR": home, "PATH": filepath.Join(home, "bin") + ":" + os.Getenv("PATH"),
		"XDG_CACHE_HOME": "", "UV_CACHE_DIR": "", "XDG_RUNTIME_DIR": "", "XDG_DATA_HOME": "", "XDG_CONFIG_HOME": "",
	})
	cmd.Env = env.list()
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v:\n%s", err, out.String())
	}
	if passed := strings.Count(out.String(), "\n--- PASS: "); passed != 5 {
		t.Errorf("%d tests passed, want 5:\n%s", passed, out.String())
	}
}
