package agent

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/rpc"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/rollout"
	"github.com/meter-ml/meter-pipeline/internal/rollout/agent/wire"
	"github.com/meter-ml/meter-pipeline/internal/rollout/compose"
	"github.com/meter-ml/meter-pipeline/internal/rollout/journal"
	"github.com/meter-ml/meter-pipeline/internal/rollout/judge"
	"github.com/meter-ml/meter-pipeline/internal/rollout/lease"
	"github.com/meter-ml/meter-pipeline/internal/rollout/rollouttest"
)

// What makes this test binary an agent.
const (
	stateVariable = "AGENT_TEST_STATE"
	nameVariable  = "AGENT_TEST_NAME"
	worldSocket   = "world.sock"
)

// shortLease is so that a test does not wait for half a minute.
const (
	shortLease   = 2 * time.Second
	shortRenewal = 500 * time.Millisecond
)

func TestMain(m *testing.M) {
	if state := os.Getenv(stateVariable); state != "" {
		beAgent(state)
		return
	}
	os.Exit(m.Run())
}

func beAgent(state string) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	New(Config{
		State: state, Environment: "production", Project: "meter-production", Holder: os.Getenv(nameVariable), Version: "test",
		Now: time.Now, Log: os.Stderr, Expiry: shortLease, Renewal: shortRenewal, Reserve: 64 << 10,
		Target: func(context.Context) (Target, error) {
			client, err := rpc.Dial("unix", filepath.Join(state, worldSocket))
			return &distant{client: client}, err
		},
	}).Serve(ctx)
}

// A shared world is one for agents that are processes of their own.
type shared struct {
	*rollouttest.World
	mu     sync.Mutex
	epochs []uint64 // of what was done
	late   []string // what was refused since a higher epoch was there
}

// Call is one action.
type Call struct {
	What     string
	Epoch    uint64
	Revision rollout.Revision
	Weights  rollout.Weights
	Slot     rollout.Slot
	From, To time.Time
}

// Answer is what came of it. A permanent error stays one.
type Answer struct {
	Seen      rollout.Observation
	Sides     map[rollout.Slot]judge.Side
	Error     string
	Permanent bool
}

// presented is the fence of who calls from afar, and has checked its lease there.
type presented uint64

func (p presented) Epoch() uint64               { return uint64(p) }
func (p presented) Check(context.Context) error { return nil }

// Do does it.
func (s *shared) Do(c Call, a *Answer) (err error) {
	ctx, fence := context.Background(), presented(c.Epoch)
	switch c.What {
	case "observe":
		a.Seen, err = s.Observe(ctx)
	case "metrics":
		a.Sides, err = s.Metrics(ctx, c.From, c.To)
	case "smoke":
		err = s.Smoke(ctx, c.Revision)
	case "verify":
		err = s.Verify(ctx, c.Revision)
	default:
		err = s.act(ctx, fence, c)
	}
	if err != nil {
		a.Error, a.Permanent = err.Error(), errors.Is(err, rollout.ErrPermanent)
	}
	return nil
}

func (s *shared) act(ctx context.Context, fence rollout.Fence, c Call) (err error) {
	switch c.What {
	case "pull":
		err = s.Pull(ctx, fence, c.Revision)
	case "migrate":
		err = s.Migrate(ctx, fence, c.Revision)
	case "start":
		err = s.Start(ctx, fence, c.Revision)
	case "weights":
		err = s.SetWeights(ctx, fence, c.Weights)
	case "replace":
		err = s.Replace(ctx, fence, c.Revision)
	case "stop":
		err = s.Stop(ctx, fence, c.Slot)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil && strings.HasPrefix(err.Error(), "refused: epoch") {
		s.late = append(s.late, c.What)
	}
	s.epochs = append(s.epochs, c.Epoch)
	return err
}

// A distant world is the shared one, seen by an agent.
type distant struct{ client *rpc.Client }

func (d *distant) do(ctx context.Context, fence rollout.Fence, c Call) (Answer, error) {
	if fence != nil {
		c.Epoch = fence.Epoch()
		if err := fence.Check(ctx); err != nil {
			return Answer{}, err
		}
	}
	var a Answer
	if err := d.client.Call("World.Do", c, &a); err != nil {
		return a, err
	}
	switch {
	case a.Permanent:
		return a, rollout.Permanent(errors.New(a.Error))
	case a.Error != "":
		return a, errors.New(a.Error)
	}
	return a, nil
}

func (d *distant) just(ctx context.Context, fence rollout.Fence, c Call) error {
	_, err := d.do(ctx, fence, c)
	return err
}

func (d *distant) Observe(ctx context.Context) (rollout.Observation, error) {
	a, err := d.do(ctx, nil, Call{What: "observe"})
	return a.Seen, err
}

func (d *distant) Pull(ctx context.Context, f rollout.Fence, r rollout.Revision) error {
	return d.just(ctx, f, Call{What: "pull", Revision: r})
}

func (d *distant) Migrate(ctx context.Context, f rollout.Fence, r rollout.Revision) error {
	return d.just(ctx, f, Call{What: "migrate", Revision: r})
}

func (d *distant) Start(ctx context.Context, f rollout.Fence, r rollout.Revision) error {
	return d.just(ctx, f, Call{What: "start", Revision: r})
}

func (d *distant) Smoke(ctx context.Context, r rollout.Revision) error {
	return d.just(ctx, nil, Call{What: "smoke", Revision: r})
}

func (d *distant) SetWeights(ctx context.Context, f rollout.Fence, w rollout.Weights) error {
	return d.just(ctx, f, Call{What: "weights", Weights: w})
}

func (d *distant) Replace(ctx context.Context, f rollout.Fence, r rollout.Revision) error {
	return d.just(ctx, f, Call{What: "replace", Revision: r})
}

func (d *distant) Verify(ctx context.Context, r rollout.Revision) error {
	return d.just(ctx, nil, Call{What: "verify", Revision: r})
}

func (d *distant) Stop(ctx context.Context, f rollout.Fence, s rollout.Slot) error {
	return d.just(ctx, f, Call{What: "stop", Slot: s})
}

func (d *distant) Metrics(ctx context.Context, from, to time.Time) (map[rollout.Slot]judge.Side, error) {
	a, err := d.do(ctx, nil, Call{What: "metrics", From: from, To: to})
	return a.Sides, err
}

func (d *distant) Listen(context.Context) error { return nil }
func (d *distant) Close() error                 { return d.client.Close() }

func (d *distant) Live(context.Context, time.Duration) (compose.Live, error) {
	return compose.Live{Slots: map[rollout.Slot]compose.Traffic{rollout.Blue: {Requests: 1e6}}}, nil
}

func (d *distant) Answers(context.Context, rollout.Revision) ([]compose.Answer, error) {
	return nil, errors.New("none is needed")
}

func (d *distant) Synthetic(context.Context, float64, [][]byte) (compose.Sent, error) {
	return compose.Sent{}, errors.New("none is needed")
}

// A process is an agent.
type process struct {
	*exec.Cmd
	name string
	log  *locked
}

func (s *site) launch(name string) *process {
	s.Helper()
	p := &process{Cmd: exec.Command(os.Args[0]), name: name, log: &locked{}}
	p.Env = append(os.Environ(), stateVariable+"="+s.layout.Dir, nameVariable+"="+name)
	p.Stderr = p.log
	if err := p.Start(); err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() {
		_ = p.Process.Kill() // it may have ended
		_ = p.Wait()
	})
	return p
}

func (p *process) signal(t *testing.T, sig syscall.Signal) {
	t.Helper()
	if err := p.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
}

// until waits for something to become true.
func (s *site) until(what string, most time.Duration, is func() bool) time.Duration {
	s.Helper()
	began := time.Now()
	for !is() {
		if time.Since(began) > most {
			s.Fatalf("it did not happen within %v: %s\n%s", most, what, s.told())
		}
		time.Sleep(10 * time.Millisecond)
	}
	return time.Since(began)
}

func (s *site) leader() string {
	l, err := lease.Read(s.layout.Dir)
	if err != nil || !time.Now().Before(l.Expires) {
		return ""
	}
	return l.Holder
}

func (s *site) weights() rollout.Weights {
	o, err := s.world.Observe(s.Context())
	if err != nil {
		s.Error(err)
	}
	return rollout.Weights{rollout.Blue: o.Slots[rollout.Blue].Weight, rollout.Green: o.Slots[rollout.Green].Weight}
}

// Two agents that are processes: one is killed in mid-shift, one is frozen past its lease and wakes up in the middle of
// what the other does. In real time, with a short lease.
func TestProcesses(t *testing.T) {
	s := newSite(t, memory(t))
	quick := settings()
	quick.Judge.MinRequests = 5
	quick.Judge.Steps = []wire.Step{
		{Weight: 10, Window: wire.Duration(600 * time.Millisecond), Deadline: wire.Duration(10 * time.Second)},
		{Weight: 100, Window: wire.Duration(600 * time.Millisecond), Deadline: wire.Duration(10 * time.Second)},
	}
	quick.Times.Poll, quick.Times.Drain = wire.Duration(50*time.Millisecond), wire.Duration(5*time.Second)
	s.bundle = s.put(quick)
	world := serveWorld(t, s)
	a := s.launch("a")
	s.until("a leads", 10*time.Second, func() bool { return s.leader() == "a" })
	b := s.launch("b")
	if r := s.wait(s.order("v1")); r.State != wire.Succeeded {
		t.Fatalf("%+v\n%s", r, a.log)
	}

	id := s.order("v2")
	s.until("v2 has traffic", 10*time.Second, func() bool { return s.weights()[rollout.Green] == 10 })
	a.signal(t, syscall.SIGKILL)
	killed := time.Now()
	s.until("b leads", shortLease+3*time.Second, func() bool { return s.leader() == "b" })
	t.Logf("a was killed at 10 %%, b leads after %v", time.Since(killed).Round(time.Millisecond))
	if r := s.wait(id); r.State != wire.Succeeded || r.Target != "v2" {
		t.Errorf("%+v\n%s", r, b.log)
	}
	s.serves("v2")

	c := s.launch("c")
	id = s.order("v3")
	s.until("v3 has traffic", 10*time.Second, func() bool { return s.weights()[rollout.Blue] == 10 })
	b.signal(t, syscall.SIGSTOP)
	s.until("c leads", shortLease+3*time.Second, func() bool { return s.leader() == "c" })
	if r := s.wait(id); r.State != wire.Succeeded || r.Target != "v3" {
		t.Errorf("%+v\n%s", r, c.log)
	}
	id = s.order("v4")
	s.until("v4 has traffic", 10*time.Second, func() bool { return s.weights()[rollout.Green] == 10 })
	b.signal(t, syscall.SIGCONT)
	s.until("b says what it missed", 5*time.Second, func() bool { return strings.Contains(b.log.String(), "the lease is lost") })
	if r := s.wait(id); r.State != wire.Succeeded || r.Target != "v4" {
		t.Errorf("%+v\n%s", r, c.log)
	}
	s.serves("v4")
	c.signal(t, syscall.SIGTERM)
	if err := c.Wait(); err != nil {
		t.Errorf("c ended with %v", err)
	}
	if took := s.until("b leads again", 3*time.Second, func() bool { return s.leader() == "b" }); took > shortLease {
		t.Errorf("a lease that was given back is taken after %v", took)
	}
	world.check(t)
	b.signal(t, syscall.SIGTERM)
	_ = b.Wait()
	s.sound()
	if got := s.leaders(); got != "a:1 b:2 c:3 b:4" {
		t.Errorf("leaders: %s", got)
	}
}

func serveWorld(t *testing.T, s *site) *shared {
	t.Helper()
	world, server := &shared{World: s.world}, rpc.NewServer()
	if err := server.RegisterName("World", &onlyDo{world}); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("unix", filepath.Join(s.layout.Dir, worldSocket))
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil { // it is closed
				return
			}
			go server.ServeConn(conn)
		}
	}()
	t.Cleanup(func() { _ = listener.Close() })
	return world
}

// onlyDo is what others may call.
type onlyDo struct{ world *shared }

// Do does it.
func (o *onlyDo) Do(c Call, a *Answer) error { return o.world.Do(c, a) }

// check holds that no epoch was followed by an older one.
func (s *shared) check(t *testing.T) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, epoch := range s.epochs {
		if i > 0 && epoch < s.epochs[i-1] {
			t.Errorf("epochs %v", s.epochs)
		}
	}
	if len(s.late) > 0 {
		t.Errorf("who was overtaken tried %q", s.late)
	}
}

// The audit log of agents that came and went tells each take-over, by whom.
func (s *site) leaders() string {
	var names []string
	err := journal.Read(s.Context(), s.layout.Dir, func(e journal.Entry) error {
		if e.Action == "take lease" {
			names = append(names, fmt.Sprintf("%s:%d", e.Actor, e.Epoch))
		}
		return nil
	})
	if err != nil {
		s.Error(err)
	}
	return strings.Join(names, " ")
}
