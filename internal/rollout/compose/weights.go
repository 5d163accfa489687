package compose

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/meter-ml/meter-pipeline/internal/rollout"
	"github.com/meter-ml/meter-pipeline/internal/rollout/compose/haproxy"
	"github.com/meter-ml/meter-pipeline/internal/wholefile"
)

// SetWeights implements rollout.Backend. The file comes first: a proxy that is restarted in between has the new weights,
// too, and one that is not is asked again by whoever observes the old ones.
func (t *Target) SetWeights(ctx context.Context, fence rollout.Fence, w rollout.Weights) error {
	s, err := t.slots()
	if err != nil {
		return fmt.Errorf("set weights: %w", err)
	}
	s.Weights = rollout.Weights{rollout.Blue: w[rollout.Blue], rollout.Green: w[rollout.Green]}
	if _, ok := s.leading(); !ok {
		return t.withdrawn(ctx, w)
	}
	if err := t.admit(ctx, fence); err != nil {
		return err
	}
	if err := writeJSON(t.slotsFile(), s); err != nil {
		return fmt.Errorf("set weights: %w", err)
	}
	if err := t.writeProxy(s); err != nil {
		return fmt.Errorf("set weights: %w", err)
	}
	if err := t.admit(ctx, fence); err != nil {
		return err
	}
	err = t.socket.SetWeights(ctx, map[string]int{string(rollout.Blue): w[rollout.Blue], string(rollout.Green): w[rollout.Green]})
	if err != nil {
		return err
	}
	t.scrapeSoon()
	return nil
}

// withdrawn is of a target on which nothing was ever started: no weight is what it has.
func (t *Target) withdrawn(ctx context.Context, w rollout.Weights) error {
	if w[rollout.Blue] == 0 && w[rollout.Green] == 0 {
		return ctx.Err()
	}
	return rollout.Permanent(fmt.Errorf("set weights %v: nothing has been started here", w))
}

// writeProxy writes the proxy's configuration by the template of the leading revision.
func (t *Target) writeProxy(s slots) error {
	r, ok := s.leading()
	if !ok {
		return fmt.Errorf("write the proxy's configuration: nothing has been started here")
	}
	template, err := os.ReadFile(filepath.Join(t.layout.Bundle(r.Bundle), "haproxy.cfg.tmpl"))
	if err != nil {
		return fmt.Errorf("write the proxy's configuration: %w", err)
	}
	values := haproxy.Values{Bind: ":" + proxyPort, Socket: t.socket.Path, Log: t.runFile("log.sock"), Resolver: resolver}
	t.mu.Lock()
	at := t.at
	t.mu.Unlock()
	for _, slot := range []rollout.Slot{rollout.Blue, rollout.Green} {
		values.Servers = append(values.Servers, haproxy.Server{
			Name: string(slot), Address: serviceOf(slot) + ":" + slotPort, At: at[slot], Weight: s.Weights[slot],
		})
	}
	content, err := haproxy.Render(string(template), values)
	if err != nil {
		return rollout.Permanent(err)
	}
	// The proxy reads it as another user. There is no secret in it.
	return wholefile.Write(t.proxyConfig(), content, 0o644)
}

// Listen implements Listener.
func (t *Target) Listen(ctx context.Context) error {
	if err := t.prepareRun(); err != nil {
		return fmt.Errorf("listen to the proxy's log: %w", err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.log != nil {
		return nil
	}
	log, err := haproxy.Listen(ctx, t.runFile("log.sock"), t.socket)
	if err != nil {
		return err
	}
	t.log = log
	return nil
}
