// Package compose is a rollout.Backend: one host with Docker Compose, two slots of model_api behind HAProxy, and beside
// them what runs once.
//
// It runs inside the agent, on the target. What is, it learns from the engine, the proxy's admin socket and the
// database; what is to be, it does by docker compose with the files of the revision's own bundle. It keeps two files:
// slots.json, what each slot is to run, since a Compose project has both slots in it at any time; and epoch.json, the
// highest epoch that has acted here, so that an agent that slept through its lease is refused.
//
// Who leads calls New, then Listen; who loses the lease calls Close.
package compose

import (
	"context"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/rollout"
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
	Env         []string         // of docker: PATH, HOME. DOCKER_HOST and DOCKER_CONFIG are added
	Now         func() time.Time // nil is time.Now
}

// A Target is the back end. Its methods may be called at the same time.
type Target struct {
	config Config
}

var _ rollout.Backend = (*Target)(nil)

// An Answer is a request whose answer is known, from the image of model_api.
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
	Median, P99      time.Duration
}

// Listener is what the agent needs beyond rollout.Backend.
type Listener interface {
	// Listen takes over the proxy's log. From then on there are Metrics.
	Listen(ctx context.Context) error
	// Live is what passed through in the time before now.
	Live(ctx context.Context, last time.Duration) (Live, error)
	// Answers are the known answers of a revision, from its image.
	Answers(ctx context.Context, r rollout.Revision) ([]Answer, error)
	// Synthetic posts bodies in turn through the proxy, marked, at so many a second until ctx ends.
	Synthetic(ctx context.Context, rate float64, bodies [][]byte) (Sent, error)
	Close() error
}

var _ Listener = (*Target)(nil)
