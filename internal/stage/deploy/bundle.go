package deploy

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/rollout/agent/wire"
	"github.com/meter-ml/meter-pipeline/internal/rollout/remote"
)

// bundle is all that says how the release runs. Whoever rolls back to it later runs it with the same.
func (d deployer) bundle(scope engine.Scope, variables config.Variables) (remote.Bundle, error) {
	b := remote.Bundle{}
	for name, path := range d.sources() {
		content, err := os.ReadFile(filepath.Join(scope.Root, filepath.FromSlash(path)))
		if err != nil {
			return nil, fmt.Errorf("pack %s: %w", path, err)
		}
		b[name] = content
	}
	environment, err := d.environment(scope, variables)
	if err != nil {
		return nil, err
	}
	b["environment"] = environment
	settings := d.settings()
	if err := settings.Check(); err != nil {
		return nil, fmt.Errorf("pack settings of %s: %w", d.Environment, err)
	}
	content, err := json.MarshalIndent(settings, "", "  ")
	b["settings.json"] = append(content, '\n')
	return b, err
}

// environment are the variables of the Compose files, a line each. No secret is among them.
func (d deployer) environment(scope engine.Scope, variables config.Variables) ([]byte, error) {
	all := map[string]string{
		"POSTGRES_IMAGE": d.project.Deploy.Postgres, "PROXY_IMAGE": d.project.Deploy.Proxy, "PUBLISH_ADDRESS": d.to.Publish,
		"PROXY_PORT": strconv.Itoa(d.to.Ports.Proxy), "MLFLOW_PORT": strconv.Itoa(d.to.Ports.MLflow), "AIRFLOW_PORT": strconv.Itoa(d.to.Ports.Airflow),
	}
	for name := range all {
		if v := scope.Env[name]; v != "" {
			all[name] = v
		}
	}
	for _, v := range variables {
		if !v.Secret && v.Value != "" {
			all[v.Name] = v.Value
		}
	}
	all["METER_ENVIRONMENT"] = d.Environment
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if strings.ContainsAny(all[name], "\n\r\x00") {
			return nil, fmt.Errorf("pack variables of %s: %s has more than one line", d.Environment, name)
		}
		fmt.Fprintf(&b, "%s=%s\n", name, all[name])
	}
	return []byte(b.String()), nil
}

func (d deployer) settings() wire.Settings {
	t, j := d.to.Times, d.to.Judge
	s := wire.Settings{
		Schema: wire.Schema, Environment: d.Environment, Gate: wire.GateOptional, Serving: d.project.Deploy.Serves, Services: d.project.Deploy.Once,
		Times: wire.Times{
			Pull: wire.Duration(t.Pull), Migrate: wire.Duration(t.Migrate), Ready: wire.Duration(t.Ready), Smoke: wire.Duration(t.Smoke),
			Replace: wire.Duration(t.Replace), Verify: wire.Duration(t.Verify), Drain: wire.Duration(t.Drain), Blind: wire.Duration(t.Blind), Poll: wire.Duration(t.Poll),
		},
		Judge: wire.Plan{
			Alpha: j.Alpha, Guard: j.Guard, MinRequests: int64(j.Requests), Slower: j.Slower, Predictions: j.Predictions, Shift: j.Shift,
		},
		Synthetic: wire.SyntheticSettings{Rate: d.to.Synthetic.Rate},
	}
	if d.to.Gate != "" {
		s.Gate = wire.GateRequired
	}
	for _, step := range d.to.Steps {
		s.Judge.Steps = append(s.Judge.Steps, wire.Step{Weight: step.Weight, Window: wire.Duration(step.Window), Deadline: wire.Duration(step.Deadline)})
	}
	return s
}
