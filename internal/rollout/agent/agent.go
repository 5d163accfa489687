// Package agent is what lives on a target: it holds the lease, drives the roll-outs that were ordered, and tells what it
// sees. Two of its kind run beside each other in containers; one leads, the other stands by and takes over.
//
// Its commands, which the deployer calls through docker exec (all take -state DIR first):
//
//	serve   -environment ENV -project NAME          leads or stands by, until SIGTERM
//	order                                           an order (wire.Order) on standard input; prints its ID
//	put bundle                                      a tar on standard input; prints its digest, sha256:…
//	put secrets                                     wire.Secrets on standard input
//	status  [-json]                                 wire.Status
//	watch   [-id ID]                                wire.Event, one a line, until the order has its wire.Result
//	abort | pause | resume | promote  -actor -reason
//	history [-n N] [-json]                          wire.Deployment, the newest first; with -json one a line
//	verify  [-anchor HASH:N]                        the chain of the audit log
//	head                                            HASH:N, to be kept elsewhere
//	version
//
// Exit codes: 0 done · 1 a gate failed (order: busy, rolled back, chain damaged) · 2 usage or an invalid input · 3 it could
// not be found out · 130 interrupted.
package agent

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/plain"
	"github.com/meter-ml/meter-pipeline/internal/rollout"
	"github.com/meter-ml/meter-pipeline/internal/rollout/agent/wire"
	"github.com/meter-ml/meter-pipeline/internal/rollout/compose"
)

// A Target is what the agent drives.
type Target interface {
	rollout.Backend
	compose.Listener
}

// A Config says who the agent is and what it is made of.
type Config struct {
	State       string // absolute: the state directory
	Environment string
	Project     string // of Compose
	Holder      string // of the lease, for people: which of the agents this is
	Version     string
	Now         func() time.Time
	Log         io.Writer                             // for people, one line each
	Target      func(context.Context) (Target, error) // made anew each time that this agent leads

	Expiry  time.Duration // of the lease; 0: lease.Expiry
	Renewal time.Duration
	Reserve int64 // bytes kept free for a full disk; 0: the default
	// Journal, if set, puts something around the journal, and Point hears of each write of the agent's own: a test kills
	// there.
	Journal func(rollout.Log) rollout.Log
	Point   func(string)
}

// How often the agent looks, while nothing is under way.
const (
	glance   = 250 * time.Millisecond // for orders
	tending  = 5 * time.Second        // at the target
	diskLook = 30 * time.Second
	// grace is how long a stopping agent lets an action go on that has begun. The container's own must be longer.
	grace = 8 * time.Second
)

// An Agent leads or stands by.
type Agent struct {
	Config
	layout wire.Layout
	mu     sync.Mutex // of Log
}

// New makes an agent. It does nothing before Serve.
func New(c Config) *Agent {
	return &Agent{Config: c, layout: wire.Layout{Dir: c.State}}
}

// say tells people what happens, in one harmless line.
func (a *Agent) say(format string, args ...any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	// A log that can't be written must not stop a roll-out.
	_, _ = fmt.Fprintf(a.Log, "%s %s\n", a.Now().UTC().Format(time.RFC3339), plain.Line(fmt.Sprintf(format, args...)))
}

func (a *Agent) point(name string) {
	if a.Point != nil {
		a.Point(name)
	}
}
