package pipeline

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/rollout/remote"
	"github.com/meter-ml/meter-pipeline/internal/stage/deploy"
	"github.com/meter-ml/meter-pipeline/internal/stage/production"
	"github.com/meter-ml/meter-pipeline/internal/stage/staging"
	"github.com/meter-ml/meter-pipeline/internal/strict"
)

// A DeployRequest asks for something of an environment.
type DeployRequest struct {
	Target      string  // as it was asked for: deploy:staging
	Environment string  // where to
	Stage       string  // whose verdict it is: staging, production; empty: that of the environment, and no evidence
	Release     string  // version or commit
	Reason      string  // why, for the audit log
	BreakGlass  *string // why it goes without evidence; nil: it does not
	Again       bool    // also if the same serves already
	Verbose     bool
}

// Deploy brings a release to an environment.
func Deploy(r DeployRequest) Action {
	return func(ctx context.Context, s *Session) error {
		if err := s.environment(r.Environment); err != nil {
			return err
		}
		recipe := func(Host) []engine.Stage { return []engine.Stage{deployStage(r.Stage, s.deployOptions(r))} }
		return s.thenTell(ctx, r.Environment, func() error {
			return s.Judge(ctx, Request{Target: r.Target, Stages: recipe, Evidence: r.Stage != "", Verbose: r.Verbose})
		})
	}
}

func deployStage(stage string, o deploy.Options) engine.Stage {
	switch stage {
	case staging.Name:
		return staging.New(o)
	case production.Name:
		return production.New(o)
	default:
		return deploy.New(o)
	}
}

// DeploySmoke asks what serves, and changes nothing.
func DeploySmoke(r DeployRequest) Action { return deployOne(r, deploy.NewSmoke) }

// DeployRollback goes back to a release that was done before.
func DeployRollback(r DeployRequest) Action { return deployOne(r, deploy.NewRollback) }

func deployOne(r DeployRequest, stage func(deploy.Options) engine.Stage) Action {
	return func(ctx context.Context, s *Session) error {
		if err := s.environment(r.Environment); err != nil {
			return err
		}
		recipe := func(Host) []engine.Stage { return []engine.Stage{stage(s.deployOptions(r))} }
		return s.thenTell(ctx, r.Environment, func() error {
			return s.Judge(ctx, Request{Target: r.Target, Stages: recipe, Verbose: r.Verbose})
		})
	}
}

// environment says which there are, if it is none.
func (s *Session) environment(name string) error {
	if _, ok := s.Project.Environments[name]; ok {
		return nil
	}
	if name == "" {
		return &Exit{Code: engine.ExitUsage, Message: "no environment was named: write -env= with one of " + strings.Join(s.Project.EnvironmentNames(), ", ")}
	}
	return &Exit{Code: engine.ExitUsage, Message: fmt.Sprintf("there is no environment %q in %s: %s", name, config.FileName, strict.Suggest(name, s.Project.EnvironmentNames()))}
}

func (s *Session) deployOptions(r DeployRequest) deploy.Options {
	return deploy.Options{
		Environment: r.Environment, Release: r.Release, Again: r.Again, Actor: s.actor(), Reason: r.Reason, BreakGlass: r.BreakGlass,
		Generated: filepath.Join(s.State, "secrets"), Now: s.Host.Now, Module: s.Host.Module,
	}
}

// actor is who asks, for the audit log.
func (s *Session) actor() string {
	if actor := s.Host.Get("GITHUB_ACTOR"); actor != "" {
		return actor + "@github"
	}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return cmp.Or(s.Host.Get("USER"), s.Host.Get("LOGNAME"), "somebody") + "@" + host
}

// target is an environment, for who only looks or asks.
func (s *Session) target(environment string) (*remote.Target, error) {
	if err := s.environment(environment); err != nil {
		return nil, err
	}
	return remote.New(remote.Options{
		Runner: s.Runner, Dir: s.Host.Dir, Env: unsigning(s.Host.Env), Context: s.Project.Environments[environment].DockerContext,
		Environment: environment, State: s.Project.Deploy.State, Log: s.say,
	}), nil
}
