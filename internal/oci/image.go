// Package oci reads images from OCI layouts on disk: their configuration, every layer's files, and what is left of them
// in the end. It needs no container engine, and what an image holds is never unpacked by name, so that a hostile one
// can't write anywhere.
//
// It stands beside the engine, below the image stage. Every blob is compared with the digest that names it while it is
// read: what it returns without an error is what the image's digest stands for.
package oci

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// longestJSON is how much of a manifest or a configuration is read, in bytes.
const longestJSON = 8 << 20

// Limits bound what is read of an image, so that one made to fill memory or time is an error soon.
type Limits struct {
	Unpacked int64 // bytes of all layers
	Entries  int   // files, directories and links of all layers
	Kept     int64 // bytes of the metadata of packages, which are held in memory
}

// DefaultLimits are far above what a sensible image needs.
func DefaultLimits() Limits { return Limits{Unpacked: 16 << 30, Entries: 2_000_000, Kept: 256 << 20} }

// An Image is one that lies in a layout. Nothing of its layers has been read yet.
type Image struct {
	Digest       v1.Hash // of the manifest
	ConfigDigest v1.Hash // the engine's ID of the image
	Manifest     *v1.Manifest
	Config       *v1.ConfigFile
	Layers       []Layer // from the lowest
	Limits       Limits

	dir string
}

// A Layer is one of an image's.
type Layer struct {
	Digest    v1.Hash // of the packed blob
	DiffID    v1.Hash // of the tar
	Packed    int64   // bytes
	MediaType types.MediaType
	CreatedBy string // the command that made it, as the history says; empty if it does not
}

// Open finds the image with that digest in a layout, and checks its manifest and its configuration.
func Open(dir, digest string) (*Image, error) {
	image, err := open(dir, digest)
	if err != nil {
		return nil, fmt.Errorf("open image %s in %s: %w: build it again", digest, dir, err)
	}
	return image, nil
}

func open(dir, digest string) (*Image, error) {
	hash, err := v1.NewHash(digest)
	if err != nil {
		return nil, err
	}
	if err := listed(dir, hash); err != nil {
		return nil, err
	}
	image := &Image{Digest: hash, Limits: DefaultLimits(), dir: dir}
	content, err := image.blob(hash)
	if err != nil {
		return nil, fmt.Errorf("read manifest: %w", err)
	}
	if image.Manifest, err = v1.ParseManifest(bytes.NewReader(content)); err != nil {
		return nil, fmt.Errorf("read manifest: %w", err)
	}
	image.ConfigDigest = image.Manifest.Config.Digest
	if content, err = image.blob(image.ConfigDigest); err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	if image.Config, err = v1.ParseConfigFile(bytes.NewReader(content)); err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	return image, image.list()
}

// listed looks the image up in the layout's index: only what is named there is part of the layout.
func listed(dir string, hash v1.Hash) error {
	index, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		return err
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return err
	}
	for _, d := range manifest.Manifests {
		switch {
		case d.Digest != hash:
		case !d.MediaType.IsImage():
			return fmt.Errorf("it is no image, but %q", d.MediaType)
		default:
			return nil
		}
	}
	return errors.New("the layout does not list it")
}

// list puts together what manifest and configuration say of the layers.
func (m *Image) list() error {
	ids := m.Config.RootFS.DiffIDs
	if len(ids) != len(m.Manifest.Layers) {
		return fmt.Errorf("its manifest has %d layers, its configuration %d", len(m.Manifest.Layers), len(ids))
	}
	if len(ids) == 0 {
		return errors.New("it has no layer")
	}
	var commands []string
	for _, h := range m.Config.History {
		if !h.EmptyLayer {
			commands = append(commands, h.CreatedBy)
		}
	}
	for i, d := range m.Manifest.Layers {
		layer := Layer{Digest: d.Digest, DiffID: ids[i], Packed: d.Size, MediaType: d.MediaType}
		if len(commands) == len(ids) {
			layer.CreatedBy = commands[i]
		}
		m.Layers = append(m.Layers, layer)
	}
	return nil
}

// blob reads a small blob as a whole, and compares it with its digest.
func (m *Image) blob(hash v1.Hash) ([]byte, error) {
	file, err := m.open(hash)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	content, err := io.ReadAll(io.LimitReader(file, longestJSON+1))
	if err != nil {
		return nil, err
	}
	if len(content) > longestJSON {
		return nil, fmt.Errorf("blob %s has more than %d bytes", hash, longestJSON)
	}
	if sum := sha256.Sum256(content); hex.EncodeToString(sum[:]) != hash.Hex {
		return nil, fmt.Errorf("blob %s is not what its digest stands for", hash)
	}
	return content, nil
}

// open returns a blob's file. A link could lead to a file that never ends, or out of the layout.
func (m *Image) open(hash v1.Hash) (*os.File, error) {
	if hash.Algorithm != "sha256" || len(hash.Hex) != sha256.Size*2 {
		return nil, fmt.Errorf("%q is no SHA-256 digest", hash)
	}
	path := filepath.Join(m.dir, "blobs", hash.Algorithm, hash.Hex)
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("blob %s is missing", hash)
	}
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("blob %s is no regular file", hash)
	}
	return os.Open(path)
}
