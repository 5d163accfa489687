package deploy

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/registry"
	"github.com/meter-ml/meter-pipeline/internal/strict"
	"github.com/meter-ml/meter-pipeline/internal/worktree"
)

// runner lets a step's scope stand for the engine's runner.
type runner func(context.Context, engine.Invocation) (engine.Output, error)

// Run is engine.Runner's.
func (r runner) Run(ctx context.Context, i engine.Invocation) (engine.Output, error) {
	if i.Line == nil {
		i.Line = func(string) {}
	}
	return r(ctx, i)
}

func entries(env map[string]string) []string {
	all := make([]string, 0, len(env))
	for _, key := range slices.Sorted(maps.Keys(env)) {
		all = append(all, key+"="+env[key])
	}
	return all
}

// inspect asks git what is checked out.
func inspect(ctx context.Context, scope engine.Scope) (worktree.Source, error) {
	source, err := worktree.Inspect(ctx, runner(scope.Run), scope.Root, entries(scope.Env), worktree.CIFrom(func(name string) string { return scope.Env[name] }))
	if err == nil && source.Absent != worktree.Present {
		err = fmt.Errorf("look at what is checked out: %s: deploy from a clone of the repository", source.Absent)
	}
	return source, err
}

// connect makes the registry's client.
func (d deployer) connect(scope engine.Scope) (*registry.Client, error) {
	host, _, _ := strings.Cut(d.project.Image.Repository(scope.Env["METER_REGISTRY"], config.ContainerImage{}), "/")
	return registry.New(registry.Options{
		Host: host, Username: scope.Env["REGISTRY_USERNAME"], Password: scope.Env["REGISTRY_PASSWORD"], Log: scope.Log,
	})
}

// unknown says which environments there are.
func unknown(p *config.Project, name string) error {
	return config.Problems{{File: config.FileName, Message: fmt.Sprintf("there is no environment %q", name), Remedy: strict.Suggest(name, p.EnvironmentNames())}}
}
