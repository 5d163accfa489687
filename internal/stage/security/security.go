// Package security is the second stage: what in the source, in its dependencies and in its history could be used
// against its owners. bandit judges the source, safety the locked requirements of the system, gitleaks the tree and
// every commit. It names what runs; the engine runs it.
//
// Each tool is one file: its arguments, and what its output means. What pipeline.yaml lets through, for a reason and
// until a date, is applied to all three alike.
package security

import (
	"slices"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/stage/python"
)

// name of the stage, as in `mage security:bandit`.
const name = "security"

// Names of the steps, and of the tools in pipeline.yaml's allow list.
const (
	bandit  = "bandit"
	safety  = "safety"
	secrets = "secrets"
)

type stage struct{ today time.Time }

// New returns the stage. Today decides which entries of the allow list still count, and how old a database is.
func New(today time.Time) engine.Stage { return stage{today} }

func (stage) Name() string { return name }

// Steps depend on nothing of each other: any of them may run first.
func (s stage) Steps(p *config.Project) ([]engine.Step, error) {
	allow := allowList{entries: p.Security.Allow, today: s.today}
	steps := []engine.Step{
		{
			Name: bandit, Judges: "security of the source", Needs: []engine.Need{engine.NeedPython},
			Inputs:  slices.Concat(p.Security.Bandit.Paths, []string{"pyproject.toml", ".bandit", config.FileName}),
			FailAt:  severity(p.Security.Bandit.Severity),
			Command: banditCommand(p, python.Look(p.Root, "security.bandit.paths", p.Security.Bandit.Paths), allow),
		},
		{
			Name: safety, Judges: "known vulnerabilities of the requirements", Needs: []engine.Need{safetyNeed(p)},
			Inputs: slices.Concat(p.Security.Safety.Requirements, []string{".safety-policy.yml", config.FileName}),
			Func:   safetyFunc(p, allow, s.today),
		},
		{
			Name: secrets, Judges: "secrets in tree and history", Needs: []engine.Need{engine.NeedGitleaks},
			Inputs: []string{"."}, HideFrames: true,
			Func: secretsFunc(p, allow),
		},
	}
	for i := range steps {
		steps[i].Timeout = p.Run.Budgets[name].Std()
		steps[i].Rerun = "mage " + name + ":" + steps[i].Name
	}
	return steps, nil
}

// severity of a word of pipeline.yaml or of a tool. A word that is unknown is no severity, which always fails.
func severity(word string) engine.Severity {
	switch word {
	case "low", "LOW":
		return engine.SeverityLow
	case "medium", "MEDIUM":
		return engine.SeverityMedium
	case "high", "HIGH":
		return engine.SeverityHigh
	default:
		return engine.SeverityNone
	}
}
