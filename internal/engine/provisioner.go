package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/plain"
)

// releaseLimit is how long giving back may take otherwise.
const releaseLimit = 10 * time.Second

// provisioner gets ready what steps need, beside the steps that already run, and takes no slot: it mostly waits.
type provisioner struct {
	provider Provider
	grace    time.Duration
	emit     *emitter
	mask     *plain.Mask
	ready    chan *node

	mu   sync.Mutex
	said map[string]bool
}

// provisioning is one step's needs on their way. The provisions and err may be read once done is closed.
type provisioning struct {
	cancel     context.CancelCauseFunc
	done       chan struct{}
	provisions []Provision
	err        error
	ready      bool // the scheduler knows that it is done
	claimed    bool // the step has started and releases them itself
}

func newProvisioner(opts Options, emit *emitter, mask *plain.Mask, steps int) *provisioner {
	return &provisioner{
		provider: opts.Provider, grace: opts.Grace, emit: emit, mask: mask,
		ready: make(chan *node, steps), said: map[string]bool{},
	}
}

func (p *provisioner) begin(parent context.Context, n *node) *provisioning {
	ctx, cancel := context.WithCancelCause(parent)
	work := &provisioning{cancel: cancel, done: make(chan struct{})}
	if len(n.step.Needs) == 0 {
		work.ready = true
		close(work.done)
		return work
	}
	go func() {
		work.provisions, work.err = p.provide(ctx, n.step.Needs)
		close(work.done)
		p.ready <- n
	}()
	return work
}

// provide gets all needs of a step at the same time.
func (p *provisioner) provide(ctx context.Context, needs []Need) ([]Provision, error) {
	provisions := make([]Provision, len(needs))
	errs := make([]error, len(needs))
	var wg sync.WaitGroup
	for i, need := range needs {
		wg.Go(func() { provisions[i], errs[i] = p.one(ctx, need) })
	}
	wg.Wait()
	return provisions, errors.Join(errs...)
}

func (p *provisioner) one(ctx context.Context, need Need) (provision Provision, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("provide %s: panic: %v: this is a defect of the provisioner, please report it", need, v)
		}
	}()
	if p.provider == nil {
		return Provision{}, fmt.Errorf("provide %s: no provider is given", need)
	}
	p.say(EventProvisioning, need, "")
	provision, err = p.provider.Provide(ctx, need, func(text string) { p.say(EventProvisioning, need, text) })
	if err != nil {
		return Provision{}, fmt.Errorf("provide %s: %w", need, err)
	}
	p.say(EventProvisioned, need, provision.Detail)
	return provision, nil
}

// say tells each thing once, however many steps share a need.
func (p *provisioner) say(kind EventKind, need Need, text string) {
	text = p.mask.String(plain.Line(text))
	p.mu.Lock()
	key := string(kind) + "\x00" + string(need) + "\x00" + text
	again := p.said[key]
	p.said[key] = true
	p.mu.Unlock()
	if !again {
		p.emit.send(Event{Kind: kind, Step: string(need), Text: text})
	}
}

// hurry is how long giving back may take in a run that was told to stop, and whose step has used up its grace.
const hurry = time.Second

// release gives back what a step got, in reverse order, also when the run has been cancelled.
func (p *provisioner) release(ctx context.Context, provisions []Provision) error {
	limit := releaseLimit
	if ctx.Err() != nil {
		limit = hurry
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	defer cancel()
	var errs []error
	for i := len(provisions) - 1; i >= 0; i-- {
		if release := provisions[i].Release; release != nil {
			errs = append(errs, contained(func() error { return release(ctx) }))
		}
	}
	return errors.Join(errs...)
}

// releaseUnclaimed waits for what is still being provided for steps that never started, and gives it back.
func (p *provisioner) releaseUnclaimed(ctx context.Context, nodes []*node) {
	limit := time.NewTimer(p.grace)
	defer limit.Stop()
	for _, n := range nodes {
		if n.provision == nil || n.provision.claimed {
			continue
		}
		n.provision.cancel(errSkipped)
		select {
		case <-n.provision.done:
		case <-limit.C:
			p.emit.send(Event{Kind: EventMessage, Text: "gave up waiting for what was being provided for steps that did not run"})
			return
		}
		if err := p.release(ctx, n.provision.provisions); err != nil {
			p.emit.send(Event{Kind: EventMessage, Text: p.mask.String(plain.Line("release what was provided: " + err.Error()))})
		}
	}
}

func contained(f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v", v)
		}
	}()
	return f()
}
