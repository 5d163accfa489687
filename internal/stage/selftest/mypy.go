package selftest

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/stage/python"
)

func typesStep(p *config.Project) engine.Step {
	return engine.Step{
		Name: "types", Judges: "types of the Python code", Timeout: timeout,
		Needs: []engine.Need{engine.NeedPython}, Rerun: "mypy",
		Inputs: append(python.Settings("mypy.ini", ".mypy.ini"), p.Source...),
		Command: &engine.Command{
			Program: python.Program,
			Args:    python.Module("mypy", "--no-pretty", "--no-color-output", "--show-column-numbers", "--show-error-codes"),
			Parse:   parseMypy,
		},
	}
}

var (
	mypyError   = regexp.MustCompile(`^(.+?):(\d+):(?:(\d+):)? error: (.*?)(?:  \[([\w-]+)\])?$`)
	mypyNothing = regexp.MustCompile(`(?m)^Success: no issues found in (\d+) source files?$`)
	mypyFound   = regexp.MustCompile(`(?m)^Found \d+ errors? in \d+ files? \(checked (\d+) source files?\)$`)
)

// parseMypy reads mypy's lines. Exit codes: 0 nothing found, 1 errors found, 2 it could not go on.
func parseMypy(out engine.Output) (engine.Judgement, error) {
	text := strings.ReplaceAll(string(out.Stdout), "\r\n", "\n")
	summary := mypyNothing
	if out.ExitCode == 1 {
		summary = mypyFound
	}
	checked := summary.FindStringSubmatch(text)
	if out.ExitCode > 1 || checked == nil {
		return engine.Judgement{}, python.Failure("mypy", out)
	}
	j := engine.Judgement{Unit: "files"}
	j.Judged, _ = strconv.Atoi(checked[1]) // digits only, by the expression
	for line := range strings.Lines(text) {
		match := mypyError.FindStringSubmatch(strings.TrimRight(line, "\n"))
		if match == nil {
			continue
		}
		f := engine.Finding{
			Rule: match[5], Path: python.Relative(out.Root, match[1]), Message: match[4], Help: "correct the type, or the code",
		}
		f.Line, _ = strconv.Atoi(match[2])
		f.Column, _ = strconv.Atoi(match[3])
		if f.Rule != "" {
			f.HelpURL = "https://mypy.readthedocs.io/en/stable/_refs.html#code-" + f.Rule
		}
		j.Findings = append(j.Findings, f)
	}
	if out.ExitCode == 1 && len(j.Findings) == 0 {
		return engine.Judgement{}, fmt.Errorf("mypy: %w", python.ErrDisagrees)
	}
	return j, nil
}
