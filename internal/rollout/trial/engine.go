package trial

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/rollout/agent/wire"
	"github.com/meter-ml/meter-pipeline/internal/rollout/trial/record"
)

// An Engine is one of the lab's own, which may be restarted: nobody else's containers are on it. It lives in namespaces of
// its own (network, processes, mounts), with the program that uses it: see elsewhere.
type Engine struct {
	Env []string // that leads to it

	dir  string
	live bool // containers outlive it
	pid  int
}

// liveSuffix of a directory asks for an engine that its containers outlive.
const liveSuffix = "-live"

// StartEngine starts an engine whose files are in a directory, with images of the one that env leads to.
func StartEngine(ctx context.Context, dir string, env []string) (*Engine, error) {
	e := &Engine{dir: dir, live: strings.HasSuffix(dir, liveSuffix)}
	for _, entry := range env {
		if !strings.HasPrefix(entry, "DOCKER_HOST=") {
			e.Env = append(e.Env, entry)
		}
	}
	e.Env = append(e.Env, "DOCKER_HOST=unix://"+filepath.Join(dir, "docker.sock"))
	err := loopback()
	if err == nil {
		err = e.start(ctx)
	}
	if err != nil {
		return e, fmt.Errorf("start an engine: %w", err)
	}
	return e, nil
}

// loopback brings up the one interface that a new network namespace has.
func loopback() error {
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(socket) }()
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(socket, unix.SIOCSIFFLAGS, lo)
}

// start does not go through the one runner of this repository: that ends with a program all that it has started, and
// what is tried here is that containers outlive their engine. The namespace of processes ends them all in the end.
func (e *Engine) start(ctx context.Context) error {
	path := "/usr/sbin/dockerd"
	if _, err := os.Stat(path); err != nil {
		path = "/usr/bin/dockerd"
	}
	log, err := os.OpenFile(filepath.Join(e.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	process, err := os.StartProcess(path, []string{
		"dockerd", "--host", "unix://" + filepath.Join(e.dir, "docker.sock"), "--data-root", filepath.Join(e.dir, "data"),
		"--exec-root", filepath.Join(e.dir, "exec"), "--pidfile", filepath.Join(e.dir, "pid"), "--log-level", "warn",
		"--live-restore=" + strconv.FormatBool(e.live),
	}, &os.ProcAttr{Files: []*os.File{nil, log, log}, Env: e.Env, Dir: e.dir})
	if err != nil {
		return err
	}
	e.pid = process.Pid
	go func() { _, _ = process.Wait() }()
	return eventually(ctx, time.Minute, "it answers", func() error {
		connection, err := (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(e.dir, "docker.sock"))
		if err == nil {
			err = connection.Close()
		}
		return err
	})
}

// restart ends the engine as its host would, and starts it again.
func (e *Engine) restart(ctx context.Context) error {
	if err := syscall.Kill(e.pid, syscall.SIGTERM); err != nil {
		return err
	}
	err := eventually(ctx, time.Minute, "the engine has ended", func() error {
		if err := syscall.Kill(e.pid, 0); err == nil {
			return errors.New("it runs")
		}
		return nil
	})
	if err != nil {
		return err
	}
	return e.start(ctx)
}

// bring brings images of another engine to this one.
func (l *Lab) bring(ctx context.Context, from []string, images []string) error {
	file := filepath.Join(l.Dir, "images.tar")
	if _, err := l.run(ctx, engine.Invocation{Program: "docker", Args: append([]string{"save", "--output", file}, images...), Env: from}); err != nil {
		return err
	}
	_, err := l.docker(ctx, "load", "--quiet", "--input", file)
	return errors.Join(err, os.Remove(file))
}

// engineTrial restarts the engine in mid-shift. It runs in a program of its own, in namespaces of its own.
func engineTrial(live bool) Trial {
	name := "engine restarted in mid-shift"
	if live {
		name = "engine with live-restore restarted in mid-shift"
	}
	return Trial{"fault", name, func(ctx context.Context, l *Lab, r *Report) error {
		if l.own == nil {
			return l.elsewhere(ctx, "fault/"+name, live, r)
		}
		// Also with live-restore: the engine's own proxy in front of a port on loopback ends with it.
		f := fault{ends: []wire.State{wire.Succeeded, wire.RolledBack}, drops: true, happen: func(ctx context.Context, s *Site, r *Report) error {
			began := time.Now()
			if err := l.own.restart(ctx); err != nil {
				return err
			}
			err := eventually(ctx, time.Minute, "the proxy answers", func() error { return get(ctx, s.URL()+"/health/ready") })
			r.seconds("answering again after", time.Since(began))
			return err
		}}
		return faultTrial(f).Run(ctx, l, r)
	}}
}

// elsewhere runs a trial by this very program in namespaces of its own, where it has an engine of its own.
func (l *Lab) elsewhere(ctx context.Context, id string, live bool, r *Report) error {
	dir := filepath.Join("/var/tmp", fmt.Sprintf("%s%d-e", prefix, os.Getpid()))
	if live {
		dir += liveSuffix
	}
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	defer func() { _ = errors.Join(unmountBelow(dir), os.RemoveAll(dir)) }() // the next lab's sweep tries again
	self, err := os.Executable()
	if err != nil {
		return err
	}
	report := filepath.Join(dir, "report.json")
	_, err = l.run(ctx, engine.Invocation{
		Program: "unshare", Line: func(line string) { l.Log("      %s", line) },
		Args: []string{"--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", self, "-inside", dir, "-only", id, "-keep=false", "-report", report},
	})
	content, readErr := os.ReadFile(report)
	if readErr != nil {
		return errors.Join(err, readErr)
	}
	var shown record.Record
	if err := json.Unmarshal(content, &shown); err != nil || len(shown.Trials) != 1 {
		return fmt.Errorf("read report of %s: %d trials: %w", id, len(shown.Trials), err)
	}
	t := shown.Trials[0]
	r.outcome, r.figures, r.events = t.Outcome, t.Figures, t.Events
	if t.Problem != "" {
		return errors.New(t.Problem)
	}
	return nil
}
