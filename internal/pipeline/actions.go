package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/provision"
)

// Setup makes ahead what the gates need.
func Setup(ctx context.Context, s *Session) error {
	if err := s.Provisioner.Setup(ctx, func(line string) { s.say("%s", line) }); err != nil {
		return err
	}
	s.say("everything is ready: mage check")
	return nil
}

// Doctor prints what there is and what is missing; anything missing that a person must get is exit code 3.
func Doctor(ctx context.Context, s *Session) error {
	rows := s.Provisioner.Doctor(ctx)
	if err := s.print(provision.Table(rows, s.Host.Columns())); err != nil {
		return err
	}
	if !provision.Healthy(rows) {
		return &Exit{Code: engine.ExitError, Message: "something is missing that mage can't get by itself"}
	}
	return nil
}

// Clean removes the records of earlier runs.
func Clean(_ context.Context, s *Session) error {
	runs := filepath.Join(s.State, "runs")
	entries, err := os.ReadDir(runs)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("list earlier runs: %w", err)
	}
	if err := errors.Join(os.RemoveAll(runs), os.RemoveAll(filepath.Join(s.State, "latest"))); err != nil {
		return fmt.Errorf("remove earlier runs: %w", err)
	}
	s.say("removed the records of %d runs; the history, environments and tools stay", len(entries))
	return nil
}

// EnvCheck lists what an environment lacks; anything missing is exit code 1.
func EnvCheck(environment string) Action {
	return func(_ context.Context, s *Session) error {
		variables, err := s.Project.Environment(environment, s.Host.Env)
		if err != nil {
			return err
		}
		missing := variables.Missing()
		if len(missing) == 0 {
			return s.print(fmt.Sprintf("%s: all %d required variables have a value\n", environment, required(variables)))
		}
		var b strings.Builder
		fmt.Fprintf(&b, "%s lacks %d of %d required variables:\n", environment, len(missing), required(variables))
		for _, v := range missing {
			where := fmt.Sprintf("set it in env/%s.env, or in the process environment", environment)
			if v.Secret {
				where = "a secret: set it in the process environment (in CI, a GitHub secret)"
			}
			fmt.Fprintf(&b, "  %-22s %s\n", v.Name, where)
		}
		if err := s.print(b.String()); err != nil {
			return err
		}
		return &Exit{Code: engine.ExitFailed, Message: fmt.Sprintf("%s is not complete: see env/.env.example", environment)}
	}
}

func required(variables config.Variables) int {
	n := 0
	for _, v := range variables {
		if v.Required {
			n++
		}
	}
	return n
}

// EnvShow prints an environment's variables, secrets masked.
func EnvShow(environment string) Action {
	return func(_ context.Context, s *Session) error {
		variables, err := s.Project.Environment(environment, s.Host.Env)
		if err != nil {
			return err
		}
		var b strings.Builder
		w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
		_, _ = fmt.Fprintln(w, "NAME\tVALUE\tFROM") // a Builder takes everything
		for _, v := range variables {
			origin := string(v.Origin)
			switch {
			case v.Origin == config.OriginFile:
				origin = fmt.Sprintf("env/%s.env", environment)
			case v.Origin == config.OriginNone && v.Required:
				origin = "missing, required"
			}
			_, _ = fmt.Fprintf(w, "%s\t%s\t%s\n", v.Name, v.Shown(), origin)
		}
		if err := w.Flush(); err != nil {
			return err
		}
		return s.print(b.String())
	}
}
