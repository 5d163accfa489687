package workflow

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/rhysd/actionlint"
)

// A Flaw is what actionlint says of a workflow.
type Flaw struct {
	Path, Rule, Message string
	Line, Column        int
}

// Lint has actionlint judge all workflows of a project, also those that others wrote. It starts no program: shellcheck
// and pyflakes have nothing to do where each step is one line. It returns how many files it has read.
func Lint(root string) ([]Flaw, int, error) {
	linter, err := actionlint.NewLinter(io.Discard, &actionlint.LinterOptions{WorkingDir: root})
	if err != nil {
		return nil, 0, fmt.Errorf("lint workflows: %w", err)
	}
	var paths []string
	for _, pattern := range []string{"*.yml", "*.yaml"} {
		found, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(Directory), pattern))
		if err != nil {
			return nil, 0, fmt.Errorf("lint workflows: %w", err)
		}
		paths = append(paths, found...)
	}
	var flaws []Flaw
	for _, path := range paths {
		content, err := os.ReadFile(path)
		if err != nil {
			return nil, 0, fmt.Errorf("lint workflows: %w", err)
		}
		name := Directory + "/" + filepath.Base(path)
		more, err := linter.Lint(name, content, nil)
		if err != nil {
			return nil, 0, fmt.Errorf("lint %s: %w", name, err)
		}
		for _, e := range more {
			flaws = append(flaws, Flaw{Path: name, Rule: "actionlint-" + e.Kind, Message: strings.TrimSpace(e.Message), Line: e.Line, Column: e.Column})
		}
	}
	return flaws, len(paths), nil
}
