package wire

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/plain"
	"github.com/meter-ml/meter-pipeline/internal/rollout"
)

// An Order is what somebody wants of a target. It is refused while a roll-out is under way or another order waits.
type Order struct {
	Schema int          `json:"schema"`
	ID     string       `json:"id,omitempty"` // the agent gives it
	Kind   rollout.Kind `json:"kind"`         // forward or back
	// Revision is where to, of a forward order. It has no slot, and its bundle is on the target already.
	Revision *rollout.Revision `json:"revision,omitempty"`
	// Release is where to, of an order back: one that was done on this target before, and the newest of them if empty.
	Release string `json:"release,omitempty"`
	Actor   string `json:"actor"`
	Reason  string `json:"reason"`
	// Committed is the time of the revision's commit, from which the lead time counts; zero if unknown.
	Committed time.Time `json:"committed,omitzero"`
	Gate      Gate      `json:"gate,omitzero"`
}

// A Gate is what the deployer has verified, or why it has not.
type Gate struct {
	Accepted   []Statement `json:"accepted,omitempty"`
	BreakGlass string      `json:"break_glass,omitempty"` // why there is no evidence
}

// A Statement is a piece of evidence that the deployer accepted.
type Statement struct {
	Digest    string    `json:"digest"`           // sha256:… of its signed envelope
	Predicate string    `json:"predicate"`        // type of what it says
	Subject   string    `json:"subject"`          // digest or tree that it is about
	Signer    string    `json:"signer,omitempty"` // key ID
	Time      time.Time `json:"time,omitzero"`
	Summary   string    `json:"summary,omitempty"` // unit: 412 of 412 tests
}

// A State is what became of an order.
type State string

// The states. An order that has none waits, or is being done.
const (
	Refused    State = "refused"     // nothing was changed
	Succeeded  State = "done"        // its target serves
	RolledBack State = "rolled back" // what served before serves again
)

// A Result is what became of an order.
type Result struct {
	ID     string       `json:"id"`
	Roll   string       `json:"roll,omitempty"` // of a refused order, none
	State  State        `json:"state"`
	Kind   rollout.Kind `json:"kind"`
	Target string       `json:"target,omitempty"` // release that serves now; empty: nothing
	Reason string       `json:"reason,omitempty"` // why it was refused or rolled back
	Ended  time.Time    `json:"ended"`
}

const (
	longestName = 200
	longestText = 2000
	statements  = 100
)

// DecodeOrder reads an order and checks it.
func DecodeOrder(r io.Reader) (Order, error) {
	var o Order
	content, err := read(r, LongestOrder)
	if err == nil {
		err = decode(content, &o)
	}
	if err == nil {
		err = o.Check()
	}
	if err != nil {
		return o, fmt.Errorf("read order: %w", err)
	}
	return o, nil
}

// Check says what is wrong with it.
func (o Order) Check() error {
	if o.Schema != Schema {
		return fmt.Errorf("schema %d, not %d: deployer and agent are of different versions", o.Schema, Schema)
	}
	if o.Actor == "" || o.Reason == "" {
		return errors.New("it needs an actor and a reason")
	}
	err := errors.Join(line("actor", o.Actor, longestName), line("reason", o.Reason, longestText),
		line("release", o.Release, longestName), o.Gate.check())
	if err != nil {
		return err
	}
	switch o.Kind {
	case rollout.Forward:
		if o.Revision == nil || o.Release != "" {
			return errors.New("a forward order has a revision, and no release")
		}
		return checkRevision(*o.Revision)
	case rollout.Back:
		if o.Revision != nil || o.Gate.BreakGlass != "" || len(o.Gate.Accepted) > 0 {
			return errors.New("an order back has a release, or none for the newest, but neither a revision nor a gate")
		}
		return nil
	default:
		return fmt.Errorf("kind %q: it is %q or %q", o.Kind, rollout.Forward, rollout.Back)
	}
}

// Target is where it goes to, for people.
func (o Order) Target() string {
	switch {
	case o.Revision != nil:
		return o.Revision.Release
	case o.Release != "":
		return o.Release
	default:
		return "the release before"
	}
}

func (g Gate) check() error {
	if g.BreakGlass != "" && len(g.Accepted) > 0 {
		return errors.New("its gate has accepted statements and a broken glass: it is one or the other")
	}
	if len(g.Accepted) > statements {
		return fmt.Errorf("its gate has %d statements: at most %d", len(g.Accepted), statements)
	}
	err := line("break_glass", g.BreakGlass, longestText)
	for i, s := range g.Accepted {
		if !digest.MatchString(s.Digest) || s.Predicate == "" || s.Subject == "" {
			return fmt.Errorf("statement %d of its gate: it needs a digest (sha256:…), a predicate and a subject", i)
		}
		for _, text := range []string{s.Predicate, s.Subject, s.Signer, s.Summary} {
			err = errors.Join(err, line(fmt.Sprintf("statement %d", i), text, longestName))
		}
	}
	return err
}

// checkRevision demands that everything is named by digest.
func checkRevision(r rollout.Revision) error {
	switch {
	case r.Slot != "":
		return errors.New("its revision has a slot: the agent chooses that")
	case r.Release == "":
		return errors.New("its revision has no release")
	case !digest.MatchString(r.Digest):
		return fmt.Errorf("the digest %q of its revision is not sha256:…", plain.Line(r.Digest))
	case !digest.MatchString(r.Bundle):
		return fmt.Errorf("the bundle %q of its revision is not sha256:…", plain.Line(r.Bundle))
	}
	if err := errors.Join(line("release", r.Release, longestName), line("schema", r.Schema, longestName)); err != nil {
		return err
	}
	serves := false
	for image, named := range r.Images {
		if !name.MatchString(image) || !reference.MatchString(named) {
			return fmt.Errorf("image %q of its revision is not repository@sha256:…, but %q", plain.Line(image), plain.Line(named))
		}
		serves = serves || strings.HasSuffix(named, "@"+r.Digest)
	}
	if !serves {
		return errors.New("none of the images of its revision has the digest that serves")
	}
	return nil
}

var (
	digest    = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)
	reference = regexp.MustCompile(`^[a-z0-9][a-zA-Z0-9._:/-]{0,254}@sha256:[0-9a-f]{64}$`)
	// orderID is such that IDs sort by their time.
	orderID  = regexp.MustCompile(`^[0-9]{8}T[0-9]{6}\.[0-9]{9}Z-[0-9a-f]{8}$`)
	variable = regexp.MustCompile(`^[A-Z][A-Z0-9_]{0,62}$`)
)

// line demands text of one line that can be shown as it is.
func line(what, text string, most int) error {
	switch {
	case len(text) > most:
		return fmt.Errorf("its %s has %d bytes: at most %d", what, len(text), most)
	case plain.Line(text) != text:
		return fmt.Errorf("its %s has control characters or line ends: %q", what, plain.Line(text))
	}
	return nil
}

// ValidID reports whether it can be the ID of an order, and so part of a path.
func ValidID(id string) bool { return orderID.MatchString(id) }

// Secrets are the values for each service, on their way to files that only its user can read.
type Secrets map[string]ServiceSecrets

// ServiceSecrets are those of one service.
type ServiceSecrets struct {
	UID    int               `json:"uid"` // of the user that runs it
	Values map[string]string `json:"values"`
}

// DecodeSecrets reads and checks them. No error quotes a value.
func DecodeSecrets(r io.Reader) (Secrets, error) {
	var s Secrets
	content, err := read(r, LongestSecrets)
	if err == nil {
		if decode(content, &s) != nil {
			err = errors.New(`it is not of the form {"service": {"uid": 1000, "values": {"NAME": "value"}}}`)
		}
	}
	if err == nil {
		err = s.check()
	}
	if err != nil {
		return nil, fmt.Errorf("read secrets: %w", err)
	}
	return s, nil
}

func (s Secrets) check() error {
	if len(s) == 0 {
		return errors.New("there is no service in it")
	}
	for service, secrets := range s {
		if !name.MatchString(service) {
			return fmt.Errorf("service %q is no name", plain.Line(service))
		}
		if secrets.UID < 0 || secrets.UID > 1<<31-2 {
			return fmt.Errorf("the uid %d of %s is none", secrets.UID, service)
		}
		for secret := range secrets.Values {
			if !variable.MatchString(secret) {
				return fmt.Errorf("a secret of %s has a name that is not of capital letters, digits and _", service)
			}
		}
	}
	return nil
}

// Names are those of a service's secrets, sorted.
func (s ServiceSecrets) Names() []string {
	names := make([]string, 0, len(s.Values))
	for name := range s.Values {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
