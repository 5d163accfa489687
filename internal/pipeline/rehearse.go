package pipeline

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/evidence"
	"github.com/meter-ml/meter-pipeline/internal/stage/deploy"
	"github.com/meter-ml/meter-pipeline/internal/stage/production"
	"github.com/meter-ml/meter-pipeline/internal/worktree"
)

// The environments of a rehearsal, in pipeline.yaml.
const (
	rehearsalStaging    = "rehearsal-staging"
	rehearsalProduction = "rehearsal-production"
)

// A RehearseRequest asks for a rehearsal.
type RehearseRequest struct {
	Keep    bool // leave all running, to be looked at
	Verbose bool
}

// Rehearse runs stages 1 to 9 on this machine, with real parts and no account anywhere: a registry in a container, a key
// that is kept nowhere, two environments side by side, users that never stop asking. It deploys twice, and goes back.
func Rehearse(r RehearseRequest) Action {
	return func(ctx context.Context, s *Session) (err error) {
		h := &rehearsal{full: full{s, FullRequest{Verbose: r.Verbose, Reason: "rehearsal"}}, keep: r.Keep, began: s.Host.Now()}
		if err := h.possible(ctx); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, h.end(ctx)) }()
		if err := h.borrow(ctx); err != nil {
			return err
		}
		return h.play(ctx)
	}
}

type rehearsal struct {
	full

	keep      bool
	began     time.Time
	container string // of the registry that was started; empty: none was
	done      []string
	users     *users
}

// possible says beforehand what would be found out late.
func (h *rehearsal) possible(ctx context.Context) error {
	for _, name := range []string{rehearsalStaging, rehearsalProduction} {
		if err := h.environment(name); err != nil {
			return err
		}
	}
	source, err := worktree.Inspect(ctx, h.Runner, h.Host.Dir, unsigning(h.Host.Env), worktree.CIFrom(h.Host.Get))
	if err != nil {
		return err
	}
	switch {
	case source.Absent != worktree.Present:
		return &Exit{Code: engine.ExitUsage, Message: fmt.Sprintf("rehearse: %s: evidence is about commits, so clone the repository", source.Absent)}
	case source.Dirty:
		return &Exit{Code: engine.ExitUsage, Message: "rehearse: the work tree differs from its commit, and production believes only in what was judged of a commit: commit or stash what `git status` shows"}
	}
	return nil
}

// borrow brings what a company has: a registry, and a key.
func (h *rehearsal) borrow(ctx context.Context) error {
	if h.Host.Get("METER_REGISTRY") == "" {
		host, err := h.startRegistry(ctx)
		if err != nil {
			return err
		}
		h.Host.Env = append(h.Host.Env, "METER_REGISTRY="+host)
	}
	private, public, err := evidence.Pair()
	if err != nil {
		return err
	}
	h.Host.Env = append(h.Host.Env, evidence.KeyVariable+"="+string(private), evidence.PasswordVariable+"=", evidence.PublicKeyVariable+"="+string(public))
	h.say("rehearsal: the registry is %s, and the key that signs evidence is of this run alone", h.Host.Get("METER_REGISTRY"))
	return nil
}

// play is the whole piece.
func (h *rehearsal) play(ctx context.Context) error {
	h.say("rehearsal, 1 of 4: stages 1 to 8, to %s", rehearsalStaging)
	if err := h.stage(ctx, rehearsalStaging); err != nil {
		return err
	}
	h.note("staging is done: the evidence about its images is signed, and in the registry")
	h.say("rehearsal, 2 of 4: stage 9, a first release on %s: nothing serves there yet", rehearsalProduction)
	if err := h.produce(ctx, false); err != nil {
		return err
	}
	h.note("production serves a first release, after its gate accepted the evidence")
	h.users = h.ask(ctx, rehearsalProduction)
	h.say("rehearsal, 3 of 4: a second release, blue-green, while users ask %d times a second", usersRate)
	if err := h.produce(ctx, true); err != nil {
		return err
	}
	h.note(h.users.so("the second release took over weight by weight"))
	h.say("rehearsal, 4 of 4: back to the first, by hand")
	if err := h.another(ctx, Request{
		Target: "deploy:rollback", Verbose: h.request.Verbose, Stages: func(Host) []engine.Stage {
			return []engine.Stage{deploy.NewRollback(h.deployOptions(DeployRequest{Environment: rehearsalProduction, Reason: "rehearsal"}))}
		},
	}); err != nil {
		return err
	}
	h.note(h.users.so("the first release serves again"))
	asked, failed := h.users.stop()
	h.users = nil
	if failed > 0 {
		return &Exit{Code: engine.ExitFailed, Message: fmt.Sprintf("rehearsal: %d of %d requests of users failed while releases changed", failed, asked)}
	}
	return h.tell()
}

// produce deploys what is done on staging. Again is the same once more, as a release of its own.
func (h *rehearsal) produce(ctx context.Context, again bool) error {
	return h.another(ctx, Request{
		Target: "pipeline", Evidence: true, Verbose: h.request.Verbose, Stages: func(Host) []engine.Stage {
			return []engine.Stage{production.New(h.deployOptions(DeployRequest{Environment: rehearsalProduction, Reason: "rehearsal", Again: again}))}
		},
	})
}

// another is a run of its own, with its own report.
func (h *rehearsal) another(ctx context.Context, request Request) (err error) {
	if h.ID, err = engine.NewRunID(h.Host.Now(), rand.Reader); err != nil {
		return err
	}
	return h.Judge(ctx, request)
}

func (h *rehearsal) note(text string) {
	h.done = append(h.done, fmt.Sprintf("%5s  %s", h.Host.Now().Sub(h.began).Round(time.Second), text))
}

// tell is what happened, and what can be looked at.
func (h *rehearsal) tell() error {
	text := "What happened:\n"
	for _, line := range h.done {
		text += "  " + line + "\n"
	}
	if !h.keep {
		return h.print(text + "Everything is taken down again; with -keep it stays to be looked at.\n")
	}
	text += "What is there to look at:\n"
	for _, name := range []string{rehearsalProduction, rehearsalStaging} {
		e := h.Project.Environments[name]
		text += fmt.Sprintf("  %s: predictions http://%[2]s:%[3]d/docs, MLflow http://%[2]s:%[4]d, Airflow http://%[2]s:%[5]d\n",
			name, e.Publish, e.Ports.Proxy, e.Ports.MLflow, e.Ports.Airflow)
	}
	return h.print(text + fmt.Sprintf("  mage deploy:status -env=%[1]s, mage deploy:history -env=%[1]s -v\n", rehearsalProduction))
}

// end takes down what was brought up, also after a failure: unless it is to be looked at.
func (h *rehearsal) end(ctx context.Context) error {
	if h.users != nil {
		h.users.stop()
	}
	if h.keep {
		h.say("all of it stays; to end it: mage deploy:down -env=%s -data; mage deploy:down -env=%s -data; docker rm --force --volumes %s",
			rehearsalProduction, rehearsalStaging, registryContainer)
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	var errs []error
	for _, name := range []string{rehearsalProduction, rehearsalStaging} {
		target, err := h.target(name)
		if err == nil {
			_, err = target.Down(ctx, true)
		}
		errs = append(errs, err)
	}
	return errors.Join(append(errs, h.stopRegistry(ctx))...)
}

// registryImage is what the rehearsal's registry runs.
func registryImage(s *Session) string {
	return cmp.Or(s.Host.Get("METER_REGISTRY_IMAGE"), s.Project.Deploy.Registry, config.Default(s.Host.Dir).Deploy.Registry)
}
