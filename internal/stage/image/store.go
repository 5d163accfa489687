package image

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"

	"github.com/meter-ml/meter-pipeline/internal/handover"
	"github.com/meter-ml/meter-pipeline/internal/wholefile"
)

// store keeps built images: for each an OCI layout in a directory of its name, and a stamp beside it.
type store struct{ dir string }

// A stamp says what a layout was built from, and how large its layers are unpacked.
type stamp struct {
	Key      string           `json:"key"`
	Digest   string           `json:"digest"`
	Unpacked map[string]int64 `json:"unpacked_bytes"` // by the digest of the layer
}

func (s store) stampOf(name string) string { return filepath.Join(s.dir, name+".json") }

// readStamp returns what is known of a layout: nothing, if there is no stamp that can be read.
func (s store) readStamp(name string) stamp {
	var found stamp
	content, err := os.ReadFile(s.stampOf(name))
	if err != nil || json.Unmarshal(content, &found) != nil {
		return stamp{}
	}
	return found
}

// current reports whether a build would make what is there already. The stamp is believed only when every byte of the
// image is there and has the digest by which it is called.
func (s store) current(one job) bool {
	found := s.readStamp(one.Name)
	if one.key == "" || found.Key != one.key {
		return false
	}
	image, digest, err := open(one.layout)
	return err == nil && digest.String() == found.Digest && whole(one.layout, image, digest) == nil
}

// whole verifies each file of an image against the digest that it is called by: manifest, configuration, packed layers.
func whole(dir string, image v1.Image, digest v1.Hash) error {
	manifest, err := image.Manifest()
	if err != nil {
		return err
	}
	blobs := []v1.Hash{digest, manifest.Config.Digest}
	for _, layer := range manifest.Layers {
		blobs = append(blobs, layer.Digest)
	}
	errs := make([]error, len(blobs))
	var all sync.WaitGroup
	for i, blob := range blobs {
		all.Go(func() { errs[i] = wholeBlob(dir, blob) })
	}
	all.Wait()
	return errors.Join(errs...)
}

func wholeBlob(dir string, want v1.Hash) error {
	file, err := os.Open(filepath.Join(dir, "blobs", want.Algorithm, want.Hex))
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	got, _, err := v1.SHA256(file)
	if err == nil && got != want {
		err = fmt.Errorf("blob %s has the digest %s", want, got)
	}
	return err
}

// open returns the one image of a layout.
func open(dir string) (v1.Image, v1.Hash, error) {
	index, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		return nil, v1.Hash{}, err
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return nil, v1.Hash{}, err
	}
	if len(manifest.Manifests) != 1 {
		return nil, v1.Hash{}, fmt.Errorf("the layout %s holds %d images, and one is wanted", dir, len(manifest.Manifests))
	}
	digest := manifest.Manifests[0].Digest
	image, err := index.Image(digest)
	return image, digest, err
}

// begin makes a directory that nobody else builds into. It lies beside what is kept, so that images can be moved.
func (s store) begin() (string, error) {
	if err := os.MkdirAll(s.dir, 0o755); err != nil {
		return "", fmt.Errorf("make directory of images: %w", err)
	}
	return os.MkdirTemp(s.dir, ".building-")
}

// keep puts a built image into its place.
func (s store) keep(building string, one job) error {
	built := filepath.Join(building, one.Name)
	image, digest, err := open(built)
	if err != nil {
		return err
	}
	layers, err := image.Layers()
	if err != nil {
		return err
	}
	sizes, err := unpackedSizes(layers, s.readStamp(one.Name).Unpacked)
	if err != nil {
		return err
	}
	content, err := json.MarshalIndent(stamp{Key: one.key, Digest: digest.String(), Unpacked: sizes}, "", "  ")
	if err != nil {
		return err
	}
	if err := os.RemoveAll(s.stampOf(one.Name)); err != nil { // from here on nobody believes what is there
		return err
	}
	if err := os.Rename(one.layout, filepath.Join(building, "earlier-"+one.Name)); err != nil && !os.IsNotExist(err) {
		return err
	}
	if err := os.Rename(built, one.layout); err != nil {
		return err
	}
	return wholefile.Write(s.stampOf(one.Name), append(content, '\n'), 0o644)
}

// describe says of an image what is handed over.
func (s store) describe(one job) (handover.Image, error) {
	image, digest, err := open(one.layout)
	if err != nil {
		return handover.Image{}, err
	}
	manifest, err := image.Manifest()
	if err != nil {
		return handover.Image{}, err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return handover.Image{}, err
	}
	described := handover.Image{Name: one.Name, Digest: digest.String(), Layout: one.layout, Platform: config.OS + "/" + config.Architecture}
	known := s.readStamp(one.Name)
	for _, layer := range manifest.Layers {
		size, ok := known.Unpacked[layer.Digest.String()]
		if !ok || known.Digest != described.Digest {
			return described, fmt.Errorf("%s says nothing of it: remove the file, and build again", s.stampOf(one.Name))
		}
		described.Packed += layer.Size
		described.Unpacked += size
	}
	return described, nil
}
