package deploy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/rollout"
	"github.com/meter-ml/meter-pipeline/internal/rollout/agent/wire"
	"github.com/meter-ml/meter-pipeline/internal/rollout/remote"
)

// fresh is how old the agent's view may be.
const fresh = 20 * time.Second

// smoke asks what serves now: each part for itself, and then all of them together, as a user of them would.
func (d deployer) smoke(ctx context.Context, scope engine.Scope) (engine.Judgement, error) {
	target := d.target(scope)
	status, err := target.Status(ctx)
	if err != nil {
		return engine.Judgement{}, err
	}
	if age := d.Now().Sub(status.Written); age > fresh {
		return engine.Judgement{}, fmt.Errorf("ask what serves: the agent's last word is %s old: see `docker logs %s-agent-1`", age.Round(time.Second), target.Project())
	}
	j := parts(status)
	if len(j.Findings) > 0 {
		return j, nil
	}
	err = target.Smoke(ctx, scope.Log)
	if errors.Is(err, remote.ErrRefused) {
		j.Findings = append(j.Findings, engine.Finding{
			Rule: "smoke", Severity: engine.SeverityHigh, Message: err.Error(), Help: "its log says which part gave which answer",
		})
		return j, nil
	}
	j.Judged++ // all of them together
	return j, err
}

// parts judges what the agent sees of each.
func parts(s wire.Status) engine.Judgement {
	j := engine.Judgement{Unit: "parts"}
	wrong := func(what, why string) {
		j.Findings = append(j.Findings, engine.Finding{
			Rule: "unhealthy", Severity: engine.SeverityHigh, Message: fmt.Sprintf("%s: %s", what, why), Help: "`docker logs` of its container says more",
		})
	}
	j.Judged++
	if s.Current == nil {
		wrong(s.Environment, "nothing was ever deployed to it")
		return j
	}
	if s.Trouble != "" {
		wrong(s.Environment, s.Trouble)
	}
	serving := s.Slots[s.Current.Slot]
	switch {
	case s.Roll != nil:
		j.Notes = append(j.Notes, fmt.Sprintf("%s is under way", s.Roll.ID))
	case serving.Release != s.Current.Release || serving.Digest != s.Current.Digest:
		wrong(string(s.Current.Slot), fmt.Sprintf("%s should run there, and %s does", s.Current.Release, cmp.Or(serving.Release, "nothing")))
	case serving.Weight != 100:
		wrong(string(s.Current.Slot), fmt.Sprintf("it has %d %% of the traffic", serving.Weight))
	}
	for _, slot := range []rollout.Slot{rollout.Blue, rollout.Green} {
		if seen := s.Slots[slot]; seen.Weight > 0 && !seen.Healthy {
			wrong(string(slot), "it is not healthy: "+seen.Reason)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.Services)) {
		j.Judged++
		if service := s.Services[name]; !service.Healthy {
			wrong(name, cmp.Or(service.Reason, "it is not healthy"))
		}
	}
	return j
}
