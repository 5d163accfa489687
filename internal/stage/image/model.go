package image

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/meter-ml/meter-pipeline/internal/handover"
)

// findModel returns the model that is baked in: this run's own, else that of the newest run that trained one.
func findModel(artifacts string) (model handover.Model, note string, err error) {
	if _, err := os.Stat(filepath.Join(artifacts, handover.ModelManifest)); err == nil {
		model, err = handover.ReadModel(artifacts)
		return model, "", err
	}
	run := filepath.Dir(artifacts)
	runs := filepath.Dir(run)
	entries, err := os.ReadDir(runs)
	if err != nil {
		return model, "", fmt.Errorf("look for a trained model: %w", err)
	}
	var refused error
	for _, entry := range slices.Backward(entries) { // names sort by time
		earlier := filepath.Join(runs, entry.Name(), filepath.Base(artifacts))
		if entry.Name() == filepath.Base(run) {
			continue
		}
		if _, err := os.Stat(filepath.Join(earlier, handover.ModelManifest)); err != nil {
			continue
		}
		if model, err = handover.ReadModel(earlier); err != nil {
			refused = errors.Join(refused, fmt.Errorf("run %s: %w", entry.Name(), err))
			continue
		}
		note = fmt.Sprintf("the model is that of run %s, since this run trained none", entry.Name())
		if refused != nil {
			note += fmt.Sprintf("; passed over: %v", refused)
		}
		return model, note, nil
	}
	if refused != nil {
		return model, "", refused
	}
	return model, "", errors.New("no run has trained a model to bake in: run `mage integration`, which does")
}
