package pipeline

import (
	"context"
	"fmt"
	"strings"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/notify"
)

// NotifyTest sends a sample of each event to each channel that is configured, or prints what it would send. Here, that
// something does not arrive is an error: it is what was asked.
func NotifyTest(dryRun bool) Action {
	return func(ctx context.Context, s *Session) error {
		samples := notify.Samples(s.Host.Now(), s.newsOrigin(ctx, "", ""))
		places := s.places()
		if dryRun {
			return s.preview(places, samples)
		}
		run, err := s.deliver(ctx, places, samples...)
		if err != nil {
			return err
		}
		told := 0
		for _, step := range run.Stages[0].Steps {
			switch step.Status {
			case engine.StatusPassed:
				told++
			case engine.StatusSkipped:
			default:
				return &Exit{Code: engine.ExitError, Message: "notify:test: not every message arrived: see the lines above"}
			}
		}
		if told == 0 {
			return &Exit{Code: engine.ExitError, Message: "notify:test: no channel is configured, so nothing was sent: see docs/notifications.md"}
		}
		return nil
	}
}

// preview prints what each channel would get. A channel that is not configured is said to be.
func (s *Session) preview(places []notify.Place, samples []notify.Message) error {
	for _, place := range places {
		switch {
		case place.Skip != "":
			s.say("notify:%s: not told: %s", place.Name, place.Skip)
			continue
		case place.Err != nil:
			return &Exit{Code: engine.ExitUsage, Message: fmt.Sprintf("notify:%s: %v", place.Name, place.Err)}
		}
		for _, m := range samples {
			payload, err := place.Channel.Preview(m)
			if err != nil {
				return fmt.Errorf("notify:%s: %w", place.Name, err)
			}
			if err := s.print(fmt.Sprintf("notify:%s %s\n%s\n", place.Name, m.Event, strings.TrimRight(payload, "\n"))); err != nil {
				return err
			}
		}
	}
	return nil
}
