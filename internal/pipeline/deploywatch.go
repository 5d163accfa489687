package pipeline

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/report/terminal"
	"github.com/meter-ml/meter-pipeline/internal/rollout/agent/wire"
	"github.com/meter-ml/meter-pipeline/internal/rollout/remote"
	"github.com/meter-ml/meter-pipeline/internal/rollout/view"
)

// DeployWatch looks on until the roll-out under way is over. That it was rolled back is exit code 1.
func DeployWatch(environment string) Action {
	return func(ctx context.Context, s *Session) error {
		target, err := s.target(environment)
		if err != nil {
			return err
		}
		status, err := target.Status(ctx)
		if err != nil {
			return absent(err)
		}
		if status.Roll == nil || status.Roll.Order == "" {
			return s.print(strings.Join(statusLines(status, s.Host.Now()), "\n") + "\n")
		}
		result, err := s.watch(ctx, target, status.Roll.Order)
		switch {
		case ctx.Err() != nil:
			return fmt.Errorf("no longer watched; the roll-out goes on: `mage deploy:abort -env=%s` stops it: %w", environment, context.Cause(ctx))
		case err != nil:
			return absent(err)
		case result.State != wire.Succeeded:
			return &Exit{Code: engine.ExitFailed, Message: fmt.Sprintf("%s: %s", result.State, result.Reason)}
		}
		return s.print(result.Target + " serves\n")
	}
}

// watch draws the panel in place on a screen, and writes a line for each change.
func (s *Session) watch(ctx context.Context, target *remote.Target, order string) (wire.Result, error) {
	panel := terminal.NewPanel(terminal.Detect(s.Host.Out, s.Host.Err, s.Host.Get))
	var changes view.Changes
	result, err := target.Watch(ctx, order, func(e wire.Event) {
		for _, line := range changes.Of(e) {
			panel.Say(line)
		}
		if e.Status != nil {
			panel.Draw(view.Panel(*e.Status, s.Host.Now()))
		}
	})
	return result, errors.Join(err, panel.Close())
}

// DeployDown ends an environment: agents, containers and network; with data also what they kept on the target.
func DeployDown(environment string, data bool) Action {
	return func(ctx context.Context, s *Session) error {
		target, err := s.target(environment)
		if err != nil {
			return err
		}
		removed, err := target.Down(ctx, data)
		for _, line := range removed {
			s.say("%s", line)
		}
		return err
	}
}
