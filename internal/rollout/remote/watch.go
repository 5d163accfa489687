package remote

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/rollout/agent/wire"
)

// again is the pause before a lost connection is made anew.
const again = time.Second

// Watch looks on until an order has its result. A connection that is lost is made anew: the roll-out does not depend on
// it. Each entry and each alert comes once. An error is that ctx has ended, or that the target can't say anything any more.
func (t *Target) Watch(ctx context.Context, id string, on func(wire.Event)) (wire.Result, error) {
	w := watcher{on: on, alerts: map[string]bool{}}
	lost := false
	for {
		_, err := t.ask(ctx, nil, w.line, "watch", "-id", id)
		switch {
		case w.result != nil:
			return *w.result, nil
		case ctx.Err() != nil:
			return wire.Result{}, context.Cause(ctx)
		case w.broken != nil:
			return wire.Result{}, fmt.Errorf("watch: read what the agent said: %w", w.broken)
		case errors.Is(err, ErrRefused):
			return wire.Result{}, err
		}
		if !lost || w.heard {
			t.Log("the connection to %s is lost (%v); the roll-out goes on there, and the watching once it answers again", t.Environment, orEnded(err))
		}
		lost, w.heard = true, false
		select {
		case <-ctx.Done():
			return wire.Result{}, context.Cause(ctx)
		case <-time.After(again):
		}
	}
}

func orEnded(err error) error {
	if err == nil {
		return errors.New("it ended")
	}
	return err
}

// A watcher reads lines of events. Its line is called by one goroutine at a time.
type watcher struct {
	on     func(wire.Event)
	seen   uint64 // entry
	alerts map[string]bool
	heard  bool // something came over this connection
	result *wire.Result
	broken error
}

func (w *watcher) line(text string) {
	if !strings.HasPrefix(text, "{") || w.broken != nil { // standard error comes here, too
		return
	}
	var e wire.Event
	if err := json.Unmarshal([]byte(text), &e); err != nil {
		w.broken = err
		return
	}
	w.heard = true
	switch {
	case e.Result != nil:
		w.result = e.Result
	case e.Entry != nil:
		if e.Entry.Sequence <= w.seen {
			return
		}
		w.seen = e.Entry.Sequence
	case e.Alert != nil:
		if w.alerts[e.Alert.ID] {
			return
		}
		w.alerts[e.Alert.ID] = true
	}
	if w.on != nil {
		w.on(e)
	}
}
