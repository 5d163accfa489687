package data

import (
	"fmt"
	"path/filepath"
	"runtime"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/dataset/contract"
	"github.com/meter-ml/meter-pipeline/internal/engine"
)

type fileStage struct {
	Options
	file, descriptor string
}

// NewFile returns a stage that judges one file, wherever it is, against one descriptor.
func NewFile(o Options, file, descriptor string) engine.Stage { return fileStage{o, file, descriptor} }

func (fileStage) Name() string { return name }

// Steps is the one. What is wrong with the descriptor is a usage error here: nothing else can be judged.
func (s fileStage) Steps(p *config.Project) ([]engine.Step, error) {
	descriptor := s.descriptor
	if filepath.IsAbs(descriptor) {
		relative, err := filepath.Rel(p.Root, descriptor)
		if err != nil {
			return nil, fmt.Errorf("name the descriptor by a path below %s: %w", p.Root, err)
		}
		descriptor = relative
	}
	c, err := contract.Load(p.Root, filepath.ToSlash(descriptor))
	if err != nil {
		return nil, err
	}
	path := s.file
	if !filepath.IsAbs(path) {
		path = filepath.Join(p.Root, path)
	}
	all := &sets{project: p, cores: runtime.GOMAXPROCS(0)}
	if len(c.Schema.ForeignKeys) > 0 { // only these look beyond the file
		all = read(p, s.Get)
	}
	here := set{contract: c, path: path, shown: s.file}
	return []engine.Step{{
		Name: c.Name, Judges: s.file + " against " + c.File, Slots: all.cores,
		Inputs:  []string{c.File},
		Timeout: p.Run.Budgets[name].Std(),
		Rerun:   fmt.Sprintf("mage data:check %s %s", s.file, s.descriptor),
		Func:    judgement{set: here, all: all, book: newBook(&sets{sets: []set{here}}), now: s.Now, project: p, whole: true}.judge,
	}}, nil
}
