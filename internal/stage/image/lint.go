package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/plain"
	"github.com/meter-ml/meter-pipeline/internal/stage/python"
)

// lintStep judges the Dockerfiles, by hadolint and by our own rules.
func lintStep(p *config.Project, images []config.ContainerImage) engine.Step {
	inputs := []string{ignoreFile, ".hadolint.yaml", config.FileName}
	for _, image := range images {
		inputs = append(inputs, image.Dockerfile)
	}
	return engine.Step{
		Name: lintName, Judges: "Dockerfiles", Needs: []engine.Need{engine.NeedPython}, Inputs: inputs,
		Func: func(ctx context.Context, scope engine.Scope) (engine.Judgement, error) {
			return lint(ctx, scope, p, images)
		},
	}
}

func lint(ctx context.Context, scope engine.Scope, p *config.Project, images []config.ContainerImage) (engine.Judgement, error) {
	own, err := judgeDockerfiles(scope.Root, p, images)
	if err != nil {
		return engine.Judgement{}, err
	}
	canary := filepath.Join(scope.Scratch, "canary.Dockerfile")
	if err := os.WriteFile(canary, []byte(canaryText), 0o600); err != nil {
		return engine.Judgement{}, err
	}
	var paths []string
	for _, image := range images {
		paths = append(paths, image.Dockerfile)
	}
	out, err := scope.Run(ctx, engine.Invocation{Program: "hadolint", Args: hadolintArgs(paths, canary)})
	if err != nil {
		return engine.Judgement{}, err
	}
	j, err := parseHadolint(out, paths, canary)
	if err != nil {
		return engine.Judgement{}, err
	}
	j.Findings = append(j.Findings, own...)
	return j, nil
}

// canaryText is what hadolint must complain about. It says nothing and ends with 0 for an empty file and for one that it
// was told to ignore, so that nothing else shows that it looked.
const canaryText = "FROM\n"

func hadolintArgs(paths []string, canary string) []string {
	return slices.Concat([]string{"--no-fail", "--no-color", "--format", "json", "--"}, paths, []string{canary})
}

// hadolintEntry is one of its report.
type hadolintEntry struct {
	Code    string `json:"code"`
	Level   string `json:"level"`
	File    string `json:"file"`
	Line    int    `json:"line"`
	Column  int    `json:"column"`
	Message string `json:"message"`
}

// parseHadolint reads the report. Every complaint is a finding, however mild hadolint thinks that it is.
func parseHadolint(out engine.Output, paths []string, canary string) (engine.Judgement, error) {
	if out.ExitCode != 0 {
		return engine.Judgement{}, python.Failure("hadolint", out)
	}
	var entries []hadolintEntry
	if err := json.Unmarshal(out.Stdout, &entries); err != nil {
		return engine.Judgement{}, fmt.Errorf("read report of hadolint: %w", err)
	}
	j := engine.Judgement{Judged: len(paths), Unit: "Dockerfiles"}
	alive := false
	for _, entry := range entries {
		if entry.File == canary {
			alive = true
			continue
		}
		if !slices.Contains(paths, entry.File) {
			return engine.Judgement{}, fmt.Errorf("hadolint speaks of %s, which it was not given", python.Shorten(plain.Line(entry.File), 100))
		}
		j.Findings = append(j.Findings, entry.finding())
	}
	if !alive {
		return engine.Judgement{}, errors.New("hadolint did not complain about a Dockerfile that is wrong, so it says nothing about the others: " +
			"its own settings keep it from looking, see .hadolint.yaml")
	}
	return j, nil
}

func (e hadolintEntry) finding() engine.Finding {
	severity := map[string]engine.Severity{
		"error": engine.SeverityHigh, "warning": engine.SeverityMedium, "info": engine.SeverityLow, "style": engine.SeverityInfo,
	}[e.Level]
	page := "https://github.com/hadolint/hadolint/wiki/" + e.Code
	if len(e.Code) > 2 && e.Code[:2] == "SC" {
		page = "https://www.shellcheck.net/wiki/" + e.Code
	}
	return engine.Finding{
		Rule: e.Code, Severity: severity, Path: e.File, Line: e.Line, Column: e.Column, Message: plain.Line(e.Message),
		Help: "the page of " + e.Code + " shows how to write it", HelpURL: page,
	}
}
