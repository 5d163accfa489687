package pipeline

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/evidence"
	"github.com/meter-ml/meter-pipeline/internal/stage/benchmark"
	"github.com/meter-ml/meter-pipeline/internal/stage/data"
	"github.com/meter-ml/meter-pipeline/internal/stage/image"
	"github.com/meter-ml/meter-pipeline/internal/stage/integration"
	"github.com/meter-ml/meter-pipeline/internal/stage/production"
	"github.com/meter-ml/meter-pipeline/internal/stage/quality"
	"github.com/meter-ml/meter-pipeline/internal/stage/security"
	"github.com/meter-ml/meter-pipeline/internal/stage/staging"
	"github.com/meter-ml/meter-pipeline/internal/stage/unit"
	"github.com/meter-ml/meter-pipeline/internal/worktree"
)

// A WholeRequest asks for the pipeline as a person does.
type WholeRequest struct {
	Environment string // local: a rehearsal on this machine; empty: what the branch asks for
	Reason      string
	Keep        bool
	Verbose     bool
}

// Whole runs the pipeline for the current branch, or rehearses it.
func Whole(r WholeRequest) Action {
	switch r.Environment {
	case "":
		return Full(FullRequest{Verbose: r.Verbose, Reason: r.Reason})
	case "local":
		return Rehearse(RehearseRequest{Keep: r.Keep, Verbose: r.Verbose})
	default:
		return func(context.Context, *Session) error {
			return &Exit{Code: engine.ExitUsage, Message: fmt.Sprintf("the pipeline goes where the branch says, or with -env=local through a rehearsal on this machine: to deploy to %s, `mage deploy:%[1]s`", r.Environment)}
		}
	}
}

// A FullRequest asks for the whole pipeline.
type FullRequest struct {
	Verbose bool
	Reason  string
}

// Full runs what the current branch asks for: all stages that judge; and where a push of the branch is deployed, the
// deploy. Where the environment promotes what is done in another one, what was done there is promoted, and what was not is
// brought there first.
func Full(r FullRequest) Action {
	return func(ctx context.Context, s *Session) error {
		source, err := worktree.Inspect(ctx, s.Runner, s.Host.Dir, unsigning(s.Host.Env), worktree.CIFrom(s.Host.Get))
		if err != nil {
			return err
		}
		f := full{Session: s, request: r}
		branch := pushedBranch(source)
		to := f.deployedTo(branch)
		switch {
		case to == "":
			s.say("stages 1 to 7: a push of %s is deployed nowhere (branch of an environment in pipeline.yaml)", cmp.Or(branch, "no branch"))
			return f.judge(ctx)
		case s.Project.Environments[to].Promotes == "":
			s.say("stages 1 to 8: a push of %s is deployed to %s", branch, to)
			return f.thenTell(ctx, to, func() error { return f.stage(ctx, to) })
		}
		return f.release(ctx, to, source)
	}
}

// pushedBranch is the branch whose push this is.
func pushedBranch(source worktree.Source) string {
	if source.CI.Ref != "" {
		return source.CI.Branch() // a pull request, and a tag, is no push of a branch
	}
	return source.Branch
}

// full is a run of the whole pipeline.
type full struct {
	*Session

	request FullRequest
}

// deployedTo is the environment that a push of a branch goes to; empty if there is none.
func (s *Session) deployedTo(branch string) string {
	for _, name := range s.Project.EnvironmentNames() {
		if branch != "" && s.Project.Environments[name].Branch == branch {
			return name
		}
	}
	return ""
}

// judges are the stages that need no engine, the cheap ones first.
func judges(h Host) []engine.Stage {
	return []engine.Stage{quality.New(), security.New(h.Now()), unit.New(unit.Options{Now: h.Now()}), data.New(dataOptions(h))}
}

// judge is everything but the deploys. Nothing is pushed.
func (f full) judge(ctx context.Context) error {
	recipe := func(h Host) []engine.Stage {
		return append(judges(h),
			image.New(image.Options{Models: trainedBy, Today: h.Now()}),
			integration.New(integration.Options{Get: h.Get}),
			benchmark.New(benchmark.Options{Models: trainedBy, Now: h.Now()}),
		)
	}
	return f.Judge(ctx, Request{Target: "pipeline", Stages: recipe, Evidence: true, Notify: true, Verbose: f.request.Verbose})
}

// stage judges, builds, pushes and names what is checked out, and brings it to an environment.
func (f full) stage(ctx context.Context, to string) error {
	before, err := f.ran(judges(f.Host)...)
	if err != nil {
		return err
	}
	recipe := func(h Host) []engine.Stage {
		o := f.deployOptions(DeployRequest{Environment: to, Reason: f.request.Reason})
		o.After = slices.Concat(before, []string{"image:tag"})
		return append(judges(h),
			image.New(image.Options{Models: trainedBy, Today: h.Now(), Deliver: &image.Delivery{Get: h.Get}}),
			integration.New(integration.Options{Get: h.Get}),
			benchmark.New(benchmark.Options{Models: trainedBy, Now: h.Now()}),
			staging.New(o),
		)
	}
	return f.Judge(ctx, Request{Target: "pipeline", Stages: recipe, Evidence: true, Notify: true, Verbose: f.request.Verbose})
}

// ran are the steps of some stages that do run here: what is skipped can't be waited for.
func (f full) ran(stages ...engine.Stage) ([]string, error) {
	var names []string
	for _, stage := range stages {
		steps, err := stage.Steps(f.Project)
		if err != nil {
			return nil, err
		}
		for _, step := range steps {
			if step.Skip == "" {
				names = append(names, stage.Name()+":"+step.Name)
			}
		}
	}
	return names, nil
}

// release brings what is checked out to an environment that promotes another's. Production never waits for a push of a
// branch that is not its own.
func (f full) release(ctx context.Context, to string, source worktree.Source) error {
	from := f.Project.Environments[to].Promotes
	staged, err := f.staged(ctx, source)
	if err != nil {
		return err
	}
	if staged {
		f.say("stages 8 and 9: the tree of this commit is done on %s, so its images are promoted to %s", from, to)
		return f.thenTell(ctx, to, func() error { return f.promote(ctx, to) })
	}
	f.say("stages 1 to 9: nothing of this tree is done on %s, so that comes first", from)
	if err := f.thenTell(ctx, from, func() error { return f.stage(ctx, from) }); err != nil {
		return err
	}
	if f.ID, err = engine.NewRunID(f.Host.Now(), rand.Reader); err != nil {
		return err
	}
	return f.thenTell(ctx, to, func() error {
		return f.Judge(ctx, Request{
			Target: "pipeline", Evidence: true, Notify: true, Verbose: f.request.Verbose,
			Stages: func(Host) []engine.Stage { return []engine.Stage{f.production(to)} },
		})
	})
}

// staged reports whether images of the same source tree are done on staging.
func (s *Session) staged(ctx context.Context, source worktree.Source) (bool, error) {
	if source.Dirty {
		return false, nil
	}
	client, err := s.registry()
	if err != nil {
		return false, err
	}
	images, err := image.Staged(ctx, client, s.Project, s.Host.Get("METER_REGISTRY"), source.Tree)
	return images != nil, err
}

func (f full) production(to string, after ...string) engine.Stage {
	o := f.deployOptions(DeployRequest{Environment: to, Reason: f.request.Reason})
	o.After = slices.Clone(after)
	return production.New(o)
}

// promote takes images over by their source tree, and names them once they serve.
func (f full) promote(ctx context.Context, to string) error {
	keys, err := f.promotionKeys()
	if err != nil {
		return err
	}
	return f.Judge(ctx, Request{
		Target: "pipeline", Evidence: true, Notify: true, Verbose: f.request.Verbose,
		Stages: func(Host) []engine.Stage {
			return []engine.Stage{image.NewPromote(keys, "production:smoke"), f.production(to, "image:promote")}
		},
	})
}

// promotionKeys are those by which an image's origin is believed.
func (s *Session) promotionKeys() ([]evidence.PublicKey, error) {
	keys, err := evidence.LoadPublicKeys(s.Host.Get)
	if errors.Is(err, evidence.ErrNoKey) {
		return nil, &Exit{Code: engine.ExitUsage, Message: fmt.Sprintf("promote: %v: without it nobody can say what the images were made of", err)}
	}
	if err != nil {
		return nil, &Exit{Code: engine.ExitUsage, Message: err.Error()}
	}
	return keys, nil
}

// ImageDeliver builds, judges, pushes and names the images of what is checked out. On a branch that promotes what is done
// on another's environment, images of the same source tree are taken over instead: a merge builds nothing anew.
func ImageDeliver(push image.PushOptions, verbose bool) Action {
	return func(ctx context.Context, s *Session) error {
		request := Request{Target: "image:release", Stages: ImageRelease(push), Evidence: true, Verbose: verbose}
		source, err := worktree.Inspect(ctx, s.Runner, s.Host.Dir, unsigning(s.Host.Env), worktree.CIFrom(s.Host.Get))
		if err != nil {
			return err
		}
		to := s.deployedTo(pushedBranch(source))
		if to == "" || s.Project.Environments[to].Promotes == "" {
			return s.Judge(ctx, request)
		}
		staged, err := s.staged(ctx, source)
		if err != nil {
			return err
		}
		if staged {
			keys, err := s.promotionKeys()
			if err != nil {
				return err
			}
			s.say("the tree of this commit is done on %s: its images are promoted, and nothing is built", s.Project.Environments[to].Promotes)
			request.Stages = func(Host) []engine.Stage { return []engine.Stage{image.NewPromote(keys)} }
		}
		return s.Judge(ctx, request)
	}
}
