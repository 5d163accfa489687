package handover

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/meter-ml/meter-pipeline/internal/wholefile"
)

const (
	// ModelManifest is the manifest's name in the artifacts.
	ModelManifest = "model.json"
	modelSchema   = 1
	// remedy is what makes a model, for whoever has none.
	remedy = "run `mage integration`, which trains it"
)

// Model is what training hands on: the champions of each data set, as the server loads them. The first set is the one
// that every machine has; it is always there.
type Model struct {
	Schema int   `json:"schema"`
	Sets   []Set `json:"sets"`
	// Files are all files of the sets, and Digest stands for them all; Write fills both in.
	Files  []File `json:"files"`
	Digest string `json:"digest"`
}

// A Set is what was trained on one data set.
type Set struct {
	Name string `json:"name"` // "sample"
	// Data is the file of readings that it was trained on, relative to the project's root if it lies in it, else
	// absolute; DataSHA256 is that file's.
	Data       string `json:"data"`
	DataSHA256 string `json:"data_sha256"`
	// Models is the directory of the trained models as the server takes it, one directory a model in it. Requests is a
	// file of request bodies made from the readings, a JSON array. Both are relative to the artifacts in the manifest,
	// and absolute after ReadModel.
	Models   string    `json:"models"`
	Requests string    `json:"requests"`
	Trained  []Trained `json:"trained"`
}

// Trained is one model of a set, and how good it is on readings that it has not seen.
type Trained struct {
	Name      string             `json:"name"`
	Kind      string             `json:"kind"` // regression, classification
	Version   string             `json:"version"`
	Score     string             `json:"score"` // the metric that decides
	TrainRows int                `json:"train_rows"`
	TestRows  int                `json:"test_rows"`
	Metrics   map[string]float64 `json:"metrics"`
	Baseline  map[string]float64 `json:"baseline_metrics"`
	Champion  map[string]float64 `json:"champion_metrics"` // nil: there was none to compare with
}

// WriteModel describes the model's files, which are in the artifacts already, and writes the manifest beside them.
func WriteModel(artifacts string, m Model) (Model, error) {
	if len(m.Sets) == 0 {
		return Model{}, errors.New("hand over model: it was trained on no data set")
	}
	var err error
	m.Schema = modelSchema
	if m.Files, err = list(artifacts, m.paths()); err != nil {
		return Model{}, fmt.Errorf("hand over model: %w", err)
	}
	if err := m.complete(); err != nil {
		return Model{}, fmt.Errorf("hand over model: %w", err)
	}
	m.Digest = digest(m.Files)
	content, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return Model{}, fmt.Errorf("hand over model: %w", err)
	}
	if err := wholefile.Write(filepath.Join(artifacts, ModelManifest), append(content, '\n'), 0o644); err != nil {
		return Model{}, fmt.Errorf("hand over model: %w", err)
	}
	return m, nil
}

// ReadModel returns the model that was handed over in these artifacts, with absolute paths, once its files are shown
// to be the ones that were.
func ReadModel(artifacts string) (Model, error) {
	content, err := os.ReadFile(filepath.Join(artifacts, ModelManifest))
	if errors.Is(err, fs.ErrNotExist) {
		return Model{}, fmt.Errorf("take over model: none was handed over: %s", remedy)
	}
	if err != nil {
		return Model{}, fmt.Errorf("take over model: %w", err)
	}
	m, err := decodeModel(content)
	if err != nil {
		return Model{}, fmt.Errorf("take over model: read %s: %w: %s", ModelManifest, err, remedy)
	}
	files, err := list(artifacts, m.paths())
	if err == nil {
		err = compare(m.Files, files)
	}
	if err != nil {
		return Model{}, fmt.Errorf("take over model: %w: %s", err, remedy)
	}
	for i := range m.Sets {
		m.Sets[i].Models = filepath.Join(artifacts, filepath.FromSlash(m.Sets[i].Models))
		m.Sets[i].Requests = filepath.Join(artifacts, filepath.FromSlash(m.Sets[i].Requests))
	}
	return m, nil
}

func decodeModel(content []byte) (Model, error) {
	var m Model
	decoder := json.NewDecoder(bytes.NewReader(content))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&m); err != nil {
		return Model{}, err
	}
	switch {
	case m.Schema != modelSchema:
		return Model{}, fmt.Errorf("its schema is %d, this program reads %d", m.Schema, modelSchema)
	case len(m.Sets) == 0:
		return Model{}, errors.New("it names no data set")
	case m.Digest != digest(m.Files):
		return Model{}, errors.New("its digest is not that of its files")
	}
	return m, m.complete()
}

// complete reports what a set lacks: whoever takes the model over need not look again.
func (m Model) complete() error {
	for _, set := range m.Sets {
		for _, path := range []string{set.Models, set.Requests} {
			if !filepath.IsLocal(filepath.FromSlash(path)) {
				return fmt.Errorf("data set %s: %q does not lie in the artifacts", set.Name, path)
			}
		}
		if len(set.Trained) == 0 {
			return fmt.Errorf("data set %s has no model", set.Name)
		}
		for _, model := range set.Trained {
			if !m.holds(set.Models + "/" + model.Name + "/") {
				return fmt.Errorf("data set %s: there is no file of model %s", set.Name, model.Name)
			}
		}
	}
	return nil
}

func (m Model) holds(prefix string) bool {
	for _, file := range m.Files {
		if strings.HasPrefix(file.Path, prefix) {
			return true
		}
	}
	return false
}

// Paths are the files, relative to the artifacts.
func (m Model) Paths() []string {
	paths := make([]string, 0, len(m.Files))
	for _, file := range m.Files {
		paths = append(paths, filepath.FromSlash(file.Path))
	}
	return paths
}

// paths are where the files of all sets are, relative to the artifacts.
func (m Model) paths() []string {
	var paths []string
	for _, set := range m.Sets {
		paths = append(paths, set.Models, set.Requests)
	}
	return paths
}
