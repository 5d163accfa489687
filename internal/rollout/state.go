package rollout

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/rollout/judge"
)

// A Phase is a state that a roll-out has reached.
type Phase string

// The phases, in their order. Begun is before the first.
const (
	Begun    Phase = "begun"
	Gated    Phase = "gated"    // its evidence was accepted
	Pulled   Phase = "pulled"   // its images are on the target
	Migrated Phase = "migrated" // the database has its schema
	Up       Phase = "up"       // it runs
	Ready    Phase = "ready"    // it is healthy
	Smoked   Phase = "smoked"   // it gives the known answers, without any traffic yet
	Shifted  Phase = "shifted"  // it has all traffic, and every window passed
	Replaced Phase = "replaced" // what runs once beside it is of the same release, and all parts work together
	Drained  Phase = "drained"  // the other is stopped
	Done     Phase = "done"
)

func phases() []Phase {
	return []Phase{Begun, Gated, Pulled, Migrated, Up, Ready, Smoked, Shifted, Replaced, Drained, Done}
}

func (p Phase) atLeast(q Phase) bool {
	return slices.Index(phases(), p) >= slices.Index(phases(), q)
}

// A Kind of roll-out.
type Kind string

// Kinds.
const (
	Forward  Kind = "forward"
	Back     Kind = "back"     // by hand, to a release that was done: as Forward, but in one step
	Recovery Kind = "recovery" // from one that failed, to the one before: the same path, until it succeeds
)

// keptReleases is how many done releases can be rolled back to.
const keptReleases = 10

// A State is what release.json holds.
type State struct {
	Current  *Revision  `json:"current,omitempty"`  // the last that was done
	Previous []Revision `json:"previous,omitempty"` // done before it, the newest first
	Roll     *Roll      `json:"roll,omitempty"`     // under way
	Last     *Ending    `json:"last,omitempty"`
}

// A Roll is a roll-out under way.
type Roll struct {
	ID     string    `json:"id"`
	Kind   Kind      `json:"kind"`
	Order  string    `json:"order,omitempty"` // ID of the order that it is to fulfil
	Actor  string    `json:"actor"`
	Reason string    `json:"reason,omitempty"`
	Began  time.Time `json:"began"`
	// Committed is the time of the target's commit, if that is known.
	Committed time.Time `json:"committed,omitzero"`
	Target    *Revision `json:"target,omitempty"` // nil: nothing served before, so nothing is to serve again
	From      *Revision `json:"from,omitempty"`   // nil: nothing served before

	Phase    Phase        `json:"phase"`
	Step     int          `json:"step"`     // whose weight is due, or given
	Restarts int          `json:"restarts"` // of the target when it became ready
	Warm     bool         `json:"warm"`     // it ran already
	Paused   bool         `json:"paused,omitempty"`
	Handled  string       `json:"handled,omitempty"` // the last request
	Looks    []judge.Look `json:"looks,omitempty"`
}

// An Ending is how the last roll-out ended.
type Ending struct {
	ID     string    `json:"id"`
	Kind   Kind      `json:"kind"`
	Order  string    `json:"order,omitempty"`
	Target string    `json:"target"` // release
	Reason string    `json:"reason,omitempty"`
	Ended  time.Time `json:"ended"`
}

func decodeState(content json.RawMessage) (State, error) {
	var s State
	if len(content) == 0 {
		return s, nil
	}
	if err := json.Unmarshal(content, &s); err != nil {
		return s, fmt.Errorf("read state of the target: %w", err)
	}
	for _, r := range []*Revision{s.Current, s.target(), s.from()} {
		if r == nil {
			continue
		}
		if err := r.check(); err != nil {
			return s, fmt.Errorf("read state of the target: %w", err)
		}
	}
	if s.Roll != nil && !slices.Contains(phases(), s.Roll.Phase) {
		return s, fmt.Errorf("read state of the target: unknown phase %q: it was written by another version", s.Roll.Phase)
	}
	return s, nil
}

func (s *State) target() *Revision {
	if s.Roll == nil {
		return nil
	}
	return s.Roll.Target
}

func (s *State) from() *Revision {
	if s.Roll == nil {
		return nil
	}
	return s.Roll.From
}

// Before is a release that was done here before what serves now, and can be gone back to: the newest if the name is empty.
func (s *State) Before(release string) (Revision, error) {
	for _, r := range s.Previous {
		if release == "" || r.Release == release {
			return r, nil
		}
	}
	if release == "" {
		return Revision{}, errors.New("no other release was done on this target before")
	}
	return Revision{}, fmt.Errorf("release %q was not done on this target, or too long ago", release)
}

// finish makes the target the current one.
func (s *State) finish(now time.Time) {
	r := s.Roll
	s.Last = &Ending{ID: r.ID, Kind: r.Kind, Order: r.Order, Reason: r.Reason, Ended: now.UTC()}
	if old := s.Current; old != nil && r.Kind != Recovery && r.Target != nil {
		s.Previous = append([]Revision{*old}, slices.DeleteFunc(s.Previous, func(p Revision) bool {
			return p.Release == old.Release || p.Release == r.Target.Release
		})...)
		s.Previous = s.Previous[:min(len(s.Previous), keptReleases)]
	}
	if s.Current = r.Target; r.Target != nil {
		s.Last.Target = r.Target.Release
	}
	s.Roll = nil
}
