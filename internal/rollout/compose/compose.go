// Package compose is a rollout.Backend: one host with Docker Compose, two slots of what serves behind HAProxy, and
// beside them what runs once.
//
// It runs inside the agent, on the target. What is, it learns from the engine, the proxy's admin socket and the
// database; what is to be, it does by docker compose with the files of the revision's own bundle. It keeps three files in
// the state directory: slots.json, what each slot is to run and with which weight, since a Compose project has both slots
// in it at any time; compose.env, the variables that follow from it; and epoch.json, the highest epoch that has acted
// here, so that an agent which slept through its lease is refused.
//
// Whoever leads calls New, then Listen, and Close when it leads no more.
package compose

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/docker/docker/client"
	"github.com/jackc/pgx/v5"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/rollout"
	"github.com/meter-ml/meter-pipeline/internal/rollout/agent/wire"
	"github.com/meter-ml/meter-pipeline/internal/rollout/compose/haproxy"
)

// What docker/compose.yaml calls its parts, and where they serve inside the network.
const (
	proxyService    = "proxy"
	postgresService = "postgres"
	slotService     = "model-api-" // and the slot
	proxyPort       = "8080"
	slotPort        = "8000"
	postgresPort    = "5432"
	resolver        = "127.0.0.11:53" // Docker's own, in every container
)

// A Config says which target it is.
type Config struct {
	Environment string           // its name: production
	State       string           // absolute: the state directory, at the same path for the engine
	Project     string           // of Compose; empty is meter-<environment>
	Network     string           // empty is meter-<environment>
	Host        string           // the engine's address; empty is unix:///var/run/docker.sock
	Runner      engine.Runner    // starts docker
	Docker      string           // the program; empty is docker, on the PATH in Env
	Env         []string         // of docker: PATH, HOME, and where its plug-ins are. DOCKER_HOST is added
	Now         func() time.Time // nil is time.Now
}

// A Target is the back end. Its methods may be called at the same time.
type Target struct {
	config Config
	layout wire.Layout
	engine *client.Client
	socket haproxy.Socket

	mu      sync.Mutex // of what follows
	log     *haproxy.Log
	at      map[rollout.Slot]string // addresses, as last seen
	scrapes *scrapes

	database sync.Mutex // of the connection
	meter    *pgx.Conn
	schema   seenSchema
}

var (
	_ rollout.Backend = (*Target)(nil)
	_ Listener        = (*Target)(nil)
)

// Listener is what the agent needs beyond rollout.Backend.
type Listener interface {
	// Listen takes over the proxy's log. From then on there are Metrics. The proxy need not run yet.
	Listen(ctx context.Context) error
	// Live is what passed through in the time before now.
	Live(ctx context.Context, last time.Duration) (Live, error)
	// Answers are the known answers of a revision, from the image of what runs in its slot.
	Answers(ctx context.Context, r rollout.Revision) ([]Answer, error)
	// Synthetic posts bodies in turn through the proxy, marked, at so many a second until ctx ends, which is no error.
	Synthetic(ctx context.Context, rate float64, bodies [][]byte) (Sent, error)
	Close() error
}

// An Answer is a request whose answer is known.
type Answer struct {
	Request     []byte // body of POST /predict
	Units       float64
	Probability float64
}

// Sent is what became of synthetic requests.
type Sent struct {
	Requests, Failed int64
}

// Live is what passed through the proxy lately, for status and metrics.
type Live struct {
	Slots     map[rollout.Slot]Traffic
	Unserved  int64 // requests that no slot got
	Synthetic int64
}

// Traffic is one slot's.
type Traffic struct {
	Requests, Errors int64
	Median, P95, P99 time.Duration
}

// New returns the back end. It changes nothing on the target, and asks it nothing.
func New(c Config) (*Target, error) {
	c.Project = cmp.Or(c.Project, "meter-"+c.Environment)
	c.Network = cmp.Or(c.Network, "meter-"+c.Environment)
	c.Host = cmp.Or(c.Host, "unix:///var/run/docker.sock")
	c.Docker = cmp.Or(c.Docker, "docker")
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Environment == "" || !filepath.IsAbs(c.State) || c.Runner == nil {
		return nil, errors.New("drive a target: it needs an environment, an absolute state directory and a runner")
	}
	docker, err := client.NewClientWithOpts(client.WithHost(c.Host), client.WithAPIVersionNegotiation())
	if err != nil {
		return nil, fmt.Errorf("drive a target: %w", err)
	}
	t := &Target{config: c, layout: wire.Layout{Dir: c.State}, engine: docker, scrapes: newScrapes()}
	t.socket = haproxy.Socket{Path: t.runFile("haproxy.sock")}
	return t, nil
}

// Close ends what Listen has begun.
func (t *Target) Close() error {
	t.mu.Lock()
	log := t.log
	t.log = nil
	t.mu.Unlock()
	var err error
	if log != nil {
		err = log.Close()
	}
	t.database.Lock()
	defer t.database.Unlock()
	t.disconnect(context.Background())
	return errors.Join(err, t.engine.Close())
}

func (t *Target) runFile(name string) string { return filepath.Join(t.config.State, "run", name) }

// proxyConfig is in a directory of its own, which the proxy mounts.
func (t *Target) proxyConfig() string { return filepath.Join(t.config.State, "proxy", "haproxy.cfg") }
