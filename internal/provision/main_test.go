package provision

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/tool"
)

// holdVariable makes this test program another run, which takes what the value names and holds it until it is killed.
const holdVariable = "PROVISION_TEST_HOLD"

func TestMain(m *testing.M) {
	if what := os.Getenv(holdVariable); what != "" {
		fmt.Println(hold(what))
		select {}
	}
	code := m.Run()
	if theServer.provisioner != nil {
		if err := theServer.provisioner.Close(context.Background()); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
		_ = os.RemoveAll(theServer.root)
	}
	os.Exit(code)
}

// hold provides one need in the project of the working directory. What it returns is printed on one line.
func hold(what string) string {
	root, err := os.Getwd()
	if err != nil {
		return err.Error()
	}
	p, err := openAt(root)
	if err != nil {
		return err.Error()
	}
	takeEnvironment(p)
	provision, err := p.Provide(context.Background(), engine.Need(what), nil)
	if err != nil {
		return strings.ReplaceAll(err.Error(), "\n", " ")
	}
	if len(p.mlflows) > 0 {
		return p.mlflows[0].dir
	}
	if len(p.clusters) > 0 {
		return p.clusters[0].dir
	}
	return provision.Detail
}

// openAt makes a provisioner for a directory outside of a test.
func openAt(root string) (*Provisioner, error) {
	return New(Options{
		Project: config.Default(root),
		Runner:  tool.NewRunner(tool.Options{State: filepath.Join(root, ".pipeline"), Run: fmt.Sprintf("held-%d", os.Getpid())}),
		Env:     environ(ownEnv()).list(),
	})
}

// otherRun is a process of its own that holds a need.
type otherRun struct {
	*exec.Cmd
	said string // what hold returned
}

// startOther starts another run in a checkout, and waits until it holds what it is told to.
func startOther(t *testing.T, c *checkout, what engine.Need) *otherRun {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Dir = c.root
	cmd.Env = environ(c.env).with(map[string]string{holdVariable: string(what)}).list()
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	said, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the other run says %q: %v", said, err)
	}
	return &otherRun{cmd, strings.TrimSpace(said)}
}

// theServer is one server for the tests that only need somebody else's.
var theServer struct {
	once        sync.Once
	root        string
	provisioner *Provisioner
	address     string
	err         error
}

// sharedServer returns the address of a server, as if it were somebody else's.
func sharedServer(t *testing.T) string {
	t.Helper()
	theServer.once.Do(func() {
		if theServer.root, theServer.err = os.MkdirTemp("", "provision-test-"); theServer.err != nil {
			return
		}
		if theServer.provisioner, theServer.err = openAt(theServer.root); theServer.err != nil {
			return
		}
		if _, theServer.err = theServer.provisioner.Provide(context.Background(), engine.NeedPostgres, nil); theServer.err == nil {
			theServer.address = theServer.provisioner.clusters[0].admin.base.String()
		}
	})
	if theServer.err != nil {
		t.Fatal(theServer.err)
	}
	return theServer.address
}
