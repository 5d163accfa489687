// Package rollout brings a release to a target and back, so that no request fails, whoever dies on the way.
//
// The driver goes through phases: gated, pulled, migrated, up, ready, smoked, shifted (weight by weight, each with a
// judged window; the last, at 100 %, is the bake), replaced, drained, done. In each it observes, compares, and only then acts, so
// that each can be repeated. What it is about to do is in the journal before, and what came of it after. A rollback is
// another entry that takes the same path in one step. A driver that finds a roll-out which another has left compares the
// journal with what really runs and goes on, or rolls back.
//
// It stands above journal, lease and judge, and below the stages; what runs where is behind Backend.
package rollout

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/rollout/judge"
)

// A Slot is one of the two places in which a revision can run beside the other.
type Slot string

// The slots.
const (
	Blue  Slot = "blue"
	Green Slot = "green"
)

// Other is the other one.
func (s Slot) Other() Slot {
	if s == Blue {
		return Green
	}
	return Blue
}

// A Revision is a release in a slot.
type Revision struct {
	Release string            `json:"release"` // for people: v1.4.0, or a commit
	Digest  string            `json:"digest"`  // of the image that serves, which alone decides what is served
	Images  map[string]string `json:"images"`  // all images, by name: repository@digest
	Schema  string            `json:"schema,omitempty"`
	Bundle  string            `json:"bundle,omitempty"` // digest of the files that say how it runs
	Slot    Slot              `json:"slot"`
}

// A Fence lets nobody act who has been overtaken. lease.Held is one. A back end hands the epoch to whatever can refuse
// an older one, and calls Check right before it does anything else.
type Fence interface {
	Epoch() uint64
	Check(context.Context) error
}

// Weights are percent of the traffic. They add up to 100, or to 0 where nothing serves.
type Weights map[Slot]int

// A Backend is where revisions run. Each of its actions can be repeated and comes to the same: what is there already
// is left as it is. An action returns when it has been accepted by the target; Observe tells when it has worked. A
// failure that no repetition mends is Permanent.
type Backend interface {
	// Observe says what really is, not what was asked for.
	Observe(ctx context.Context) (Observation, error)
	// Pull brings all images of a revision to the target, by digest.
	Pull(ctx context.Context, fence Fence, r Revision) error
	// Migrate brings the database to the revision's schema. Migrations only ever expand.
	Migrate(ctx context.Context, fence Fence, r Revision) error
	// Start starts the revision in its slot, with no weight, in place of whatever else is there without one.
	Start(ctx context.Context, fence Fence, r Revision) error
	// Smoke asks the revision what has known answers, past the proxy.
	Smoke(ctx context.Context, r Revision) error
	// SetWeights is effective when it returns, and survives a restart of the proxy.
	SetWeights(ctx context.Context, fence Fence, w Weights) error
	// Replace brings what runs once, beside the slots, to the revision's images.
	Replace(ctx context.Context, fence Fence, r Revision) error
	// Verify asks all parts together, as a user of them would.
	Verify(ctx context.Context, r Revision) error
	// Stop ends what runs in a slot.
	Stop(ctx context.Context, fence Fence, s Slot) error
	// Metrics are what each slot did in that time. A gap in them, also one from counters that began anew, is ErrGap.
	Metrics(ctx context.Context, from, to time.Time) (map[Slot]judge.Side, error)
}

// An Observation is what is on a target.
type Observation struct {
	Images   map[string]bool // those that are present: by digest, and by repository@digest
	Schema   string          // of the database
	Slots    map[Slot]Seen
	Services map[string]Service // what runs once, beside the slots, by its own name
}

// A Service runs once, and is replaced in place.
type Service struct {
	Of      string // name of the image that it should have: a key of Revision.Images
	Image   string // that it has: repository@digest; empty if it does not run
	Healthy bool
	Reason  string // why not
}

// replaced says what keeps the services from being those of a revision; nil if nothing does.
func (o Observation) replaced(r Revision) error {
	there := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(o.Services)) {
		s := o.Services[name]
		there[s.Of] = true
		switch want := r.Images[s.Of]; {
		case want == "":
			return Permanent(fmt.Errorf("%s has no image %q, which %s needs", r.Release, s.Of, name))
		case s.Image != want:
			return fmt.Errorf("%s does not have its image yet", name)
		case !s.Healthy:
			return fmt.Errorf("%s is not healthy: %s", name, s.Reason)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r.Images)) {
		if !there[name] && !strings.HasSuffix(r.Images[name], r.Digest) {
			return fmt.Errorf("nothing runs of the image %s", name)
		}
	}
	return nil
}

// Seen is what runs in a slot. The zero Seen is nothing.
type Seen struct {
	Release  string
	Digest   string
	Healthy  bool
	Reason   string // why not
	Restarts int    // since it was started
	Weight   int
	Sessions int // requests and connections that are open
}

// runs reports whether it is that revision.
func (s Seen) runs(r Revision) bool { return s.Digest == r.Digest && s.Release == r.Release }

func (s Seen) empty() bool { return s.Digest == "" && s.Release == "" }

// present reports whether all images of a revision are there.
func (o Observation) present(r Revision) bool {
	for _, digest := range r.Images {
		if !o.Images[digest] {
			return false
		}
	}
	return o.Images[r.Digest]
}

// ErrPermanent marks a failure that no repetition mends.
var ErrPermanent = errors.New("it is no use to try again")

// ErrGap marks figures of an interval of which a part will never be known.
var ErrGap = errors.New("the figures have a gap")

// Permanent marks err so. Its text stays.
func Permanent(err error) error { return permanent{err} }

type permanent struct{ error }

func (p permanent) Unwrap() error        { return p.error }
func (p permanent) Is(target error) bool { return target == ErrPermanent }

func (r Revision) check() error {
	if r.Release == "" || r.Digest == "" || (r.Slot != Blue && r.Slot != Green) {
		return fmt.Errorf("revision %q in slot %q with digest %q: it needs all three", r.Release, r.Slot, r.Digest)
	}
	return nil
}
