// Package deploy brings a release to an environment: what the stages staging and production, and a deploy to a laptop,
// have in common. Each part is a step, judged like any other.
//
// configure.go asks whether the environment is complete before anything is changed; images.go says what is to be
// deployed, by digest; gate.go holds it against the evidence; agent.go brings the agent to the target; roll.go hands the
// release over and watches it to its end; smoke.go asks what serves then; anchor.go keeps the head of the audit log
// elsewhere. How a release takes over traffic is the agent's business, on the target: whatever becomes of this process.
package deploy

import (
	"cmp"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/rollout/remote"
)

// Options are what a deploy takes from the world.
type Options struct {
	Environment string // a key of environments in pipeline.yaml
	Stage       string // name of the stage; empty: the environment's
	After       []string
	Release     string // version or commit whose images are deployed; empty: those of this run, else of the commit
	Again       bool   // also if the same release serves already: what changed are secrets
	Actor       string // who asks for it
	Reason      string
	BreakGlass  *string // why it goes without evidence; nil: it does not
	Generated   string  // directory of secrets that are made up; absolute
	Module      string  // directory of the Go module with the agent; empty: the project's root
	Now         func() time.Time
}

// Names of the steps, as policies of evidence name them.
const (
	gateName      = "gate"
	configureName = "configure"
	imagesName    = "images"
	agentName     = "agent"
	deployName    = "deploy"
	smokeName     = "smoke"
	anchorName    = "anchor"
)

// deployer is one deploy to one environment.
type deployer struct {
	Options

	project *config.Project
	to      config.Environment
}

type stage struct{ options Options }

// New returns the stage that deploys to an environment.
func New(o Options) engine.Stage { return stage{o} }

func (s stage) Name() string { return cmp.Or(s.options.Stage, s.options.Environment) }

// Steps say whether it may be, and then do it. Each waits for the one before: nothing of a target is touched before all
// that can be known beforehand is known.
func (s stage) Steps(p *config.Project) ([]engine.Step, error) {
	d, err := newDeployer(p, s.options)
	if err != nil {
		return nil, err
	}
	steps := []engine.Step{
		{Name: configureName, Judges: "variables, secrets and files of the environment", Func: d.configure},
		{Name: imagesName, Judges: "what is to be deployed, by digest", Func: d.images},
	}
	if d.to.Gate != "" || d.BreakGlass != nil {
		steps = append(steps, engine.Step{Name: gateName, Judges: "the evidence of every image, and the audit log", Func: d.gate})
	}
	steps = append(steps,
		engine.Step{Name: agentName, Judges: "the target, and the agent on it", Func: d.agent},
		engine.Step{Name: deployName, Judges: "the roll-out, from the first weight to the last", Func: d.deploy},
		engine.Step{Name: smokeName, Judges: "what serves afterwards", Func: d.smoke},
		engine.Step{Name: anchorName, Judges: "the audit log, whose head is kept in the registry", Func: d.anchor},
	)
	for i := range steps {
		steps[i].Timeout = p.Run.Budgets[s.Name()].Std()
		steps[i].Rerun = "mage deploy:" + d.Environment
		steps[i].After = d.After
		if i > 0 {
			steps[i].After = []string{steps[i-1].Name}
		}
	}
	return steps, nil
}

func newDeployer(p *config.Project, o Options) (deployer, error) {
	to, ok := p.Environments[o.Environment]
	if !ok {
		return deployer{}, unknown(p, o.Environment)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return deployer{Options: o, project: p, to: to}, nil
}

// target is where it goes, for programs started by this step.
func (d deployer) target(scope engine.Scope) *remote.Target {
	return remote.New(remote.Options{
		Runner: runner(scope.Run), Dir: scope.Root, Env: entries(scope.Env), Context: d.to.DockerContext,
		Environment: d.Environment, State: d.project.Deploy.State, Log: scope.Log,
	})
}
