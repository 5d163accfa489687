package worktree

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/meter-ml/meter-pipeline/internal/engine"
)

// Changes are the lines that a change has touched, as they are numbered now, by path.
type Changes map[string][]span

type span struct{ first, last int }

// Has reports whether a line was touched. A finding about a whole file, line 0, was if any of it was.
func (c Changes) Has(path string, line int) bool {
	spans := c[path]
	return line == 0 && len(spans) > 0 || slices.ContainsFunc(spans, func(s span) bool { return s.first <= line && line <= s.last })
}

// Changed asks git what was touched since a commit, the base of a pull request or what a branch was before a push.
func Changed(ctx context.Context, runner engine.Runner, dir string, env []string, base string) (Changes, error) {
	if !objectName.MatchString(base) || strings.Trim(base, "0") == "" {
		return nil, errors.New("there is nothing before it")
	}
	git := asker{runner, dir, append(slices.Clone(env), "LC_ALL=C")}
	text, err := git.ask(ctx, "diff", "--unified=0", "--no-color", "--no-ext-diff", "--no-textconv", "--no-renames",
		"--ignore-submodules", "--src-prefix=a/", "--dst-prefix=b/", base, "HEAD", "--")
	if err != nil {
		return nil, err
	}
	return parseDiff(text)
}

// hunk says which lines were taken away and put in, and so how many lines of content follow: what looks like a header among
// them is none.
var hunk = regexp.MustCompile(`^@@ -\d+(?:,(\d+))? \+(\d+)(?:,(\d+))? @@`)

func parseDiff(text string) (Changes, error) {
	changes := Changes{}
	path, content := "", 0
	lines := bufio.NewScanner(strings.NewReader(text))
	lines.Buffer(nil, len(text)+1)
	for lines.Scan() {
		line := lines.Text()
		if content > 0 {
			if !strings.HasPrefix(line, `\`) { // "\ No newline at end of file"
				content--
			}
			continue
		}
		if name, ok := strings.CutPrefix(line, "+++ "); ok {
			var err error
			if path, err = unquoted(name); err != nil {
				return nil, err
			}
			continue
		}
		m := hunk.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		gone, first, here := number(m[1], 1), number(m[2], 0), number(m[3], 1)
		content = gone + here
		if here > 0 && path != "" {
			changes[path] = append(changes[path], span{first, first + here - 1})
		}
	}
	return changes, lines.Err()
}

func number(digits string, otherwise int) int {
	n, err := strconv.Atoi(digits)
	if err != nil {
		return otherwise
	}
	return n
}

// unquoted is a path as the project has it. Git quotes what has control characters or bytes that are not ASCII, and ends one
// with a space by a tab.
func unquoted(name string) (string, error) {
	name = strings.TrimSuffix(name, "\t")
	if strings.HasPrefix(name, `"`) {
		plain, err := strconv.Unquote(name)
		if err != nil {
			return "", fmt.Errorf("read git's difference: %q is no path", name)
		}
		name = plain
	}
	if name == "/dev/null" {
		return "", nil
	}
	return strings.TrimPrefix(name, "b/"), nil
}
