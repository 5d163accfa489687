package compose

import (
	"context"
	"fmt"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
	"golang.org/x/sync/errgroup"

	"github.com/meter-ml/meter-pipeline/internal/plain"
	"github.com/meter-ml/meter-pipeline/internal/rollout"
)

// Labels of containers: Compose's own, and those in docker/compose.yaml.
const (
	projectLabel = "com.docker.compose.project"
	serviceLabel = "com.docker.compose.service"
	oneOffLabel  = "com.docker.compose.oneoff"
	releaseLabel = "meter.release"
	imageLabel   = "meter.image"
)

// members are the containers of the project's services, by service.
func (t *Target) members(ctx context.Context) (map[string]container.InspectResponse, error) {
	listed, err := t.engine.ContainerList(ctx, container.ListOptions{All: true, Filters: filters.NewArgs(
		filters.Arg("label", projectLabel+"="+t.config.Project), filters.Arg("label", oneOffLabel+"=False"),
	)})
	if err != nil {
		return nil, fmt.Errorf("list containers: %w", err)
	}
	inspected := make([]*container.InspectResponse, len(listed))
	group, ctx := errgroup.WithContext(ctx)
	for i, one := range listed {
		group.Go(func() error {
			c, err := t.engine.ContainerInspect(ctx, one.ID)
			if errdefs.IsNotFound(err) {
				return nil // removed meanwhile
			}
			inspected[i] = &c
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, fmt.Errorf("inspect containers: %w", err)
	}
	members := map[string]container.InspectResponse{}
	for _, c := range inspected {
		if c == nil || c.ContainerJSONBase == nil || c.State == nil || c.Config == nil || c.NetworkSettings == nil {
			continue
		}
		service := c.Config.Labels[serviceLabel]
		// While Compose replaces one, there are two: the old one runs until the new one does.
		if other, ok := members[service]; !ok || !runs(other) {
			members[service] = *c
		}
	}
	return members, nil
}

// runs reports whether a container is there to stay: it runs, or crashed and is started again. One that ended for good is
// nothing that runs.
func runs(c container.InspectResponse) bool {
	return c.ContainerJSONBase != nil && (c.State.Running || c.State.Restarting || c.State.Paused)
}

func (t *Target) address(c container.InspectResponse) string {
	if network := c.NetworkSettings.Networks[t.config.Network]; network != nil {
		return network.IPAddress
	}
	return ""
}

// unwell is why a container is not healthy by its own check; empty if it is. One without a check is healthy if it runs.
func unwell(c container.InspectResponse) string {
	switch {
	case c.State.Paused:
		return "it is paused"
	case c.State.Restarting:
		return fmt.Sprintf("it ended with exit code %d, and is started again", c.State.ExitCode)
	case !c.State.Running:
		return "it " + c.State.Status
	case c.State.Health == nil || c.State.Health.Status == container.Healthy:
		return ""
	case c.State.Health.Status == container.Starting:
		return "it is starting"
	}
	reason := "its health check fails"
	if log := c.State.Health.Log; len(log) > 0 {
		reason += ": " + plain.Line(strings.TrimSpace(fmt.Sprintf("%.200s", log[len(log)-1].Output)))
	}
	return reason
}

// images are those that the engine has: by repository@digest, with its own ID of each.
func (t *Target) images(ctx context.Context) (map[string]string, error) {
	listed, err := t.engine.ImageList(ctx, image.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("list images: %w", err)
	}
	images := map[string]string{}
	for _, one := range listed {
		for _, name := range one.RepoDigests {
			images[name] = one.ID
		}
	}
	return images, nil
}

// imageOf is the image that a container really runs. Its label says which one it was meant to be, and is believed if the
// engine has the same image by that name.
func imageOf(c container.InspectResponse, images map[string]string) string {
	if label := c.Config.Labels[imageLabel]; label != "" && images[label] == c.Image {
		return label
	}
	return c.Image // the engine's ID, which no revision has
}

func digestOf(image string) string {
	if _, digest, ok := strings.Cut(image, "@"); ok {
		return digest
	}
	return image
}

// member is the container in a slot.
func (t *Target) member(ctx context.Context, slot rollout.Slot) (container.InspectResponse, error) {
	members, err := t.members(ctx)
	if err != nil {
		return container.InspectResponse{}, err
	}
	c, ok := members[serviceOf(slot)]
	if !ok || !runs(c) {
		return c, fmt.Errorf("nothing runs in slot %s", slot)
	}
	return c, nil
}
