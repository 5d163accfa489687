package stack

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/freeport"
	"github.com/meter-ml/meter-pipeline/internal/rollout/compose/haproxy"
	"github.com/meter-ml/meter-pipeline/internal/stage/image/imagetest"
	"github.com/meter-ml/meter-pipeline/internal/stage/image/imagetest/standin"
	"github.com/meter-ml/meter-pipeline/internal/stage/stagetest"
	"github.com/meter-ml/meter-pipeline/internal/tool"
)

var machine imagetest.Shared

func TestMain(m *testing.M) {
	code := m.Run()
	if err := machine.Close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// A site is the system on the test machine's engine, in an environment of a name of its own.
type site struct {
	*testing.T
	machine *imagetest.Machine
	root    string // of the repository
	name    string // of the environment
	state   string
	runner  *tool.Runner
	secrets map[string]string // by name
	values  map[string]string // of the variables in docker/compose.yaml
	socket  haproxy.Socket
	log     *haproxy.Log
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{
		T: t, machine: machine.Get(t), root: stagetest.Repository(t), secrets: map[string]string{},
		name: "stack" + strconv.FormatInt(time.Now().UnixNano()%1e9, 36),
	}
	var err error
	// Short, since paths of sockets are; and below no home, since other accounts look for theirs in it.
	if s.state, err = os.MkdirTemp("", s.name+"-"); err == nil {
		err = os.Chmod(s.state, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(s.state) })
	s.runner = tool.NewRunner(tool.Options{State: filepath.Join(t.TempDir(), ".pipeline"), Run: s.name, Outer: os.Getenv(tool.RunVariable)})
	t.Cleanup(func() {
		if err := s.runner.Close(); err != nil {
			t.Error(err)
		}
	})
	ports, err := freeport.FindAll(t.Context(), 3)
	if err != nil {
		t.Fatal(err)
	}
	s.values = map[string]string{
		"METER_ENVIRONMENT": s.name, "STATE": s.state, "SMOKE": filepath.Join(s.root, "scripts", "smoke.py"),
		"PROXY_PORT": strconv.Itoa(ports[0]), "MLFLOW_PORT": strconv.Itoa(ports[1]), "AIRFLOW_PORT": strconv.Itoa(ports[2]),
		"POSTGRES_IMAGE": standin.Postgres(t, s.machine), "PROXY_IMAGE": standin.Proxy(t, s.machine),
	}
	s.writeSecrets()
	s.prepareProxy()
	s.program("docker", nil, "network", "create", "meter-"+s.name)
	t.Cleanup(s.remove)
	return s
}

func (s *site) remove() {
	if out, code := s.compose("--profile", "task", "down", "--volumes", "--timeout", "2"); code != 0 {
		s.Errorf("remove the site: %s", out)
	}
	if out, code := s.try("docker", nil, "network", "rm", "meter-"+s.name); code != 0 {
		s.Errorf("remove the network: %s", out)
	}
}

// owners are who may read which secrets: as pipeline.yaml says for a deploy.
func owners() map[string]struct {
	user  int
	names []string
} {
	type secrets = struct {
		user  int
		names []string
	}
	return map[string]secrets{
		"postgres":  {999, []string{"POSTGRES_PASSWORD", "METER_DB_PASSWORD", "MLFLOW_DB_PASSWORD", "AIRFLOW_DB_PASSWORD"}},
		"model-api": {10001, []string{"METER_DB_PASSWORD"}},
		"mlflow":    {10001, []string{"MLFLOW_DB_PASSWORD"}},
		"airflow":   {10001, []string{"AIRFLOW_DB_PASSWORD", "METER_DB_PASSWORD", "AIRFLOW_FERNET_KEY", "AIRFLOW_JWT_SECRET", "AIRFLOW_ADMIN_PASSWORD"}},
	}
}

// writeSecrets makes each up: 32 bytes in base64, of which one is a Fernet key, and all are canaries.
func (s *site) writeSecrets() {
	s.Helper()
	for service, secrets := range owners() {
		dir := filepath.Join(s.state, "secrets", service)
		if err := os.MkdirAll(dir, 0o700); err != nil {
			s.Fatal(err)
		}
		for _, name := range secrets.names {
			if s.secrets[name] == "" {
				key := make([]byte, 32)
				_, _ = rand.Read(key) // never fails
				s.secrets[name] = base64.URLEncoding.EncodeToString(key)
			}
			path := filepath.Join(dir, name)
			err := os.WriteFile(path, []byte(s.secrets[name]), 0o600)
			if err == nil {
				err = os.Chown(path, secrets.user, secrets.user)
			}
			if err != nil {
				s.Fatal(err)
			}
		}
	}
}

// prepareProxy gives blue all traffic, and takes the log, as the agent does.
func (s *site) prepareProxy() {
	s.Helper()
	template, err := os.ReadFile(filepath.Join(s.root, "docker", "proxy", "haproxy.cfg.tmpl"))
	if err != nil {
		s.Fatal(err)
	}
	run := filepath.Join(s.state, "run")
	s.socket = haproxy.Socket{Path: filepath.Join(run, "haproxy.sock")}
	content, err := haproxy.Render(string(template), haproxy.Values{
		Bind: ":8080", Socket: s.socket.Path, Log: filepath.Join(run, "log.sock"), Resolver: "127.0.0.11:53",
		Servers: []haproxy.Server{{Name: "blue", Address: "model-api-blue:8000", Weight: 100}, {Name: "green", Address: "model-api-green:8000"}},
	})
	if err != nil {
		s.Fatal(err)
	}
	for _, dir := range []string{"proxy", "run"} {
		at := filepath.Join(s.state, dir)
		if err := os.Mkdir(at, 0o755); err != nil {
			s.Fatal(err)
		}
		if err := os.Chown(at, 99, 99); err != nil {
			s.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(s.state, "proxy", "haproxy.cfg"), content, 0o644); err != nil {
		s.Fatal(err)
	}
	if s.log, err = haproxy.Listen(s.Context(), filepath.Join(run, "log.sock"), s.socket); err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { _ = s.log.Close() })
}

// get is a value of the machine's environment.
func (s *site) get(name string) string {
	for _, entry := range s.machine.Env {
		if value, ok := strings.CutPrefix(entry, name+"="); ok {
			return value
		}
	}
	return ""
}

// try runs a program to its end, with what it has said.
func (s *site) try(program string, env []string, args ...string) (string, int) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.Context()), 10*time.Minute)
	defer cancel()
	out, err := s.runner.Run(ctx, engine.Invocation{Program: program, Args: args, Dir: s.root, Env: slices.Concat(s.machine.Env, env)})
	text := string(bytes.TrimSpace(append(out.Stdout, out.Stderr...)))
	if err != nil {
		return text + err.Error(), -1
	}
	return text, out.ExitCode
}

// program runs one that must succeed.
func (s *site) program(program string, env []string, args ...string) string {
	s.Helper()
	out, code := s.try(program, env, args...)
	if code != 0 {
		s.Fatalf("%s %s: exit code %d: %s", filepath.Base(program), args[0], code, out)
	}
	return out
}

// compose runs docker compose with the files of this repository: those of local, which have the smallest limits.
func (s *site) compose(args ...string) (string, int) {
	return s.composeWith(nil, args...)
}

func (s *site) composeWith(changed map[string]string, args ...string) (string, int) {
	var env []string
	for name, value := range s.values {
		if _, ok := changed[name]; !ok {
			env = append(env, name+"="+value)
		}
	}
	for name, value := range changed {
		env = append(env, name+"="+value)
	}
	files := []string{"compose", "--progress", "plain", "--file", "docker/compose.yaml", "--file", "docker/compose.local.yaml"}
	return s.try("docker", env, append(files, args...)...)
}

// once runs services that run to their end, at the same time.
func (s *site) once(services ...string) {
	s.Helper()
	outcomes := make(chan string, len(services))
	for _, service := range services {
		go func() {
			out, code := s.compose("run", "--rm", "--no-TTY", service)
			if code == 0 {
				out = ""
			}
			outcomes <- out
		}()
	}
	for range services {
		if out := <-outcomes; out != "" {
			s.Fatal(out)
		}
	}
}

// containers are those of the site, as docker inspect shows them.
func (s *site) containers() []container {
	s.Helper()
	ids := strings.Fields(s.program("docker", nil, "ps", "--all", "--quiet", "--filter", "label=com.docker.compose.project=meter-"+s.name))
	var all []container
	if err := json.Unmarshal([]byte(s.program("docker", nil, append([]string{"inspect"}, ids...)...)), &all); err != nil {
		s.Fatal(err)
	}
	return all
}

// A container is what the tests look at.
type container struct {
	ID    string `json:"Id"`
	Name  string
	State struct {
		Status, Error string
		ExitCode      int
		Health        *struct {
			Status string
			Log    []struct{ Output string }
		}
	}
	Config struct {
		Labels map[string]string
		User   string
	}
	HostConfig struct {
		ReadonlyRootfs, Privileged bool
		CapDrop, SecurityOpt       []string
		Memory, NanoCpus           int64
		PidsLimit                  *int64
		RestartPolicy              struct{ Name string }
		LogConfig                  struct{ Config map[string]string }
	}
	NetworkSettings struct {
		Ports    map[string][]struct{ HostIp, HostPort string } //nolint:revive // as Docker spells it
		Networks map[string]any
	}
}

func (c container) service() string { return c.Config.Labels["com.docker.compose.service"] }
