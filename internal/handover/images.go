package handover

import "fmt"

const (
	// ImagesManifest is the manifest's name in the artifacts.
	ImagesManifest = "images.json"
	imagesSchema   = 1
)

// Images is what a build hands on: which images there are, by digest, and what they were made of.
type Images struct {
	Schema int     `json:"schema"`
	Commit string  `json:"commit"` // that was built; empty outside of a work tree
	Tree   string  `json:"tree"`   // git's hash of the source tree, "gitTree:…"
	Dirty  bool    `json:"dirty"`  // the work tree differed from it
	Images []Image `json:"images"`
}

// An Image is one that was built.
type Image struct {
	Name       string `json:"name"`       // model_api
	Repository string `json:"repository"` // whole: ghcr.io/meter-ml/model-api
	Digest     string `json:"digest"`     // of the manifest: sha256:…
	Layout     string `json:"layout"`     // the OCI layout that holds it, absolute
	Platform   string `json:"platform"`   // linux/amd64
	Packed     int64  `json:"packed_bytes"`
	Unpacked   int64  `json:"unpacked_bytes"`
	Base       string `json:"base"`             // by digest
	Model      string `json:"model,omitempty"`  // the digest of the model that was handed over and is baked in
	Source     string `json:"source,omitempty"` // address of the source
}

// WriteImages writes the manifest.
func WriteImages(artifacts string, images Images) error {
	images.Schema = imagesSchema
	return put(artifacts, ImagesManifest, "images", images)
}

// ReadImages returns the images that were handed over in these artifacts. The layouts verify themselves: each of their
// blobs is named after its digest.
func ReadImages(artifacts string) (Images, error) {
	var images Images
	if err := take(artifacts, ImagesManifest, "images", "run `mage image:build`, which builds them", &images); err != nil {
		return Images{}, err
	}
	if images.Schema != imagesSchema {
		return Images{}, fmt.Errorf("take over images: the schema of %s is %d, this program reads %d", ImagesManifest, images.Schema, imagesSchema)
	}
	return images, nil
}
