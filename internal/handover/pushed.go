package handover

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/meter-ml/meter-pipeline/internal/wholefile"
)

const (
	// PushedManifest is the manifest's name in the artifacts.
	PushedManifest = "pushed.json"
	pushedSchema   = 1
)

// Pushed is what a push hands on: which images a registry has now, by digest, and what they were made of.
type Pushed struct {
	Schema int           `json:"schema"`
	Commit string        `json:"commit"`
	Tree   string        `json:"tree"` // git's hash of the source tree, "gitTree:…"
	Dirty  bool          `json:"dirty"`
	Images []PushedImage `json:"images"`
}

// A PushedImage is one that a registry has.
type PushedImage struct {
	Name       string   `json:"name"`       // model_api
	Repository string   `json:"repository"` // whole: ghcr.io/meter-ml/model-api
	Digest     string   `json:"digest"`     // of the manifest: sha256:…
	Tags       []string `json:"tags"`       // that this run gave it, or found to be its own
}

// WritePushed writes the manifest.
func WritePushed(artifacts string, pushed Pushed) error {
	pushed.Schema = pushedSchema
	content, err := json.MarshalIndent(pushed, "", "  ")
	if err == nil {
		err = wholefile.Write(filepath.Join(artifacts, PushedManifest), append(content, '\n'), 0o644)
	}
	if err != nil {
		return fmt.Errorf("hand over pushed images: %w", err)
	}
	return nil
}

// ReadPushed returns the images that were handed over in these artifacts.
func ReadPushed(artifacts string) (Pushed, error) {
	content, err := os.ReadFile(filepath.Join(artifacts, PushedManifest))
	if errors.Is(err, fs.ErrNotExist) {
		return Pushed{}, errors.New("take over pushed images: none were handed over: run `mage image:push`, which pushes them")
	}
	if err != nil {
		return Pushed{}, fmt.Errorf("take over pushed images: %w", err)
	}
	var pushed Pushed
	decoder := json.NewDecoder(bytes.NewReader(content))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&pushed); err != nil {
		return Pushed{}, fmt.Errorf("take over pushed images: read %s: %w", PushedManifest, err)
	}
	switch {
	case pushed.Schema != pushedSchema:
		return Pushed{}, fmt.Errorf("take over pushed images: the schema of %s is %d, this program reads %d", PushedManifest, pushed.Schema, pushedSchema)
	case len(pushed.Images) == 0:
		return Pushed{}, fmt.Errorf("take over pushed images: %s names none", PushedManifest)
	}
	return pushed, nil
}
