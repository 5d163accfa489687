package compose

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/plain"
	"github.com/meter-ml/meter-pipeline/internal/rollout"
)

// longestTail of a program's output is quoted.
const longestTail = 1500

// failed is a program that ended with something else than 0.
type failed struct {
	what string
	code int
	tail string
}

func (f failed) Error() string {
	return fmt.Sprintf("%s: exit code %d: %s", f.what, f.code, f.tail)
}

// compose runs docker compose with the files of a revision's bundle and the variables in compose.env.
func (t *Target) compose(ctx context.Context, r rollout.Revision, args ...string) error {
	bundle := t.layout.Bundle(r.Bundle)
	all := slices.Concat([]string{
		"compose", "--progress", "plain", "--project-name", t.config.Project, "--project-directory", bundle,
		"--file", filepath.Join(bundle, "compose.yaml"), "--file", filepath.Join(bundle, "compose."+t.config.Environment+".yaml"),
		"--env-file", filepath.Join(bundle, "environment"), "--env-file", t.variablesFile(),
	}, args)
	out, err := t.config.Runner.Run(ctx, engine.Invocation{
		Program: t.config.Docker, Args: all, Dir: bundle, Env: append(slices.Clone(t.config.Env), "DOCKER_HOST="+t.config.Host),
	})
	if err != nil {
		return err
	}
	if out.ExitCode != 0 {
		return failed{"docker compose " + strings.Join(args, " "), out.ExitCode, tail(string(out.Stdout) + "\n" + string(out.Stderr))}
	}
	return nil
}

func tail(output string) string {
	output = strings.TrimSpace(plain.Text(output))
	if len(output) > longestTail {
		output = "… " + strings.ToValidUTF8(output[len(output)-longestTail:], "")
	}
	return strings.ReplaceAll(output, "\n", " | ")
}

// prepare writes the variables for a revision.
func (t *Target) prepare(s slots, r rollout.Revision) error {
	v, err := t.variables(s, r)
	if err != nil {
		return err
	}
	return t.writeVariables(v)
}

// once runs a service to its end. What an agent that was killed has left of it is ended first.
func (t *Target) once(ctx context.Context, fence rollout.Fence, r rollout.Revision, service string) error {
	s, err := t.slots()
	if err != nil {
		return err
	}
	if err := t.prepare(s, r); err != nil {
		return err
	}
	if fence != nil {
		if err := t.admit(ctx, fence); err != nil {
			return err
		}
	}
	if err := t.clear(ctx, service); err != nil {
		return err
	}
	return t.compose(ctx, r, "run", "--rm", "--no-TTY", "--quiet-pull", service)
}
