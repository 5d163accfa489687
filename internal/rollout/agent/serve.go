package agent

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/rollout"
	"github.com/meter-ml/meter-pipeline/internal/rollout/agent/wire"
	"github.com/meter-ml/meter-pipeline/internal/rollout/journal"
	"github.com/meter-ml/meter-pipeline/internal/rollout/lease"
)

// Back-off of an agent that could not go on.
const (
	firstPause = time.Second
	lastPause  = 30 * time.Second
	// steady is how long it must have led for the next failure to be a new one.
	steady = time.Minute
)

// Serve leads or stands by until ctx ends. Nothing that it finds ends it: it says what is wrong, and tries again.
//
// Once ctx has ended, an action that has begun may go on for the grace; nothing else begins. Nothing is deferred that
// another would see: a panic is to leave all as a kill does.
func (a *Agent) Serve(ctx context.Context) {
	hard, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(grace, cancel) })()
	for pause := firstPause; ctx.Err() == nil; {
		began := a.Now()
		err := a.lead(ctx, hard)
		if err == nil || ctx.Err() != nil {
			continue
		}
		if a.Now().Sub(began) > steady {
			pause = firstPause
		}
		a.say("%v; again in %s", err, pause)
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		pause = min(2*pause, lastPause)
	}
	a.say("stopped")
}

// A leader is an agent that holds the lease.
type leader struct {
	*Agent
	held    *lease.Held
	log     *journal.Journal
	audit   rollout.Log // the journal, watched
	driver  *rollout.Driver
	target  Target
	board   *board
	alerts  *alerts
	reserve *reserve
	mask    *mask

	showing   chan struct{}
	mu        sync.Mutex
	chronicle *chronicle

	answered string               // order of the last ending, once its result is there
	drifting map[string]time.Time // since when, by part
	disk     time.Time            // when it was looked at
	answers  map[string][][]byte  // bodies of requests, by digest
}

// lead waits for the lease and does what a leader does. It returns nil when ctx has ended.
func (a *Agent) lead(ctx, hard context.Context) error {
	log, err := journal.Open(ctx, a.State, a.Now, nil)
	if errors.Is(err, journal.ErrDamaged) {
		return errors.Join(err, a.damaged(ctx, err))
	}
	if err != nil {
		return err
	}
	floor := log.Epoch()
	if err := log.Close(); err != nil {
		return err
	}
	desk := a.desk()
	held, err := desk.Take(ctx, floor, func(l lease.Lease) { a.say("%s leads with epoch %d; standing by", l.Holder, l.Epoch) })
	if err != nil {
		return err
	}
	kept, stop := held.Keep(hard)
	l, err := a.open(kept, held)
	if err == nil {
		a.say("leads with epoch %d", held.Epoch())
		err = l.work(ctx, kept)
		err = errors.Join(err, l.close(context.WithoutCancel(hard), err))
	}
	stop()
	a.point("before lease is given back")
	return errors.Join(err, held.Release(context.WithoutCancel(hard)))
}

func (a *Agent) desk() lease.Desk {
	return lease.Desk{Dir: a.State, Holder: a.Holder, Now: a.Now, Expiry: a.Expiry, Renewal: a.Renewal}
}

// open reads what the agents before it have left. The journal is opened anew: while this one stood by, others wrote.
func (a *Agent) open(ctx context.Context, held *lease.Held) (*leader, error) {
	l := &leader{
		Agent: a, held: held, mask: &mask{}, chronicle: &chronicle{}, drifting: map[string]time.Time{}, answers: map[string][][]byte{},
		showing: make(chan struct{}, 1),
		reserve: &reserve{path: filepath.Join(a.State, "reserve"), size: a.Reserve},
	}
	if l.reserve.size == 0 {
		l.reserve.size = defaultReserve
	}
	l.board = newBoard(wire.Status{
		Environment: a.Environment, Project: a.Project, Version: a.Version, Activity: wire.Starting,
		Lease: wire.Lease{Holder: a.Holder, Epoch: held.Epoch()},
	}, l.mask.text)
	var err error
	if l.alerts, err = openAlerts(l.layout.Alerts(), a.say); err != nil {
		return nil, err
	}
	if err := l.mask.renew(l.layout.Secrets()); err != nil {
		return nil, err
	}
	if l.log, err = journal.Open(ctx, a.State, a.Now, nil); err != nil {
		return nil, err
	}
	// A lease file that was lost while this one waited would give out an epoch that is in use.
	if l.log.Epoch() >= held.Epoch() {
		return nil, errors.Join(fmt.Errorf("the lease has epoch %d, and the journal %d already", held.Epoch(), l.log.Epoch()), l.log.Close())
	}
	if err := l.begin(ctx); err != nil {
		l.failed(err)
		return nil, errors.Join(err, l.show(ctx), l.log.Close())
	}
	return l, nil
}

// begin looks through the log, connects the target, and tells the journal of the new epoch.
func (l *leader) begin(ctx context.Context) error {
	var told []wire.Alert
	err := journal.Read(ctx, l.State, func(e journal.Entry) error {
		told = append(told, l.chronicle.see(e)...)
		return nil
	})
	if err != nil {
		return err
	}
	l.alerts.catchUp(l.Now(), told)
	if err := l.reserve.keep(); err != nil {
		l.say("%v", err)
	}
	inner := rollout.Log(l.log)
	if l.Journal != nil {
		inner = l.Journal(inner)
	}
	l.audit = watchedLog{inner, l}
	if l.target, err = l.Target(ctx); err != nil {
		return err
	}
	if err := l.target.Listen(ctx); err != nil {
		return errors.Join(err, l.target.Close())
	}
	l.driver, err = rollout.Open(ctx, rollout.Config{
		Backend: watchedTarget{l.target, l}, Log: l.audit, Fence: l.held, Holder: l.Holder,
		Inbox: rollout.Requests{Dir: l.layout.Requests()}, Gate: l.gate, Now: l.Now, Window: l.window,
	})
	if err != nil {
		return errors.Join(err, l.target.Close())
	}
	l.board.state(l.Now(), l.driver.State())
	return nil
}

// close ends what this leader has open. It says in the journal that the lease is given back, unless it is lost.
func (l *leader) close(ctx context.Context, why error) error {
	if !errors.Is(why, lease.ErrLost) && !errors.Is(why, journal.ErrStale) {
		if err := l.note(ctx, l.Holder, "", "give back lease", ""); err != nil {
			l.say("%v", err)
		}
		l.board.set(func(s *wire.Status) { s.Activity = wire.Stopped })
		if why != nil {
			l.failed(why)
		}
		if err := l.show(ctx); err != nil {
			l.say("%v", err)
		}
	}
	return errors.Join(l.target.Close(), l.log.Close())
}

// failed says that this leader can't go on. Once an hour that is worth an alert, however often it is tried again.
func (l *leader) failed(why error) {
	l.board.trouble(why)
	now := l.Now().UTC()
	l.alerts.raise(wire.Alert{
		ID: "AgentFails-" + now.Format("2006-01-02T15"), Time: now, Severity: wire.Critical, Name: "AgentFails",
		Summary: l.board.text(fmt.Sprintf("%s can't go on, and tries again: %v", l.Holder, why)), Release: l.current(),
	})
}

// note writes to the audit log what is not the driver's to say.
func (l *leader) note(ctx context.Context, actor, release, action, message string) error {
	_, err := l.audit.Append(ctx, journal.Entry{
		Epoch: l.held.Epoch(), Actor: actor, Release: release, Action: action, Kind: journal.Note, Message: message,
	})
	return err
}

// damaged raises an alert for a journal that can't be opened, and says so in the status. Nobody leads then; the lease is
// taken for as long as that takes, so that not two say it at once.
func (a *Agent) damaged(ctx context.Context, why error) error {
	held, err := a.desk().Try(ctx, 0)
	if errors.Is(err, lease.ErrHeld) {
		return nil
	}
	if err != nil {
		return err
	}
	raised, err := openAlerts(a.layout.Alerts(), a.say)
	if err == nil {
		now := a.Now().UTC()
		raised.raise(wire.Alert{
			ID: "JournalDamaged-" + now.Format(time.DateOnly), Time: now, Severity: wire.Critical, Name: "JournalDamaged",
			Summary: fmt.Sprintf("no agent can lead: %v", why),
		})
		l := &leader{Agent: a, held: held, mask: &mask{}, alerts: raised, showing: make(chan struct{}, 1), reserve: &reserve{path: filepath.Join(a.State, "reserve")}}
		l.board = newBoard(wire.Status{
			Environment: a.Environment, Project: a.Project, Version: a.Version, Activity: wire.Stopped,
			Lease: wire.Lease{Holder: a.Holder, Epoch: held.Epoch()}, Trouble: why.Error(),
		}, l.mask.text)
		err = l.show(ctx)
	}
	return errors.Join(err, held.Release(ctx))
}
