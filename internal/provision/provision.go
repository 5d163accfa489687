// Package provision makes ready what steps need: a Python environment with the project's tools, an empty PostgreSQL
// database, an MLflow server, the secret scanner, a container engine with a builder of images.
//
// It implements engine.Provider. The engine asks for a need by name when a step is about to run, and gives it back
// afterwards; what can be shared by the steps of a run is made once and kept until Close. Nothing is made that is
// there already and still right, and an unchanged environment costs a few file reads. Every program is started through
// the engine's Runner.
package provision

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
)

// Options are what a Provisioner works with. Project, Runner and Env are required.
type Options struct {
	Project *config.Project
	Runner  engine.Runner
	Env     []string // the environment of the run, KEY=value

	Now       func() time.Time // time.Now if nil
	Rand      io.Reader        // for names and passwords; crypto/rand if nil
	GoVersion string           // the toolchain that builds tools; runtime.Version() if empty
}

// A Provisioner provides needs to one run. Its methods may be called at the same time, but none after Close.
type Provisioner struct {
	project *config.Project
	runner  engine.Runner
	env     environ
	now     func() time.Time
	random  io.Reader
	golang  string
	root    string   // absolute, without symbolic links: environments are bound to their path
	places  []string // patterns of where server programs may be

	uv         *shared[uvTool]
	server     *shared[*server]
	mlflow     *shared[*mlflow]
	containers *shared[containers]

	life     context.Context // ends with Close: what is being made then is broken off
	end      context.CancelCauseFunc
	underway sync.WaitGroup

	mu       sync.Mutex
	closed   bool
	pythons  map[string]*shared[pythonEnv]
	built    map[string]*shared[builtTool] // by program
	held     []*fileLock                   // of environments in use
	admins   []*admin                      // sessions on a server of DATABASE_URL
	clusters []*cluster
	mlflows  []*mlflow
	labelled map[string]*shared[engine.Provision] // databases that steps share
}

// errClosed is for whom asks after Close.
var errClosed = errors.New("the run is over")

// New returns a provisioner. It makes nothing yet.
func New(opts Options) (*Provisioner, error) {
	if opts.Project == nil || opts.Runner == nil {
		return nil, errors.New("make provisioner: project and runner are required")
	}
	root, err := filepath.EvalSymlinks(opts.Project.Root)
	if err != nil {
		return nil, fmt.Errorf("resolve project's root: %w", err)
	}
	if root, err = filepath.Abs(root); err != nil {
		return nil, fmt.Errorf("resolve project's root: %w", err)
	}
	p := &Provisioner{
		project: opts.Project, runner: opts.Runner, env: newEnviron(opts.Env),
		now: opts.Now, random: opts.Rand, golang: opts.GoVersion, root: root,
		uv: newShared[uvTool](), server: newShared[*server](), containers: newShared[containers](), built: map[string]*shared[builtTool]{},
		mlflow: newShared[*mlflow](), pythons: map[string]*shared[pythonEnv]{}, labelled: map[string]*shared[engine.Provision]{},
		places: programPatterns(runtime.GOOS, opts.Project.Postgres.Version),
	}
	p.life, p.end = context.WithCancelCause(context.Background())
	if p.now == nil {
		p.now = time.Now
	}
	if p.random == nil {
		p.random = rand.Reader
	}
	if p.golang == "" {
		p.golang = runtime.Version()
	}
	return p, nil
}

// Provide makes one need available. The needs are "python", "python:<name>" for an environment apart, "postgres" for a
// database of the step's own, "postgres:<label>" for one that all steps with this label share, "mlflow", "gitleaks", and
// "engine" for what builds images and runs containers.
func (p *Provisioner) Provide(ctx context.Context, need engine.Need, say func(string)) (engine.Provision, error) {
	ctx, done, err := p.enter(ctx)
	if err != nil {
		return engine.Provision{}, err
	}
	defer done()
	if say == nil {
		say = func(string) {}
	}
	name, apart, isApart := strings.Cut(string(need), ":")
	switch {
	case need == engine.NeedPostgres:
		return p.providePostgres(ctx, say)
	case name == string(engine.NeedPostgres) && apart != "":
		return p.provideLabelled(ctx, apart, say)
	case need == engine.NeedMLflow:
		return p.provideMLflow(ctx, say)
	case need == engine.NeedGitleaks:
		return p.provideBuilt(ctx, gitleaksSource(), say)
	case need == engine.NeedEngine:
		return p.provideEngine(ctx, say)
	case need == NeedBuildx:
		return p.provideBuilt(ctx, buildxSource(), say)
	case need == NeedBuildkitd:
		return p.provideBuilt(ctx, buildkitdSource(), say)
	case need == NeedCompose:
		return p.provideBuilt(ctx, composeSource(), say)
	case name == string(engine.NeedPython):
		spec, err := p.pythonSpec(apart, isApart)
		if err != nil {
			return engine.Provision{}, err
		}
		return p.providePython(ctx, spec, say)
	default:
		return engine.Provision{}, fmt.Errorf("there is no need %q", need)
	}
}

// enter counts a call that makes something, and lets Close break it off.
func (p *Provisioner) enter(ctx context.Context) (context.Context, func(), error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, nil, errClosed
	}
	p.underway.Add(1)
	ctx, cancel := context.WithCancelCause(ctx)
	detach := context.AfterFunc(p.life, func() { cancel(errClosed) })
	return ctx, func() {
		detach()
		cancel(nil)
		p.underway.Done()
	}, nil
}

// Close ends the servers of this run, drops what is left on another's, and lets the environments go. It takes
// 5 seconds at the most, and does its work on a cancelled context too, since it is what follows a cancellation.
func (p *Provisioner) Close(ctx context.Context) error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.end(errClosed)
	idle := make(chan struct{})
	go func() {
		p.underway.Wait()
		close(idle)
	}()
	select {
	case <-idle:
	case <-time.After(time.Second):
	}

	p.mu.Lock()
	admins, clusters, mlflows, held := p.admins, p.clusters, p.mlflows, p.held
	p.admins, p.clusters, p.mlflows, p.held = nil, nil, nil, nil
	p.mu.Unlock()
	errs := make([]error, 0, len(admins)+len(clusters)+len(mlflows)+len(held))
	for _, m := range mlflows {
		errs = append(errs, m.close())
	}
	for _, a := range admins {
		errs = append(errs, a.dropAll(ctx))
	}
	for _, c := range clusters {
		errs = append(errs, c.close(ctx))
	}
	for _, lock := range held {
		errs = append(errs, lock.close())
	}
	return errors.Join(errs...)
}

// own is a path under the project's .pipeline directory.
func (p *Provisioner) own(elements ...string) string {
	return filepath.Join(append([]string{p.root, ".pipeline"}, elements...)...)
}

// toolsDir is where tools are kept that any checkout of this user can share; the project's own if there is no home.
func (p *Provisioner) toolsDir() string {
	if dir, ok := p.env.cacheDir(runtime.GOOS); ok && mayWrite(dir) {
		return dir
	}
	return p.own("tools")
}

// run starts a program in the project's root, and makes an exit code other than zero an error with its last words.
func (p *Provisioner) run(ctx context.Context, i engine.Invocation) (engine.Output, error) {
	if i.Dir == "" {
		i.Dir = p.root
	}
	if i.Env == nil {
		i.Env = p.env.list()
	}
	out, err := p.runner.Run(ctx, i)
	if err != nil {
		return out, fmt.Errorf("run %s: %w", filepath.Base(i.Program), err)
	}
	if out.ExitCode != 0 {
		return out, &exitError{program: filepath.Base(i.Program), code: out.ExitCode, words: lastWords(out, 6)}
	}
	return out, nil
}

// An exitError is a program that ended by saying that it failed.
type exitError struct {
	program string
	code    int
	words   string
}

func (e *exitError) Error() string {
	if e.words == "" {
		return fmt.Sprintf("%s failed with exit code %d and said nothing", e.program, e.code)
	}
	return fmt.Sprintf("%s failed with exit code %d: %s", e.program, e.code, e.words)
}

// lastWords are the last lines that a program wrote, on one line: mostly they say what went wrong.
func lastWords(out engine.Output, lines int) string {
	text := strings.TrimSpace(string(out.Stderr))
	if text == "" {
		text = strings.TrimSpace(string(out.Stdout))
	}
	all := strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' })
	if len(all) > lines {
		all = all[len(all)-lines:]
	}
	for i := range all {
		all[i] = strings.TrimSpace(all[i])
	}
	return strings.Join(all, " / ")
}
