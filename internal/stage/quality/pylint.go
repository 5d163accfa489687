package quality

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/plain"
	"github.com/meter-ml/meter-pipeline/internal/stage/python"
)

const (
	pylintPages  = "https://pylint.readthedocs.io/en/stable/user_guide/messages/"
	pylintReport = "pylint"
)

// pylintLaunch is what -m does, without the collector of reference cycles: it would walk pylint's one large graph again
// and again, for two fifths of the whole time, and find little. The price is a fifth more memory. pylint leaves a report
// without a module to the collector to write out, so that is done at the end.
const pylintLaunch = "import atexit, gc, io, runpy, sys; gc.disable(); " +
	"atexit.register(lambda: [f.flush() for f in gc.get_objects() if isinstance(f, io.TextIOWrapper) and not f.closed]); " +
	"del sys.argv[0]; runpy.run_module(sys.argv[0], run_name='__main__', alter_sys=True)"

// pylintArgs ask for two reports: JSON for the messages and the score, and text, verbose, for the one thing that the
// JSON does not tell: how many modules were checked. --recursive finds modules in folders without an __init__.py;
// file-ignored tells which files have a comment that keeps pylint from them.
func pylintArgs(p *config.Project) []string {
	return append([]string{
		"-I", "-X", "utf8", "-c", pylintLaunch, "pylint", "--recursive=y", "--jobs=" + strconv.Itoa(max(1, p.Quality.Pylint.Jobs)),
		"--output-format=json2:" + engine.ArtifactsDir + "/pylint.json,text", "--score=y", "--verbose",
		"--enable=file-ignored", "--",
	}, p.Quality.Pylint.Paths...)
}

func pylintCommand(p *config.Project, tree python.Tree) *engine.Command {
	minimum := p.Quality.Pylint.MinimumScore
	return &engine.Command{
		Program: python.Program,
		Args:    pylintArgs(p),
		// Nothing of an earlier run, of which pylint keeps the statistics, and none of a person's own settings, which it
		// goes by where a project has none.
		Env:     map[string]string{"PYLINTHOME": engine.ScratchDir, "HOME": engine.ScratchDir, "XDG_CONFIG_HOME": engine.ScratchDir, "PYLINTRC": ""},
		Reports: map[string]string{pylintReport: "pylint.json"},
		Parse:   func(out engine.Output) (engine.Judgement, error) { return parsePylint(tree, minimum, out) },
	}
}

// pylintResult is format json2. Pointers tell what is missing from what is zero.
type pylintResult struct {
	Messages   *[]pylintMessage `json:"messages"`
	Statistics *struct {
		Score json.RawMessage `json:"score"`
	} `json:"statistics"`
}

type pylintMessage struct {
	Type      string `json:"type"`
	Symbol    string `json:"symbol"`
	Message   string `json:"message"`
	MessageID string `json:"messageId"`
	Path      string `json:"path"`
	Line      int    `json:"line"`
	Column    int    `json:"column"` // from 0
	EndLine   *int   `json:"endLine"`
	EndColumn *int   `json:"endColumn"` // from 0, exclusive
}

var (
	// pylintChecked is the verbose line; statistics.modulesLinted would say 2 of an empty folder.
	pylintChecked = regexp.MustCompile(`(?m)^Checked (\d+) files/modules `)
	// pylintRated is there only if there was a statement to judge.
	pylintRated = regexp.MustCompile(`(?m)^Your code has been rated at `)
)

// pylintSettings is said of a file that is no TOML, after which pylint goes by its defaults.
var pylintSettings = regexp.MustCompile(`(?m)^Failed to load (.*)$`)

// Bits of the exit code; those between tell which kinds of messages there are.
const (
	pylintFatal = 1
	pylintUsage = 32
)

// parsePylint makes the score the gate. A module that pylint could not parse has no part in the score, so it is an
// error, whatever the score of the others is.
func parsePylint(tree python.Tree, minimum float64, out engine.Output) (engine.Judgement, error) {
	if tree.Problem != nil {
		return engine.Judgement{}, tree.Problem
	}
	if m := pylintSettings.FindSubmatch(out.Stdout); m != nil {
		return engine.Judgement{}, fmt.Errorf("pylint could not read its settings and went by others: correct %s", python.Shorten(string(m[1]), 200))
	}
	content, err := out.Report(pylintReport)
	if err != nil || out.ExitCode < 0 || out.ExitCode >= pylintUsage {
		return engine.Judgement{}, python.Failure("pylint", out)
	}
	var result pylintResult
	if err := json.Unmarshal(content, &result); err != nil {
		return engine.Judgement{}, fmt.Errorf("read pylint report: %w", err)
	}
	if result.Messages == nil || result.Statistics == nil {
		return engine.Judgement{}, errors.New("read pylint report: it has no messages or no statistics")
	}
	score, err := strconv.ParseFloat(string(result.Statistics.Score), 64)
	if err != nil || math.IsNaN(score) || math.IsInf(score, 0) {
		return engine.Judgement{}, fmt.Errorf("pylint gave no score, but %s: correct `evaluation` in its settings", python.Shorten(string(result.Statistics.Score), 200))
	}
	sorted := sortPylint(*result.Messages, out.Root)
	if len(sorted.unread) > 0 {
		return engine.Judgement{}, fmt.Errorf("pylint could not judge everything (%s): correct this first, since the score is without it", python.List(sorted.unread, 3))
	}
	if out.ExitCode&pylintFatal != 0 {
		return engine.Judgement{}, python.Failure("pylint", out)
	}
	j := engine.Judgement{Unit: "modules", Findings: sorted.findings, Metrics: []engine.Metric{pylintScore(score, minimum)}}
	if !pylintRated.Match(out.Stdout) {
		return engine.Judgement{}, errors.New("pylint judged no statement: its own settings exclude every module, or the files are empty")
	}
	if checked := pylintChecked.FindAllSubmatch(out.Stdout, -1); len(checked) > 0 {
		j.Judged = number(string(checked[len(checked)-1][1]))
	}
	if j.Judged == 0 { // it counts in a check that a project may have disabled
		j.Judged = max(1, len(tree.Files)-len(sorted.ignored))
	}
	j.Notes = pylintNotes(sorted.ignored, len(tree.Files)-j.Judged)
	return j, nil
}

// pylintMessages are the messages by what they mean for the judgement.
type pylintMessages struct {
	findings        []engine.Finding
	unread, ignored []string
}

// sortPylint: what pylint could not parse or load took no part in the score, whatever the score of the rest is.
func sortPylint(messages []pylintMessage, root string) pylintMessages {
	var sorted pylintMessages
	for _, m := range messages {
		path := python.Relative(root, m.Path)
		switch {
		case m.Type == "fatal" || m.Symbol == "syntax-error" || m.Symbol == "bad-plugin-value":
			said, _, _ := strings.Cut(m.Message, ". Please open an issue in our bug tracker")
			sorted.unread = append(sorted.unread, strings.ReplaceAll(fmt.Sprintf("%s:%d: %s", path, m.Line, said), root+"/", ""))
		case m.Symbol == "file-ignored":
			sorted.ignored = append(sorted.ignored, path)
		default:
			sorted.findings = append(sorted.findings, pylintFinding(m, root))
		}
	}
	sorted.unread = slices.Compact(sorted.unread) // each job reports a plug-in that is missing
	return sorted
}

func pylintScore(score, minimum float64) engine.Metric {
	return engine.Metric{
		Name: "pylint_score", Value: score, Threshold: minimum, Direction: engine.DirectionAtLeast,
		Help: "correct what pylint lists, errors first: each weighs as much as five of the others",
	}
}

func pylintNotes(ignored []string, less int) []string {
	var notes []string
	if len(ignored) > 0 {
		notes = append(notes, "a comment `pylint: skip-file` keeps pylint from "+python.List(ignored, 3))
	}
	if less -= len(ignored); less > 0 {
		notes = append(notes, "pylint's own settings keep it from "+python.Count(less, "Python file"))
	}
	return notes
}

func pylintFinding(m pylintMessage, root string) engine.Finding {
	f := engine.Finding{
		Rule: m.MessageID, Path: python.Relative(root, m.Path), Line: m.Line, Column: m.Column + 1,
		Message: plain.Line(m.Message) + " (" + m.Symbol + ")",
		Help:    "the page of the rule shows wrong and right code",
		HelpURL: pylintPages + pylintCategory(m.Type) + "/" + m.Symbol + ".html",
	}
	if m.EndLine != nil && m.EndColumn != nil {
		f.EndLine, f.EndCol = *m.EndLine, *m.EndColumn+1
	}
	switch m.Type {
	case "error":
		f.Severity = engine.SeverityHigh
	case "warning":
		f.Severity = engine.SeverityMedium
	case "refactor", "convention":
		f.Severity = engine.SeverityLow
	default:
		f.Severity = engine.SeverityInfo
	}
	return f
}

// pylintCategory is the folder of the rule's page.
func pylintCategory(kind string) string {
	if kind == "info" {
		return "information"
	}
	return kind
}
