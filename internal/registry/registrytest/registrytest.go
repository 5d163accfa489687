// Package registrytest starts a real container registry for tests: docker-registry of Debian, on this machine only, its
// files in a directory of the test's own, ended with the test. It can be killed and started again meanwhile.
package registrytest

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/freeport"
	"github.com/meter-ml/meter-pipeline/internal/tool"
)

// Who may use a registry that was started with Locked. The password guards nothing: it is looked for in what is shown.
const (
	User     = "meter"
	Password = "not-a-secret-but-a-canary"
	// hashed is Password as bcrypt writes it.
	hashed = "$2b$05$QVz8KRws4GFIo.b6VPTV6OvcuP4Q1djGBeVRM2Npe9JyEmJVu3cBO"
)

const ready = 20 * time.Second // within which a registry must answer

// A Server is a registry with its files.
type Server struct {
	Host string // 127.0.0.1:port
	Root string // directory of its files

	t       testing.TB
	program string
	config  string
	runner  *tool.Runner
	ended   chan struct{}
}

// Start starts a registry that asks nobody who he is.
func Start(t testing.TB) *Server { return start(t, "") }

// Locked starts a registry that wants User and Password.
func Locked(t testing.TB) *Server { return start(t, "auth: {htpasswd: {realm: test, path: %q}}\n") }

func start(t testing.TB, auth string) *Server {
	t.Helper()
	dir := t.TempDir()
	port, err := freeport.Find(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{Host: fmt.Sprintf("127.0.0.1:%d", port), Root: filepath.Join(dir, "data"), t: t, program: find(t), config: filepath.Join(dir, "config.yml")}
	if auth != "" {
		users := filepath.Join(dir, "users")
		write(t, users, User+":"+hashed+"\n")
		auth = fmt.Sprintf(auth, users)
	}
	write(t, s.config, fmt.Sprintf("version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\n"+
		"storage: {filesystem: {rootdirectory: %q}}\nhttp: {addr: %q, secret: the same after a restart}\n%s", s.Root, s.Host, auth))
	s.Restart()
	t.Cleanup(s.Kill)
	return s
}

// Restart starts the registry again, on the same port and with the same files.
func (s *Server) Restart() {
	s.t.Helper()
	name := fmt.Sprintf("registrytest-%d-%d", os.Getpid(), time.Now().UnixNano())
	s.runner = tool.NewRunner(tool.Options{
		State: filepath.Join(filepath.Dir(s.config), ".pipeline"), Run: name, Outer: os.Getenv(tool.RunVariable),
	})
	ended := make(chan struct{})
	s.ended = ended
	var failed error
	var out engine.Output
	go func() {
		defer close(ended)
		out, failed = s.runner.Run(context.WithoutCancel(s.t.Context()), engine.Invocation{
			Program: s.program, Args: []string{"serve", s.config}, Dir: filepath.Dir(s.config), Env: []string{"OTEL_TRACES_EXPORTER=none"},
		})
	}()
	for deadline := time.Now().Add(ready); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if s.answers() {
			return
		}
		select {
		case <-ended:
			s.t.Fatalf("start registry: %v, exit code %d: %s", failed, out.ExitCode, out.Stderr)
		default:
		}
	}
	s.Kill()
	s.t.Fatalf("start registry: it does not answer within %v", ready)
}

// Kill ends the registry with SIGKILL, and waits until it is gone. One that is gone already stays so.
func (s *Server) Kill() {
	s.runner.Kill()
	<-s.ended
	if err := s.runner.Close(); err != nil {
		s.t.Errorf("kill registry: %v", err)
	}
}

func (s *Server) answers() bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.t.Context()), time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.Host+"/v2/", nil)
	if err != nil {
		return false
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return false
	}
	_ = response.Body.Close()
	return response.StatusCode == http.StatusOK || response.StatusCode == http.StatusUnauthorized
}

// Tags are those of a repository, as the registry keeps them on disk.
func (s *Server) Tags(repository string) []string {
	s.t.Helper()
	path := strings.TrimPrefix(repository, s.Host+"/")
	return s.names("docker/registry/v2/repositories", path, "_manifests/tags")
}

// Blobs are the digests that a repository has, without "sha256:": layers, configurations. One whose record was cut off
// when the registry was killed is not there.
func (s *Server) Blobs(repository string) []string {
	s.t.Helper()
	path := strings.TrimPrefix(repository, s.Host+"/")
	return slices.DeleteFunc(s.names("docker/registry/v2/repositories", path, "_layers/sha256"), func(digest string) bool {
		info, err := os.Stat(s.record(repository, digest))
		return err != nil || info.Size() == 0
	})
}

// Damage empties the record of a blob, as a kill at the wrong moment does.
func (s *Server) Damage(repository, digest string) {
	s.t.Helper()
	if err := os.Truncate(s.record(repository, digest), 0); err != nil {
		s.t.Fatal(err)
	}
}

func (s *Server) record(repository, digest string) string {
	path := strings.TrimPrefix(repository, s.Host+"/")
	return filepath.Join(s.Root, "docker/registry/v2/repositories", path, "_layers/sha256", digest, "link")
}

func (s *Server) names(parts ...string) []string {
	s.t.Helper()
	entries, err := os.ReadDir(filepath.Join(append([]string{s.Root}, parts...)...))
	if err != nil && !os.IsNotExist(err) {
		s.t.Fatal(err)
	}
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

func write(t testing.TB, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}
