package imagetest

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// Shared is one machine for the tests of a package, brought up by the first that asks for it. Its Close belongs in
// TestMain, after the tests.
type Shared struct {
	once    sync.Once
	machine *Machine
	err     error
}

// Get returns the machine. Where there can be none, the test is skipped with the reason, and fails in CI. By their name
// `mage test` runs such tests apart, all on one machine: among the others a single one would start its own.
func (s *Shared) Get(t testing.TB) *Machine {
	t.Helper()
	if !strings.HasPrefix(t.Name(), "TestEngine") {
		t.Fatal("a test on a machine has a name that begins with TestEngine")
	}
	s.once.Do(func() {
		var root string
		if root, s.err = repositoryRoot(); s.err == nil {
			s.machine, s.err = Start(context.WithoutCancel(t.Context()), Options{Repository: root, Env: os.Environ(), Log: t.Logf})
		}
	})
	if s.err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(s.err)
		}
		t.Skip(s.err)
	}
	return s.machine
}

// Close ends the machine, if there is one.
func (s *Shared) Close() error {
	if s.machine == nil {
		return nil
	}
	return s.machine.Close()
}

// repositoryRoot is the directory above this one that holds pipeline.yaml.
func repositoryRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for at := dir; ; at = filepath.Dir(at) {
		if _, err := os.Stat(filepath.Join(at, "pipeline.yaml")); err == nil || at == filepath.Dir(at) {
			return at, err
		}
	}
}
