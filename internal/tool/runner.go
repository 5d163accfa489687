// Package tool starts programs: the only place of this repository that does.
//
// It stands beside the stages and the provisioner, under package pipeline, and implements engine.Runner. Every program
// runs in a process group of its own, gets no standard input and no shell, and is ended with all that it started:
// when it is done, when its context ends, and, should this process itself be killed, by Sweep at the next start.
package tool

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/plain"
)

// RunVariable marks every process that a run started, and so finds those that left their process group. Its value is
// the run's ID, a slash and a number that tells the run's programs apart; for a run inside of another run's step the
// values of both, the outer one first, with a comma between.
const RunVariable = "METER_PIPELINE_RUN"

// Options says for which run programs are started.
type Options struct {
	State     string        // absolute: the .pipeline directory, where the record of running programs is kept
	Run       string        // the run's ID
	Outer     string        // RunVariable of this process itself: set if the run is inside of another one's step
	Grace     time.Duration // between SIGTERM and SIGKILL; 0 is 2 s
	MaxOutput int           // bytes of output that a program may write, stdout and stderr together; 0 is 64 MiB
	Secrets   []string      // values that no line and no output may show
}

// A Runner starts programs. Its methods may be called at the same time.
type Runner struct {
	opts    Options
	mask    *plain.Mask
	kill    chan struct{}
	once    sync.Once
	started atomic.Int64

	mu     sync.Mutex
	record *record
}

var _ engine.Runner = (*Runner)(nil)

// NewRunner returns a runner. Close it when nothing that it started runs any more.
func NewRunner(opts Options) *Runner {
	if opts.Grace <= 0 {
		opts.Grace = 2 * time.Second
	}
	if opts.MaxOutput <= 0 {
		opts.MaxOutput = 64 << 20
	}
	return &Runner{
		opts: opts,
		mask: plain.NewMask(opts.Secrets...),
		kill: make(chan struct{}),
	}
}

// Kill ends every program at once, and each that is started afterwards. It is for the second Ctrl-C.
func (r *Runner) Kill() { r.once.Do(func() { close(r.kill) }) }

// Close removes the record of running programs.
func (r *Runner) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.record == nil {
		return nil
	}
	err := r.record.close()
	r.record = nil
	return err
}

// Run starts a program and waits for it and for all that it started. An exit code other than zero is no error.
func (r *Runner) Run(ctx context.Context, i engine.Invocation) (engine.Output, error) {
	name := filepath.Base(i.Program)
	if err := ctx.Err(); err != nil {
		return engine.Output{}, fmt.Errorf("start %s: %w", name, context.Cause(ctx))
	}
	select {
	case <-r.kill:
		return engine.Output{}, fmt.Errorf("start %s: killed", name)
	default:
	}
	path, err := find(i.Program, i.Env)
	if err != nil {
		return engine.Output{}, err
	}
	rec, err := r.opened()
	if err != nil {
		return engine.Output{}, fmt.Errorf("start %s: %w", name, err)
	}
	return r.start(ctx, rec, name, path, i)
}

func (r *Runner) opened() (*record, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.record != nil {
		return r.record, nil
	}
	if !filepath.IsAbs(r.opts.State) || r.opts.Run == "" {
		return nil, errors.New("the runner was given no run and no state directory for its record")
	}
	rec, err := newRecord(r.opts.State, r.opts.Run)
	if err != nil {
		return nil, err
	}
	r.record = rec
	return rec, nil
}

func (r *Runner) start(ctx context.Context, rec *record, name, path string, i engine.Invocation) (engine.Output, error) {
	capture, err := newCapture(r, i)
	if err != nil {
		return engine.Output{}, fmt.Errorf("start %s: %w", name, err)
	}
	marker := fmt.Sprintf("%s/%d", r.opts.Run, r.started.Add(1))
	cmd := &exec.Cmd{
		Path:        path,
		Args:        append([]string{path}, i.Args...),
		Dir:         i.Dir,
		Env:         append(without(i.Env, RunVariable), RunVariable+"="+strings.TrimPrefix(r.opts.Outer+","+marker, ",")),
		Stdin:       i.Stdin,
		Stdout:      capture.out.write,
		Stderr:      capture.err.write,
		SysProcAttr: attributes(i.User),
	}
	if err := cmd.Start(); err != nil {
		capture.abort()
		return engine.Output{}, startError(name, i.Dir, err)
	}
	capture.begin()
	p := newProcess(r, cmd, name, marker, capture)
	if err := rec.add(p.tree.leader, name); err != nil {
		p.kill()
		return engine.Output{}, fmt.Errorf("start %s: %w", name, err)
	}
	out, err := p.follow(ctx)
	return out, errors.Join(err, rec.remove(p.tree.leader))
}

func startError(name, dir string, err error) error {
	if info, statErr := os.Stat(dir); dir != "" && (statErr != nil || !info.IsDir()) {
		return fmt.Errorf("start %s: its directory %s does not exist", name, dir)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("start %s: %w: the file, or the interpreter that its first line names, is missing: run \"mage setup\"", name, err)
	case errors.Is(err, syscall.E2BIG):
		return fmt.Errorf("start %s: %w: its arguments and environment are too long", name, err)
	}
	return fmt.Errorf("start %s: %w", name, err)
}

// find looks a program up on the PATH that it will get itself. Entries that are not absolute don't count: what runs
// must not depend on the directory in which somebody stands.
func find(program string, env []string) (string, error) {
	if filepath.IsAbs(program) {
		return program, nil
	}
	if strings.ContainsRune(program, filepath.Separator) {
		return "", fmt.Errorf("find %s: a program is named by its absolute path or its bare name", program)
	}
	for _, dir := range filepath.SplitList(value(env, "PATH")) {
		path := filepath.Join(dir, program)
		if info, err := os.Stat(path); filepath.IsAbs(dir) && err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return path, nil
		}
	}
	return "", fmt.Errorf("find %s: there is no such program, neither in what was provided nor on PATH: \"mage doctor\" says how to get it", program)
}

func value(env []string, key string) string {
	for i := len(env) - 1; i >= 0; i-- {
		if v, ok := strings.CutPrefix(env[i], key+"="); ok {
			return v
		}
	}
	return ""
}

func without(env []string, key string) []string {
	var kept []string
	for _, entry := range env {
		if !strings.HasPrefix(entry, key+"=") {
			kept = append(kept, entry)
		}
	}
	return kept
}
