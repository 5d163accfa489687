package quality

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/plain"
	"github.com/meter-ml/meter-pipeline/internal/stage/python"
)

const blackPage = "https://black.readthedocs.io/en/stable/the_black_code_style/current_style.html"

// blackArgs ask for the diff, which has the lines, and for every file's name, which proves that it was looked at.
func blackArgs(p *config.Project) []string {
	return append(python.Module("black", "--check", "--diff", "--verbose", "--no-color", "--"), p.Quality.Paths...)
}

func blackCommand(p *config.Project, tree python.Tree) *engine.Command {
	return &engine.Command{
		Program: python.Program,
		Args:    blackArgs(p),
		// An empty cache, since black skips what it believes to know from an earlier run, and a home without a person's
		// own settings, which black goes by where a project has none.
		Env:   map[string]string{"BLACK_CACHE_DIR": engine.ScratchDir, "HOME": engine.ScratchDir, "XDG_CONFIG_HOME": engine.ScratchDir},
		Parse: func(out engine.Output) (engine.Judgement, error) { return parseBlack(tree, out) },
	}
}

// blackSummary is the last line that black writes; each of its parts may be missing.
var blackSummary = regexp.MustCompile(`^(?:(\d+) files? would be reformatted)?(?:, )?(?:(\d+) files? would be left unchanged)?(?:, )?(?:(\d+) files? would fail to reformat)?\.$`)

// parseBlack believes black's own count of files, if the files that it names agree with it. It exits 0 on a folder
// without any Python file, and 123 if it could not read one, whatever it found in the others.
func parseBlack(tree python.Tree, out engine.Output) (engine.Judgement, error) {
	if tree.Problem != nil {
		return engine.Judgement{}, tree.Problem
	}
	stderr := strings.ReplaceAll(string(out.Stderr), "\r\n", "\n")
	summary := blackSummary.FindStringSubmatch(lastLine(stderr))
	switch {
	case strings.Contains(stderr, "No Python files are present to be formatted"):
		return engine.Judgement{}, errors.New("black found no file to look at: its own settings exclude all of them, see [tool.black] in pyproject.toml and .gitignore")
	case summary == nil || lastLine(stderr) == ".":
		return engine.Judgement{}, python.Failure("black", out)
	}
	changed, same, failed := number(summary[1]), number(summary[2]), number(summary[3])
	if failed > 0 || out.ExitCode == 123 {
		return engine.Judgement{}, blackUnread(out.Root, stderr, failed, changed+same+failed)
	}
	diffs := readDiffs(string(out.Stdout), out.Root)
	log := readBlackLog(stderr, out.Root)
	if len(log.changed) != changed || len(log.same) != same || (out.ExitCode == 1) != (changed > 0) || out.ExitCode&^1 != 0 {
		return engine.Judgement{}, python.ErrDisagrees
	}
	if len(diffs) == changed { // the diff has the names as they are, where the log leaves escape sequences out
		log.changed = slices.Sorted(maps.Keys(diffs))
	}
	j := engine.Judgement{Judged: changed + same, Unit: "files"}
	for _, path := range log.changed {
		j.Findings = append(j.Findings, blackFinding(path, diffs[path]))
	}
	if unseen := tree.Unseen(append(log.changed, log.same...)); len(unseen) > 0 {
		j.Notes = append(j.Notes, "black's own settings keep it from "+python.List(unseen, 3))
	}
	for _, m := range blackIgnored.FindAllStringSubmatch(stderr, -1) {
		j.Warnings = append(j.Warnings, "black ignores settings that it does not know: "+python.Shorten(strings.ReplaceAll(m[1], out.Root+"/", ""), 200))
	}
	return j, nil
}

// blackUnread says which files black could not read, in its own words.
func blackUnread(root, stderr string, failed, all int) error {
	var reasons []string
	for line := range strings.SplitSeq(stderr, "\n") {
		if reason, ok := strings.CutPrefix(line, "error: "); ok {
			reasons = append(reasons, strings.ReplaceAll(plain.Line(reason), root+"/", ""))
		}
	}
	return fmt.Errorf("black could not read %d of %s (%s): correct these first, since nothing in them was judged",
		failed, python.Count(all, "file"), python.List(reasons, 3))
}

// blackLog is what black said of each file.
type blackLog struct{ changed, same []string }

const (
	blackChanged = "would reformat "
	blackSame    = " already well formatted, good job."
	blackCached  = " wasn't modified on disk since last run."
)

// blackIgnored is said of a misspelt setting, which black passes over.
var blackIgnored = regexp.MustCompile(`(?m)^Invalid config keys detected: (.*)$`)

// readBlackLog reads the names of the files. One may hold a line end, and begins with the root.
func readBlackLog(stderr, root string) blackLog {
	var log blackLog
	lines := strings.Split(stderr, "\n")
	for i, line := range lines {
		if name, ok := strings.CutPrefix(line, blackChanged); ok {
			log.changed = append(log.changed, python.Relative(root, name))
		}
		for _, suffix := range []string{blackSame, blackCached} {
			if name, ok := strings.CutSuffix(line, suffix); ok {
				for before := i - 1; before >= 0 && before > i-10 && !strings.HasPrefix(name, root+"/"); before-- {
					name = lines[before] + "\n" + name
				}
				log.same = append(log.same, python.Relative(root, name))
			}
		}
	}
	return log
}

func blackFinding(path string, d diff) engine.Finding {
	f := engine.Finding{
		Rule: "format", Severity: engine.SeverityLow, Path: path, Line: d.first,
		Message: "black would reformat this file",
		Help:    "run `mage fix`, which runs black in place",
		HelpURL: blackPage,
	}
	if d.first > 0 {
		f.Message += fmt.Sprintf(" in %s, the first at line %d", python.Count(d.places, "place"), d.first)
	}
	return f
}

func lastLine(text string) string {
	text = strings.TrimRight(text, "\n")
	return text[strings.LastIndexByte(text, '\n')+1:]
}

// number of what a pattern matched as digits; an empty match is 0.
func number(digits string) int {
	n, err := strconv.Atoi(digits)
	if err != nil {
		return 0
	}
	return n
}
