package compose

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"

	"github.com/meter-ml/meter-pipeline/internal/rollout"
)

// Migrate implements rollout.Backend. A migration that fails, fails again.
func (t *Target) Migrate(ctx context.Context, fence rollout.Fence, r rollout.Revision) error {
	defer t.forgetSchema()
	return t.migrate(ctx, fence, r, "migrate")
}

func (t *Target) migrate(ctx context.Context, fence rollout.Fence, r rollout.Revision, service string) error {
	err := t.once(ctx, fence, r, service)
	if _, ended := errors.AsType[failed](err); ended && ctx.Err() == nil {
		// An engine that went away in the midst of it says nothing about the migration.
		if _, pingErr := t.engine.Ping(ctx); pingErr == nil {
			err = rollout.Permanent(err)
		}
	}
	if err != nil {
		return fmt.Errorf("migrate for %s: %w", r.Release, err)
	}
	return nil
}

// clear removes what is left of a service that runs to its end.
func (t *Target) clear(ctx context.Context, service string) error {
	left, err := t.engine.ContainerList(ctx, container.ListOptions{All: true, Filters: filters.NewArgs(
		filters.Arg("label", projectLabel+"="+t.config.Project), filters.Arg("label", oneOffLabel+"=True"),
		filters.Arg("label", serviceLabel+"="+service),
	)})
	if err != nil {
		return fmt.Errorf("list containers of %s: %w", service, err)
	}
	for _, c := range left {
		err := t.engine.ContainerRemove(ctx, c.ID, container.RemoveOptions{Force: true, RemoveVolumes: true})
		if err != nil && !errdefs.IsNotFound(err) && !errdefs.IsConflict(err) {
			return fmt.Errorf("remove a container that is left of %s: %w", service, err)
		}
	}
	return nil
}

// Start implements rollout.Backend. Database and proxy are started if they are not there, and left alone if they are: a
// proxy that is replaced drops what it has.
func (t *Target) Start(ctx context.Context, fence rollout.Fence, r rollout.Revision) error {
	v, err := t.look(ctx)
	if err != nil {
		return fmt.Errorf("start %s: %w", r.Release, err)
	}
	seen := t.seen(v, r.Slot)
	switch {
	case seen.Release == r.Release && seen.Digest == r.Digest:
		return nil
	case seen.Weight > 0:
		return rollout.Permanent(fmt.Errorf("start %s: slot %s has a weight of %d", r.Release, r.Slot, seen.Weight))
	}
	s := v.slots
	s.Revisions[r.Slot], s.Started = r, r.Slot
	if err := t.admit(ctx, fence); err != nil {
		return err
	}
	if err := errors.Join(writeJSON(t.slotsFile(), s), t.prepare(s, r), t.prepareProxy(s)); err != nil {
		return fmt.Errorf("start %s: %w", r.Release, err)
	}
	var infrastructure []string
	for _, service := range []string{postgresService, proxyService} {
		if c, ok := v.members[service]; !ok || !runs(c) {
			infrastructure = append(infrastructure, service)
		}
	}
	if len(infrastructure) > 0 {
		up := append([]string{"up", "--detach", "--no-deps", "--no-recreate", "--quiet-pull"}, infrastructure...)
		if err := t.compose(ctx, r, up...); err != nil {
			return fmt.Errorf("start %s: %w", r.Release, err)
		}
	}
	if err := t.admit(ctx, fence); err != nil {
		return err
	}
	// Whatever is in the slot has no weight, and is not this: it goes, however like this it looks to Compose.
	err = t.compose(ctx, r, "up", "--detach", "--no-deps", "--force-recreate", "--pull", "never", serviceOf(r.Slot))
	if err != nil {
		return fmt.Errorf("start %s: %w", r.Release, err)
	}
	return nil
}

// proxyUser is the account of the proxy in its public image.
const proxyUser = 99

// prepareProxy makes the proxy's directories and its first configuration.
func (t *Target) prepareProxy(s slots) error {
	if err := errors.Join(t.prepareRun(), os.MkdirAll(filepath.Dir(t.proxyConfig()), 0o755)); err != nil {
		return err
	}
	if _, err := os.Stat(t.proxyConfig()); err == nil {
		return nil
	}
	return t.writeProxy(s)
}

// prepareRun makes the directory of the sockets: the proxy makes its own there, and the agent, as root, that of the log.
// Nobody else gets in.
func (t *Target) prepareRun() error {
	dir := filepath.Dir(t.socket.Path)
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	if os.Geteuid() == 0 {
		return os.Chown(dir, proxyUser, proxyUser)
	}
	return nil
}

// Replace implements rollout.Backend. Tables that what runs once keeps for itself are migrated first, by the first release
// that has that image.
func (t *Target) Replace(ctx context.Context, fence rollout.Fence, r rollout.Revision) error {
	settings, err := t.settings(r)
	if err != nil {
		return fmt.Errorf("replace by %s: %w", r.Release, err)
	}
	v, err := t.look(ctx)
	if err != nil {
		return fmt.Errorf("replace by %s: %w", r.Release, err)
	}
	services, names := map[string]bool{}, map[string]bool{}
	for service, name := range settings.Services {
		if serviceSeen(v, service, name).Image != r.Images[name] {
			services[service], names[name] = true, true
		}
	}
	if len(services) == 0 {
		return nil
	}
	s := v.slots
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if slices.Contains(s.Migrated, r.Images[name]) {
			continue
		}
		if err := t.migrate(ctx, fence, r, name+"-migrate"); err != nil {
			return err
		}
		s.migrated(r.Images[name])
		if err := writeJSON(t.slotsFile(), s); err != nil {
			return fmt.Errorf("replace by %s: %w", r.Release, err)
		}
	}
	if err := t.prepare(s, r); err != nil {
		return fmt.Errorf("replace by %s: %w", r.Release, err)
	}
	if err := t.admit(ctx, fence); err != nil {
		return err
	}
	up := append([]string{"up", "--detach", "--no-deps", "--pull", "never"}, slices.Sorted(maps.Keys(services))...)
	if err := t.compose(ctx, r, up...); err != nil {
		return fmt.Errorf("replace by %s: %w", r.Release, err)
	}
	return nil
}

// Stop implements rollout.Backend. It names the container, so that another one that takes its place meanwhile is left
// alone. What it has begun it may bring to its end.
func (t *Target) Stop(ctx context.Context, fence rollout.Fence, slot rollout.Slot) error {
	v, err := t.look(ctx)
	if err != nil {
		return fmt.Errorf("stop slot %s: %w", slot, err)
	}
	c, ok := v.members[serviceOf(slot)]
	if !ok {
		return nil
	}
	if weight := v.proxy.Servers[string(slot)].Weight; weight > 0 {
		return rollout.Permanent(fmt.Errorf("stop slot %s: it has a weight of %d", slot, weight))
	}
	if err := t.admit(ctx, fence); err != nil {
		return err
	}
	if err := t.engine.ContainerStop(ctx, c.ID, container.StopOptions{}); err != nil && !errdefs.IsNotFound(err) {
		return fmt.Errorf("stop slot %s: %w", slot, err)
	}
	err = t.engine.ContainerRemove(ctx, c.ID, container.RemoveOptions{RemoveVolumes: true})
	if err != nil && !errdefs.IsNotFound(err) && !errdefs.IsConflict(err) {
		return fmt.Errorf("stop slot %s: %w", slot, err)
	}
	return nil
}
