package rollout_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/rollout"
	"github.com/meter-ml/meter-pipeline/internal/rollout/journal"
	"github.com/meter-ml/meter-pipeline/internal/rollout/judge"
	"github.com/meter-ml/meter-pipeline/internal/rollout/lease"
	"github.com/meter-ml/meter-pipeline/internal/rollout/rollouttest"
)

func settings() rollout.Settings {
	step := func(weight int) judge.Step {
		return judge.Step{Weight: weight, Window: time.Minute, Deadline: 3 * time.Minute}
	}
	return rollout.Settings{
		Judge: judge.Plan{
			Steps: []judge.Step{step(5), step(25), step(50), step(100)}, Alpha: 0.001, Guard: 0.05, MinRequests: 100,
			Slower: 0.25, Predictions: []string{"consumption"}, Shift: 0.15,
		},
		Pull: time.Minute, Migrate: time.Minute, Ready: time.Minute, Smoke: 20 * time.Second,
		Replace: time.Minute, Verify: 20 * time.Second, Drain: 30 * time.Second,
		Blind: 30 * time.Second, Poll: 500 * time.Millisecond,
	}
}

func revision(release string) rollout.Revision {
	return rollout.Revision{
		Release: release, Digest: "sha256:" + release, Schema: "00" + release[1:],
		Images: map[string]string{"mlflow": "sha256:mlflow-" + release},
	}
}

// A host is a target with its state directory, on which drivers live and die.
type host struct {
	*testing.T
	world    *rollouttest.World
	dir      string
	settings rollout.Settings
	gate     func(context.Context, rollout.Revision) (rollout.Verdict, error)
}

// on runs a test on a host with 200 requests a second on v1, in a bubble of its own.
func on(t *testing.T, do func(t *testing.T, h *host)) {
	t.Helper()
	dir := memory(t)
	synctest.Test(t, func(t *testing.T) {
		h := empty(t, dir)
		if _, err := h.roll("v1"); err != nil {
			t.Fatal(err)
		}
		do(t, h)
		h.sound()
	})
}

// memory is a directory that waits for no disk: some hundred thousand syncs would, and none of them is what is tested.
func memory(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "rollout-*")
	if err != nil { // not on this system
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func empty(t *testing.T, dir string) *host {
	return &host{
		T: t, world: rollouttest.New(200), dir: dir, settings: settings(),
		gate: func(context.Context, rollout.Revision) (rollout.Verdict, error) {
			return rollout.Verdict{Message: "the evidence was accepted"}, nil
		},
	}
}

// sound holds after everything: no strict rule of the target was broken, and the chain is whole.
func (h *host) sound() {
	h.Helper()
	if wrong := h.world.Wrong(); len(wrong) > 0 {
		h.Errorf("wrong: %q", wrong)
	}
	report, err := journal.Verify(h.Context(), h.dir, journal.Anchor{})
	if err != nil || report.Err() != nil {
		h.Errorf("%v, %v", report, err)
	}
}

func (h *host) inbox() rollout.Requests {
	return rollout.Requests{Dir: filepath.Join(h.dir, "requests")}
}

// A life is one driver's, from taking the lease to giving it back, or to its death.
type life struct {
	*rollout.Driver
	held    *lease.Held
	journal *journal.Journal
	stop    func()
}

// take takes the lease and opens the journal. The driver's context is not the lease's: nothing but epochs protects the
// target from it.
func (h *host) take() *life {
	h.Helper()
	log, err := journal.Open(h.Context(), h.dir, time.Now, nil)
	if err != nil {
		h.Fatal(err)
	}
	desk := lease.Desk{Dir: h.dir, Holder: "test", Now: time.Now}
	held, err := desk.Take(h.Context(), log.Epoch(), func(lease.Lease) {})
	if err != nil {
		h.Fatal(err)
	}
	_, stop := held.Keep(h.Context())
	return &life{held: held, journal: log, stop: stop}
}

func (h *host) open(l *life, points *rollouttest.Points) (err error) {
	h.Helper()
	l.Driver, err = rollout.Open(h.Context(), rollout.Config{
		Backend: points.Backend(h.world), Log: points.Log(l.journal), Fence: l.held, Holder: "test", Inbox: h.inbox(), Gate: h.gate,
		Now: time.Now, Settings: h.settings,
	})
	return err
}

// live is both, for a driver that nobody kills.
func (h *host) live() *life {
	h.Helper()
	l := h.take()
	if err := h.open(l, rollouttest.KillAt(0)); err != nil {
		h.Fatal(err)
	}
	return l
}

// die is what SIGKILL does: nothing is given back.
func (l *life) die() {
	l.stop()
	_ = l.journal.Close()
}

func (h *host) end(l *life) {
	h.Helper()
	l.stop()
	if err := errors.Join(l.held.Release(h.Context()), l.journal.Close()); err != nil {
		h.Error(err)
	}
}

// roll rolls a release out, by a driver that lives through it.
func (h *host) roll(release string) (rollout.Ending, error) {
	h.Helper()
	l := h.live()
	defer h.end(l)
	if err := l.Begin(h.Context(), rollout.Order{Target: revision(release), Actor: "ada", Reason: "as planned"}); err != nil {
		return rollout.Ending{}, err
	}
	return l.Run(h.Context())
}

func (h *host) serves(release string) {
	h.Helper()
	if got, err := h.world.Serving(); err != nil || got != release {
		h.Errorf("%q serves (%v), not %q", got, err, release)
	}
	state := h.state()
	current := ""
	if state.Current != nil {
		current = state.Current.Release
	}
	if current != release || state.Roll != nil {
		h.Errorf("release.json says %q serves (under way: %v), not %q", current, state.Roll, release)
	}
}

func (h *host) state() rollout.State {
	h.Helper()
	state, err := rollout.Read(h.dir)
	if err != nil {
		h.Fatal(err)
	}
	return state
}

// told is the audit log, a word for each entry: weights:intent.
func (h *host) told() string {
	h.Helper()
	var words []string
	err := journal.Read(h.Context(), h.dir, func(e journal.Entry) error {
		words = append(words, e.Action+":"+string(e.Kind)+" "+e.Message)
		return nil
	})
	if err != nil {
		h.Error(err)
	}
	return strings.Join(words, "\n")
}

func (h *host) tells(parts ...string) {
	h.Helper()
	all := h.told()
	for _, p := range parts {
		if !strings.Contains(all, p) {
			h.Errorf("%q is not in the audit log:\n%s", p, all)
		}
	}
}
