package notify

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/notify"
)

// tell sends each message in its time. One that does not arrive keeps the others from nothing.
func tell(ctx context.Context, place notify.Place, told []notify.Message, limit config.Duration, scope engine.Scope) (engine.Judgement, error) {
	if place.Err != nil {
		return engine.Judgement{}, place.Err
	}
	j := engine.Judgement{Unit: "messages"}
	var lost []string
	for _, m := range told {
		sent, err := send(ctx, place.Channel, m, limit.Std(), scope.Log)
		if err != nil {
			lost = append(lost, fmt.Sprintf("%s: %v", m.Event, err))
			continue
		}
		j.Judged++
		j.Notes = append(j.Notes, fmt.Sprintf("%s: %s", m.Event, sent))
	}
	if len(lost) > 0 {
		return j, errors.New(strings.Join(lost, "; "))
	}
	return j, nil
}

// send bounds one message: where several are sent, an early one must not use up the time of the others.
func send(ctx context.Context, c notify.Channel, m notify.Message, limit time.Duration, say func(string, ...any)) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return c.Send(ctx, m, say)
}
