// Package sarif writes results.sarif, version 2.1.0: what the tools found, for code scanning.
//
// The document is written by the types of this package. The library of this field, go-sarif, was tried first: it
// writes the default of every optional field (byteOffset -1, ten empty lists a result), which doubles the file, and
// brings a schema validator and a YAML parser into every build of the magefiles. The test holds what is written here
// against the public schema.
//
// Code scanning closes the alerts of a tool whose new run has no results. So only a step that was judged has a run of
// its own; what could not be judged or was skipped is said in a first run, the pipeline's, which has no alerts.
package sarif

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/report"
)

// Limits of code scanning: what is over them is refused or dropped unsaid.
const (
	maxRuns    = 20
	maxResults = 5000 // of one run; 25,000 are taken, but these are kept
	maxMessage = 4000 // bytes; ten megabytes, compressed, hold for the whole file
)

// New returns a reporter that writes results.sarif to path when the run has ended.
func New(path string) engine.Reporter {
	return report.ToFile(path, Render)
}

// Render writes the run as SARIF.
func Render(w io.Writer, r report.Report) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	return enc.Encode(document(r))
}

func document(r report.Report) logDoc {
	judged := append(r.With(engine.StatusPassed), r.With(engine.StatusFailed)...)
	// If there are too many, those with findings stay: an empty run only says that there is nothing to say.
	slices.SortStableFunc(judged, func(a, b engine.StepResult) int {
		return -cmp.Compare(len(a.Judgement.Findings), len(b.Judgement.Findings))
	})
	dropped := judged[min(len(judged), maxRuns-1):]
	runs := []runDoc{own(r, dropped)}
	for _, step := range r.Steps() {
		if step.Status != engine.StatusPassed && step.Status != engine.StatusFailed || contains(dropped, step) {
			continue
		}
		runs = append(runs, runOf(r, step))
	}
	return logDoc{
		Schema:  "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
		Version: "2.1.0",
		Runs:    runs,
	}
}

// category of the pipeline's own run. The target is part of it: several jobs upload their files together.
func category(target string) string {
	if target == "" {
		return "pipeline/"
	}
	return "pipeline/" + strings.ReplaceAll(target, "/", "-") + "/"
}

func contains(steps []engine.StepResult, step engine.StepResult) bool {
	return slices.ContainsFunc(steps, func(s engine.StepResult) bool { return s.Stage == step.Stage && s.Name == step.Name })
}

// own is the run of the pipeline itself: what a list of findings can't say.
func own(r report.Report, dropped []engine.StepResult) runDoc {
	inv := invocation(r.Run.Started, r.Run.Duration)
	inv.Successful = len(r.With(engine.StatusError)) == 0 && len(r.Run.Problems) == 0
	say := func(level, format string, args ...any) {
		inv.Notifications = append(inv.Notifications, notification{Level: level, Message: text(fmt.Sprintf(format, args...))})
	}
	for _, problem := range r.Run.Problems {
		say(levelError, "%s", problem)
	}
	for _, step := range r.Steps() {
		name := step.Stage + "/" + step.Name
		switch step.Status {
		case engine.StatusError:
			say(levelError, "%s could not be judged: %s", name, step.Reason)
		case engine.StatusSkipped:
			say(levelNote, "%s was skipped: %s", name, step.Reason)
		default: // it has a run of its own
		}
		for _, m := range report.Missed(step) {
			say(levelError, "%s failed: %s", name, report.Miss(m))
		}
		if n := len(step.Judgement.Findings); n > maxResults {
			say(levelWarning, "%s: %d of %s are listed, the most severe ones", name, maxResults, report.Count(n, "findings"))
		}
	}
	for _, step := range dropped {
		say(levelWarning, "%s/%s is left out with %s: a file holds %d runs", step.Stage, step.Name,
			report.Count(len(step.Judgement.Findings), "findings"), maxRuns)
	}
	return runDoc{
		Tool:       toolDoc{Driver: driver{Name: "meter-pipeline", Rules: []rule{}}},
		Automation: automation{ID: category(r.Run.Target) + r.Run.ID},
		Invocation: []invocationDoc{inv},
		ColumnKind: columnKind,
		Results:    []result{},
		Properties: map[string]any{"target": r.Run.Target, "status": r.Run.Status, "commit": r.Run.Commit, "branch": r.Run.Branch},
	}
}

// runOf is the run of one step. Its identifier up to the last slash is its category, which must be unique in the file.
func runOf(r report.Report, step engine.StepResult) runDoc {
	inv := invocation(step.Started, step.Duration)
	inv.Successful = true
	inv.CommandLine = step.CommandLine
	doc := runDoc{
		Tool:       toolDoc{Driver: driver{Name: step.Name, Rules: []rule{}}},
		Automation: automation{ID: step.Stage + "/" + step.Name + "/" + r.Run.ID},
		Invocation: []invocationDoc{inv},
		ColumnKind: columnKind,
		Results:    []result{},
	}
	index := map[string]int{}
	seen := map[string]int{}
	findings := step.Judgement.Findings
	for _, f := range findings[:min(len(findings), maxResults)] {
		id := ruleID(f)
		i, ok := index[id]
		if !ok {
			i = len(doc.Tool.Driver.Rules)
			index[id] = i
			doc.Tool.Driver.Rules = append(doc.Tool.Driver.Rules, ruleOf(f, step))
		}
		mark := fingerprint(f)
		seen[mark]++
		doc.Results = append(doc.Results, result{
			RuleID:       id,
			RuleIndex:    i,
			Level:        level(r, f),
			Message:      text(cut(f.Message)),
			Locations:    []location{locationOf(r, f, step)},
			Fingerprints: map[string]string{"primaryLocationLineHash": fmt.Sprintf("%s:%d", mark, seen[mark])},
		})
	}
	return doc
}

func invocation(start time.Time, took time.Duration) invocationDoc {
	var inv invocationDoc
	if !start.IsZero() {
		inv.Start = start.UTC().Format(time.RFC3339Nano)
		inv.End = start.Add(took).UTC().Format(time.RFC3339Nano)
	}
	return inv
}

func ruleID(f engine.Finding) string {
	return cmp.Or(f.Rule, f.Step)
}

// level is an error for what fails the gate, so that a check on alerts and the gate agree.
func level(r report.Report, f engine.Finding) string {
	switch {
	case r.Fails(f):
		return levelError
	case f.Severity >= engine.SeverityMedium:
		return levelWarning
	}
	return levelNote
}

// ruleOf says of a rule what its first finding says: no parser knows more of it.
func ruleOf(f engine.Finding, step engine.StepResult) rule {
	id := ruleID(f)
	help := f.Help
	if help == "" {
		help = fmt.Sprintf("See what %s says about %s", step.Name, id)
		if step.Rerun != "" {
			help += "; rerun it with " + step.Rerun
		}
		help += "."
	}
	formatted := markdown(help)
	if f.HelpURL != "" {
		help += "\n" + f.HelpURL
		formatted += "\n\n<" + f.HelpURL + ">"
	}
	doc := rule{
		ID:         id,
		Short:      text(step.Name + " " + id),
		Full:       text(cut(f.Message)),
		Help:       multiformat{Text: help, Markdown: formatted},
		HelpURI:    f.HelpURL,
		Properties: map[string]any{"tags": []string{step.Stage}},
	}
	if score := securitySeverity(f.Severity); step.Stage == "security" && score != "" {
		doc.Properties["security-severity"] = score
	}
	return doc
}

// securitySeverity is the score that code scanning sorts alerts by: over 9.0 critical, 7.0 high, 4.0 medium.
func securitySeverity(s engine.Severity) string {
	switch s {
	case engine.SeverityCritical:
		return "9.5"
	case engine.SeverityHigh:
		return "8.0"
	case engine.SeverityMedium:
		return "5.5"
	case engine.SeverityLow, engine.SeverityInfo:
		return "2.0"
	default:
		return ""
	}
}

// markdown escapes what a tool wrote, so that it can form no link, image or tag.
func markdown(s string) string {
	return strings.NewReplacer(`\`, `\\`, "<", "&lt;", "&", "&amp;", "[", `\[`, "]", `\]`, "`", "\\`", "*", `\*`, "_", `\_`, "!", `\!`).Replace(s)
}

// cut shortens a message at a rune's border.
func cut(s string) string {
	if len(s) <= maxMessage {
		return s
	}
	return strings.ToValidUTF8(s[:maxMessage], "") + " …"
}
