// Package haproxytest starts a real HAProxy for tests, with the template that deploys use, on this machine only, and
// ends it with the test. It can be killed and started again meanwhile.
package haproxytest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/freeport"
	"github.com/meter-ml/meter-pipeline/internal/rollout/compose/haproxy"
	"github.com/meter-ml/meter-pipeline/internal/tool"
	"github.com/meter-ml/meter-pipeline/internal/tool/debtest"
)

const ready = 20 * time.Second // within which it must answer

// A Proxy is HAProxy with its files.
type Proxy struct {
	haproxy.Values
	Config string // its file

	t       testing.TB
	program string
	libs    string
	runner  *tool.Runner
	ended   chan struct{}
}

// Variable names another program than Debian's, to test with its version.
const Variable = "METER_HAPROXY"

// Start starts HAProxy before these servers.
func Start(t testing.TB, servers ...haproxy.Server) *Proxy {
	t.Helper()
	program, root := os.Getenv(Variable), ""
	if program == "" {
		program, root = debtest.Find(t, debtest.Program{
			Path: "usr/sbin/haproxy", Packages: []string{"haproxy", "liblua5.3-0", "libopentracing-c-wrapper0", "libopentracing1"},
		})
	}
	dir, err := os.MkdirTemp("", "haproxy-") // a test's own directory may be too long for the name of a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	port, err := freeport.Find(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{
		Values: haproxy.Values{
			Bind: fmt.Sprintf("127.0.0.1:%d", port), Socket: filepath.Join(dir, "haproxy.sock"), Log: filepath.Join(dir, "log.sock"), Servers: servers,
		},
		Config: filepath.Join(dir, "haproxy.cfg"), t: t, program: program, libs: filepath.Join(root, "usr/lib/x86_64-linux-gnu"),
	}
	p.Write()
	p.Restart()
	t.Cleanup(p.Kill)
	return p
}

// Template is the text of the template that deploys use.
func Template(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; dir != "/"; dir = filepath.Dir(dir) {
		if text, err := os.ReadFile(filepath.Join(dir, "docker/proxy/haproxy.cfg.tmpl")); err == nil {
			return string(text)
		}
	}
	t.Fatal("docker/proxy/haproxy.cfg.tmpl is in no directory above")
	return ""
}

// Write writes the configuration, for the next start.
func (p *Proxy) Write() {
	p.t.Helper()
	content, err := haproxy.Render(Template(p.t), p.Values)
	if err == nil {
		err = os.WriteFile(p.Config, content, 0o600)
	}
	if err != nil {
		p.t.Fatal(err)
	}
}

// Admin is its socket.
func (p *Proxy) Admin() haproxy.Socket { return haproxy.Socket{Path: p.Socket} }

// Restart starts it again, and waits until it answers.
func (p *Proxy) Restart() {
	p.t.Helper()
	p.runner = tool.NewRunner(tool.Options{
		State: filepath.Join(filepath.Dir(p.Config), ".pipeline"), Outer: os.Getenv(tool.RunVariable),
		Run: fmt.Sprintf("haproxytest-%d-%d", os.Getpid(), time.Now().UnixNano()),
	})
	ended := make(chan struct{})
	p.ended = ended
	var failed error
	go func() {
		defer close(ended)
		var out engine.Output
		out, failed = p.runner.Run(context.WithoutCancel(p.t.Context()), engine.Invocation{
			Program: p.program, Args: []string{"-db", "-f", p.Config}, Dir: filepath.Dir(p.Config), Env: []string{"LD_LIBRARY_PATH=" + p.libs},
		})
		if failed == nil {
			failed = fmt.Errorf("exit code %d: %s", out.ExitCode, out.Stderr)
		}
	}()
	for until := time.Now().Add(ready); ; {
		_, err := p.Admin().State(p.t.Context())
		if err == nil {
			return
		}
		select {
		case <-ended:
			p.t.Fatalf("haproxy ended: %v", failed)
		case <-time.After(10 * time.Millisecond):
		}
		if time.Now().After(until) {
			p.t.Fatal(errors.Join(errors.New("haproxy does not answer"), err))
		}
	}
}

// Kill ends it at once.
func (p *Proxy) Kill() {
	p.runner.Kill()
	<-p.ended
	if err := p.runner.Close(); err != nil {
		p.t.Error(err)
	}
}
