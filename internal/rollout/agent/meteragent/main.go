// Command meteragent lives on a deploy target: see package agent.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/rollout/agent"
	"github.com/meter-ml/meter-pipeline/internal/rollout/compose"
	"github.com/meter-ml/meter-pipeline/internal/tool"
)

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if path := socket(); path != "" && len(os.Args) > 1 && os.Args[1] == "serve" {
		alive, end := answering(ctx, path, refusing, knocking)
		defer end()
		ctx = alive
	}
	host, err := os.Hostname()
	if err != nil {
		_, _ = fmt.Fprintf(os.Stderr, "meteragent: %v\n", err)
		return 3
	}
	return agent.Main(ctx, agent.Host{
		In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Now: time.Now, Name: host, Build: version(), Target: target,
	}, os.Args[1:])
}

// target is Docker Compose on the engine whose socket is in this container.
func target(state, environment, project string) func(context.Context) (agent.Target, error) {
	return func(ctx context.Context) (agent.Target, error) {
		scratch := filepath.Join(os.TempDir(), "meteragent")
		if err := os.MkdirAll(scratch, 0o700); err != nil {
			return nil, fmt.Errorf("make a place for the records of programs: %w", err)
		}
		// A container that the engine starts again has its files of before, and the same process number.
		if _, err := tool.Sweep(ctx, scratch); err != nil {
			return nil, fmt.Errorf("clear away what a killed agent has left: %w", err)
		}
		return compose.New(compose.Config{
			Environment: environment, State: state, Project: project, Host: variable("DOCKER_HOST"),
			Runner: tool.NewRunner(tool.Options{State: scratch, Run: fmt.Sprintf("agent-%d-%d", os.Getpid(), time.Now().UnixNano())}),
			Env:    programs(),
		})
	}
}

// socket is where the deployer mounts the engine's; empty if the engine is somewhere else.
func socket() string {
	host := variable("DOCKER_HOST")
	if host == "" {
		return "/var/run/docker.sock"
	}
	path, ok := strings.CutPrefix(host, "unix://")
	if !ok {
		return ""
	}
	return path
}

// programs is the environment of docker: what finds it and its plug-ins, and nothing else that this container has.
func programs() []string {
	var env []string
	for _, name := range []string{"PATH", "HOME", "DOCKER_CONFIG", "TMPDIR"} {
		if value := variable(name); value != "" {
			env = append(env, name+"="+value)
		}
	}
	return env
}

func variable(name string) string {
	return os.Getenv(name) //nolint:forbidigo // it is a program of its own, in a container of its own
}

// version is what the build knows of itself: the module's version, and the platform's Go.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	parts := []string{"meteragent", info.Main.Version, info.GoVersion}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			parts = append(parts, s.Value)
		}
	}
	return strings.Join(parts, " ")
}
