package quality

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/workflow"
)

const zizmor = "zizmor"

// workflowStep judges the workflows that were written from the pipeline: that they still are what it says, and what two
// tools say of them. It is there only where there are such workflows.
func workflowStep(p *config.Project) engine.Step {
	return engine.Step{
		Name: "workflow", Judges: "workflows, against the pipeline",
		Inputs: []string{".github", "docs/secrets.md", config.FileName},
		Func:   auditor{p}.judge,
	}
}

type auditor struct{ project *config.Project }

func (a auditor) judge(ctx context.Context, scope engine.Scope) (engine.Judgement, error) {
	drifts, n, err := workflow.Drifts(a.project)
	if err != nil {
		return engine.Judgement{}, err
	}
	j := engine.Judgement{Judged: n, Unit: "files"}
	for _, d := range drifts {
		scope.Log("%s", d.Diff)
		j.Findings = append(j.Findings, engine.Finding{
			Rule: "drift", Severity: engine.SeverityHigh, Path: d.Path, Line: d.Line,
			Message: "it is not what the pipeline says: from this line on it differs", Help: "`mage ci:generate` writes it again; `mage ci:verify` shows the difference",
		})
	}
	flaws, read, err := workflow.Lint(a.project.Root)
	if err != nil {
		return engine.Judgement{}, err
	}
	for _, f := range flaws {
		j.Findings = append(j.Findings, engine.Finding{
			Rule: f.Rule, Severity: engine.SeverityHigh, Path: f.Path, Line: f.Line, Column: f.Column, Message: f.Message,
			HelpURL: "https://github.com/rhysd/actionlint/blob/main/docs/checks.md",
		})
	}
	if len(j.Findings) > 0 {
		j.Notes = []string{"zizmor is not asked before the files are what they should be"}
		return j, nil
	}
	audited, err := a.audit(ctx, scope)
	j.Findings = append(j.Findings, audited...)
	j.Notes = []string{fmt.Sprintf("actionlint and zizmor have read %d workflows", read)}
	return j, err
}

// audit asks zizmor, without a network and without its pedantry: other workflows are judged, too. A test holds ours to that.
func (a auditor) audit(ctx context.Context, scope engine.Scope) ([]engine.Finding, error) {
	out, err := scope.Run(ctx, engine.Invocation{
		Program: zizmor, Line: func(string) {},
		Args: []string{"--offline", "--no-progress", "--format=json-v1", "--no-exit-codes", "--strict-collection", workflow.Directory},
	})
	if err != nil {
		return nil, err
	}
	if out.ExitCode != 0 {
		return nil, fmt.Errorf("%s ended with exit code %d: %s", zizmor, out.ExitCode, strings.TrimSpace(string(out.Stderr)))
	}
	return parseZizmor(out.Stdout)
}

// zizmorFinding is one element of its JSON, as far as it is read.
type zizmorFinding struct {
	Ident          string `json:"ident"`
	Desc           string `json:"desc"`
	URL            string `json:"url"`
	Ignored        bool   `json:"ignored"`
	Determinations struct {
		Severity string `json:"severity"`
	} `json:"determinations"`
	Locations []struct {
		Symbolic struct {
			Kind       string `json:"kind"`
			Annotation string `json:"annotation"`
			Key        struct {
				Local *struct {
					Path string `json:"verbatim_path"`
				} `json:"Local"`
			} `json:"key"`
		} `json:"symbolic"`
		Concrete struct {
			Location struct {
				Start struct {
					Row    int `json:"row"`
					Column int `json:"column"`
				} `json:"start_point"`
			} `json:"location"`
		} `json:"concrete"`
	} `json:"locations"`
}

// parseZizmor reads its report. A finding without a place is one all the same.
func parseZizmor(report []byte) ([]engine.Finding, error) {
	var found []zizmorFinding
	if err := json.Unmarshal(report, &found); err != nil || found == nil {
		return nil, fmt.Errorf("read zizmor's report: it is no list of findings: %w", err)
	}
	var findings []engine.Finding
	for _, f := range found {
		if f.Ident == "" {
			return nil, errors.New("read zizmor's report: a finding has no name")
		}
		if f.Ignored {
			continue
		}
		finding := engine.Finding{Rule: "zizmor-" + f.Ident, Severity: zizmorSeverity(f.Determinations.Severity), Message: f.Desc, HelpURL: f.URL}
		for _, l := range f.Locations {
			if l.Symbolic.Kind == "Primary" || finding.Path == "" {
				if l.Symbolic.Key.Local != nil {
					finding.Path = l.Symbolic.Key.Local.Path
				}
				finding.Line, finding.Column = l.Concrete.Location.Start.Row+1, l.Concrete.Location.Start.Column+1
				finding.Message = strings.TrimSuffix(f.Desc+": "+l.Symbolic.Annotation, ": ")
			}
		}
		findings = append(findings, finding)
	}
	return findings, nil
}

// zizmorSeverity is none for a word that is new, which fails the step.
func zizmorSeverity(word string) engine.Severity {
	return map[string]engine.Severity{
		"Informational": engine.SeverityInfo, "Low": engine.SeverityLow, "Medium": engine.SeverityMedium, "High": engine.SeverityHigh,
	}[word]
}
