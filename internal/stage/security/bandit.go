package security

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/plain"
	"github.com/meter-ml/meter-pipeline/internal/stage/python"
)

const banditReport = "bandit"

// banditSettings is bandit's part of pyproject.toml.
var banditSettings = regexp.MustCompile(`(?m)^\s*\[\s*tool\s*\.\s*bandit\b`)

// banditExcluded is the list of what bandit is to leave out.
var banditExcluded = regexp.MustCompile(`(?ms)^\s*exclude_dirs\s*=\s*\[(.*?)\]`)

// excludedDirs reads that list of a pyproject.toml. It is only for telling what is meant from what is not.
func excludedDirs(root string) []string {
	content, err := os.ReadFile(filepath.Join(root, "pyproject.toml"))
	if err != nil {
		return nil
	}
	m := banditExcluded.FindSubmatch(content)
	if m == nil {
		return nil
	}
	var dirs []string
	for word := range strings.SplitSeq(string(m[1]), ",") {
		if word = strings.Trim(word, " \t\r\n\"'"); word != "" {
			dirs = append(dirs, path.Clean(word))
		}
	}
	return dirs
}

// meant reports whether the list names a file or a folder that the file is in, and not only a part of a name.
func meant(file string, excluded []string) bool {
	return slices.ContainsFunc(excluded, func(dir string) bool { return strings.Contains("/"+file+"/", "/"+dir+"/") })
}

// banditArgs name the project's settings: bandit itself looks for them in the folders that it judges, not in the
// root. Every severity is asked for, since which of them fails is decided here.
func banditArgs(p *config.Project) []string {
	args := python.Module("bandit", "--quiet", "--recursive", "--format=json", "--output="+engine.ArtifactsDir+"/bandit-report.json",
		"--severity-level=all", "--confidence-level="+p.Security.Bandit.Confidence)
	if content, err := os.ReadFile(filepath.Join(p.Root, "pyproject.toml")); err == nil && banditSettings.Match(content) {
		args = append(args, "--configfile=pyproject.toml")
	}
	if _, err := os.Stat(filepath.Join(p.Root, ".bandit")); err == nil {
		args = append(args, "--ini=.bandit")
	}
	return append(append(args, "--"), p.Security.Bandit.Paths...)
}

func banditCommand(p *config.Project, tree python.Tree, allow allowList) *engine.Command {
	excluded := excludedDirs(p.Root)
	return &engine.Command{
		Program: python.Program,
		Args:    banditArgs(p),
		Reports: map[string]string{banditReport: "bandit-report.json"},
		Parse:   func(out engine.Output) (engine.Judgement, error) { return parseBandit(tree, excluded, allow, out) },
	}
}

// banditResult is bandit's JSON. What is nil is missing.
type banditResult struct {
	Errors *[]struct {
		Filename string `json:"filename"`
		Reason   string `json:"reason"`
	} `json:"errors"`
	Metrics map[string]struct {
		LOC          int `json:"loc"`
		NoSec        int `json:"nosec"`
		SkippedTests int `json:"skipped_tests"`
	} `json:"metrics"`
	Results *[]banditIssue `json:"results"`
}

type banditIssue struct {
	Filename   string `json:"filename"`
	Test       string `json:"test_id"`
	TestName   string `json:"test_name"`
	Text       string `json:"issue_text"`
	Severity   string `json:"issue_severity"`
	Confidence string `json:"issue_confidence"`
	Line       int    `json:"line_number"`
	LineRange  []int  `json:"line_range"`
	Column     int    `json:"col_offset"` // from 0
	EndColumn  int    `json:"end_col_offset"`
	Page       string `json:"more_info"`
}

const banditTotals = "_totals"

// parseBandit goes by the report alone. bandit exits 0 on a file that it can't parse and on a path that does not
// exist: only errors[] tells. And its exclude_dirs leave out every file whose path has such a word anywhere in it.
func parseBandit(tree python.Tree, excluded []string, allow allowList, out engine.Output) (engine.Judgement, error) {
	if tree.Problem != nil {
		return engine.Judgement{}, tree.Problem
	}
	content, err := out.Report(banditReport)
	if err != nil || out.ExitCode&^1 != 0 {
		return engine.Judgement{}, python.Failure("bandit", out)
	}
	var result banditResult
	if err := json.Unmarshal(content, &result); err != nil {
		return engine.Judgement{}, fmt.Errorf("read bandit report: %w", err)
	}
	totals, ok := result.Metrics[banditTotals]
	if result.Errors == nil || result.Results == nil || !ok {
		return engine.Judgement{}, errors.New("read bandit report: it has no errors, results or totals")
	}
	if unread := banditUnread(result, out.Root); len(unread) > 0 {
		return engine.Judgement{}, fmt.Errorf("bandit could not judge every file (%s): correct these first", python.List(unread, 3))
	}
	seen := banditFiles(result, out.Root)
	if len(seen) == 0 || totals.LOC <= 0 {
		return engine.Judgement{}, errors.New("bandit judged no line of code: its own settings exclude every file, or all of them are empty")
	}
	if out.ExitCode == 1 && len(*result.Results) == 0 {
		return engine.Judgement{}, python.ErrDisagrees
	}
	j := engine.Judgement{Judged: len(seen), Unit: "files", Warnings: banditWarnings(out.Stderr)}
	banditPassed(tree.Unseen(seen), excluded, &j)
	if totals.NoSec+totals.SkippedTests > 0 {
		j.Notes = append(j.Notes, fmt.Sprintf("%s silenced by comments `# nosec`: %d by bare ones, %d by those that name the test",
			python.Count(totals.NoSec+totals.SkippedTests, "issue"), totals.NoSec, totals.SkippedTests))
		j.Tables = append(j.Tables, banditSilenced(result, out.Root))
	}
	var candidates []candidate
	for _, issue := range *result.Results {
		candidates = append(candidates, candidate{Finding: banditFinding(issue, out.Root), aliases: []string{issue.TestName}})
	}
	allow.apply(bandit, candidates, &j)
	return j, nil
}

// banditPassed says which files bandit left out.
func banditPassed(unseen, excluded []string, j *engine.Judgement) {
	byIntent := slices.DeleteFunc(slices.Clone(unseen), func(file string) bool { return !meant(file, excluded) })
	byChance := slices.DeleteFunc(slices.Clone(unseen), func(file string) bool { return meant(file, excluded) })
	if len(byIntent) > 0 {
		j.Notes = append(j.Notes, fmt.Sprintf("%s left out, as exclude_dirs of bandit's own settings says: %s",
			python.Count(len(byIntent), "file"), python.List(excluded, 5)))
	}
	if len(byChance) > 0 {
		j.Warnings = append(j.Warnings, fmt.Sprintf("bandit's own settings keep it from %s: its exclude_dirs fit any part of a name, so check that this is meant", python.List(byChance, 3)))
	}
}

func banditUnread(result banditResult, root string) []string {
	var unread []string
	for _, e := range *result.Errors {
		unread = append(unread, python.Relative(root, e.Filename)+": "+e.Reason)
	}
	return unread
}

func banditFiles(result banditResult, root string) []string {
	var files []string
	for file := range result.Metrics {
		if file != banditTotals {
			files = append(files, python.Relative(root, file))
		}
	}
	slices.Sort(files)
	return files
}

// banditSilenced lists the files in which comments silence bandit.
func banditSilenced(result banditResult, root string) engine.Table {
	table := engine.Table{Title: "issues silenced by # nosec", Columns: []string{"file", "bare", "naming the test"}}
	for file, m := range result.Metrics {
		if file != banditTotals && m.NoSec+m.SkippedTests > 0 {
			table.Rows = append(table.Rows, []string{python.Relative(root, file), strconv.Itoa(m.NoSec), strconv.Itoa(m.SkippedTests)})
		}
	}
	slices.SortFunc(table.Rows, func(a, b []string) int { return strings.Compare(a[0], b[0]) })
	return table
}

var banditWarning = regexp.MustCompile(`(?m)^\[\w+\]\tWARNING\t(.*)$`)

// banditWarnings are what bandit says of comments and settings that it does not understand.
func banditWarnings(stderr []byte) []string {
	var warnings []string
	for _, m := range banditWarning.FindAllSubmatch(stderr, 10) {
		warnings = append(warnings, "bandit: "+python.Shorten(string(m[1]), 200))
	}
	return warnings
}

func banditFinding(issue banditIssue, root string) engine.Finding {
	f := engine.Finding{
		Rule: issue.Test, Severity: severity(issue.Severity),
		Path: python.Relative(root, issue.Filename), Line: issue.Line, Column: issue.Column + 1,
		Message: plain.Line(issue.Text), Help: banditHelp(issue.Test), HelpURL: issue.Page,
	}
	if len(issue.LineRange) > 0 && slices.Max(issue.LineRange) == issue.Line && issue.EndColumn > issue.Column {
		f.EndLine, f.EndCol = issue.Line, issue.EndColumn+1
	}
	switch issue.Test {
	case "B105", "B106", "B107": // they quote the password
		f.Message, _, _ = strings.Cut(f.Message, ":")
		f.Frame = "(not shown: it may hold a password)"
	}
	f.Message += " (confidence: " + strings.ToLower(issue.Confidence) + ")"
	return f
}

// banditHelp is the remedy for the commonest tests.
func banditHelp(test string) string {
	switch test {
	case "B101":
		return "raise an exception instead: assert is left out when Python runs with -O"
	case "B104":
		return "listen on 127.0.0.1, or take the address from the environment"
	case "B105", "B106", "B107":
		return "take it from the environment or a secret store, and revoke it if it was real"
	case "B108":
		return "use the tempfile module, which makes names that nobody can guess"
	case "B113":
		return "give the request a timeout"
	case "B301", "B403":
		return "use a format that holds data only, such as JSON: loading a pickle runs what is in it"
	case "B303", "B324":
		return "use SHA-256 or newer, or say usedforsecurity=False"
	case "B311":
		return "use the secrets module for anything that must not be guessed"
	case "B506":
		return "use yaml.safe_load"
	case "B602", "B605":
		return "pass a list of arguments and leave shell=True out"
	case "B603", "B607", "B404":
		return "name the program by its full path, and let no input from outside into its arguments"
	case "B608":
		return "pass values as parameters of the query instead of writing them into its text"
	default:
		return "the test's page shows the risk and the remedy; if it is no risk here, allow it in pipeline.yaml with a reason and a date"
	}
}
