package deploy

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
)

// configure asks whether everything is there that the environment needs. Nothing has been changed by then, anywhere.
func (d deployer) configure(ctx context.Context, scope engine.Scope) (engine.Judgement, error) {
	j := engine.Judgement{Unit: "variables and files"}
	variables, err := d.variables(ctx, scope)
	if err != nil {
		return j, err
	}
	j.Judged = len(variables)
	file := "env/" + d.Environment + ".env"
	for _, v := range variables.Missing() {
		help := fmt.Sprintf("set it in %s, or in the process environment", file)
		if v.Secret {
			help = "it is a secret: set it in the process environment (in CI, a secret of the environment " + d.Environment + ")"
		}
		j.Findings = append(j.Findings, engine.Finding{
			Rule: "missing-variable", Severity: engine.SeverityHigh, Path: file, Message: v.Name + " has no value", Help: help,
		})
	}
	for directory, names := range d.project.OwnSecrets(d.Environment) {
		for _, name := range names {
			if value(variables, name) == "" && !d.optional(name) {
				j.Findings = append(j.Findings, engine.Finding{
					Rule: "missing-secret", Severity: engine.SeverityHigh, Message: fmt.Sprintf("%s, which %s reads, has no value", name, directory),
					Help: "set it in the process environment, or name it under generated of the environment in " + config.FileName,
				})
			}
		}
	}
	for name, path := range d.sources() {
		j.Judged++
		if _, err := os.Stat(filepath.Join(scope.Root, filepath.FromSlash(path))); err != nil {
			j.Findings = append(j.Findings, engine.Finding{
				Rule: "missing-file", Severity: engine.SeverityHigh, Path: path, Message: name + " can't be read", Help: "see deploy in " + config.FileName,
			})
		}
	}
	if d.BreakGlass != nil && *d.BreakGlass == "" {
		j.Findings = append(j.Findings, engine.Finding{
			Rule: "no-reason", Severity: engine.SeverityHigh, Message: "-breakGlass has no reason", Help: `say why it must go without evidence: -breakGlass="reason"; it is recorded, and raises an alert`,
		})
	}
	return j, nil
}

// variables are those of the environment, with the secrets that are made up where nobody has set them.
func (d deployer) variables(ctx context.Context, scope engine.Scope) (config.Variables, error) {
	variables, err := d.project.Environment(d.Environment, entries(scope.Env))
	if err != nil {
		return nil, err
	}
	made, err := d.generated(ctx, variables)
	if err != nil {
		return nil, err
	}
	for i := range variables {
		if v := &variables[i]; v.Value == "" && made[v.Name] != "" {
			v.Value = made[v.Name]
		}
	}
	return variables, nil
}

func value(variables config.Variables, name string) string {
	for _, v := range variables {
		if v.Name == name {
			return v.Value
		}
	}
	return ""
}

// optional are secrets without which an environment works: a registry that asks nobody who he is.
func (d deployer) optional(name string) bool {
	return name == "REGISTRY_USERNAME" || name == "REGISTRY_PASSWORD"
}

// sources are the files of the project that a release runs with, by what they are in the bundle.
func (d deployer) sources() map[string]string {
	p := d.project
	return map[string]string{
		"compose.yaml": p.Deploy.Compose, "compose." + d.Environment + ".yaml": p.ComposeFile(d.Environment),
		"haproxy.cfg.tmpl": p.Deploy.Template, "smoke.py": p.Deploy.Smoke,
	}
}
