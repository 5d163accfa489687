package agent

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/filelock"
	"github.com/meter-ml/meter-pipeline/internal/rollout"
	"github.com/meter-ml/meter-pipeline/internal/rollout/agent/wire"
	"github.com/meter-ml/meter-pipeline/internal/wholefile"
)

// errTaken says that a target has something to do already.
var errTaken = errors.New("one thing after the other")

const keptResults = 100

// place writes an order, if the target has nothing else to do, and returns its ID. Of two that come at once the second
// is told of the first.
func place(ctx context.Context, layout wire.Layout, now time.Time, o wire.Order) (id string, err error) {
	if err := os.MkdirAll(layout.Orders(), 0o700); err != nil {
		return "", fmt.Errorf("place order: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(layout.Orders(), ".lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return "", fmt.Errorf("place order: %w", err)
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	if err := filelock.Take(ctx, lock); err != nil {
		return "", fmt.Errorf("place order: %w", err)
	}
	if err := free(layout); err != nil {
		return "", fmt.Errorf("place order: %w", err)
	}
	var random [4]byte
	if _, err := rand.Read(random[:]); err != nil {
		return "", fmt.Errorf("place order: %w", err)
	}
	o.ID = now.UTC().Format("20060102T150405.000000000Z") + "-" + hex.EncodeToString(random[:])
	content, err := json.Marshal(o)
	if err == nil {
		err = wholefile.Write(layout.Order(o.ID), content, 0o600)
	}
	if err != nil {
		return "", fmt.Errorf("place order: %w", err)
	}
	return o.ID, nil
}

// free is errTaken, and by whom, if the target has something to do.
func free(layout wire.Layout) error {
	state, err := rollout.Read(layout.Dir)
	if err != nil {
		return err
	}
	if r := state.Roll; r != nil {
		where := "nothing"
		if r.Target != nil {
			where = r.Target.Release
		}
		return fmt.Errorf("%w: %s to %s is under way (%s), which %s asked for: wait for it, or abort it", errTaken, r.Kind, where, r.ID, r.Actor)
	}
	ids, err := orderIDs(layout)
	if err != nil || len(ids) == 0 {
		return err
	}
	o, err := readOrder(layout, ids[0])
	if err != nil { // the agent will throw it away
		return fmt.Errorf("%w: order %s waits, which can't be read", errTaken, ids[0])
	}
	return fmt.Errorf("%w: %s to %s waits (%s), which %s asked for", errTaken, o.Kind, o.Target(), o.ID, o.Actor)
}

// orderIDs are those that wait or are being done, the oldest first. Names that are none are left out.
func orderIDs(layout wire.Layout) ([]string, error) {
	names, err := orderFiles(layout)
	var ids []string
	for _, name := range names {
		if id, ok := strings.CutSuffix(name, ".json"); ok && wire.ValidID(id) {
			ids = append(ids, id)
		}
	}
	return ids, err
}

// orderFiles are all names, but for those of files that are being written.
func orderFiles(layout wire.Layout) ([]string, error) {
	entries, err := os.ReadDir(layout.Orders())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read orders: %w", err)
	}
	var names []string
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

func readOrder(layout wire.Layout, id string) (wire.Order, error) {
	file, err := os.Open(layout.Order(id))
	if err != nil {
		return wire.Order{}, fmt.Errorf("read order: %w", err)
	}
	o, err := wire.DecodeOrder(file)
	if err = errors.Join(err, file.Close()); err != nil {
		return wire.Order{}, err
	}
	if o.ID != id {
		return wire.Order{}, fmt.Errorf("read order: it says that it is %q, and its file %q", o.ID, id)
	}
	return o, nil
}

func readResult(layout wire.Layout, id string) (wire.Result, bool, error) {
	content, err := os.ReadFile(layout.Result(id))
	if errors.Is(err, fs.ErrNotExist) {
		return wire.Result{}, false, nil
	}
	var r wire.Result
	if err == nil {
		err = json.Unmarshal(content, &r)
	}
	if err != nil {
		return r, false, fmt.Errorf("read result of order %s: %w", id, err)
	}
	return r, true, nil
}

// answer writes what became of an order, and then takes the order away: whoever is killed between the two, or before,
// does both again.
func (l *leader) answer(r wire.Result) error {
	content, err := json.Marshal(r)
	if err == nil {
		err = os.MkdirAll(l.layout.Results(), 0o700)
	}
	l.point("before result")
	if err == nil {
		err = l.whole(l.layout.Result(r.ID), append(content, '\n'), 0o600)
	}
	l.point("after result")
	if err != nil {
		return fmt.Errorf("answer order %s: %w", r.ID, err)
	}
	if err := l.forget(r.ID + ".json"); err != nil {
		return err
	}
	l.point("after order is gone")
	return l.sweepResults()
}

func (l *leader) forget(name string) error {
	if err := os.Remove(filepath.Join(l.layout.Orders(), name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove order: %w", err)
	}
	return nil
}

func (l *leader) sweepResults() error {
	entries, err := os.ReadDir(l.layout.Results())
	if err != nil {
		return fmt.Errorf("read results: %w", err)
	}
	for _, e := range entries[:max(0, len(entries)-keptResults)] { // their names sort by time
		err = errors.Join(err, os.Remove(filepath.Join(l.layout.Results(), e.Name())))
	}
	if err != nil {
		return fmt.Errorf("remove old results: %w", err)
	}
	return nil
}

// settle answers the orders that are done, and throws away what is none. It returns those that wait.
func (l *leader) settle(ctx context.Context) (waiting []string, err error) {
	state := l.driver.State()
	if last := state.Last; last != nil && last.Order != l.answered && wire.ValidID(last.Order) {
		if _, there, err := readResult(l.layout, last.Order); err == nil && !there {
			if err := l.answer(ended(*last)); err != nil {
				return nil, err
			}
		}
		l.answered = last.Order
	}
	names, err := orderFiles(l.layout)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		id, ok := strings.CutSuffix(name, ".json")
		if !ok || !wire.ValidID(id) {
			if err := l.discard(ctx, name, errors.New("it is no order")); err != nil {
				return nil, err
			}
			continue
		}
		if state.Roll != nil && state.Roll.Order == id {
			continue
		}
		if _, there, err := readResult(l.layout, id); err == nil && there {
			if err := l.forget(name); err != nil {
				return nil, err
			}
			continue
		}
		waiting = append(waiting, id)
	}
	slices.Sort(waiting)
	l.board.set(func(s *wire.Status) { s.Waiting = waiting })
	return waiting, nil
}

// discard throws away a file that is no order, and says so in the audit log: whoever put it there will ask.
func (l *leader) discard(ctx context.Context, name string, why error) error {
	l.say("the order in %s is thrown away: %v", name, why)
	if err := l.note(ctx, "agent", "", "discard order", fmt.Sprintf("%q: %v", name, why)); err != nil {
		return err
	}
	return l.forget(name)
}

// refuse answers an order that is not begun.
func (l *leader) refuse(ctx context.Context, id string, o wire.Order, why error) error {
	l.say("order %s is refused: %v", id, why)
	actor := o.Actor
	if actor == "" {
		actor = "agent"
	}
	if err := l.note(ctx, actor, o.Target(), "refuse", why.Error()); err != nil {
		return err
	}
	r := wire.Result{ID: id, State: wire.Refused, Kind: o.Kind, Reason: l.board.text(why.Error()), Ended: l.Now().UTC()}
	if current := l.driver.State().Current; current != nil {
		r.Target = current.Release
	}
	return l.answer(r)
}

// ended is the result of an order whose roll-out has ended.
func ended(e rollout.Ending) wire.Result {
	r := wire.Result{ID: e.Order, Roll: e.ID, State: wire.Succeeded, Kind: e.Kind, Target: e.Target, Ended: e.Ended}
	if e.Kind == rollout.Recovery {
		r.State, r.Reason = wire.RolledBack, e.Reason
	}
	return r
}
