package keys_test

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/meter-ml/meter-pipeline/internal/dataset/keys"
	"github.com/meter-ml/meter-pipeline/internal/disktest"
)

func TestFullDisk(t *testing.T) {
	err := overfill(keys.New(disktest.Small(t, "2m"), 0))
	if !errors.Is(err, unix.ENOSPC) || !strings.HasSuffix(err.Error(), "free space there, or allow more memory than 1 MiB") {
		t.Errorf("got %v", err)
	}
}

// TestKilled is its own child: with the variable it spills keys and waits to be killed.
func TestKilled(t *testing.T) {
	if dir := os.Getenv("KEYS_TEST_SPILL"); dir != "" {
		_ = spilled(t, dir)
		_, _ = os.Stdout.WriteString("spilled\n")
		time.Sleep(time.Minute)
		return
	}
	dir := t.TempDir()
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKilled$")
	child.Env = append(os.Environ(), "KEYS_TEST_SPILL="+dir)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if err := child.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait()
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("a kill left %v, %v", entries, err)
	}
}
