// Package python holds what the Python tools that the stages start have in common: how they are started so that
// nothing but the project decides what they do, which files there are for them to look at, and how they say that
// they could not. It stands between the stages and the engine, and starts nothing itself.
package python

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/plain"
)

// Program is what every tool is started with: the interpreter of the project's environment. A tool that is missing
// there is then an error, where its bare name would find another version on PATH.
const Program = "python"

// Module returns the arguments that start a tool as a module. Isolated mode keeps out what is not the project's: the
// working directory (a black.py in the root), PYTHONPATH, PYTHONOPTIMIZE, the user's own packages. UTF-8 mode makes
// names and messages come out the same on every machine.
func Module(name string, args ...string) []string {
	return append([]string{"-I", "-X", "utf8", "-m", name}, args...)
}

// Settings names the files in which the Python tools look for their settings, relative to the root, whether or not
// they exist: one that appears changes what a tool does.
func Settings(own ...string) []string {
	return append([]string{"pyproject.toml", "setup.cfg", "tox.ini"}, own...)
}

// Relative returns a tool's path as slash-separated and relative to the root; a path elsewhere stays as it is.
func Relative(root, path string) string {
	if path == "" {
		return ""
	}
	if filepath.IsAbs(path) {
		rel, err := filepath.Rel(root, path)
		if err != nil || !filepath.IsLocal(rel) {
			return filepath.ToSlash(path)
		}
		path = rel
	}
	return filepath.ToSlash(filepath.Clean(path))
}

// noModule is what the interpreter says when `-m` names nothing.
var noModule = regexp.MustCompile(`(?m)^.*: No module named '?([\w.]+)'?`)

// Failure is the error for a tool that ended without the result that its parser knows.
func Failure(tool string, out engine.Output) error {
	if m := noModule.FindSubmatch(out.Stderr); m != nil && bytes.HasPrefix(m[1], []byte(tool)) {
		return fmt.Errorf("%s is not installed in the project's Python environment: add it to the requirements, lock them, and run `mage setup`", tool)
	}
	stdout, stderr := below(out.Root, out.Stdout), below(out.Root, out.Stderr)
	if last := cmp.Or(exception(stderr), LastLine(stderr, stdout)); last != "" {
		return fmt.Errorf("%s ended with exit code %d and without a result: %s", tool, out.ExitCode, last)
	}
	return fmt.Errorf("%s ended with exit code %d and said nothing: see its log", tool, out.ExitCode)
}

// below takes the root out of a text, where it only makes the names in it longer.
func below(root string, text []byte) []byte {
	return bytes.ReplaceAll(text, []byte(root+"/"), nil)
}

// exception returns what the last traceback says was raised: the first line that is not of its stack, and those after
// it, since a message may have several.
func exception(stderr []byte) string {
	text := string(stderr)
	at := strings.LastIndex(text, "Traceback (most recent call last):\n")
	if at < 0 {
		return ""
	}
	lines := strings.Split(text[at:], "\n")
	for i, line := range lines[1:] {
		if line != "" && line[0] != ' ' && line[0] != '\t' {
			return Shorten(strings.Join(lines[1+i:], "\n"), 300)
		}
	}
	return ""
}

// LastLine returns the last line that says something, of the first text that has one.
func LastLine(texts ...[]byte) string {
	for _, text := range texts {
		lines := strings.Split(plain.Text(string(text)), "\n")
		for i := len(lines) - 1; i >= 0; i-- {
			if line := strings.TrimSpace(lines[i]); line != "" {
				return Shorten(line, 300)
			}
		}
	}
	return ""
}

// Shorten cuts a text of foreign origin to about n bytes, on one line.
func Shorten(s string, n int) string {
	s = strings.Join(strings.Fields(plain.Line(s)), " ")
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}

// List names the first few of many: "a, b and 7 more".
func List(items []string, most int) string {
	shown := make([]string, 0, most)
	for _, item := range items[:min(most, len(items))] {
		shown = append(shown, Shorten(item, 200))
	}
	text := strings.Join(shown, ", ")
	if more := len(items) - len(shown); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// Count writes a number with its noun: "1 file", "3 files".
func Count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// ErrDisagrees is for output that contradicts itself: then nothing that it says is believed.
var ErrDisagrees = errors.New("its output contradicts itself, so nothing of it is believed: see its log")
