package security

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/plain"
	"github.com/meter-ml/meter-pipeline/internal/stage/python"
)

// gitleaksLeaks is the exit code for found secrets, told apart from 1, which is any failure.
const gitleaksLeaks = 7

// gitleaksArgs scan the working directory. Nothing of a secret gets into report or log; a comment in the source lets
// nothing through, since it has neither reason nor date. The report is scratch: it quotes messages of commits.
func gitleaksArgs(mode, scratch, report string, options ...string) []string {
	args := []string{
		mode, ".", "--redact=100", "--report-format=json", "--report-path=" + filepath.Join(scratch, report),
		"--exit-code=" + strconv.Itoa(gitleaksLeaks), "--no-banner", "--no-color", "--log-level=info", "--ignore-gitleaks-allow",
	}
	if len(options) > 0 {
		args = append(args, "--log-opts="+strings.Join(options, " "))
	}
	return args
}

// gitleaksReport is the path that args ask for.
func gitleaksReport(args []string) string {
	for _, arg := range args {
		if path, ok := strings.CutPrefix(arg, "--report-path="); ok {
			return path
		}
	}
	return ""
}

// leak is one secret, without the secret.
type leak struct {
	Rule        string `json:"RuleID"`
	Description string `json:"Description"`
	File        string `json:"File"`
	Line        int    `json:"StartLine"`
	Commit      string `json:"Commit"`
	Date        string `json:"Date"`
	Match       string `json:"Match"` // redacted
}

// scanned is what a scan read and found.
type scanned struct {
	leaks   []leak
	bytes   int
	commits int
}

var (
	gitleaksBytes   = regexp.MustCompile(`(?m)^\S+ (?:INF|WRN) scanned ~(\d+) bytes`)
	gitleaksCommits = regexp.MustCompile(`(?m)^\S+ INF (\d+) commits scanned\.`)
	gitleaksTrouble = regexp.MustCompile(`(?m)^\S+ (?:ERR|FTL|WRN skipping|WRN partial scan) ?(.*)$`)
)

// parseGitleaks reads report and log. gitleaks ends with exit code 0 and "no leaks found" when git fails, when a file
// can't be read, and when there was nothing to scan; only its log tells.
func parseGitleaks(out engine.Output) (scanned, error) {
	var s scanned
	if m := gitleaksTrouble.FindSubmatch(out.Stderr); m != nil || out.ExitCode != 0 && out.ExitCode != gitleaksLeaks {
		return s, gitleaksFailure(out)
	}
	read := gitleaksBytes.FindSubmatch(out.Stderr)
	if read == nil {
		return s, gitleaksFailure(out)
	}
	s.bytes = atoi(read[1])
	if m := gitleaksCommits.FindSubmatch(out.Stderr); m != nil {
		s.commits = atoi(m[1])
	}
	var leaks *[]leak
	decoder := json.NewDecoder(bytes.NewReader(out.Reports[secrets]))
	if err := decoder.Decode(&leaks); err != nil {
		return s, fmt.Errorf("read report of the secret scan: %w", err)
	}
	if leaks == nil || (out.ExitCode == gitleaksLeaks) != (len(*leaks) > 0) {
		return s, python.ErrDisagrees
	}
	s.leaks = *leaks
	return s, nil
}

func gitleaksFailure(out engine.Output) error {
	for _, m := range gitleaksTrouble.FindAllSubmatch(out.Stderr, -1) {
		if text := strings.TrimSpace(string(m[1])); text != "" {
			return fmt.Errorf("the secret scan failed with exit code %d: %s", out.ExitCode, python.Shorten(text, 300))
		}
	}
	return fmt.Errorf("the secret scan failed with exit code %d: %s", out.ExitCode, python.LastLine(out.Stderr, out.Stdout))
}

// distinct keeps of the same match in the same file the one in the tree, or else the oldest commit: gitleaks lists
// newer ones first.
func distinct(leaks []leak) []leak {
	type key struct{ rule, file, match string }
	inTree := map[key]map[int]bool{}
	oldest := map[key]int{}
	var kept []leak
	for _, l := range leaks {
		k := key{l.Rule, l.File, l.Match}
		if l.Commit == "" {
			if inTree[k] == nil {
				inTree[k] = map[int]bool{}
			}
			inTree[k][l.Line] = true
			kept = append(kept, l)
			continue
		}
		if inTree[k][l.Line] {
			continue
		}
		k.match += "\x00" + strconv.Itoa(l.Line)
		if at, ok := oldest[k]; ok {
			kept[at] = l
			continue
		}
		oldest[k] = len(kept)
		kept = append(kept, l)
	}
	return kept
}

const gitleaksPage = "https://github.com/gitleaks/gitleaks#readme"

func (l leak) finding(repo repository) engine.Finding {
	f := engine.Finding{
		Rule: l.Rule, Severity: engine.SeverityHigh, Path: repo.path(l), Line: l.Line,
		Message: plain.Line(l.Description),
		Help:    "revoke it where it is valid, then take it from the environment or a secret store; if it is no secret, allow it in pipeline.yaml with a reason and a date",
		HelpURL: gitleaksPage,
	}
	if l.Commit != "" {
		day, _, _ := strings.Cut(l.Date, "T")
		f.Line = 0 // of the file as it was then
		f.Message += fmt.Sprintf(" (in line %d of commit %.10s of %s)", l.Line, l.Commit, day)
		f.Help = "revoke it where it is valid: who has a clone has it; git filter-repo takes it out of the history; if it is no secret, allow it in pipeline.yaml with a reason and a date"
	}
	return f
}

func atoi(digits []byte) int {
	n, err := strconv.Atoi(string(digits))
	if err != nil {
		return 0
	}
	return n
}
