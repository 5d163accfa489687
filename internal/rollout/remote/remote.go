// Package remote speaks with a target from wherever the deployer runs: a laptop, or a machine of CI. It goes through the
// docker client and its contexts only, so a target over SSH needs neither a port nor a key of ours.
//
// It stands beside the agent, whose package wire says what the two tell each other, and below the stages. Prepare brings
// the agent to the target; Put… and Order hand over what is to be done; Watch, Status, History and Verify only look. What
// is under way on the target goes on whatever becomes of this process.
package remote

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/plain"
)

// Errors that a caller tells apart.
var (
	// ErrUnreachable says that no engine answered.
	ErrUnreachable = errors.New("the container engine can't be reached")
	// ErrNoAgent says that there is no agent of this environment on the target.
	ErrNoAgent = errors.New("no agent runs there")
	// ErrRefused says that the agent won't; what it says is in the text.
	ErrRefused = errors.New("refused")
)

// Options say where a target is and how to start programs.
type Options struct {
	Runner      engine.Runner
	Dir         string   // absolute: where programs run
	Env         []string // KEY=value; with DOCKER_HOST, DOCKER_CONFIG, as docker knows them
	Context     string   // of docker; empty: whatever docker speaks with
	Environment string   // staging
	State       string   // directory of all environments on the target
	Log         func(format string, args ...any)
}

// A Target is one environment on one engine.
type Target struct {
	Options

	docker []string // arguments that lead to the engine
}

// New makes a target. Nothing is asked of it yet.
func New(o Options) *Target {
	t := &Target{Options: o}
	if o.Context != "" {
		t.docker = []string{"--context", o.Context}
	}
	if t.Log == nil {
		t.Log = func(string, ...any) {}
	}
	return t
}

// Project is the name of the Compose project, of the network, and the beginning of the agents' names.
func (t *Target) Project() string { return "meter-" + t.Environment }

// StateDir is the environment's directory on the target.
func (t *Target) StateDir() string { return path.Join(t.State, t.Environment) }

// Agents is how many of them there are: one leads, the others stand by.
const Agents = 2

// agents are the names of the containers.
func (t *Target) agents() []string {
	return []string{t.Project() + "-agent-1", t.Project() + "-agent-2"}
}

// run starts docker. An exit code other than zero is an error with the program's last words.
func (t *Target) run(ctx context.Context, stdin io.Reader, args ...string) (string, error) {
	out, err := t.start(ctx, stdin, nil, args...)
	if err != nil {
		return "", err
	}
	if out.ExitCode != 0 {
		return "", t.failure(args[0], out)
	}
	return strings.TrimSpace(string(out.Stdout)), nil
}

func (t *Target) start(ctx context.Context, stdin io.Reader, line func(string), args ...string) (engine.Output, error) {
	if line == nil {
		line = func(string) {} // answers are data, and nothing for a log
	}
	return t.Runner.Run(ctx, engine.Invocation{
		Program: "docker", Args: slices.Concat(t.docker, args), Dir: t.Dir, Env: t.environment(), Stdin: stdin, Line: line,
	})
}

// environment keeps docker from building somewhere else than on the target.
func (t *Target) environment() []string {
	return append(slices.Clone(t.Env), "BUILDX_BUILDER="+cmp.Or(t.Context, "default"), "DOCKER_CLI_HINTS=false")
}

// failure says what docker said, and whether it is that there is nobody to speak with.
func (t *Target) failure(what string, out engine.Output) error {
	words := lastWords(out)
	for _, sign := range []string{"Cannot connect to the Docker daemon", "error during connect", "dial unix", "connection refused", "Is the docker daemon running", "context not found", "not found: open", "no such host", "ssh:"} {
		if strings.Contains(words, sign) {
			return fmt.Errorf("%w: %s: %s", ErrUnreachable, words, t.remedy())
		}
	}
	return fmt.Errorf("docker %s: exit code %d: %s", what, out.ExitCode, words)
}

func (t *Target) remedy() string {
	if t.Context != "" {
		return fmt.Sprintf("`docker --context %s info` must answer; docker_context of %s is in pipeline.yaml", t.Context, t.Environment)
	}
	return "`docker info` must answer: start the engine, or name another with DOCKER_HOST or docker_context in pipeline.yaml"
}

// lastWords are the end of what a program said, on one line.
func lastWords(out engine.Output) string {
	text := strings.TrimSpace(string(out.Stderr))
	if text == "" {
		text = strings.TrimSpace(string(out.Stdout))
	}
	const most = 600
	return strings.TrimSpace(plain.Line(strings.ReplaceAll(text[max(0, len(text)-most):], "\n", " ")))
}
