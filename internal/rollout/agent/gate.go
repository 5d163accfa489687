package agent

import (
	"fmt"
	"slices"
	"strings"

	"github.com/meter-ml/meter-pipeline/internal/rollout"
	"github.com/meter-ml/meter-pipeline/internal/rollout/agent/wire"
)

// judgeGate decides whether a forward order may be done. The deployer has verified the statements against the policy of
// the repository; the agent demands that there are any, and that they are about what is to be rolled out.
func judgeGate(s wire.Settings, o wire.Order) (rollout.Verdict, error) {
	g := o.Gate
	switch {
	case g.BreakGlass != "":
		return rollout.Verdict{Message: fmt.Sprintf("%s broke the glass: %s", o.Actor, g.BreakGlass), Detail: g}, nil
	case len(g.Accepted) == 0 && s.Gate == wire.GateRequired:
		return rollout.Verdict{}, fmt.Errorf("gate: %s needs evidence, and the order of %s has none: roll it out with its evidence, or break the glass", s.Environment, o.Target())
	case len(g.Accepted) == 0:
		return rollout.Verdict{Message: s.Environment + " needs no evidence"}, nil
	}
	about := func(statement wire.Statement) bool { return strings.Contains(statement.Subject, o.Revision.Digest) }
	if !slices.ContainsFunc(g.Accepted, about) {
		return rollout.Verdict{}, fmt.Errorf("gate: none of the %d accepted statements is about %s", len(g.Accepted), o.Revision.Digest)
	}
	return rollout.Verdict{Message: fmt.Sprintf("%d statements were accepted", len(g.Accepted)), Detail: brief(g)}, nil
}

// brief is what the audit log has room for.
func brief(g wire.Gate) wire.Gate {
	out := wire.Gate{Accepted: slices.Clone(g.Accepted)}
	if len(out.Accepted) > 30 {
		for i, s := range out.Accepted {
			out.Accepted[i] = wire.Statement{Digest: s.Digest}
		}
	}
	return out
}
