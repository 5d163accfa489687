package handover

import "fmt"

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
	return put(artifacts, PushedManifest, "pushed images", pushed)
}

// ReadPushed returns the images that were handed over in these artifacts.
func ReadPushed(artifacts string) (Pushed, error) {
	var pushed Pushed
	if err := take(artifacts, PushedManifest, "pushed images", "run `mage image:push`, which pushes them", &pushed); err != nil {
		return Pushed{}, err
	}
	switch {
	case pushed.Schema != pushedSchema:
		return Pushed{}, fmt.Errorf("take over pushed images: the schema of %s is %d, this program reads %d", PushedManifest, pushed.Schema, pushedSchema)
	case len(pushed.Images) == 0:
		return Pushed{}, fmt.Errorf("take over pushed images: %s names none", PushedManifest)
	}
	return pushed, nil
}
