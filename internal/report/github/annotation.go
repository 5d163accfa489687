package github

import (
	"fmt"
	"slices"
	"strings"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/report"
)

// What a step of a job may annotate; more vanishes unsaid. All of a run is one such step, and the notice that says
// how much was left out is one more. Under 50, the limit of a job, even if it runs twice.
const (
	maxErrors   = 10
	maxWarnings = 10
	maxText     = 4000 // bytes of one message
)

// An annotation is one workflow command.
type annotation struct {
	kind    string // error, warning, notice
	title   string
	message string
	finding engine.Finding // for its place
}

// choose picks what is worth a place: what could not be judged and missed thresholds, of which there are few, then of
// every step in turn its worst finding, so that one loud step leaves room for the others. What is on a line that the change
// has touched comes before what was there already.
func choose(r report.Report, o Options) []annotation {
	errors := general(r)
	var warnings []annotation
	var failing, shown [][]engine.Finding
	for _, step := range r.Steps() {
		for _, w := range step.Judgement.Warnings {
			warnings = append(warnings, annotation{kind: "warning", title: step.Stage + "/" + step.Name, message: w})
		}
		failing = append(failing, r.Failing(step))
		shown = append(shown, r.Shown(step))
	}
	errors = append(errors, inTurn("error", failing)...)
	for _, text := range r.Run.Warnings {
		warnings = append(warnings, annotation{kind: "warning", title: r.Run.Target, message: text})
	}
	warnings = append(warnings, inTurn("warning", shown)...)
	all := len(errors) + len(warnings)
	touchedFirst(errors, o.Changed)
	touchedFirst(warnings, o.Changed)
	chosen := slices.Concat(errors[:min(len(errors), maxErrors)], warnings[:min(len(warnings), maxWarnings)])
	if len(chosen) < all {
		chosen = append(chosen, annotation{
			kind: "notice", title: r.Run.Target,
			message: fmt.Sprintf("%d of %d shown%s: all are in report.html", len(chosen), all, o.order()),
		})
	}
	return chosen
}

// touchedFirst keeps what is about no file at the front.
func touchedFirst(all []annotation, changed func(string, int) bool) {
	if changed == nil {
		return
	}
	rank := func(a annotation) int {
		switch {
		case a.finding.Path == "":
			return 0
		case changed(a.finding.Path, a.finding.Line):
			return 1
		default:
			return 2
		}
	}
	slices.SortStableFunc(all, func(a, b annotation) int { return rank(a) - rank(b) })
}

// order says in which order annotations were chosen.
func (o Options) order() string {
	switch {
	case o.Changed != nil:
		return ", those on changed lines first"
	case o.Why != "":
		return " (which lines were changed is not known: " + o.Why + ")"
	default:
		return ""
	}
}

// general are the errors that are about no line.
func general(r report.Report) []annotation {
	var out []annotation
	for _, p := range r.Run.Problems {
		out = append(out, annotation{kind: "error", title: r.Run.Target, message: p})
	}
	for _, step := range r.With(engine.StatusError) {
		out = append(out, annotation{kind: "error", title: step.Stage + "/" + step.Name + " could not be judged", message: withRerun(step.Reason, step)})
	}
	for _, step := range r.With(engine.StatusFailed) {
		for _, m := range report.Missed(step) {
			text := report.Miss(m)
			if m.Help != "" {
				text += "\n" + m.Help
			}
			out = append(out, annotation{kind: "error", title: step.Stage + "/" + step.Name, message: withRerun(text, step)})
		}
	}
	return out
}

func withRerun(text string, step engine.StepResult) string {
	if step.Rerun == "" {
		return text
	}
	return text + "\nRerun: " + step.Rerun
}

// inTurn takes from each list in turn.
func inTurn(kind string, lists [][]engine.Finding) []annotation {
	var out []annotation
	for i, more := 0, true; more; i++ {
		more = false
		for _, list := range lists {
			if i < len(list) {
				more = true
				out = append(out, ofFinding(kind, list[i]))
			}
		}
	}
	return out
}

func ofFinding(kind string, f engine.Finding) annotation {
	text := f.Message
	if f.Help != "" {
		text += "\n" + f.Help
	}
	if f.HelpURL != "" {
		text += "\n" + f.HelpURL
	}
	title := strings.TrimSpace(f.Stage + "/" + f.Step + " " + f.Rule)
	return annotation{kind: kind, title: title, message: text, finding: f}
}

// command is the annotation as the runner reads it. Columns are left out where an end on another line would make the
// runner refuse them.
func (a annotation) command() string {
	var props []string
	add := func(name, value string) { props = append(props, name+"="+property(value)) }
	if f := a.finding; f.Path != "" {
		add("file", f.Path)
		if f.Line > 0 {
			add("line", fmt.Sprint(f.Line))
			end := max(f.EndLine, f.Line)
			add("endLine", fmt.Sprint(end))
			if f.Column > 0 && end == f.Line {
				add("col", fmt.Sprint(f.Column))
				if f.EndCol > f.Column {
					add("endColumn", fmt.Sprint(f.EndCol))
				}
			}
		}
	}
	if a.title != "" {
		add("title", a.title)
	}
	return fmt.Sprintf("::%s %s::%s\n", a.kind, strings.Join(props, ","), data(cut(a.message)))
}

func cut(s string) string {
	if len(s) <= maxText {
		return s
	}
	return strings.ToValidUTF8(s[:maxText], "") + " …"
}

// data escapes a command's message.
func data(s string) string {
	return strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A").Replace(s)
}

// property escapes a value before the message, where a colon and a comma end it.
func property(s string) string {
	return strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C").Replace(s)
}
