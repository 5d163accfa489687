package workflow

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/rogpeppe/go-internal/diff"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/wholefile"
)

// Directory holds the workflows, relative to the root.
const Directory = ".github/workflows"

// A File is one that is written from the pipeline, with what it should hold.
type File struct {
	Path    string // slash-separated, relative to the root
	Content string
}

// Files are all that is written from the pipeline.
func Files(p *config.Project) ([]File, error) {
	graph := Pipeline()
	var files []File
	for name, w := range map[string]Workflow{"pipeline.yml": graph, "maintenance.yml": Maintenance()} {
		content, err := Render(w, p)
		if err != nil {
			return nil, err
		}
		files = append(files, File{Directory + "/" + name, content})
	}
	for _, rules := range Rulesets(graph) {
		content, err := rules.JSON()
		if err != nil {
			return nil, err
		}
		files = append(files, File{RulesDirectory + "/" + rules.Name + ".json", content})
	}
	return append(files, File{"docs/secrets.md", secretsPage(graph, p)}), nil
}

// Ours reports whether a project has workflows that this package has written: others are nobody's business here.
func Ours(root string) bool {
	paths, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(Directory), "*.yml"))
	if err != nil {
		return false
	}
	for _, path := range paths {
		if content, err := os.ReadFile(path); err == nil && strings.HasPrefix(string(content), Head) {
			return true
		}
	}
	return false
}

// A Drift is how one file differs from what it should hold.
type Drift struct {
	Path string
	Line int    // the first that differs, from 1
	Diff string // unified, from what is there to what should be
}

// Drifts compares what is there with the pipeline.
func Drifts(p *config.Project) ([]Drift, int, error) {
	files, err := Files(p)
	if err != nil {
		return nil, 0, err
	}
	var drifts []Drift
	for _, file := range files {
		have, err := os.ReadFile(filepath.Join(p.Root, filepath.FromSlash(file.Path)))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, 0, fmt.Errorf("compare %s: %w", file.Path, err)
		}
		if string(have) == file.Content {
			continue
		}
		drifts = append(drifts, Drift{
			Path: file.Path, Line: differs(have, []byte(file.Content)),
			Diff: string(diff.Diff(file.Path, have, file.Path+" as the pipeline says", []byte(file.Content))),
		})
	}
	return drifts, len(files), nil
}

func differs(have, want []byte) int {
	n := 0
	for n < len(have) && n < len(want) && have[n] == want[n] {
		n++
	}
	return 1 + bytes.Count(have[:n], []byte("\n"))
}

// Generate writes what differs, and returns the paths.
func Generate(p *config.Project) ([]string, error) {
	files, err := Files(p)
	if err != nil {
		return nil, err
	}
	var changed []string
	for _, file := range files {
		path := filepath.Join(p.Root, filepath.FromSlash(file.Path))
		if have, err := os.ReadFile(path); err == nil && string(have) == file.Content {
			continue
		}
		err := os.MkdirAll(filepath.Dir(path), 0o755)
		if err == nil {
			err = wholefile.Write(path, []byte(file.Content), 0o644)
		}
		if err != nil {
			return changed, fmt.Errorf("write %s: %w", file.Path, err)
		}
		changed = append(changed, file.Path)
	}
	return changed, nil
}
