package pipeline

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/provision"
	"github.com/meter-ml/meter-pipeline/internal/report/github"
	"github.com/meter-ml/meter-pipeline/internal/tool"
)

// closeTime bounds the end of a session after the engine's own grace, so that both are over within five seconds of
// Ctrl-C. Databases, servers and programs that are still there then are left to the next run's sweep.
const closeTime = 1500 * time.Millisecond

// A run is short and holds little, so the collector may wait: judging a million rows of data takes a tenth less time.
// Beyond the limit it works as often as it must.
const (
	heapGrowth = 400       // per cent
	heapLimit  = 128 << 20 // bytes
)

// An Exit is an error with the exit code that it asks for.
type Exit struct {
	Code    int
	Message string
}

// Error is the message, the last line that a person sees.
func (e *Exit) Error() string { return e.Message }

// ExitCode maps an error onto the documented exit codes.
func ExitCode(err error) int {
	if exit, ok := errors.AsType[*Exit](err); ok {
		return exit.Code
	}
	if _, ok := errors.AsType[config.Problems](err); ok {
		return engine.ExitUsage
	}
	switch {
	case err == nil:
		return engine.ExitPassed
	case errors.Is(err, context.Canceled):
		return engine.ExitInterrupted
	default:
		return engine.ExitError
	}
}

// An Action is what a target asks for.
type Action func(context.Context, *Session) error

// A Session is one call of a target: the project, and what it takes to run programs for it.
type Session struct {
	Host    Host
	Project *config.Project
	ID      string // of the run
	State   string // absolute path of .pipeline

	Runner      *tool.Runner
	Provisioner *provision.Provisioner
	swept       []string // what an earlier, killed run had left, and was ended
}

// Main reads the world, opens a session and runs an action in it. SIGINT and SIGTERM cancel the action's context; a
// second one kills what still runs.
func Main(ctx context.Context, action Action) error {
	debug.SetGCPercent(heapGrowth)
	debug.SetMemoryLimit(heapLimit)
	host, err := ReadHost()
	if err != nil {
		return err
	}
	err = Open(ctx, host, action)
	if err == nil || !host.onGitHub() {
		return err
	}
	if text := github.Harmless(err.Error()); text != err.Error() { // mage prints it, after all guards are gone
		return &Exit{Code: ExitCode(err), Message: text}
	}
	return err
}

// Open runs an action in a session on that host.
func Open(ctx context.Context, host Host, action Action) (err error) {
	project, err := config.Load(host.Dir)
	if err != nil {
		return err
	}
	id, err := engine.NewRunID(host.Now(), rand.Reader)
	if err != nil {
		return err
	}
	s := &Session{Host: host, Project: project, ID: id, State: filepath.Join(host.Dir, ".pipeline")}
	s.Runner = tool.NewRunner(tool.Options{
		State: s.State, Run: id, Outer: host.Get(tool.RunVariable), Secrets: host.Secrets(project),
	})
	// Mage's own handler would exit with 1 at a second Ctrl-C, before anything is cleaned up.
	signal.Reset(os.Interrupt)
	ctx, stop := tool.Context(ctx, s.Runner.Kill)
	defer stop()
	if s.swept, err = tool.Sweep(ctx, s.State); err != nil {
		// What another user's killed run left can't be ended, and must not keep this run from judging.
		s.say("warning: sweep what an earlier run left: %v", err)
	}
	s.Provisioner, err = provision.New(provision.Options{Project: project, Runner: s.Runner, Env: unsigning(host.Env)})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close(ctx)) }()
	servers, err := s.Provisioner.Sweep(ctx)
	if err != nil {
		s.say("warning: sweep database servers of an earlier run: %v", err)
	}
	for _, dir := range servers {
		s.swept = append(s.swept, "removed a server that a killed run left: "+dir)
	}
	return action(ctx, s)
}

// close ends what the session started, also after its context has ended.
func (s *Session) close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTime)
	defer cancel()
	return errors.Join(s.Provisioner.Close(ctx), s.Runner.Close())
}

// say writes a message for a person.
func (s *Session) say(format string, args ...any) {
	_, _ = fmt.Fprintln(s.Host.Err, s.plain(fmt.Sprintf(format, args...))) // nobody is left to tell if stderr is closed
}

// print writes data for a person or a program.
func (s *Session) print(text string) error {
	_, err := fmt.Fprint(s.Host.Out, s.plain(text))
	return err
}

// plain is text that GitHub's runner takes for no command; elsewhere it stays as it is.
func (s *Session) plain(text string) string {
	if s.Host.onGitHub() {
		return github.Harmless(text)
	}
	return text
}
