package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/meter-ml/meter-pipeline/internal/plain"
	"github.com/meter-ml/meter-pipeline/internal/rollout"
	"github.com/meter-ml/meter-pipeline/internal/rollout/agent/wire"
	"github.com/meter-ml/meter-pipeline/internal/rollout/journal"
)

func (c *call) serve(ctx context.Context) error {
	if c.environment == "" {
		return usage{errors.New("-environment needs the name of the environment")}
	}
	if c.project == "" {
		c.project = "meter-" + c.environment
	}
	New(Config{
		State: c.layout.Dir, Environment: c.environment, Project: c.project, Holder: c.Name, Version: c.Build, Now: c.Now, Log: c.Err,
		Target: c.Target(c.layout.Dir, c.environment, c.project),
	}).Serve(ctx)
	return nil
}

func (c *call) order(ctx context.Context) error {
	o, err := wire.DecodeOrder(c.In)
	if err != nil {
		return usage{err}
	}
	if o.Revision != nil {
		if _, err := os.Stat(c.layout.Settings(o.Revision.Bundle)); err != nil {
			return usage{fmt.Errorf("the bundle %s is not on the target: put it there first", o.Revision.Bundle)}
		}
	}
	id, err := place(ctx, c.layout, c.Now(), o)
	if errors.Is(err, errTaken) {
		return failed{err}
	}
	if err != nil {
		return err
	}
	return c.print("%s", id)
}

func (c *call) putBundle(context.Context) error {
	digest, err := putBundle(c.layout, c.In)
	if errors.Is(err, errInput) {
		return usage{err}
	}
	if err != nil {
		return err
	}
	state, err := rollout.Read(c.layout.Dir)
	if err != nil {
		return err
	}
	if err := prune(c.layout, state, c.Now()); err != nil {
		return err
	}
	return c.print("%s", digest)
}

func (c *call) putSecrets(context.Context) error {
	secrets, err := wire.DecodeSecrets(c.In)
	if err != nil {
		return usage{err}
	}
	return putSecrets(c.layout, secrets)
}

// ask leaves a request for the roll-out under way. The driver heeds it within moments, or says why it does not.
func (c *call) ask(a rollout.Action) error {
	if c.actor == "" || c.reason == "" || plain.Line(c.actor) != c.actor || plain.Line(c.reason) != c.reason {
		return usage{errors.New("-actor and -reason need one line each: the audit log says who and why")}
	}
	state, err := rollout.Read(c.layout.Dir)
	if err != nil {
		return err
	}
	if state.Roll == nil {
		return failed{rollout.ErrIdle}
	}
	err = rollout.Requests{Dir: c.layout.Requests()}.Put(c.Now(), rollout.Request{Roll: state.Roll.ID, Action: a, Actor: c.actor, Reason: c.reason})
	if err != nil {
		return err
	}
	return c.print("asked %s to %s", state.Roll.ID, a)
}

// smoke asks all parts together. It changes nothing, so it needs no lease.
func (c *call) smoke(ctx context.Context) error {
	state, err := rollout.Read(c.layout.Dir)
	if err != nil {
		return err
	}
	if state.Current == nil {
		return failed{errors.New("no release was done on this target yet")}
	}
	status, err := readStatus(c.layout)
	if err != nil && (c.environment == "" || c.project == "") {
		return err
	}
	if c.environment == "" {
		c.environment = status.Environment
	}
	if c.project == "" {
		c.project = status.Project
	}
	target, err := c.Target(c.layout.Dir, c.environment, c.project)(ctx)
	if err != nil {
		return err
	}
	err = target.Verify(ctx, *state.Current)
	if closed := target.Close(); closed != nil {
		return errors.Join(err, closed)
	}
	if err != nil {
		return failed{err}
	}
	return c.print("%s: all parts work together", state.Current.Release)
}

func readStatus(layout wire.Layout) (wire.Status, error) {
	file, err := os.Open(layout.Status())
	if err != nil {
		return wire.Status{}, fmt.Errorf("read status: no agent has led here yet: %w", err)
	}
	s, err := wire.DecodeStatus(file)
	return s, errors.Join(err, file.Close())
}

func (c *call) verify(ctx context.Context) error {
	anchor, err := parseAnchor(c.anchor)
	if err != nil {
		return usage{err}
	}
	report, err := journal.Verify(ctx, c.layout.Dir, anchor)
	if err != nil {
		return err
	}
	if err := c.print("%s", report); err != nil {
		return err
	}
	if report.Err() != nil {
		return failed{errors.New("the audit log is not what was written: see which entries, and compare with its anchors")}
	}
	return nil
}

// parseAnchor reads HASH:N; the empty text is no anchor.
func parseAnchor(text string) (journal.Anchor, error) {
	if text == "" {
		return journal.Anchor{}, nil
	}
	hash, number, _ := strings.Cut(text, ":")
	n, err := strconv.ParseUint(number, 10, 64)
	if err != nil || n == 0 || len(hash) != 64 || strings.Trim(hash, "0123456789abcdef") != "" {
		return journal.Anchor{}, errors.New("-anchor is HASH:N, as `head` prints it")
	}
	return journal.Anchor{Sequence: n, Hash: hash}, nil
}

func (c *call) head(ctx context.Context) error {
	report, err := journal.Verify(ctx, c.layout.Dir, journal.Anchor{})
	if err != nil {
		return err
	}
	if err := report.Err(); err != nil { // what is damaged must not be anchored as if it were whole
		return failed{err}
	}
	return c.print("%s:%d", report.Head.Hash, report.Head.Sequence)
}

func (c *call) version(context.Context) error { return c.print("%s", c.Build) }

func (c *call) history(ctx context.Context) error {
	var all chronicle
	err := journal.Read(ctx, c.layout.Dir, func(e journal.Entry) error {
		all.see(e)
		return nil
	})
	if errors.Is(err, journal.ErrDamaged) { // tell what there is, and that it can't be relied on
		defer func() { _, _ = fmt.Fprintf(c.Err, "meteragent history: %s\n", plain.Line(err.Error())) }()
	} else if err != nil {
		return err
	}
	slices.Reverse(all.deployments)
	if c.number > 0 && c.number < len(all.deployments) {
		all.deployments = all.deployments[:c.number]
	}
	for _, d := range all.deployments {
		if c.json {
			content, err := json.Marshal(d.Deployment)
			if err != nil {
				return fmt.Errorf("write history: %w", err)
			}
			if err := c.print("%s", content); err != nil {
				return err
			}
			continue
		}
		if err := c.print("%s", tell(d.Deployment)); err != nil {
			return err
		}
	}
	if err != nil {
		return failed{errors.New("the audit log is damaged: see `verify`")}
	}
	return nil
}
