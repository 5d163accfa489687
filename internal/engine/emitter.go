package engine

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/plain"
)

// emitter hands events to the reporters, one at a time, and remembers which of them failed.
type emitter struct {
	mu        sync.Mutex
	reporters []Reporter
	failed    []bool
	errs      []error
	closed    bool
	mask      *plain.Mask
	now       func() time.Time
}

func newEmitter(reporters []Reporter, mask *plain.Mask, now func() time.Time) *emitter {
	return &emitter{reporters: reporters, failed: make([]bool, len(reporters)), mask: mask, now: now}
}

// send gives an event to every reporter. What goes wrong with one is told to all, once.
func (e *emitter) send(event Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return
	}
	event.Time = e.now()
	for queue := []Event{event}; len(queue) > 0; queue = queue[1:] {
		for i, r := range e.reporters {
			if err := e.deliver(i, r, queue[0]); err != nil {
				queue = append(queue, Event{Kind: EventMessage, Time: event.Time, Text: err.Error()})
			}
		}
	}
}

// finish sends the last event. A reporter that fails changes the verdict for those after it.
func (e *emitter) finish(run *Run) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, err := range e.errs {
		run.blame(err)
	}
	for i, r := range e.reporters {
		if err := e.deliver(i, r, Event{Kind: EventRunFinished, Time: e.now(), Run: run}); err != nil {
			run.blame(err)
		}
	}
	e.closed = true
}

// deliver returns an error the first time that a reporter fails, and contains its panic.
func (e *emitter) deliver(i int, r Reporter, event Event) (failure error) {
	defer func() {
		if p := recover(); p != nil {
			failure = e.note(i, fmt.Errorf("panic of %T: %v", r, p))
		}
	}()
	if err := r.Event(event); err != nil {
		return e.note(i, err)
	}
	return nil
}

func (e *emitter) note(i int, err error) error {
	if e.failed[i] {
		return nil
	}
	e.failed[i] = true
	err = errors.New("report run: " + e.mask.String(plain.Text(err.Error())))
	e.errs = append(e.errs, err)
	return err
}
