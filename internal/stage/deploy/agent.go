package deploy

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/rollout/remote"
)

// agentDockerfile is of the agent's image, in the module that has the agent.
const agentDockerfile = "docker/agent/Dockerfile"

// agent brings the target to where it takes orders.
func (d deployer) agent(ctx context.Context, scope engine.Scope) (engine.Judgement, error) {
	j := engine.Judgement{Unit: "agents"}
	module := cmp.Or(d.Module, scope.Root)
	dockerfile, err := os.ReadFile(filepath.Join(module, filepath.FromSlash(agentDockerfile)))
	if err != nil {
		return j, fmt.Errorf("read the agent's Dockerfile: %w", err)
	}
	prepared, err := d.target(scope).Prepare(ctx, remote.Agent{
		Source: module, Scratch: scope.Scratch, Dockerfile: dockerfile, Base: cmp.Or(scope.Env["METER_AGENT_BASE"], d.project.Deploy.Agent),
	})
	if err != nil {
		return j, err
	}
	client, err := d.connect(scope)
	if err != nil {
		return j, err
	}
	// Only now is there somebody who can be asked, if there was not before: a log that is gone shows here.
	findings, note, err := d.chain(ctx, client, d.target(scope), AnchorRepository(d.project, scope.Env["METER_REGISTRY"]))
	if err != nil {
		return j, err
	}
	j.Judged, j.Findings = remote.Agents, findings
	j.Notes = append(j.Notes, note)
	j.Notes = append(j.Notes, fmt.Sprintf("engine %s on %s, agents of %s", prepared.Engine, prepared.Platform, prepared.Image))
	if len(prepared.Replaced) > 0 {
		j.Notes = append(j.Notes, "started: "+strings.Join(prepared.Replaced, ", "))
	}
	if prepared.Kept != "" {
		j.Warnings = append(j.Warnings, prepared.Kept)
	}
	return j, nil
}
