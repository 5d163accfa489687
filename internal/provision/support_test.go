package provision

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/tool"
)

// A checkout is a small project of its own, with the real runner.
type checkout struct {
	t       *testing.T
	root    string
	project *config.Project
	env     map[string]string
	runner  engine.Runner

	mu   sync.Mutex
	said []string
}

// newCheckout makes a project whose path has spaces and letters that are not ASCII.
func newCheckout(t *testing.T) *checkout {
	t.Helper()
	root := filepath.Join(t.TempDir(), "Zähler Stände")
	if err := os.MkdirAll(filepath.Join(root, "requirements"), 0o755); err != nil {
		t.Fatal(err)
	}
	project := config.Default(root)
	c := &checkout{t: t, root: root, project: project, env: ownEnv()}
	runner := tool.NewRunner(tool.Options{State: filepath.Join(root, ".pipeline"), Run: runID(t)})
	t.Cleanup(func() {
		if err := runner.Close(); err != nil {
			t.Error(err)
		}
	})
	c.runner = runner
	return c
}

// runID is a name that no other run has, be it of other tests at the same time: a sweep goes by it.
func runID(t *testing.T) string {
	t.Helper()
	unique, err := randomHex(rand.Reader, 6)
	if err != nil {
		t.Fatal(err)
	}
	return "provision-test-" + unique
}

// ownEnv is the test's environment, without what would decide for the provisioner.
func ownEnv() map[string]string {
	env := newEnviron(os.Environ())
	for _, name := range []string{"DATABASE_URL", "METER_POSTGRES_BIN", "UV", "VIRTUAL_ENV", tool.RunVariable} {
		delete(env, name)
	}
	return env
}

func (c *checkout) provisioner() *Provisioner {
	c.t.Helper()
	p, err := New(Options{Project: c.project, Runner: c.runner, Env: environ(c.env).list()})
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() {
		if err := p.Close(context.Background()); err != nil {
			c.t.Error(err)
		}
	})
	return p
}

func (c *checkout) say(text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.said = append(c.said, text)
}

// heard reports whether something with all of these words was said.
func (c *checkout) heard(words ...string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.ContainsFunc(c.said, func(line string) bool {
		return !slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(line, word) })
	})
}

func (c *checkout) provide(p *Provisioner, need engine.Need) engine.Provision {
	c.t.Helper()
	provision, err := p.Provide(c.t.Context(), need, c.say)
	if err != nil {
		c.t.Fatalf("provide %s: %v\nsaid: %q", need, err, c.said)
	}
	return provision
}

// execute runs a program as a step would, and returns its standard output.
func (c *checkout) execute(env map[string]string, program string, args ...string) (string, error) {
	c.t.Helper()
	out, err := c.runner.Run(c.t.Context(), engine.Invocation{
		Program: program, Args: args, Dir: c.root, Env: environ(c.env).with(env).list(),
	})
	if err == nil && out.ExitCode != 0 {
		err = fmt.Errorf("exit code %d: %s", out.ExitCode, out.Stderr)
	}
	return strings.TrimSpace(string(out.Stdout)), err
}

func (c *checkout) write(name, content string) {
	c.t.Helper()
	if err := os.WriteFile(filepath.Join(c.root, name), []byte(content), 0o644); err != nil {
		c.t.Fatal(err)
	}
}

func repository(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// pinned takes packages with their hashes from the repository's own requirements.
func pinned(t *testing.T, names ...string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(repository(t), "requirements", "dev.txt"))
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for _, name := range names {
		start := strings.Index(string(content), "\n"+name+"==")
		if start < 0 {
			t.Fatalf("requirements/dev.txt does not pin %s", name)
		}
		for i, line := range strings.Split(string(content[start+1:]), "\n") {
			if i > 0 && !strings.HasPrefix(line, "    --hash") {
				break
			}
			out.WriteString(line + "\n")
		}
	}
	return out.String()
}

// withUV gives a checkout a real uv: the machine's, else the one that the repository's own provisioning installs.
func (c *checkout) withUV() *checkout {
	c.t.Helper()
	project := config.Default(repository(c.t))
	p, err := New(Options{Project: project, Runner: c.runner, Env: environ(ownEnv()).list()})
	if err != nil {
		c.t.Fatal(err)
	}
	uv, err := p.needUV(c.t.Context(), c.say)
	if err != nil {
		unreachable(c.t, "uv", err)
	}
	c.env["UV"] = uv.path
	return c
}

// unreachable ends a test that needs a network which is not there. In CI that is a failure: a test that did not run
// is not green.
func unreachable(t *testing.T, what string, err error) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatalf("%s can't be had: %v", what, err)
	}
	t.Skipf("%s can't be had, perhaps for want of a network: %v", what, err)
}

// eventually waits for what another process does.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if condition() {
			return
		}
	}
	t.Fatalf("%s: not within 20 seconds", what)
}
