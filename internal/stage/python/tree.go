package python

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/meter-ml/meter-pipeline/internal/plain"
)

// A Tree is what there is for a tool to look at. It is made before the tool runs, from the file system alone, so that
// a tool which looks at less can be found out.
type Tree struct {
	Root  string
	Paths []string // as they are configured
	Files []string // every Python file below them, slash-separated and relative to the root, sorted
	// Problem says which of the paths holds nothing to look at.
	Problem error
}

// Look walks the paths. Key is where they come from, for the error: "quality.paths".
func Look(root, key string, paths []string) Tree {
	t := Tree{Root: root, Paths: paths}
	if len(paths) == 0 {
		t.Problem = fmt.Errorf("%s is empty, so there is nothing to look at: name the directories in pipeline.yaml", key)
		return t
	}
	for _, p := range paths {
		found, err := walk(root, p)
		if err != nil {
			t.Problem = errors.Join(t.Problem, fmt.Errorf("%s names %s, which can't be read: %w: correct it in pipeline.yaml", key, p, cause(err)))
			continue
		}
		if len(found) == 0 {
			t.Problem = errors.Join(t.Problem, fmt.Errorf("%s names %s, which holds no Python file: correct it in pipeline.yaml", key, p))
		}
		t.Files = append(t.Files, found...)
	}
	slices.Sort(t.Files)
	t.Files = slices.Compact(t.Files)
	return t
}

// Unseen returns the files that are not among those that the tool looked at. Tools leave escape sequences out of
// names, so names are compared without them.
func (t Tree) Unseen(seen []string) []string {
	known := make(map[string]bool, len(seen))
	for _, p := range seen {
		known[plain.Line(path.Clean(p))] = true
	}
	var unseen []string
	for _, f := range t.Files {
		if !known[plain.Line(f)] {
			unseen = append(unseen, f)
		}
	}
	return unseen
}

// walk returns the Python files below one path. A path that is a file counts whatever its name is, as it does for
// the tools; a link is followed if it is the path itself.
func walk(root, p string) ([]string, error) {
	start := filepath.Join(root, filepath.FromSlash(p))
	info, err := os.Stat(start)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return []string{path.Clean(p)}, nil
	}
	resolved, err := filepath.EvalSymlinks(start)
	if err != nil {
		return nil, err
	}
	base := path.Clean(p)
	if resolved != filepath.Clean(start) {
		base = Relative(root, resolved) // the tools name the files by where they really are
	}
	var found []string
	err = filepath.WalkDir(resolved, func(at string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && at != resolved && skipped(at, entry.Name()):
			return filepath.SkipDir
		case entry.Type().IsRegular() && isPython(entry.Name()):
			rel, err := filepath.Rel(resolved, at)
			if err != nil {
				return err
			}
			found = append(found, path.Join(base, filepath.ToSlash(rel)))
		}
		return nil
	})
	return found, err
}

func isPython(name string) bool {
	return strings.HasSuffix(name, ".py") || strings.HasSuffix(name, ".pyi")
}

// skipped directories hold nobody's source: hidden ones (.venv, .git, .pipeline), caches, environments.
func skipped(dir, name string) bool {
	if strings.HasPrefix(name, ".") || name == "__pycache__" || name == "node_modules" {
		return true
	}
	_, err := os.Stat(filepath.Join(dir, "pyvenv.cfg"))
	return err == nil
}

// cause drops the path from a file error: the message names it as it is configured.
func cause(err error) error {
	var pathError *fs.PathError
	if errors.As(err, &pathError) {
		return pathError.Err
	}
	return err
}
