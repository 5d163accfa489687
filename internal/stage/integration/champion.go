package integration

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/handover"
)

// keeper stores the model that was handed on, as what later ones are compared with.
type keeper struct{ project *config.Project }

// keep copies the model's files beside the old champion, and puts them in its place once they are shown to be whole.
func (k keeper) keep(ctx context.Context, scope engine.Scope) (engine.Judgement, error) {
	model, err := handover.ReadModel(scope.Artifacts)
	if err != nil {
		return engine.Judgement{}, err
	}
	target := filepath.Join(k.project.Root, filepath.FromSlash(k.project.Model.Champion))
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return engine.Judgement{}, fmt.Errorf("store champion: %w", err)
	}
	made, err := os.MkdirTemp(filepath.Dir(target), filepath.Base(target)+".new-")
	if err != nil {
		return engine.Judgement{}, fmt.Errorf("store champion: %w", err)
	}
	defer func() { _ = os.RemoveAll(made) }() // what is there now is the old one, or half of the new one
	for _, name := range append(model.Paths(), handover.ModelManifest) {
		if err := errors.Join(ctx.Err(), copyFile(filepath.Join(scope.Artifacts, name), filepath.Join(made, name))); err != nil {
			return engine.Judgement{}, fmt.Errorf("store champion: %w", err)
		}
	}
	if _, err := handover.ReadModel(made); err != nil {
		return engine.Judgement{}, fmt.Errorf("store champion: %w", err)
	}
	if err := swap(made, target); err != nil {
		return engine.Judgement{}, fmt.Errorf("store champion: %w", err)
	}
	return engine.Judgement{
		Judged: len(model.Files), Unit: "files",
		Notes: []string{fmt.Sprintf("stored in %s: %.19s…", k.project.Model.Champion, model.Digest)},
	}, nil
}

func copyFile(from, to string) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// swap puts one directory in the place of another, which is left where the first one was.
func swap(made, target string) error {
	old := made + ".old"
	if err := os.Rename(target, old); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := os.Rename(made, target); err != nil {
		return errors.Join(err, os.Rename(old, target))
	}
	return os.RemoveAll(old)
}
