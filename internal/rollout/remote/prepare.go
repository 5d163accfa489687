package remote

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

const (
	// fresh is how old a status may be that an agent which leads has written.
	fresh = 15 * time.Second
	// leading is within which one of two agents must lead: a killed one's lease lasts for 30 s.
	leading = time.Minute
	poll    = 500 * time.Millisecond
	// ending is how long an agent may take to give its lease back.
	ending = "15"
)

// An Agent says what the agent's image is made of.
type Agent struct {
	Source     string // absolute: the directory of the Go module that has the agent's program
	Scratch    string // absolute: where the program is compiled to
	Dockerfile []byte
	Base       string // image with docker and docker compose
}

// Prepared says what Prepare found and did.
type Prepared struct {
	Engine   string // version of the engine
	Platform string // linux/amd64
	Image    string // of the agent
	Built    bool   // the image was not there
	Replaced []string
	// Kept says why agents of another image were left alone.
	Kept string
}

// Prepare brings a target to where it takes orders: an engine that answers, the network, the agent's image, and two
// agents of it of which one leads. What is there already is left as it is; agents are replaced one after the other, and
// not while a roll-out is under way.
func (t *Target) Prepare(ctx context.Context, a Agent) (Prepared, error) {
	p, err := t.reach(ctx)
	if err != nil {
		return p, err
	}
	if err := t.network(ctx); err != nil {
		return p, err
	}
	if p.Image, p.Built, err = t.image(ctx, a, p.Platform); err != nil {
		return p, err
	}
	socket, err := t.socket(ctx)
	if err != nil {
		return p, err
	}
	var others []string
	for _, name := range t.agents() {
		now, running, err := t.container(ctx, name)
		if err != nil {
			return p, err
		}
		if now != p.Image || !running {
			others = append(others, name)
		}
	}
	if p.Kept, err = t.mayReplace(ctx, others); err != nil || p.Kept != "" {
		return p, err
	}
	for _, name := range others {
		if err := t.startAgent(ctx, name, p.Image, socket); err != nil {
			return p, err
		}
		p.Replaced = append(p.Replaced, name)
		if err := t.leads(ctx); err != nil {
			return p, err
		}
	}
	return p, t.leads(ctx)
}

// reach asks the engine who it is.
func (t *Target) reach(ctx context.Context) (Prepared, error) {
	text, err := t.run(ctx, nil, "version", "--format", "{{.Server.Version}} {{.Server.Os}}/{{.Server.Arch}}")
	if err != nil {
		return Prepared{}, fmt.Errorf("reach the target of %s: %w", t.Environment, err)
	}
	version, platform, ok := strings.Cut(text, " ")
	if !ok || !strings.HasPrefix(platform, "linux/") {
		return Prepared{}, fmt.Errorf("reach the target of %s: its engine is %q: one that runs Linux containers is needed", t.Environment, text)
	}
	return Prepared{Engine: version, Platform: platform}, nil
}

func (t *Target) network(ctx context.Context) error {
	text, err := t.run(ctx, nil, "network", "ls", "--filter", "name=^"+t.Project()+"$", "--format", "{{.Name}}")
	if err != nil || text == t.Project() {
		return err
	}
	_, err = t.run(ctx, nil, "network", "create", "--label", "meter.environment="+t.Environment, t.Project())
	if err != nil && strings.Contains(err.Error(), "already exists") { // another deployer was faster
		return nil
	}
	return err
}

// container says which image the container of a name was made from, empty if there is none, and whether it runs.
func (t *Target) container(ctx context.Context, name string) (image string, running bool, err error) {
	text, err := t.run(ctx, nil, "ps", "--all", "--filter", "name=^/?"+name+"$", "--format", "{{.Image}}\t{{.State}}")
	image, state, _ := strings.Cut(text, "\t")
	return image, state == "running", err
}

// mayReplace says why agents must be left alone. Those that do not run are no loss.
func (t *Target) mayReplace(ctx context.Context, others []string) (string, error) {
	if len(others) == 0 {
		return "", nil
	}
	status, err := t.Status(ctx)
	switch {
	case errors.Is(err, ErrNoAgent):
		return "", nil
	case errors.Is(err, ErrUnreachable), ctx.Err() != nil:
		return "", err
	case err != nil:
		return "", nil //nolint:nilerr // an agent that can't say what it does is to be replaced
	case status.Roll != nil:
		return fmt.Sprintf("a roll-out to %s is under way: the agents are replaced after it", status.Roll.Target), nil
	case len(status.Waiting) > 0:
		return "an order waits: the agents are replaced after it", nil
	}
	return "", nil
}

// startAgent replaces a container, if there is one, by one of the image.
func (t *Target) startAgent(ctx context.Context, name, image, socket string) error {
	now, _, err := t.container(ctx, name)
	if err != nil {
		return err
	}
	if now != "" {
		t.Log("replace %s, which is of %s", name, now)
		if _, err := t.run(ctx, nil, "stop", "--time", ending, name); err != nil {
			return err
		}
		if _, err := t.run(ctx, nil, "rm", "--force", name); err != nil {
			return err
		}
	}
	args := slices.Concat([]string{
		"run", "--detach", "--name", name, "--hostname", name, "--restart", "always", "--network", t.Project(),
		"--label", "meter.agent=" + t.Environment, "--label", "meter.environment=" + t.Environment,
		"--log-opt", "max-size=10m", "--log-opt", "max-file=3",
		"--volume", t.StateDir() + ":" + t.StateDir(), "--volume", socket + ":" + defaultSocket, image,
		"serve", "-state", t.StateDir(), "-environment", t.Environment, "-project", t.Project(),
	})
	if _, err := t.run(ctx, nil, args...); err != nil {
		return fmt.Errorf("start the agent %s: %w", name, err)
	}
	return nil
}

// leads waits until an agent leads.
func (t *Target) leads(ctx context.Context) error {
	until := time.Now().Add(leading)
	for {
		status, err := t.Status(ctx)
		if err == nil && time.Since(status.Written) < fresh && status.Lease.Holder != "" {
			return nil
		}
		if err == nil {
			err = fmt.Errorf("the last status is of %s", status.Written.UTC().Format(time.RFC3339))
		}
		if time.Now().After(until) {
			return fmt.Errorf("wait for an agent that leads: none does within %s: %w: see `docker logs %s`", leading, err, t.agents()[0])
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(poll):
		}
	}
}

const defaultSocket = "/var/run/docker.sock"

// socket is the engine's own, as the target knows it. Only an engine of this very machine may have it elsewhere.
func (t *Target) socket(ctx context.Context) (string, error) {
	host, err := t.run(ctx, nil, "context", "inspect", "--format", "{{.Endpoints.docker.Host}}")
	if err != nil {
		return "", err
	}
	path, local := strings.CutPrefix(host, "unix://")
	if !local || !strings.HasPrefix(path, "/") || strings.Contains(path, "/.docker/") { // Docker Desktop's own forwards to one in its machine
		return defaultSocket, nil
	}
	return path, nil
}
