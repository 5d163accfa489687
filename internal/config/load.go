package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/meter-ml/meter-pipeline/internal/strict"
)

// A Problem is one thing that is wrong with a file that a user wrote.
type Problem = strict.Problem

// Problems are all that is wrong with a file. The pipeline exits with 2 on them.
type Problems = strict.Problems

// Duration is a time.Duration written as in Go: 90s, 10m, 720h.
type Duration = strict.Duration

// Load reads pipeline.yaml in root over the defaults. Without that file it returns the defaults. What is wrong with
// the file comes back as Problems.
func Load(root string) (*Project, error) {
	project := Default(root)
	content, err := os.ReadFile(filepath.Join(root, FileName))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		content = nil
	case err != nil:
		return nil, Problems{{File: FileName, Message: "read: " + strict.Reason(err), Remedy: "make it a readable file, or remove it to get the defaults"}}
	}
	if err := decode(content, project); err != nil {
		return nil, err
	}
	return project, nil
}

// decode fills project in from the file's content, and validates it.
func decode(content []byte, project *Project) error {
	doc, err := strict.Decode(FileName, content, project)
	if err != nil {
		return err
	}
	project.complete()
	for name, environment := range project.Environments {
		project.Environments[name] = completeEnvironment(environment, "environments."+name, doc.Written)
	}
	for i := range project.Security.Allow {
		project.Security.Allow[i].Line = doc.Line(fmt.Sprintf("security.allow[%d]", i))
	}
	return validate(project, doc)
}
