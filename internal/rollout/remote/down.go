package remote

import (
	"context"
	"fmt"
	"strings"
)

// Down ends what runs of the environment on the target, and returns a line for each kind of thing that it removed. With
// data it removes the volumes and the state directory, too. It refuses nothing: whoever calls it wants an end.
func (t *Target) Down(ctx context.Context, data bool) ([]string, error) {
	var done []string
	// The agents first: they would mend what goes missing.
	for _, filter := range []struct{ what, label string }{
		{"agents", "meter.agent=" + t.Environment}, {"containers", "com.docker.compose.project=" + t.Project()},
	} {
		ids, err := t.run(ctx, nil, "ps", "--all", "--quiet", "--filter", "label="+filter.label)
		if err != nil {
			return done, err
		}
		if ids == "" {
			continue
		}
		if _, err := t.run(ctx, nil, append([]string{"rm", "--force"}, strings.Fields(ids)...)...); err != nil {
			return done, err
		}
		done = append(done, fmt.Sprintf("removed %d %s of %s", len(strings.Fields(ids)), filter.what, t.Environment))
	}
	if data {
		lines, err := t.removeData(ctx)
		done = append(done, lines...)
		if err != nil {
			return done, err
		}
	}
	name, err := t.run(ctx, nil, "network", "ls", "--quiet", "--filter", "name=^"+t.Project()+"$")
	if err != nil || name == "" {
		return done, err
	}
	_, err = t.run(ctx, nil, "network", "rm", t.Project())
	return append(done, "removed the network "+t.Project()), err
}

func (t *Target) removeData(ctx context.Context) ([]string, error) {
	var done []string
	volumes, err := t.run(ctx, nil, "volume", "ls", "--quiet", "--filter", "label=com.docker.compose.project="+t.Project())
	if err != nil {
		return nil, err
	}
	if names := strings.Fields(volumes); len(names) > 0 {
		if _, err := t.run(ctx, nil, append([]string{"volume", "rm", "--force"}, names...)...); err != nil {
			return nil, err
		}
		done = append(done, fmt.Sprintf("removed %d volumes with their data", len(names)))
	}
	image, err := t.run(ctx, nil, "image", "ls", "--format", "{{.Repository}}:{{.Tag}}", "meter-agent")
	if err != nil || image == "" {
		return append(done, "the state directory "+t.StateDir()+" of the target is left: no image of an agent is there to remove it with"), err
	}
	// The directory belongs to root of the target, and the agent's image is the one that is sure to be there.
	image = strings.Fields(image)[0]
	_, err = t.run(ctx, nil, "run", "--rm", "--network", "none", "--volume", t.State+":/state", "--entrypoint", "rm", image, "-rf", "/state/"+t.Environment)
	return append(done, "removed "+t.StateDir()+" of the target"), err
}
