package stagetest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/tool"
)

// environment is the little that a tool needs of this machine: no setting of the person who runs the tests.
func environment(extra []string) []string {
	keep := []string{"HOME", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY"}
	env := []string{"PATH=" + os.Getenv("PATH"), "LANG=C.UTF-8"}
	for _, key := range keep {
		if value, ok := os.LookupEnv(key); ok {
			env = append(env, key+"="+value)
		}
	}
	return append(env, extra...)
}

// provider gives the repository's own environment as python. A replay needs nothing.
type provider struct {
	suite  Suite
	t      *testing.T
	runner engine.Runner
	bare   bool
}

func (p provider) Provide(_ context.Context, need engine.Need, _ func(string)) (engine.Provision, error) {
	if _, replay := p.runner.(*player); replay {
		return engine.Provision{}, nil
	}
	if strings.HasPrefix(string(need), string(engine.NeedPython)) {
		environment := filepath.Join(Repository(p.t), ".venv")
		programs := filepath.Join(environment, "bin")
		if p.bare {
			programs = bare(p.t, environment)
		}
		return engine.Provision{Programs: programs}, nil
	}
	if p.suite.Provide != nil {
		return p.suite.Provide(p.t, p.runner, need), nil
	}
	return engine.Provision{}, nil
}

// bare makes an environment of the interpreter and nothing else.
func bare(t *testing.T, environment string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "bare")
	interpreter, err := filepath.EvalSymlinks(filepath.Join(environment, "bin", "python"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	config := "home = " + filepath.Dir(interpreter) + "\ninclude-system-site-packages = false\n"
	if err := os.WriteFile(filepath.Join(dir, "pyvenv.cfg"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(interpreter, filepath.Join(dir, "bin", "python")); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "bin")
}

// Repository returns the root of this repository.
func Repository(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			t.Fatal("find repository: no go.mod above the package")
		}
	}
}

// realRunner needs the repository's .venv.
func realRunner(t *testing.T) engine.Runner {
	t.Helper()
	if _, err := os.Stat(filepath.Join(Repository(t), ".venv", "bin", "python")); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("find real tools: %v: run `mage setup` first", err)
		}
		t.Skipf("the real tools are not here: %v: run `mage setup` first", err)
	}
	// The runner ends all that has the run's mark: no other test at the same time may have the same.
	id := fmt.Sprintf("stagetest-%d-%d", os.Getpid(), time.Now().UnixNano())
	runner := tool.NewRunner(tool.Options{State: filepath.Join(t.TempDir(), ".pipeline"), Run: id})
	t.Cleanup(func() {
		if err := runner.Close(); err != nil {
			t.Errorf("close runner: %v", err)
		}
	})
	return runner
}

func write(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
}

// projectName of every project has a space and a letter that is not ASCII.
const projectName = "a projéct"

// project makes the case's files, in a directory beside which the run will be.
func (s Suite) project(t *testing.T, c Case, prepare bool) string {
	t.Helper()
	base, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	root := filepath.Join(base, projectName)
	if err := os.Mkdir(root, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, content := range c.Files {
		path := filepath.Join(root, filepath.FromSlash(name))
		if strings.HasSuffix(name, "/") {
			if err := os.MkdirAll(path, 0o755); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for name, target := range c.Links {
		if err := os.Symlink(target, filepath.Join(root, filepath.FromSlash(name))); err != nil {
			t.Fatal(err)
		}
	}
	if c.Prepare != nil && prepare {
		runner := realRunner(t)
		c.Prepare(t, root, func(program string, args ...string) {
			t.Helper()
			out, err := runner.Run(t.Context(), engine.Invocation{Program: program, Args: args, Dir: root, Env: environment(nil)})
			if err != nil || out.ExitCode != 0 {
				t.Fatalf("prepare: %s %q: %v, exit code %d: %s", program, args, err, out.ExitCode, out.Stderr)
			}
		})
	}
	return root
}
