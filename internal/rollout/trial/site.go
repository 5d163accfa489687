package trial

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/freeport"
	"github.com/meter-ml/meter-pipeline/internal/retry"
	"github.com/meter-ml/meter-pipeline/internal/rollout"
	"github.com/meter-ml/meter-pipeline/internal/rollout/agent/wire"
	"github.com/meter-ml/meter-pipeline/internal/rollout/journal"
	"github.com/meter-ml/meter-pipeline/internal/rollout/remote"
	"github.com/meter-ml/meter-pipeline/internal/rollout/trial/load"
)

// A Site is one environment on the lab's engine, with agents that lead it.
type Site struct {
	lab       *Lab
	target    *remote.Target
	state     string // its state directory
	port      int    // of its proxy
	settings  wire.Settings
	stack     stack
	bundle    string // digest of the one that orders name
	questions []load.Question
	canaries  map[string]string // the secrets that it was given
	kind      kind
	number    int // of the site
	releases  int // that were made for it
}

// actor orders whatever a trial orders.
const actor = "trial"

// Site makes an environment with a stack, and waits until an agent of it leads. Close it in any case.
func (l *Lab) Site(ctx context.Context, k stack, settings wire.Settings) (*Site, error) {
	l.mu.Lock()
	l.sites++
	number := l.sites
	l.mu.Unlock()
	environment := fmt.Sprintf("%s%d-%d", prefix[len("meter-"):], os.Getpid(), number)
	settings.Schema, settings.Environment = wire.Schema, environment
	s := &Site{lab: l, state: filepath.Join(l.Dir, environment), settings: settings, number: number, stack: k, questions: k.questions}
	s.target = remote.New(remote.Options{
		Runner: l.runner, Dir: l.Root, Env: l.Env, Environment: environment, State: l.Dir, Log: func(string, ...any) {},
	})
	if err := s.open(ctx); err != nil {
		return s, fmt.Errorf("set up %s: %w", environment, err)
	}
	return s, nil
}

func (s *Site) open(ctx context.Context) error {
	dockerfile, err := os.ReadFile(filepath.Join(s.lab.Root, "docker", "agent", "Dockerfile"))
	if err != nil {
		return err
	}
	if s.port, err = freeport.Find(ctx); err != nil {
		return err
	}
	if err := os.MkdirAll(s.state, 0o755); err != nil {
		return err
	}
	if s.lab.place != nil {
		if err := s.lab.place(s.state); err != nil {
			return err
		}
	}
	_, err = s.target.Prepare(ctx, remote.Agent{
		Source: s.lab.Root, Scratch: s.lab.Dir, Dockerfile: dockerfile, Base: s.lab.standins["docker-cli"],
	})
	if err != nil {
		return err
	}
	if err := s.putBundle(ctx); err != nil {
		return err
	}
	secrets, canaries := s.stack.secrets()
	s.canaries = canaries
	return s.target.PutSecrets(ctx, secrets)
}

// putBundle brings the files to the site, as the settings are now.
func (s *Site) putBundle(ctx context.Context) error {
	b, err := s.stack.bundle(s)
	if err != nil {
		return err
	}
	if b["settings.json"], err = json.Marshal(s.settings); err != nil {
		return err
	}
	s.bundle, err = s.target.PutBundle(ctx, b)
	return err
}

// URL is where users come.
func (s *Site) URL() string { return fmt.Sprintf("http://127.0.0.1:%d", s.port) }

// Close takes the site away.
func (s *Site) Close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Minute)
	defer cancel()
	var errs []error
	for _, kind := range []struct{ list, remove string }{
		{"ps --all --quiet --filter label=meter.environment=", "rm --force --volumes"},
		{"volume ls --quiet --filter label=com.docker.compose.project=meter-", "volume rm --force"},
		{"network ls --quiet --filter label=meter.environment=", "network rm"},
	} {
		listed, err := s.lab.docker(ctx, strings.Fields(kind.list+s.target.Environment)...)
		errs = append(errs, err)
		if all := strings.Fields(listed); len(all) > 0 {
			_, err = s.lab.docker(ctx, append(strings.Fields(kind.remove), all...)...)
			errs = append(errs, err)
		}
	}
	return errors.Join(append(errs, unmountBelow(s.lab.Dir), os.RemoveAll(s.state))...)
}

// order hands over where to go, and returns the order's ID.
func (s *Site) order(ctx context.Context, r rollout.Revision) (string, error) {
	r.Bundle = s.bundle
	return s.target.Order(ctx, wire.Order{Kind: rollout.Forward, Revision: &r, Actor: actor, Reason: "a trial"})
}

// roll goes to a release, and waits for what becomes of it.
func (s *Site) roll(ctx context.Context, r rollout.Revision) (wire.Result, error) {
	id, err := s.order(ctx, r)
	if err != nil {
		return wire.Result{}, err
	}
	return s.result(ctx, id)
}

// result waits until an order has come to its end. It reads the file, so that nothing has to be alive for it.
func (s *Site) result(ctx context.Context, id string) (wire.Result, error) {
	for {
		content, err := os.ReadFile(wire.Layout{Dir: s.state}.Result(id))
		if err == nil {
			var r wire.Result
			if err := json.Unmarshal(content, &r); err != nil {
				return r, fmt.Errorf("read result of %s: %w", id, err)
			}
			return r, nil
		}
		if !errors.Is(err, os.ErrNotExist) {
			return wire.Result{}, err
		}
		if err := retry.Sleep(ctx, 20*time.Millisecond); err != nil {
			return wire.Result{}, fmt.Errorf("wait for the end of order %s: %w", id, err)
		}
	}
}

// becomes rolls a release out and demands that it serves then.
func (s *Site) becomes(ctx context.Context, r rollout.Revision) error {
	result, err := s.roll(ctx, r)
	if err == nil && result.State != wire.Succeeded {
		err = fmt.Errorf("roll out %s: %s: %s", r.Release, result.State, result.Reason)
	}
	return err
}

// awaits waits for an entry in the audit log since a time.
func (s *Site) awaits(ctx context.Context, since time.Time, what string, is func(journal.Entry) bool) error {
	for {
		all, err := s.entries(ctx, since)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(all, is) {
			return nil
		}
		if err := retry.Sleep(ctx, 10*time.Millisecond); err != nil {
			return fmt.Errorf("wait for %s in the audit log: %w", what, err)
		}
	}
}

// consistent demands what must hold at the end of everything: one release serves, as release.json says, with all the
// weight and healthy; nothing runs beside it; and the chain of the audit log is whole.
func (s *Site) consistent(ctx context.Context, release string) error {
	report, err := journal.Verify(ctx, s.state, journal.Anchor{})
	if err == nil {
		err = report.Err()
	}
	if err != nil {
		return err
	}
	state, err := rollout.Read(s.state)
	switch {
	case err != nil:
		return err
	case state.Roll != nil:
		return fmt.Errorf("a roll-out is still under way: %s to %s", state.Roll.ID, state.Roll.Phase)
	case state.Current == nil || state.Current.Release != release:
		return fmt.Errorf("release.json says that %+v serves, not %s", state.Current, release)
	}
	return s.runsOnly(ctx, *state.Current)
}

// runsOnly asks the engine and the proxy what really runs.
func (s *Site) runsOnly(ctx context.Context, r rollout.Revision) error {
	listed, err := s.lab.docker(ctx, "ps", "--filter", "label=meter.environment="+s.target.Environment, "--filter", "label=meter.slot",
		"--format", `{{.Label "meter.slot"}} {{.Label "meter.release"}} {{.Label "meter.image"}}`)
	if err != nil {
		return err
	}
	want := fmt.Sprintf("%s %s %s", r.Slot, r.Release, r.Images[s.settings.Serving])
	if strings.TrimSpace(listed) != want {
		return fmt.Errorf("in the slots runs %q, and should %q", listed, want)
	}
	weights, err := s.weights(ctx)
	if err == nil && (weights[r.Slot] != 100 || weights[r.Slot.Other()] != 0) {
		err = fmt.Errorf("the proxy's weights are %v, and %s serves", weights, r.Slot)
	}
	return err
}

// weights are those that the proxy has, by its own word, in percent.
func (s *Site) weights(ctx context.Context) (rollout.Weights, error) {
	connection, err := (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(s.state, "run", "haproxy.sock"))
	if err != nil {
		return nil, err
	}
	defer func() { _ = connection.Close() }()
	if err := connection.SetDeadline(time.Now().Add(2 * time.Second)); err != nil {
		return nil, err
	}
	if _, err := io.WriteString(connection, "show stat -1 4 -1\n"); err != nil {
		return nil, err
	}
	content, err := io.ReadAll(io.LimitReader(connection, 1<<20))
	if err != nil {
		return nil, err
	}
	return readWeights(string(content))
}

// readWeights reads the CSV of HAProxy's `show stat`.
func readWeights(csv string) (rollout.Weights, error) {
	lines := strings.Split(strings.TrimSpace(strings.TrimPrefix(csv, "# ")), "\n")
	columns := map[string]int{}
	for i, name := range strings.Split(lines[0], ",") {
		columns[name] = i
	}
	weights := rollout.Weights{}
	for _, line := range lines[1:] {
		fields := strings.Split(line, ",")
		if len(fields) <= columns["weight"] || columns["weight"] == 0 {
			return nil, fmt.Errorf("read weights: %q", shorten(csv, 200))
		}
		var weight int
		if _, err := fmt.Sscan(fields[columns["weight"]], &weight); err == nil {
			weights[rollout.Slot(fields[columns["svname"]])] = weight
		}
	}
	// The proxy's own are only shares of each other.
	if sum := weights[rollout.Blue] + weights[rollout.Green]; sum > 0 {
		for slot := range weights {
			weights[slot] = 100 * weights[slot] / sum
		}
	}
	return weights, nil
}
