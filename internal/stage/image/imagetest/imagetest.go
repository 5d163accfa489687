// Package imagetest brings up what tests of images need on a Debian machine, where no image can be pulled: a container
// engine, a BuildKit of today behind docker buildx, and a base image. It is for tests and measurements only.
//
// What is dear to make (buildx, buildkitd, the base image, layers that were built) is kept in the user's cache directory
// for the next time. Everything that runs is ended by Close; what a killed run left is ended by the next Start. One
// machine at a time uses the cache: a second one waits.
//
//	go run ./internal/stage/image/imagetest/machine go tool mage image
package imagetest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/filelock"
	"github.com/meter-ml/meter-pipeline/internal/provision"
	"github.com/meter-ml/meter-pipeline/internal/tool"
)

const (
	startLimit = time.Minute      // within which a server must answer
	endLimit   = 15 * time.Second // between SIGTERM and SIGKILL
	builder    = "meter-machine"
	// Variable is set where a machine is up already: tests share that one, and end only what they start themselves.
	Variable = "METER_TEST_MACHINE"
)

// Options say for which repository a machine is, and where it runs.
type Options struct {
	Repository string   // absolute: its tools/ are what is built
	Env        []string // KEY=value
	Log        func(format string, args ...any)
}

// A Machine is an engine, a builder and a base image.
type Machine struct {
	Env  []string // the environment in which a pipeline finds them all
	Base string   // the base image, by digest

	options     Options
	dir         string // of sockets and configuration
	cache       string
	lock        *os.File
	runner      *tool.Runner
	provisioner *provision.Provisioner
	life        context.Context //nolint:containedctx // of the servers: from Start to Close
	stop        context.CancelFunc
	servers     []chan struct{}
	registry    *http.Server
	added       map[string]string
}

// Start brings a machine up. Close it in any case: an error says what is missing, and something may run already.
func Start(ctx context.Context, o Options) (*Machine, error) {
	m := &Machine{options: o, added: map[string]string{}}
	if m.get(Variable) != "" {
		m.Env, m.Base = m.environment(), m.get("METER_BASE_IMAGE")
		return m, nil
	}
	for _, step := range []func(context.Context) error{
		m.prepare, m.install, m.startEngine, m.startBuilder, m.serveBase,
	} {
		if err := step(ctx); err != nil {
			return m, fmt.Errorf("bring up a machine for images: %w", err)
		}
	}
	m.added[Variable] = "up"
	m.Env = m.environment()
	return m, nil
}

// prepare takes the cache, and ends what a killed run left.
func (m *Machine) prepare(ctx context.Context) error {
	if os.Geteuid() != 0 {
		return errors.New("only root can start a container engine: run as root, or where one serves")
	}
	user, err := os.UserCacheDir()
	if err != nil {
		return err
	}
	m.cache = filepath.Join(user, "meter-pipeline", "machine")
	if err := os.MkdirAll(m.cache, 0o755); err != nil {
		return err
	}
	if m.lock, err = os.OpenFile(filepath.Join(m.cache, "lock"), os.O_CREATE|os.O_RDWR, 0o600); err != nil {
		return err
	}
	if err := filelock.Take(ctx, m.lock); err != nil {
		return err
	}
	swept, err := tool.Sweep(ctx, m.cache)
	for _, line := range swept {
		m.options.Log("%s", line)
	}
	if err != nil {
		return err
	}
	m.runner = tool.NewRunner(tool.Options{State: m.cache, Run: runID(), Grace: endLimit})
	m.life, m.stop = context.WithCancel(context.WithoutCancel(ctx))
	m.dir = filepath.Join(m.cache, "run")
	if err := errors.Join(m.clear(), os.Mkdir(m.dir, 0o700)); err != nil {
		return err
	}
	m.provisioner, err = provision.New(provision.Options{Project: config.Default(m.options.Repository), Runner: m.runner, Env: m.environment()})
	return err
}

// install gets Debian's packages where somebody has to: on a machine of CI. Elsewhere a person decides.
func (m *Machine) install(ctx context.Context) error {
	var missing []string
	for program, pkg := range map[string]string{"dockerd": "docker.io", "docker": "docker.io", "debootstrap": "debootstrap"} {
		if !m.has(program) {
			missing = append(missing, pkg)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	if m.get("CI") == "" {
		return fmt.Errorf("packages are missing: apt-get install --no-install-recommends %s", strings.Join(missing, " "))
	}
	m.options.Log("installing %s", strings.Join(missing, ", "))
	// Nothing is to be started by the package: the machine has an engine of its own.
	m.added["DEBIAN_FRONTEND"], m.added["RUNLEVEL"] = "noninteractive", "1"
	if err := m.run(ctx, "apt-get", "update"); err != nil {
		return err
	}
	return m.run(ctx, "apt-get", append([]string{"install", "-y", "--no-install-recommends"}, missing...)...)
}

// startEngine takes an engine that serves, else starts one.
func (m *Machine) startEngine(ctx context.Context) error {
	m.added["DOCKER_CONFIG"] = filepath.Join(m.dir, "config")
	if m.run(ctx, "docker", "version") == nil {
		m.options.Log("there is an engine already")
		return nil
	}
	socket := filepath.Join(m.dir, "docker.sock")
	m.added["DOCKER_HOST"] = "unix://" + socket
	return m.serve(ctx, "dockerd", socket, "--host", "unix://"+socket, "--data-root", filepath.Join(m.cache, "docker"),
		"--exec-root", filepath.Join(m.dir, "exec"), "--pidfile", filepath.Join(m.dir, "dockerd.pid"), "--log-level", "warn")
}

// buildkitConfig keeps what was built, for the next time.
const buildkitConfig = `root = %q
[grpc]
  address = ["unix://%s"]
[worker.oci]
  enabled = true
  gc = true
  [[worker.oci.gcpolicy]]
    all = true
    maxUsedSpace = "20GB"
[worker.containerd]
  enabled = false
`

// startBuilder starts BuildKit, and tells buildx of it.
func (m *Machine) startBuilder(ctx context.Context) error {
	buildkitd, err := m.provisioner.Provide(ctx, provision.NeedBuildkitd, m.say)
	if err != nil {
		return err
	}
	buildx, err := m.provisioner.Provide(ctx, provision.NeedBuildx, m.say)
	if err != nil {
		return err
	}
	compose, err := m.provisioner.Provide(ctx, provision.NeedCompose, m.say)
	if err != nil {
		return err
	}
	plugins := filepath.Join(m.added["DOCKER_CONFIG"], "cli-plugins")
	err = errors.Join(
		os.MkdirAll(plugins, 0o755),
		os.Symlink(filepath.Join(buildx.Programs, "docker-buildx"), filepath.Join(plugins, "docker-buildx")),
		os.Symlink(filepath.Join(compose.Programs, "docker-compose"), filepath.Join(plugins, "docker-compose")),
	)
	if err != nil {
		return err
	}
	socket, file := filepath.Join(m.dir, "buildkit.sock"), filepath.Join(m.dir, "buildkitd.toml")
	if err := os.WriteFile(file, fmt.Appendf(nil, buildkitConfig, filepath.Join(m.cache, "buildkit"), socket), 0o600); err != nil {
		return err
	}
	if err := m.serve(ctx, filepath.Join(buildkitd.Programs, "buildkitd"), socket, "--config", file); err != nil {
		return err
	}
	m.added["METER_BUILDER"], m.added["BUILDX_BUILDER"] = builder, builder
	return m.run(ctx, "docker", "buildx", "create", "--name", builder, "--driver", "remote", "unix://"+socket)
}
