package compose

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/docker/docker/api/types/container"
	"golang.org/x/sync/errgroup"

	"github.com/meter-ml/meter-pipeline/internal/plain"
	"github.com/meter-ml/meter-pipeline/internal/rollout"
	"github.com/meter-ml/meter-pipeline/internal/rollout/compose/haproxy"
)

// longestLook is within which all must have answered that is asked.
const longestLook = 5 * time.Second

// view is what an observation is made of.
type view struct {
	members map[string]container.InspectResponse
	images  map[string]string
	slots   slots
	proxy   haproxy.State
}

// Observe implements rollout.Backend. An engine or a proxy that does not answer is an error. The schema of a database that
// does not answer is empty: it matters to migrations alone, and what serves goes on without it.
func (t *Target) Observe(ctx context.Context) (rollout.Observation, error) {
	ctx, cancel := context.WithTimeout(ctx, longestLook)
	defer cancel()
	v, err := t.look(ctx)
	if err != nil {
		return rollout.Observation{}, fmt.Errorf("observe %s: %w", t.config.Environment, err)
	}
	o := rollout.Observation{Images: map[string]bool{}, Slots: map[rollout.Slot]rollout.Seen{}, Services: map[string]rollout.Service{}}
	for name := range v.images {
		o.Images[name], o.Images[digestOf(name)] = true, true
	}
	for _, slot := range []rollout.Slot{rollout.Blue, rollout.Green} {
		o.Slots[slot] = t.seen(v, slot)
	}
	if r, ok := v.slots.leading(); ok {
		settings, err := t.settings(r)
		if err != nil {
			return rollout.Observation{}, fmt.Errorf("observe %s: %w", t.config.Environment, err)
		}
		for service, image := range settings.Services {
			o.Services[service] = serviceSeen(v, service, image)
		}
	}
	o.Schema = t.schemaNow(ctx, v)
	t.scrapeDue(ctx, v)
	return o, nil
}

// look asks engine and proxy at the same time.
func (t *Target) look(ctx context.Context) (v view, err error) {
	if v.slots, err = t.slots(); err != nil {
		return v, err
	}
	var proxyErr error
	group, asked := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		v.members, err = t.members(asked)
		return err
	})
	group.Go(func() (err error) {
		v.images, err = t.images(asked)
		return err
	})
	group.Go(func() error {
		v.proxy, proxyErr = t.socket.State(ctx)
		return nil
	})
	if err := group.Wait(); err != nil {
		return v, err
	}
	// Before the first release there is no proxy, which is no mistake; later it must answer.
	if _, there := v.members[proxyService]; there && proxyErr != nil {
		return v, errors.Join(proxyErr, notRunning(v.members[proxyService]))
	}
	at := map[rollout.Slot]string{}
	for _, slot := range []rollout.Slot{rollout.Blue, rollout.Green} {
		if c, ok := v.members[serviceOf(slot)]; ok && runs(c) {
			at[slot] = t.address(c)
		}
	}
	t.mu.Lock()
	t.at = at
	t.mu.Unlock()
	return v, t.settled(v)
}

// settling is how long a proxy that has just begun may take until it knows of its servers what there is to know.
const settling = 5 * time.Second

// settled is an error while a proxy that has just begun does not see yet what runs and is well: it says nothing about that.
func (t *Target) settled(v view) error {
	if v.proxy.Began.IsZero() || time.Since(v.proxy.Began) > settling {
		return nil
	}
	for _, slot := range []rollout.Slot{rollout.Blue, rollout.Green} {
		c, ok := v.members[serviceOf(slot)]
		if seen := t.seen(v, slot); ok && runs(c) && unwell(c) == "" && !seen.Healthy {
			return fmt.Errorf("the proxy has just begun, and does not see slot %s yet: %s", slot, seen.Reason)
		}
	}
	return nil
}

func notRunning(c container.InspectResponse) error {
	if runs(c) {
		return nil
	}
	return fmt.Errorf("its container has ended: `docker start %.12s` starts it again", c.ID)
}

// seen is what is in a slot: by the engine, and by the proxy, which must find it at the same address.
func (t *Target) seen(v view, slot rollout.Slot) rollout.Seen {
	server := v.proxy.Servers[string(slot)]
	seen := rollout.Seen{Weight: server.Weight, Sessions: server.Sessions}
	c, ok := v.members[serviceOf(slot)]
	if !ok || !runs(c) {
		return seen
	}
	seen.Release, seen.Digest = plain.Line(c.Config.Labels[releaseLabel]), digestOf(imageOf(c, v.images))
	seen.Restarts = c.RestartCount
	seen.Reason = unwell(c)
	address := t.address(c) + ":" + slotPort
	switch {
	case seen.Reason != "":
	case len(v.proxy.Servers) == 0:
		seen.Reason = "there is no proxy that sees it"
	case server.Address != address:
		seen.Reason = fmt.Sprintf("the proxy looks for it at %s, and it is at %s", server.Address, address)
	case !server.Up:
		seen.Reason = "the proxy says: " + plain.Line(server.Status)
	}
	seen.Healthy = seen.Reason == ""
	return seen
}

func serviceSeen(v view, service, image string) rollout.Service {
	c, ok := v.members[service]
	if !ok || !runs(c) {
		return rollout.Service{Of: image, Reason: "it does not run"}
	}
	reason := unwell(c)
	return rollout.Service{Of: image, Image: imageOf(c, v.images), Healthy: reason == "", Reason: reason}
}
