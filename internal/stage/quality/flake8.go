package quality

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/plain"
	"github.com/meter-ml/meter-pipeline/internal/stage/python"
)

const (
	flake8Page      = "https://flake8.pycqa.org/en/latest/user/error-codes.html"
	pycodestylePage = "https://pycodestyle.pycqa.org/en/latest/intro.html#error-codes"
)

// flake8Args: marks around each finding, which no setting of the project and no plug-in that prints can imitate;
// --benchmark adds how many files were processed, --verbose what flake8 made of its settings, and a second count. There
// is no `--` before the paths, since flake8 would take its own options after it for paths.
func flake8Args(p *config.Project) []string {
	format := recordStart + strings.Join([]string{"%(path)s", "%(row)d", "%(col)d", "%(code)s", "%(text)s"}, fieldEnd) + recordEnd
	return append(python.Module("flake8", "--format="+format, "--benchmark", "--verbose", "--color=never"), p.Quality.Paths...)
}

func flake8Command(p *config.Project, tree python.Tree) *engine.Command {
	return &engine.Command{
		Program: python.Program,
		Args:    flake8Args(p),
		Parse:   func(out engine.Output) (engine.Judgement, error) { return parseFlake8(tree, out) },
	}
}

var (
	flake8Files    = regexp.MustCompile(`(?m)^(\d+) +total files processed$`)
	flake8Settings = regexp.MustCompile(`(?m)^flake8\.options.* WARNING +ignoring unparseable config (.*)$`)
	flake8Reported = regexp.MustCompile(`(?m)^flake8.* INFO +Found a total of \d+ violations and reported (\d+)$`)
)

// parseFlake8 takes E902, a file that could not be read, for an error: flake8 counts even a path that does not exist
// as a file processed. A syntax error, E999, is a finding like others: it says where, and the file was judged by it.
func parseFlake8(tree python.Tree, out engine.Output) (engine.Judgement, error) {
	if tree.Problem != nil {
		return engine.Judgement{}, tree.Problem
	}
	if m := flake8Settings.FindSubmatch(out.Stderr); m != nil {
		return engine.Judgement{}, fmt.Errorf("flake8 could not read its settings and went by others: correct %s",
			python.Shorten(strings.ReplaceAll(string(m[1]), out.Root+"/", ""), 200))
	}
	files, reported := flake8Files.FindAllSubmatch(out.Stdout, -1), flake8Reported.FindSubmatch(out.Stderr)
	switch {
	case out.ExitCode&^1 != 0 || reported == nil:
		return engine.Judgement{}, python.Failure("flake8", out)
	case len(files) != 1:
		return engine.Judgement{}, errors.New("flake8 wrote its report somewhere else: remove output-file from its settings")
	}
	j := engine.Judgement{Judged: number(string(files[0][1])), Unit: "files"}
	for _, part := range strings.Split(string(out.Stdout), recordStart)[1:] {
		f, err := flake8Finding(part, out.Root)
		if err != nil {
			return engine.Judgement{}, err
		}
		if f.Rule == "E902" {
			return engine.Judgement{}, fmt.Errorf("flake8 could not read %s: %s", python.Shorten(f.Path, 200), python.Shorten(f.Message, 300))
		}
		j.Findings = append(j.Findings, f)
	}
	if number(string(reported[1])) != len(j.Findings) || out.ExitCode == 1 && len(j.Findings) == 0 {
		return engine.Judgement{}, python.ErrDisagrees
	}
	if j.Judged == 0 {
		return j, errors.New("flake8 found no file to look at: its own settings exclude all of them, see .flake8")
	}
	if less := len(tree.Files) - j.Judged; less > 0 {
		j.Notes = append(j.Notes, fmt.Sprintf("flake8's own settings keep it from %s of %d", python.Count(less, "Python file"), len(tree.Files)))
	}
	return j, nil
}

func flake8Finding(record, root string) (engine.Finding, error) {
	body, _, ended := strings.Cut(record, recordEnd)
	fields := strings.SplitN(body, fieldEnd, 5)
	if !ended || len(fields) != 5 {
		return engine.Finding{}, fmt.Errorf("read flake8 report: a record is torn: %s", python.Shorten(strconv.Quote(body), 100))
	}
	code := fields[3]
	return engine.Finding{
		Rule: code, Severity: flake8Severity(code),
		Path: python.Relative(root, fields[0]), Line: number(fields[1]), Column: number(fields[2]),
		Message: plain.Line(fields[4]), Help: flake8Help(code), HelpURL: flake8URL(code),
	}, nil
}

func flake8Severity(code string) engine.Severity {
	switch {
	case strings.HasPrefix(code, "E9"), strings.HasPrefix(code, "F82"), strings.HasPrefix(code, "F7"):
		return engine.SeverityHigh // it does not run
	case strings.HasPrefix(code, "F"):
		return engine.SeverityMedium
	default:
		return engine.SeverityLow
	}
}

// flake8URL leads to where the code is documented; those of plug-ins are documented by the plug-ins.
func flake8URL(code string) string {
	switch {
	case code == "E999", strings.HasPrefix(code, "F"):
		return flake8Page
	case strings.HasPrefix(code, "E"), strings.HasPrefix(code, "W"):
		return pycodestylePage
	case strings.HasPrefix(code, "C9"):
		return "https://github.com/PyCQA/mccabe"
	default:
		return ""
	}
}

// flake8Help is the remedy for the commonest codes; black mends most of the layout.
func flake8Help(code string) string {
	switch code {
	case "E999":
		return "correct the syntax: flake8 checks the rest of the file only after that"
	case "E501":
		return "break the line, or shorten the text in it: black leaves long strings and comments as they are"
	case "F401":
		return "remove the import, or name it in __all__ if others import it from here"
	case "F841":
		return "remove the variable, or use it"
	case "F811":
		return "rename or remove one of the two: the second replaces the first"
	case "F821":
		return "define or import the name: this line fails when it runs"
	case "E711":
		return "compare with `is None` or `is not None`"
	case "E712":
		return "use the value itself as the condition, or `is True`"
	case "E722":
		return "name the exceptions that are expected: a bare except also hides KeyboardInterrupt"
	case "E731":
		return "write a def, so that it has a name in tracebacks"
	case "E741":
		return "choose a name that can't be taken for a digit"
	case "W605":
		return "write the string as raw, r\"…\", or double the backslash"
	case "C901":
		return "split the function into smaller ones"
	}
	for _, layout := range []string{"E1", "E2", "E3", "W1", "W2", "W3"} {
		if strings.HasPrefix(code, layout) {
			return "run `mage fix`: black mends the layout"
		}
	}
	return "see the rule's page, or silence this one line with `# noqa: " + code + "` and say why"
}
