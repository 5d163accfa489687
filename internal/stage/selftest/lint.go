package selftest

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/meter-ml/meter-pipeline/internal/engine"
)

// linter runs golangci-lint from its own pinned module; the go command builds it once, which takes minutes, and keeps
// the program in its build cache.
func linter() []string {
	return []string{"tool", "-modfile=tools/golangci-lint/go.mod", "golangci-lint"}
}

func lintStep() engine.Step {
	return engine.Step{
		Name: "lint", Judges: "the Go rule set", Slots: 2, Timeout: timeout,
		Rerun:  "go " + strings.Join(linter(), " ") + " run ./...",
		Inputs: []string{"go.mod", "go.sum", "internal", "magefiles", ".golangci.yaml"},
		Command: &engine.Command{
			Program: "go",
			Args: append(linter(), "run", "--output.json.path=stdout", "--output.text.path=stderr", "--show-stats=false",
				"--allow-parallel-runners", "./..."),
			Parse: parseLint,
		},
	}
}

// parseLint reads golangci-lint's JSON. Exit codes: 0 nothing found, 1 issues; every other one is a failure to judge.
func parseLint(out engine.Output) (engine.Judgement, error) {
	if out.ExitCode > 1 {
		return engine.Judgement{}, fmt.Errorf("golangci-lint could not judge (exit code %d): %s", out.ExitCode, lastLine(out.Stderr))
	}
	var report struct {
		Issues []struct {
			FromLinter, Text string
			Pos              struct {
				Filename     string
				Line, Column int
			}
		}
		Report struct {
			Error   string
			Linters []struct{ Enabled bool }
		}
	}
	if err := json.Unmarshal(firstLine(out.Stdout), &report); err != nil {
		return engine.Judgement{}, fmt.Errorf("read golangci-lint's output: %w", err)
	}
	if report.Report.Error != "" {
		return engine.Judgement{}, fmt.Errorf("golangci-lint could not judge: %s", report.Report.Error)
	}
	if out.ExitCode == 1 && len(report.Issues) == 0 {
		return engine.Judgement{}, fmt.Errorf("golangci-lint failed and names no issue: %s", lastLine(out.Stderr))
	}
	j := engine.Judgement{Unit: "linters"}
	for _, linter := range report.Report.Linters {
		if linter.Enabled {
			j.Judged++
		}
	}
	for _, issue := range report.Issues {
		j.Findings = append(j.Findings, engine.Finding{
			Rule: issue.FromLinter, Path: relative(out.Root, issue.Pos.Filename), Line: issue.Pos.Line, Column: issue.Pos.Column,
			Message: issue.Text, HelpURL: "https://golangci-lint.run/docs/linters/",
			Help: "mend it, or say why not in a //nolint comment that names the linter",
		})
	}
	return j, nil
}

// firstLine is where the JSON stands; nothing follows it unless a statistic is asked for.
func firstLine(text []byte) []byte {
	for i, c := range text {
		if c == '\n' {
			return text[:i]
		}
	}
	return text
}
