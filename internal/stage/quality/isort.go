package quality

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/stage/python"
)

const isortPage = "https://isort.readthedocs.io/en/latest/quick_start/quick_start.html"

// Marks around isort's messages, that no message has in it and that its other output, one line for every import, is
// told from.
const (
	recordStart = "\x1e"
	recordEnd   = "\x1d"
	fieldEnd    = "\x1f"
)

// isortArgs: --atomic has each file compiled first. Without it isort sorts what is no Python, and says that it
// looks good. --verbose names the files that are sorted already, and those whose encoding it could not read.
func isortArgs(p *config.Project) []string {
	return append(python.Module("isort", "--check-only", "--diff", "--verbose", "--atomic",
		"--format-error", recordStart+isortNo+"{message}"+recordEnd,
		"--format-success", recordStart+isortYes+"{message}"+recordEnd, "--"), p.Quality.Paths...)
}

func isortCommand(p *config.Project, tree python.Tree) *engine.Command {
	return &engine.Command{
		Program: python.Program,
		Args:    isortArgs(p),
		Parse:   func(out engine.Output) (engine.Judgement, error) { return parseIsort(tree, out) },
	}
}

const (
	isortNo       = "error: "
	isortYes      = "fine: "
	isortUnsorted = " Imports are incorrectly sorted and/or formatted."
	isortSorted   = " Everything Looks Good!"
	isortSyntax   = "isort was told to sort imports within code that contains syntax errors: "
)

// isortUnread are the warnings for files that isort passes over, mostly with exit code 0.
var isortUnread = regexp.MustCompile(`(?m)^.*UserWarning: ((?:Encoding not supported for|Unable to parse file) .*|.* was broken path.*)$`)

// isortSettings is the warning for settings that are no TOML or INI, after which isort goes by its defaults.
var isortSettings = regexp.MustCompile(`(?m)^.*UserWarning: Failed to pull configuration information from (.*)$`)

// parseIsort counts the files that isort named. It exits 0 on an empty folder, on a file in an encoding that it can't
// read as long as there is another one, and on a path that does not exist beside one that does.
func parseIsort(tree python.Tree, out engine.Output) (engine.Judgement, error) {
	if tree.Problem != nil {
		return engine.Judgement{}, tree.Problem
	}
	j := engine.Judgement{Unit: "files"}
	var seen []string
	diffs := readDiffs(string(out.Stdout), out.Root)
	for _, message := range records(string(out.Stdout) + string(out.Stderr)) {
		message, fine := strings.CutPrefix(message, isortYes)
		message = strings.TrimPrefix(message, isortNo)
		name, sorted := strings.CutSuffix(message, isortSorted)
		name, unsorted := strings.CutSuffix(name, isortUnsorted)
		path := python.Relative(out.Root, name)
		switch {
		case fine && sorted:
		case !fine && unsorted:
			j.Findings = append(j.Findings, isortFinding(path, diffs[path]))
		default:
			return engine.Judgement{}, isortError(message, out.Root)
		}
		seen = append(seen, path)
	}
	if m := isortSettings.FindSubmatch(out.Stderr); m != nil {
		return engine.Judgement{}, fmt.Errorf("isort could not read its settings and went by others: correct %s",
			python.Shorten(python.Relative(out.Root, string(m[1])), 200))
	}
	if unread := isortUnread.FindAllSubmatch(out.Stderr, -1); len(unread) > 0 {
		return engine.Judgement{}, fmt.Errorf("isort could not read every file (%s): correct it, or leave the file out in isort's own settings",
			python.Shorten(string(unread[0][1]), 300))
	}
	if out.ExitCode&^1 != 0 || (len(seen) == 0 && out.ExitCode != 0) {
		return engine.Judgement{}, python.Failure("isort", out)
	}
	if len(seen) == 0 {
		return engine.Judgement{}, errors.New("isort found no file to look at: its own settings exclude all of them, see [tool.isort] in pyproject.toml")
	}
	if (out.ExitCode == 1) != (len(j.Findings) > 0) {
		return engine.Judgement{}, python.ErrDisagrees
	}
	j.Judged = len(seen)
	if unseen := tree.Unseen(seen); len(unseen) > 0 {
		j.Notes = append(j.Notes, "isort's own settings, or a comment `isort: skip_file`, keep it from "+python.List(unseen, 3))
	}
	return j, nil
}

// records returns the marked messages.
func records(text string) []string {
	var all []string
	for _, part := range strings.Split(text, recordStart)[1:] {
		if message, _, ok := strings.Cut(part, recordEnd); ok {
			all = append(all, message)
		}
	}
	return all
}

func isortError(message, root string) error {
	if path, ok := strings.CutPrefix(message, isortSyntax); ok {
		return fmt.Errorf("isort could not read %s, which has a syntax error: correct it first, since this file and those after it were not judged",
			python.Shorten(python.Relative(root, strings.TrimSuffix(path, ".")), 200))
	}
	return fmt.Errorf("isort could not judge every file: %s", python.Shorten(strings.ReplaceAll(message, root+"/", ""), 300))
}

func isortFinding(path string, d diff) engine.Finding {
	f := engine.Finding{
		Rule: "imports", Severity: engine.SeverityLow, Path: path, Line: d.first,
		Message: "isort would sort or format the imports of this file",
		Help:    "run `mage fix`, which runs isort in place",
		HelpURL: isortPage,
	}
	if d.first > 0 {
		f.Message += fmt.Sprintf(", from line %d on", d.first)
	}
	return f
}
