package provision

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/freeport"
)

const (
	// clusterPrefix begins the names of clusters' directories: meter-postgres-<pid>-<start time>-<random>.
	clusterPrefix = "meter-postgres-"
	// ownerLock is held by the process that a server belongs to.
	ownerLock = "owner.lock"

	clusterUser  = "meter"
	startTimeout = 60 * time.Second // 0.2 s is usual
	portAttempts = 5
)

// A cluster is a throwaway PostgreSQL server with its data.
type cluster struct {
	dir     string
	data    string
	account account
	lock    *fileLock
	admin   *admin
	output  serverOutput

	stop    context.CancelFunc // of the server's process; nil before it was started
	exited  chan struct{}      // closed when the process has ended
	outcome error              // why; may be read after exited
}

// startCluster makes a cluster and starts it. Nothing in it outlives the run, so nothing of it waits for a disk.
func (p *Provisioner) startCluster(ctx context.Context, programs serverPrograms) (*cluster, error) {
	c, err := p.makeClusterDir()
	if err != nil {
		return nil, err
	}
	if err = p.bringUp(ctx, c, programs); err == nil {
		err = p.keepCluster(c)
	}
	if err != nil {
		return nil, errors.Join(err, c.close(ctx))
	}
	return c, nil
}

func (p *Provisioner) bringUp(ctx context.Context, c *cluster, programs serverPrograms) error {
	p.mu.Lock()
	password, err := randomHex(p.random, 16)
	p.mu.Unlock()
	if err != nil {
		return err
	}
	if err := p.initCluster(ctx, c, programs, password); err != nil {
		return err
	}
	for attempt := 1; ; attempt++ {
		err := p.runCluster(ctx, c, programs, password)
		if err == nil || ctx.Err() != nil {
			return err
		}
		if attempt == portAttempts || !c.output.has("could not bind", "could not create any TCP/IP sockets") {
			return err
		}
		c.end(ctx) // somebody else took the port meanwhile
	}
}

// makeClusterDir makes the directory, with the lock that shows that its owner lives.
func (p *Provisioner) makeClusterDir() (*cluster, error) {
	account, err := serverAccount()
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, parent := range p.tempDirs() {
		if err := account.canReach(parent); err != nil {
			errs = append(errs, err)
			continue
		}
		pid := os.Getpid()
		started, _ := processStart(pid)
		dir, err := os.MkdirTemp(parent, ownedDirName(clusterPrefix, pid, started)+"*")
		if err != nil {
			errs = append(errs, err)
			continue
		}
		c := &cluster{dir: dir, data: filepath.Join(dir, "data"), account: account}
		if err := c.prepare(); err != nil {
			return nil, errors.Join(fmt.Errorf("prepare directory of database server: %w", err), os.RemoveAll(dir))
		}
		return c, nil
	}
	return nil, fmt.Errorf("make directory of database server: %w: set TMPDIR to a directory that other users can enter", errors.Join(errs...))
}

// ownedDirName begins the name of a server's directory with its owner.
func ownedDirName(prefix string, pid int, started uint64) string {
	return fmt.Sprintf("%s%d-%d-", prefix, pid, started)
}

// tempDirs are the places for clusters, and where they are looked for by the sweep.
func (p *Provisioner) tempDirs() []string {
	var dirs []string
	if dir := p.env["TMPDIR"]; filepath.IsAbs(dir) {
		dirs = append(dirs, filepath.Clean(dir))
	}
	for _, dir := range []string{"/tmp", "/var/tmp"} {
		if len(dirs) == 0 || dirs[0] != dir {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}

func (c *cluster) prepare() error {
	lock, err := openLock(filepath.Join(c.dir, ownerLock))
	if err != nil {
		return err
	}
	c.lock = lock
	if taken, err := lock.try(); err != nil || !taken {
		return fmt.Errorf("lock new directory: %w", errors.Join(err, errors.New("somebody else has it")))
	}
	if err := os.Chmod(c.dir, 0o711); err != nil { //nolint:gosec // the server's user must get through
		return err
	}
	if c.output.file, err = os.Create(filepath.Join(c.dir, serverLog)); err != nil {
		return err
	}
	if err := os.Mkdir(c.data, 0o700); err != nil {
		return err
	}
	return c.account.give(c.data)
}

func (p *Provisioner) initCluster(ctx context.Context, c *cluster, programs serverPrograms, password string) error {
	secret := filepath.Join(c.dir, "password")
	if err := os.WriteFile(secret, []byte(password+"\n"), 0o600); err != nil {
		return fmt.Errorf("write password: %w", err)
	}
	defer func() { _ = os.Remove(secret) }() // and the whole directory later
	if err := c.account.give(secret); err != nil {
		return fmt.Errorf("write password: %w", err)
	}
	_, err := p.run(ctx, engine.Invocation{
		Program: filepath.Join(programs.dir, "initdb"),
		Args: []string{
			"--pgdata=" + c.data, "--username=" + clusterUser, "--pwfile=" + secret, "--auth=scram-sha-256",
			"--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions",
		},
		Dir: c.dir, Env: p.serverEnv(), User: c.account.user,
	})
	if err != nil {
		return fmt.Errorf("make database cluster: %w", err)
	}
	return nil
}

// serverEnv is small: neither the user's locale, nor time zone, nor PG variables reach the server.
func (p *Provisioner) serverEnv() []string {
	return environ{"PATH": p.env["PATH"], "LC_ALL": "C", "TZ": "UTC"}.list()
}

// runCluster starts the server on a free port and waits until it answers.
func (p *Provisioner) runCluster(ctx context.Context, c *cluster, programs serverPrograms, password string) error {
	port, err := freeport.Find(ctx)
	if err != nil {
		return err
	}
	// The server lives until Close, not until the step that asked for it first is over.
	life, stop := context.WithCancel(context.WithoutCancel(ctx))
	c.stop, c.exited = stop, make(chan struct{})
	c.output.forget()
	invocation := engine.Invocation{
		Program: filepath.Join(programs.dir, "postgres"), Args: serverArgs(c.data, port),
		Dir: c.dir, Env: p.serverEnv(), User: c.account.user, Line: c.output.line,
	}
	go func() {
		defer close(c.exited)
		_, c.outcome = p.run(life, invocation)
	}()
	base := &url.URL{
		Scheme: "postgresql", User: url.UserPassword(clusterUser, password), Path: "/" + maintenance,
		// A default of the user's, such as PGSSLMODE=require, must not apply.
		Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), RawQuery: "sslmode=disable",
	}
	c.admin, err = c.await(ctx, base)
	return err
}

func serverArgs(data string, port int) []string {
	args := []string{"-D", data}
	for _, setting := range []string{
		"listen_addresses=127.0.0.1", "port=" + strconv.Itoa(port), "unix_socket_directories=",
		"fsync=off", "synchronous_commit=off", "full_page_writes=off", "wal_level=minimal", "max_wal_senders=0",
		"checkpoint_timeout=1h", "log_checkpoints=off", "max_connections=200", "shared_buffers=64MB",
		"dynamic_shared_memory_type=mmap", // in the data directory, so that nothing is left elsewhere after a kill
		"log_destination=stderr", "logging_collector=off", "log_min_messages=log", "timezone=UTC", "log_timezone=UTC",
	} {
		args = append(args, "-c", setting)
	}
	return args
}

// await connects as soon as the server lets it.
func (c *cluster) await(ctx context.Context, base *url.URL) (*admin, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		a, err := connectAdmin(ctx, base)
		if err == nil {
			return a, nil
		}
		select {
		case <-c.exited:
			if c.outcome != nil {
				return nil, fmt.Errorf("start server: %w", c.outcome)
			}
			return nil, errors.New("start server: it ended at once")
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for the server to answer: %w: %s", context.Cause(ctx), c.output.last(3))
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// keepCluster hands a cluster to Close.
func (p *Provisioner) keepCluster(c *cluster) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return errClosed
	}
	p.clusters = append(p.clusters, c)
	return nil
}
