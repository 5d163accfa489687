// Package rollouttest is a target in memory for tests of package rollout, and the means to kill a driver anywhere.
//
// The World is strict: what a real target would refuse, or what would cost a user's request, is an error and remembered
// as a violation. It runs on the clock of the test, so testing/synctest drives it.
package rollouttest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/rollout"
)

// A Manner is how a release behaves.
type Manner struct {
	Errors      float64       // rate of its requests that fail
	Slow        float64       // factor on its times; 0 is 1
	Shift       float64       // added to its predictions
	ReadyAfter  time.Duration // its start takes that long
	Never       bool          // it runs, and never becomes healthy
	Restarts    int           // it crashes so often as it starts
	CrashAfter  time.Duration // it stops being healthy then; 0: never
	PullFails   error
	SchemaFails error
	SmokeFails  error
	VerifyFails error
	Sick        bool // what runs beside its slot never becomes healthy
}

// A World is the target. Its zero value is not ready: see New.
type World struct {
	mu        sync.Mutex
	rate      float64 // requests a second
	manners   map[string]Manner
	images    map[string]bool
	schema    string
	slots     map[rollout.Slot]*running
	beside    map[string]string // images by name
	besideOf  string            // their release
	weights   rollout.Weights
	emptied   map[rollout.Slot]time.Time // when it lost its weight
	epoch     uint64
	traffic   []sample
	wrong     []string
	mutations []string
	away      bool
	blind     bool
	torn      []time.Time // of which no figures are known
}

type running struct {
	revision rollout.Revision
	started  time.Time
}

// open is how long a request or connection lasts.
const open = 2 * time.Second

var errAway = errors.New("the engine does not answer")

// New is a target with so many requests a second, on which nothing runs.
func New(rate float64) *World {
	return &World{
		rate: rate, manners: map[string]Manner{}, images: map[string]bool{}, slots: map[rollout.Slot]*running{}, beside: map[string]string{},
		weights: rollout.Weights{}, emptied: map[rollout.Slot]time.Time{},
	}
}

// Behave says how a release behaves from now on.
func (w *World) Behave(release string, m Manner) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.count()
	w.manners[release] = m
}

// Away makes the engine answer no more, or again. What runs goes on.
func (w *World) Away(away bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.away = away
}

// Blind makes the metrics fail.
func (w *World) Blind(blind bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.blind = blind
}

// Rate changes how many requests a second there are.
func (w *World) Rate(rate float64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.count()
	w.rate = rate
}

// Tear makes a gap in the metrics: whatever is asked for that includes this time is not known.
func (w *World) Tear() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.torn = append(w.torn, time.Now())
}

// Upset gives the weights as a proxy would that has lost them.
func (w *World) Upset(weights rollout.Weights) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.count()
	w.weights = maps.Clone(weights)
}

// Lose takes away what runs in a slot, as somebody would who removes a container by hand. Its weight stays.
func (w *World) Lose(slot rollout.Slot) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.count()
	delete(w.slots, slot)
}

// Wrong is what was done that a target must never see.
func (w *World) Wrong() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.wrong)
}

// Mutations are all that were done, in their order.
func (w *World) Mutations() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.mutations)
}

// Serving is what has all the traffic and is healthy, with everything else stopped; an error if it is not so.
func (w *World) Serving() (string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var serving string
	for slot, r := range w.slots {
		switch seen := w.seen(slot); {
		case seen.Weight == 100 && seen.Healthy && serving == "":
			serving = r.revision.Release
		default:
			return "", fmt.Errorf("%s in slot %s: weight %d, healthy %v", r.revision.Release, slot, seen.Weight, seen.Healthy)
		}
	}
	if serving == "" && w.weights[rollout.Blue]+w.weights[rollout.Green] > 0 {
		return "", fmt.Errorf("nothing runs, with weights %v", w.weights)
	}
	return serving, nil
}

func (w *World) refuse(format string, args ...any) error {
	what := fmt.Sprintf(format, args...)
	w.wrong = append(w.wrong, what)
	return rollout.Permanent(errors.New(what))
}

// mutate is the target's own fence: an epoch that is older than the last is refused, whatever the caller believes.
func (w *World) mutate(ctx context.Context, fence rollout.Fence, format string, args ...any) error {
	if w.away {
		return errAway
	}
	if fence.Epoch() < w.epoch {
		return fmt.Errorf("refused: epoch %d, and there was %d", fence.Epoch(), w.epoch)
	}
	if err := fence.Check(ctx); err != nil {
		return err
	}
	w.epoch = fence.Epoch()
	w.mutations = append(w.mutations, fmt.Sprintf(format, args...))
	w.count()
	return nil
}

func (w *World) seen(slot rollout.Slot) rollout.Seen {
	r := w.slots[slot]
	if r == nil {
		return rollout.Seen{Weight: w.weights[slot]}
	}
	seen := rollout.Seen{Release: r.revision.Release, Digest: r.revision.Digest, Weight: w.weights[slot], Healthy: true}
	m, age := w.manners[r.revision.Release], time.Since(r.started)
	switch {
	case m.Never || age < m.ReadyAfter:
		seen.Healthy, seen.Reason = false, "starting"
	case m.CrashAfter > 0 && age >= m.CrashAfter:
		seen.Healthy, seen.Reason = false, "it has exited"
	}
	if m.Restarts > 0 {
		seen.Restarts = min(m.Restarts, int(age/time.Second))
	}
	if seen.Weight > 0 || time.Since(w.emptied[slot]) < open {
		seen.Sessions = 3
	}
	return seen
}

// Observe implements rollout.Backend.
func (w *World) Observe(context.Context) (rollout.Observation, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.away {
		return rollout.Observation{}, errAway
	}
	return rollout.Observation{
		Images: maps.Clone(w.images), Schema: w.schema,
		Slots:    map[rollout.Slot]rollout.Seen{rollout.Blue: w.seen(rollout.Blue), rollout.Green: w.seen(rollout.Green)},
		Services: w.services(),
	}, nil
}

func (w *World) services() map[string]rollout.Service {
	services := map[string]rollout.Service{}
	for name, image := range w.beside {
		services[name] = rollout.Service{Of: name, Image: image, Healthy: !w.manners[w.besideOf].Sick, Reason: "starting"}
	}
	return services
}
