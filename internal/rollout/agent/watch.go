package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/plain"
	"github.com/meter-ml/meter-pipeline/internal/rollout/agent/wire"
	"github.com/meter-ml/meter-pipeline/internal/rollout/journal"
)

// watching is how often files are looked at for something new.
const watching = 200 * time.Millisecond

// A watch tells what is new since it looked last.
type watch struct {
	*call
	id     string
	since  time.Time // of the order
	log    *journal.Tail
	status []byte          // as told last
	alerts map[string]bool // that are told
	size   int64           // of their file, as read last
}

// watch streams events until the order has its result.
func (c *call) watch(ctx context.Context) error {
	id := c.id
	if id == "" {
		ids, err := orderIDs(c.layout)
		if err != nil {
			return err
		}
		if len(ids) == 0 {
			return errors.New("no order waits, and none is being done: name one with -id")
		}
		id = ids[0]
	}
	since, err := orderTime(id)
	if err != nil {
		return usage{err}
	}
	w := &watch{call: c, id: id, since: since, log: journal.Follow(c.layout.Dir), alerts: map[string]bool{}}
	for {
		// The result is asked for first: what came before it is told before it.
		result, ended, err := w.result()
		if err != nil {
			return err
		}
		if err := w.tell(ctx); err != nil {
			return err
		}
		if ended {
			return w.end(result)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(watching):
		}
	}
}

// orderTime is when an order was placed: its ID says so.
func orderTime(id string) (time.Time, error) {
	if !wire.ValidID(id) {
		return time.Time{}, fmt.Errorf("%q is no order's ID", plain.Line(id))
	}
	return time.Parse("20060102T150405.000000000Z", id[:len(id)-9])
}

// result is what became of the order. One that is neither there nor answered was never placed, or is long forgotten.
func (w *watch) result() (wire.Result, bool, error) {
	_, err := os.Stat(w.layout.Order(w.id))
	gone := errors.Is(err, os.ErrNotExist)
	r, ended, err := readResult(w.layout, w.id)
	if err == nil && gone && !ended {
		err = fmt.Errorf("there is no order %s", w.id)
	}
	return r, ended, err
}

func (w *watch) tell(ctx context.Context) error {
	err := w.log.Read(ctx, func(e journal.Entry) error {
		if e.Time.Before(w.since) {
			return nil
		}
		return w.event(wire.Event{Entry: &wire.Entry{
			Sequence: e.Sequence, Time: e.Time, Epoch: e.Epoch, Actor: e.Actor, Release: e.Release, Action: e.Action,
			Kind: e.Kind, Message: e.Message, Detail: e.Detail,
		}})
	})
	if err != nil {
		return err
	}
	if err := w.tellAlerts(); err != nil {
		return err
	}
	content, err := os.ReadFile(w.layout.Status())
	if err != nil || bytes.Equal(content, w.status) {
		return nil //nolint:nilerr // there may be none yet; the agent writes it as soon as it leads
	}
	w.status = content
	s, err := wire.DecodeStatus(bytes.NewReader(content))
	if err != nil {
		return err
	}
	return w.event(wire.Event{Status: &s})
}

func (w *watch) tellAlerts() error {
	file, err := os.Open(w.layout.Alerts())
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("watch alerts: %w", err)
	}
	info, err := file.Stat()
	if err != nil || info.Size() == w.size {
		return errors.Join(err, file.Close())
	}
	w.size = info.Size()
	var fresh []wire.Alert
	err = eachAlert(file, func(a wire.Alert, bad error) { // a damaged line is the agent's to report
		if bad == nil && !w.alerts[a.ID] && !a.Time.Before(w.since) {
			w.alerts[a.ID] = true
			fresh = append(fresh, a)
		}
	})
	if err = errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("watch alerts: %w", err)
	}
	for _, a := range fresh {
		if err := w.event(wire.Event{Alert: &a}); err != nil {
			return err
		}
	}
	return nil
}

func (w *watch) event(e wire.Event) error {
	content, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("watch: %w", err)
	}
	return w.print("%s", content)
}

func (w *watch) end(r wire.Result) error {
	if err := w.event(wire.Event{Result: &r}); err != nil {
		return err
	}
	if r.State == wire.Succeeded {
		return nil
	}
	return failed{fmt.Errorf("%s: %s", r.State, r.Reason)}
}
