package rollout

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/rollout/journal"
)

// Errors that a caller tells apart.
var (
	// ErrBusy says that a roll-out is under way.
	ErrBusy = errors.New("a roll-out is under way")
	// ErrIdle says that none is.
	ErrIdle = errors.New("no roll-out is under way")
	// ErrServes says that the release is the current one.
	ErrServes = errors.New("it is what serves already")
	// ErrStopped says that the driver was asked to stop. Whoever comes next goes on.
	ErrStopped = errors.New("it was stopped")
)

// A Driver takes one target through one roll-out. It is for one goroutine, and holds the lease all the time.
type Driver struct {
	Config
	seen     journal.Release // as last read or written
	state    State
	promoted bool // the window that is open is to pass
}

// Open makes a driver of who has just taken the lease. It says so in the log, so that the journal knows the new epoch,
// and refuses whoever held the lease before, even before anything else is done.
func Open(ctx context.Context, c Config) (*Driver, error) {
	d := &Driver{Config: c}
	err := c.Fence.Check(ctx)
	if err == nil {
		_, err = c.Log.Append(ctx, journal.Entry{
			Epoch: c.Fence.Epoch(), Actor: c.Holder, Action: "take lease", Kind: journal.Note,
		})
	}
	if err == nil {
		d.seen, err = c.Log.Release()
	}
	if err == nil {
		d.state, err = decodeState(d.seen.State)
	}
	if err != nil {
		return nil, fmt.Errorf("open roll-out: %w", err)
	}
	return d, nil
}

// Read reads the state from a state directory, for whoever only wants to know.
func Read(dir string) (State, error) {
	r, err := journal.ReadRelease(dir)
	if err != nil {
		return State{}, err
	}
	return decodeState(r.State)
}

// State is what the driver knows.
func (d *Driver) State() State { return d.state }

// An Order is what is to be rolled out, and who wants it.
type Order struct {
	ID        string   // of whoever keeps orders; may be empty
	Target    Revision // without a slot
	Actor     string
	Reason    string
	Committed time.Time // of the target's commit, for the audit log; may be zero
}

// Begin notes a roll-out, so that Run, also another driver's, brings it to its end.
func (d *Driver) Begin(ctx context.Context, o Order) error {
	return d.begin(ctx, Forward, o)
}

// BeginBack notes a rollback to a release that was done before: see State.Before. The order's target is that one.
func (d *Driver) BeginBack(ctx context.Context, release string, o Order) error {
	r, err := d.state.Before(release)
	if err != nil {
		return fmt.Errorf("begin rollback: %w", err)
	}
	o.Target = r
	return d.begin(ctx, Back, o)
}

func (d *Driver) begin(ctx context.Context, kind Kind, o Order) error {
	current := d.state.Current
	switch {
	case d.state.Roll != nil:
		return fmt.Errorf("begin roll-out: %w: %s to %s", ErrBusy, d.state.Roll.ID, d.state.Roll.goal())
	case current != nil && current.Release == o.Target.Release && current.Digest == o.Target.Digest:
		return fmt.Errorf("begin roll-out of %s: %w", o.Target.Release, ErrServes)
	}
	target := o.Target
	target.Slot = Blue
	if current != nil {
		target.Slot = current.Slot.Other()
	}
	if err := target.check(); err != nil {
		return fmt.Errorf("begin roll-out: %w", err)
	}
	d.state.Roll = &Roll{
		ID: fmt.Sprintf("roll-%d", d.seen.Serial+1), Kind: kind, Order: o.ID, Actor: o.Actor, Reason: o.Reason,
		Committed: o.Committed, Began: d.Now().UTC(), Target: &target, From: current, Phase: Begun,
	}
	if err := d.note(ctx, "begin", fmt.Sprintf("%s to %s: %s", kind, target.Release, o.Reason), d.state.Roll); err != nil {
		d.state.Roll = nil
		return err
	}
	return d.save(ctx)
}

// Run brings the roll-out that is noted to an end: done, or rolled back, which is no error but told by the Ending. An
// error is that it could not go on: the lease was lost, the journal can't be written, ctx has ended. Whoever comes next
// goes on from there. The context is to be the one that lease.Held.Keep gives, so that a lost lease ends an action that
// has begun.
func (d *Driver) Run(ctx context.Context) (Ending, error) {
	if d.state.Roll == nil {
		return Ending{}, fmt.Errorf("run roll-out: %w", ErrIdle)
	}
	if err := d.Settings.Check(); err != nil {
		return Ending{}, err
	}
	err := d.takeUp(ctx)
	for wait := d.Settings.Poll; ; {
		if err != nil {
			if stop, ok := errors.AsType[halt](err); ok {
				return Ending{}, fmt.Errorf("run roll-out %s: %w", d.state.Roll.ID, stop.error)
			}
			if err := d.turn(ctx, err, wait); err != nil {
				return Ending{}, fmt.Errorf("run roll-out: %w", err)
			}
			wait = min(2*wait, 30*time.Second)
		}
		if d.state.Roll.Phase == Drained {
			return d.finish(ctx)
		}
		err = d.next(ctx)
	}
}

// turn makes a failed roll-out one back to where it came from. One that is a recovery already begins anew, after a
// while: there is nothing else to go to.
func (d *Driver) turn(ctx context.Context, why error, wait time.Duration) error {
	failed := d.state.Roll
	if failed.Kind == Recovery {
		if err := d.note(ctx, "recover again", why.Error(), nil); err != nil {
			return err
		}
		if err := d.sleep(ctx, wait); err != nil {
			return err
		}
		failed.Phase, failed.Step = Begun, 0
		return d.save(ctx)
	}
	if err := d.note(ctx, "roll back", why.Error(), nil); err != nil {
		return err
	}
	d.state.Roll = &Roll{
		ID: failed.ID, Kind: Recovery, Order: failed.Order, Actor: failed.Actor, Reason: why.Error(), Began: d.Now().UTC(),
		Target: failed.From, From: failed.Target, Phase: Begun, Handled: failed.Handled,
	}
	return d.save(ctx)
}

func (d *Driver) finish(ctx context.Context) (Ending, error) {
	if err := d.note(ctx, "done", fmt.Sprintf("%s serves", d.state.Roll.goal()), nil); err != nil {
		return Ending{}, err
	}
	d.state.finish(d.Now())
	if err := d.save(ctx); err != nil {
		return Ending{}, err
	}
	return *d.state.Last, nil
}

func (r *Roll) goal() string {
	if r.Target == nil {
		return "nothing"
	}
	return r.Target.Release
}

// A halt is an error after which this driver does nothing more.
type halt struct{ error }

func (h halt) Unwrap() error { return h.error }

// save swaps release.json.
func (d *Driver) save(ctx context.Context) error {
	next, err := d.Log.Swap(ctx, d.seen, d.Fence.Epoch(), d.state)
	if err != nil {
		return halt{err}
	}
	d.seen = next
	return nil
}

func (d *Driver) advance(ctx context.Context, p Phase) error {
	d.state.Roll.Phase = p
	return d.save(ctx)
}

// note writes what was seen or decided.
func (d *Driver) note(ctx context.Context, action, message string, detail any) error {
	return d.write(ctx, journal.Note, action, message, detail)
}

func (d *Driver) write(ctx context.Context, kind journal.Kind, action, message string, detail any) error {
	e := journal.Entry{Epoch: d.Fence.Epoch(), Actor: d.Holder, Action: action, Kind: kind, Message: message}
	switch {
	case d.state.Roll != nil:
		e.Actor, e.Release = d.state.Roll.Actor, d.state.Roll.goal()
	case d.state.Current != nil:
		e.Release = d.state.Current.Release
	}
	if detail != nil {
		content, err := json.Marshal(detail)
		if err != nil {
			return halt{fmt.Errorf("write audit log: %w", err)}
		}
		e.Detail = content
	}
	if _, err := d.Log.Append(ctx, e); err != nil {
		return halt{err}
	}
	return nil
}

// act is the one way to a side effect: fenced, its intent on the disk before and its result after it.
func (d *Driver) act(ctx context.Context, action string, detail any, do func(context.Context) error) error {
	if d.stopped() {
		return halt{ErrStopped}
	}
	if err := d.Fence.Check(ctx); err != nil {
		return halt{err}
	}
	if err := d.write(ctx, journal.Intent, action, "", detail); err != nil {
		return err
	}
	err := do(ctx)
	kind, message := journal.Done, ""
	if err != nil {
		kind, message = journal.Failed, err.Error()
	}
	// The result is written also if the context ended meanwhile.
	if err := d.write(context.WithoutCancel(ctx), kind, action, message, nil); err != nil {
		return err
	}
	return err
}

func (d *Driver) sleep(ctx context.Context, pause time.Duration) error {
	select {
	case <-ctx.Done():
		return halt{context.Cause(ctx)}
	case <-d.Stop:
		return halt{ErrStopped}
	case <-time.After(pause):
		return nil
	}
}

func (d *Driver) stopped() bool {
	select {
	case <-d.Stop:
		return true
	default:
		return false
	}
}
