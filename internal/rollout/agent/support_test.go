package agent

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/rollout"
	"github.com/meter-ml/meter-pipeline/internal/rollout/agent/wire"
	"github.com/meter-ml/meter-pipeline/internal/rollout/compose"
	"github.com/meter-ml/meter-pipeline/internal/rollout/journal"
	"github.com/meter-ml/meter-pipeline/internal/rollout/rollouttest"
)

const users = 200 // requests a second

// A site is a target in memory with its state directory, on which agents live and die.
type site struct {
	*testing.T
	world  *rollouttest.World
	layout wire.Layout
	bundle string
	base   float64    // requests a second that users bring
	extra  sync.Mutex // of synthetic load, and of base
	log    *locked
}

// on runs a test on a site with v1, in a bubble of its own.
func on(t *testing.T, do func(t *testing.T, s *site)) {
	t.Helper()
	dir := memory(t)
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, dir)
		a := s.serve("first", nil)
		if r := s.wait(s.order("v1")); r.State != wire.Succeeded || r.Target != "v1" {
			t.Fatalf("%+v", r)
		}
		a.stop()
		do(t, s)
		s.sound()
	})
}

// memory is a directory that waits for no disk.
func memory(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "agent-*")
	if err != nil { // not on this system
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func newSite(t *testing.T, dir string) *site {
	t.Helper()
	s := &site{T: t, world: rollouttest.New(users), base: users, layout: wire.Layout{Dir: dir}, log: &locked{}}
	s.bundle = s.put(settings())
	return s
}

func settings() wire.Settings {
	step := func(weight int) wire.Step {
		return wire.Step{Weight: weight, Window: wire.Duration(20 * time.Second), Deadline: wire.Duration(time.Minute)}
	}
	d := func(seconds float64) wire.Duration { return wire.Duration(seconds * float64(time.Second)) }
	return wire.Settings{
		Schema: wire.Schema, Environment: "production", Gate: wire.GateRequired,
		Times: wire.Times{
			Pull: d(60), Migrate: d(60), Ready: d(60), Smoke: d(20), Replace: d(60), Verify: d(20), Drain: d(30), Blind: d(30), Poll: d(1),
		},
		Judge:     wire.Plan{Steps: []wire.Step{step(5), step(100)}, Alpha: 0.001, Guard: 0.05, MinRequests: 100},
		Synthetic: wire.SyntheticSettings{Rate: 100},
		Serving:   "model_api", Services: map[string]string{"mlflow": "mlflow"},
	}
}

func sum(text string) string {
	h := sha256.Sum256([]byte(text))
	return "sha256:" + hex.EncodeToString(h[:])
}

func revision(release, bundle string) *rollout.Revision {
	return &rollout.Revision{
		Release: release, Digest: sum(release), Schema: "00" + release[1:], Bundle: bundle,
		Images: map[string]string{"model_api": "registry/model_api@" + sum(release), "mlflow": "registry/mlflow@" + sum("mlflow "+release)},
	}
}

func evidence(release string) wire.Gate {
	return wire.Gate{Accepted: []wire.Statement{{Digest: sum("statement " + release), Predicate: "test-result", Subject: sum(release), Summary: "unit: 412 of 412"}}}
}

// archive is a bundle with those files.
func archive(t *testing.T, files map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for name, content := range files {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(content)), Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func (s *site) put(settings wire.Settings) string {
	s.Helper()
	content, err := json.Marshal(settings)
	if err != nil {
		s.Fatal(err)
	}
	digest, err := putBundle(s.layout, bytes.NewReader(archive(s.T, map[string]string{"settings.json": string(content)})))
	if err != nil {
		s.Fatal(err)
	}
	return digest
}

// order places a forward order, with its evidence.
func (s *site) order(release string) string {
	s.Helper()
	return s.place(wire.Order{Kind: rollout.Forward, Revision: revision(release, s.bundle), Gate: evidence(release), Committed: time.Now().Add(-time.Hour)})
}

func (s *site) place(o wire.Order) string {
	s.Helper()
	o.Schema, o.Actor, o.Reason = wire.Schema, "ada", "as planned"
	if err := o.Check(); err != nil {
		s.Fatal(err)
	}
	id, err := place(s.Context(), s.layout, time.Now(), o)
	if err != nil {
		s.Fatal(err)
	}
	return id
}

// wait waits for the result of an order.
func (s *site) wait(id string) wire.Result {
	s.Helper()
	for until := time.Now().Add(time.Hour); time.Now().Before(until); time.Sleep(100 * time.Millisecond) {
		r, ended, err := readResult(s.layout, id)
		if err != nil {
			s.Fatal(err)
		}
		if ended {
			return r
		}
	}
	s.Fatalf("order %s has no result\n%s", id, s.log)
	return wire.Result{}
}

// A running agent.
type running struct {
	cancel context.CancelFunc
	ended  chan struct{}
	killed string // where, if it was
	died   time.Time
}

// serve starts an agent. It may die at one of the points.
func (s *site) serve(name string, points *rollouttest.Points) *running {
	return s.start(Config{Holder: name}, points)
}

func (s *site) start(c Config, points *rollouttest.Points) *running {
	if points == nil {
		points = rollouttest.KillAt(0)
	}
	c.State, c.Environment, c.Project, c.Version = s.layout.Dir, "production", "meter-production", "test"
	c.Now, c.Log, c.Point = time.Now, s.log, points.Pass
	if c.Journal == nil {
		c.Journal = points.Log
	}
	c.Reserve = 64 << 10
	if c.Target == nil {
		c.Target = func(context.Context) (Target, error) {
			return struct {
				rollout.Backend
				compose.Listener
			}{points.Backend(s.world), listener{s}}, nil
		}
	}
	ctx, cancel := context.WithCancel(s.Context())
	r := &running{cancel: cancel, ended: make(chan struct{})}
	go func() {
		defer close(r.ended)
		defer func() {
			switch k := recover().(type) {
			case nil:
			case rollouttest.Killed:
				r.killed, r.died = k.Point, time.Now()
				cancel()
			default:
				panic(k)
			}
		}()
		New(c).Serve(ctx)
	}()
	return r
}

// stop is what SIGTERM does.
func (r *running) stop() {
	r.cancel()
	<-r.ended
}

// A listener is what the world lacks for an agent.
type listener struct{ *site }

func (l listener) Listen(context.Context) error { return nil }
func (l listener) Close() error                 { return nil }

func (l listener) Live(ctx context.Context, last time.Duration) (compose.Live, error) {
	now := time.Now()
	sides, err := l.world.Metrics(ctx, now.Add(-last), now)
	live := compose.Live{Slots: map[rollout.Slot]compose.Traffic{}}
	for slot, side := range sides {
		live.Slots[slot] = compose.Traffic{Requests: side.Requests, Errors: side.Errors, Median: 7 * time.Millisecond, P95: 9 * time.Millisecond, P99: 10 * time.Millisecond}
	}
	return live, err
}

func (l listener) Answers(context.Context, rollout.Revision) ([]compose.Answer, error) {
	return []compose.Answer{{Request: []byte("{}")}}, nil
}

func (l listener) Synthetic(ctx context.Context, rate float64, _ [][]byte) (compose.Sent, error) {
	l.extra.Lock()
	defer l.extra.Unlock()
	began := time.Now()
	l.world.Rate(l.base + rate)
	<-ctx.Done()
	l.world.Rate(l.base)
	return compose.Sent{Requests: int64(rate * time.Since(began).Seconds())}, nil
}

// users changes how many requests a second users bring.
func (s *site) users(rate float64) {
	s.extra.Lock()
	defer s.extra.Unlock()
	s.base = rate
	s.world.Rate(rate)
}

// sound holds after everything: no strict rule of the target was broken, and the chain is whole.
func (s *site) sound() {
	s.Helper()
	if wrong := s.world.Wrong(); len(wrong) > 0 {
		s.Errorf("wrong: %q", wrong)
	}
	report, err := journal.Verify(s.Context(), s.layout.Dir, journal.Anchor{})
	if err != nil || report.Err() != nil {
		s.Errorf("%v, %v", report, err)
	}
}

func (s *site) serves(release string) {
	s.Helper()
	got, err := s.world.Serving()
	state, broken := rollout.Read(s.layout.Dir)
	if err != nil || broken != nil || got != release || state.Roll != nil || state.Current == nil || state.Current.Release != release {
		s.Errorf("%q serves (%v), not %q: %+v, %v\n%s", got, err, release, state, broken, s.log)
	}
}

// told is the audit log: action:kind message.
func (s *site) told() string {
	s.Helper()
	var lines []string
	err := journal.Read(s.Context(), s.layout.Dir, func(e journal.Entry) error {
		lines = append(lines, fmt.Sprintf("%s:%s %s", e.Action, e.Kind, e.Message))
		return nil
	})
	if err != nil {
		s.Error(err)
	}
	return strings.Join(lines, "\n")
}

func (s *site) tells(parts ...string) {
	s.Helper()
	all := s.told()
	for _, p := range parts {
		if !strings.Contains(all, p) {
			s.Errorf("%q is not in the audit log:\n%s", p, all)
		}
	}
}

// raised are the names of the alerts, in their order.
func (s *site) raised() string {
	s.Helper()
	a, err := openAlerts(s.layout.Alerts(), s.Logf)
	if err != nil {
		s.Fatal(err)
	}
	var names []string
	for _, one := range a.all {
		names = append(names, one.Name)
	}
	return strings.Join(names, " ")
}

func (s *site) status() wire.Status {
	s.Helper()
	status, err := readStatus(s.layout)
	if err != nil {
		s.Fatal(err)
	}
	return status
}

// locked is a buffer that several write.
type locked struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *locked) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *locked) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
