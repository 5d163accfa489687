package provision

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/freeport"
)

const (
	// mlflowPrefix begins the names of the servers' directories: mlflow-<pid>-<start time>-<random>, of the owner.
	mlflowPrefix = "mlflow-"
	serverPID    = "server.pid"
	serverLog    = "log"

	mlflowTimeout = 150 * time.Second // 10 s on an idle machine, most of it imports
	mlflowEnd     = time.Second       // for a killed process to be gone
)

// launch notes the process before it becomes the server: it is the leader of its group, by which all of it is ended.
const launch = `import os, runpy, sys, time
with open("` + serverPID + `", "w", encoding="ascii") as file:
    file.write(f"{os.getpid()} {int(time.time())}")
sys.argv[0] = "mlflow"
runpy.run_module("mlflow", run_name="__main__", alter_sys=True)
`

// A mlflow is a throwaway MLflow server with what it stores.
type mlflow struct {
	dir    string
	lock   *fileLock
	output serverOutput

	address string
	stop    context.CancelFunc // of the server's process; nil before it was started
	exited  chan struct{}      // closed when the process has ended
	outcome error              // why; may be read after exited
}

// provideMLflow hands out the one server of this run: what a step registers, a later one finds.
func (p *Provisioner) provideMLflow(ctx context.Context, say func(string)) (engine.Provision, error) {
	server, err := p.mlflow.get(ctx, func(ctx context.Context) (*mlflow, error) { return p.startMLflow(ctx, say) })
	if err != nil {
		return engine.Provision{}, err
	}
	env := map[string]string{
		"MLFLOW_TRACKING_URI": server.address, "METER_MLFLOW_LOG": filepath.Join(server.dir, serverLog),
	}
	// A company's proxy knows nothing of this machine's own ports.
	for _, name := range []string{"NO_PROXY", "no_proxy"} {
		env[name] = strings.TrimPrefix(p.env[name]+",127.0.0.1", ",")
	}
	return engine.Provision{Env: env, Detail: "MLflow on " + strings.TrimPrefix(server.address, "http://")}, nil
}

// startMLflow starts the server of the project's own environment, and waits until it keeps a run.
func (p *Provisioner) startMLflow(ctx context.Context, say func(string)) (*mlflow, error) {
	spec, err := p.pythonSpec("", false)
	if err != nil {
		return nil, err
	}
	python, err := p.providePython(ctx, spec, say)
	if err != nil {
		return nil, err
	}
	say("starting MLflow")
	p.saySwept(ctx, say)
	m, err := p.makeMLflowDir()
	if err != nil {
		return nil, err
	}
	for attempt := 1; ; attempt++ {
		if err = p.runMLflow(ctx, m, python); err == nil {
			err = p.keepMLflow(m)
		}
		if err == nil {
			return m, nil
		}
		if ctx.Err() != nil || attempt == portAttempts || !m.output.has("ddress already in use") {
			return nil, errors.Join(err, m.close())
		}
		m.end() // somebody else took the port meanwhile
	}
}

// makeMLflowDir makes the directory, with the lock that shows that its owner lives.
func (p *Provisioner) makeMLflowDir() (*mlflow, error) {
	if err := os.MkdirAll(p.own(serversDir), 0o755); err != nil {
		return nil, fmt.Errorf("make directory of MLflow server: %w", err)
	}
	pid := os.Getpid()
	started, _ := processStart(pid)
	dir, err := os.MkdirTemp(p.own(serversDir), ownedDirName(mlflowPrefix, pid, started)+"*")
	if err != nil {
		return nil, fmt.Errorf("make directory of MLflow server: %w", err)
	}
	m := &mlflow{dir: dir}
	m.lock, err = openLock(filepath.Join(dir, ownerLock))
	if err == nil {
		_, err = m.lock.try()
	}
	if err == nil {
		m.output.file, err = os.Create(filepath.Join(dir, serverLog))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("prepare directory of MLflow server: %w", err), os.RemoveAll(dir))
	}
	return m, nil
}

// runMLflow starts the server on a free port and waits until it works. It stands in its own directory, so that its
// addresses of files hold no letter of the project's path.
func (p *Provisioner) runMLflow(ctx context.Context, m *mlflow, python engine.Provision) error {
	port, err := freeport.Find(ctx)
	if err != nil {
		return err
	}
	m.address = "http://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	// The server lives until Close, not until the step that asked for it first is over.
	life, stop := context.WithCancel(context.WithoutCancel(ctx))
	m.stop, m.exited = stop, make(chan struct{})
	m.output.forget()
	invocation := engine.Invocation{
		Program: filepath.Join(python.Programs, "python"), Dir: m.dir, Env: p.mlflowEnv(python, m.dir), Line: m.output.line,
		Args: []string{
			"-I", "-c", launch, "server", "--host", "127.0.0.1", "--port", strconv.Itoa(port), "--workers", "1",
			"--backend-store-uri", "sqlite:///mlflow.db", "--artifacts-destination", "artifacts",
		},
	}
	go func() {
		defer close(m.exited)
		_, m.outcome = p.run(life, invocation)
	}()
	return m.await(ctx)
}

// mlflowEnv is the user's without what configures an MLflow of theirs. Jobs are seven more processes that nobody needs.
func (p *Provisioner) mlflowEnv(python engine.Provision, dir string) []string {
	env := environ{}
	for name, value := range p.env {
		if !strings.HasPrefix(name, "MLFLOW_") && !strings.HasPrefix(name, "_MLFLOW_") {
			env[name] = value
		}
	}
	env["PATH"] = python.Programs + string(filepath.ListSeparator) + env["PATH"]
	return env.with(python.Env).with(map[string]string{
		"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "HOME": dir,
		"PYTHONUNBUFFERED": "1",
	}).list()
}

// await asks until the server keeps a run: that it answers at all says nothing of its store.
func (m *mlflow) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, mlflowTimeout)
	defer cancel()
	for {
		err := m.keepsARun(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-m.exited:
			return fmt.Errorf("start MLflow: it ended before it answered (%w): %s", orEnded(m.outcome), m.lastLines())
		case <-ctx.Done():
			return fmt.Errorf("wait for MLflow to keep a run: %w (last: %w): %s", context.Cause(ctx), err, m.lastLines())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// orEnded is for a server that ended as if all were well.
func orEnded(err error) error {
	if err == nil {
		return errors.New("exit code 0")
	}
	if exit, ok := errors.AsType[*exitError](err); ok {
		return fmt.Errorf("exit code %d", exit.code) // its last words are those of its log
	}
	return err
}

func (m *mlflow) lastLines() string {
	if last := m.output.last(5); last != "" {
		return "the end of its log: " + last
	}
	return "it logged nothing"
}

// keepMLflow hands a server to Close.
func (p *Provisioner) keepMLflow(m *mlflow) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return errClosed
	}
	p.mlflows = append(p.mlflows, m)
	return nil
}

// close ends the server and removes what it stored.
func (m *mlflow) close() error {
	m.end()
	_ = m.output.file.Close() // nobody reads it any more
	err := removeServer(m.dir)
	_ = m.lock.close() // after the directory is gone, so that no other run sweeps it meanwhile
	return err
}

// end kills the server: there is nothing in it to keep, and it takes seconds to end by itself.
func (m *mlflow) end() {
	if m.stop == nil {
		return
	}
	killServer(m.dir)
	m.stop() // the runner ends what is left
	select {
	case <-m.exited:
	case <-time.After(mlflowEnd):
	}
}

// killServer kills the process group that a server's directory names. The file may be old, and its number may be
// another process's by now, so the process is asked too: it stands in that directory.
func killServer(dir string) {
	content, err := os.ReadFile(filepath.Join(dir, serverPID))
	if err != nil {
		return
	}
	var pid int
	var started int64
	if _, err := fmt.Sscan(string(content), &pid, &started); err != nil || pid <= 1 || !isServer(pid, dir, started) {
		return
	}
	_ = unix.Kill(-pid, unix.SIGKILL) // it may have ended meanwhile
}
