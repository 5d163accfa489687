// Package notify is stage 10: the channels are told what a run, a release or an alert came to.
//
// It runs when the run that it tells of is over, on a record of its own, so that a message that does not arrive is an
// error that is shown, and yet fails nothing: what was judged stays judged.
package notify

import (
	"context"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/notify"
)

// Name is the stage's.
const Name = "notify"

// A Stage tells each place of each message that is for it.
type Stage struct {
	places   []notify.Place
	messages []notify.Message
}

// New returns the stage for some messages.
func New(places []notify.Place, messages ...notify.Message) Stage {
	return Stage{places, messages}
}

// Name implements engine.Stage.
func (Stage) Name() string { return Name }

// Steps has one for each place, also for one that is told nothing: why not is said.
func (s Stage) Steps(p *config.Project) ([]engine.Step, error) {
	steps := make([]engine.Step, 0, len(s.places))
	for _, place := range s.places {
		told, reason := s.chosen(p.Notify, place)
		steps = append(steps, engine.Step{
			Name: place.Name, Judges: "messages to " + title(place.Name), Skip: reason, Rerun: "mage notify:test",
			// Each message has the channel's whole time; of a run there is one.
			Timeout: p.Notify.Channel.Std() * time.Duration(max(1, len(told))),
			Func: func(ctx context.Context, scope engine.Scope) (engine.Judgement, error) {
				return tell(ctx, place, told, p.Notify.Channel, scope)
			},
		})
	}
	return steps, nil
}

// chosen are the messages that a place is told, or why it is told none.
func (s Stage) chosen(n config.Notify, place notify.Place) (told []notify.Message, reason string) {
	if place.Skip != "" {
		return nil, place.Skip
	}
	audience := audience(n, place.Name)
	for _, m := range s.messages {
		refused := audience.Refuses(m)
		if picky, ok := place.Channel.(notify.Picky); ok && refused == "" && place.Err == nil {
			refused = picky.Unfit(m)
		}
		if refused == "" {
			told = append(told, m)
			continue
		}
		reason = refused
	}
	if len(told) > 0 {
		return told, ""
	}
	return nil, reason
}

func audience(n config.Notify, place string) notify.Audience {
	switch place {
	case "slack":
		return notify.Audience{Events: n.Slack.Events, Branches: n.Slack.Branches}
	case "mail":
		return notify.Audience{Events: n.Mail.Events, Branches: n.Mail.Branches}
	case "github":
		return notify.Audience{Events: n.GitHub.Events, Branches: n.GitHub.Branches, Records: true}
	}
	return notify.Audience{}
}

func title(place string) string {
	if t, ok := map[string]string{"slack": "Slack", "mail": "the list of recipients", "github": "GitHub"}[place]; ok {
		return t
	}
	return place
}
