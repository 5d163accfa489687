package pipeline

import (
	"context"
	"fmt"
	"strings"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/workflow"
)

// CIGenerate writes the workflows, and what else follows from the pipeline, and says what changed.
func CIGenerate(_ context.Context, s *Session) error {
	changed, err := workflow.Generate(s.Project)
	for _, path := range changed {
		s.say("wrote %s", path)
	}
	if err != nil {
		return err
	}
	if len(changed) == 0 {
		s.say("nothing has changed: the workflows are what the pipeline says")
	}
	return nil
}

// CIVerify prints how the workflows differ from what the pipeline says; any difference is exit code 1.
func CIVerify(_ context.Context, s *Session) error {
	drifts, n, err := workflow.Drifts(s.Project)
	if err != nil {
		return err
	}
	var paths []string
	for _, d := range drifts {
		paths = append(paths, d.Path)
		if err := s.print(d.Diff); err != nil {
			return err
		}
	}
	if len(drifts) > 0 {
		return &Exit{Code: engine.ExitFailed, Message: fmt.Sprintf("%d of %d files are not what the pipeline says: %s: `mage ci:generate` writes them", len(drifts), n, strings.Join(paths, ", "))}
	}
	s.say("all %d files are what the pipeline says", n)
	return nil
}
