package oci

import (
	"bytes"
	"context"
	"crypto/md5" //nolint:gosec // what dpkg knows of a file is its MD5; nothing is signed with it here
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
)

// headSize is how much is kept of the beginning of every file: it tells what kind of file that is.
const headSize = 16

// longestKept is how much of one file is kept, in bytes: dpkg's status of a whole desktop has 5 MB.
const longestKept = 32 << 20

// A File is a file of a layer, and what it holds.
type File struct {
	Entry
	SHA256 [sha256.Size]byte
	MD5    [md5.Size]byte
	Head   [headSize]byte // the first bytes
	// Content is kept of what says which packages there are, and nil of all else.
	Content []byte

	origin *File // of a hard link: what it is the same as
}

// content is the file that a hard link is the same as, else the file itself.
func (f *File) content() *File {
	if f.origin != nil {
		return f.origin
	}
	return f
}

// An Inventory is what one pass over all layers finds.
type Inventory struct {
	Image    *Image
	Layers   [][]*File // the regular files of each layer, also those that a later layer hides
	Final    *Tree     // what a container sees
	Unpacked []int64   // bytes of the files of each layer
	Hidden   int64     // bytes of files that later layers replace or delete
	Packages []Package // of the final file system

	layer *layerChange // that is being read
}

func newInventory(image *Image) *Inventory {
	return &Inventory{
		Image: image, Final: newTree(), Layers: make([][]*File, len(image.Layers)), Unpacked: make([]int64, len(image.Layers)),
		layer: &layerChange{},
	}
}

// Take reads the image as a whole: every digest is verified, every file hashed.
func Take(ctx context.Context, image *Image) (*Inventory, error) {
	inventory := newInventory(image)
	if err := image.Walk(ctx, inventory.visitor()); err != nil {
		return nil, fmt.Errorf("take inventory of image %s: %w", image.Digest, err)
	}
	if err := inventory.finish(); err != nil {
		return nil, fmt.Errorf("list packages of image %s: %w", image.Digest, err)
	}
	return inventory, nil
}

// visitor takes in one entry after the other.
func (i *Inventory) visitor() func(Entry, io.Reader) error {
	kept := i.Image.Limits.Kept
	return func(e Entry, content io.Reader) error {
		if e.Layer != i.layer.number {
			i.Final.apply(i.layer)
			i.layer = &layerChange{number: e.Layer}
		}
		file := &File{Entry: e}
		if e.Kind == KindFile {
			if err := file.read(content, &kept); err != nil {
				return err
			}
			i.Layers[e.Layer] = append(i.Layers[e.Layer], file)
			i.Unpacked[e.Layer] += e.Size
		}
		i.layer.add(file)
		return nil
	}
}

func (i *Inventory) finish() (err error) {
	i.Final.apply(i.layer)
	i.Hidden = i.Total() - i.Final.size()
	i.Packages, err = i.Final.packages()
	return err
}

// Total is how many bytes the files of all layers have, unpacked.
func (i *Inventory) Total() int64 {
	var total int64
	for _, size := range i.Unpacked {
		total += size
	}
	return total
}

// read hashes a file, and keeps it if it says which packages there are.
func (f *File) read(content io.Reader, budget *int64) error {
	read, err := io.ReadFull(content, f.Head[:min(f.Size, headSize)])
	if err != nil {
		return err
	}
	content = io.MultiReader(bytes.NewReader(f.Head[:read]), content)
	strong, weak := sha256.New(), md5.New() //nolint:gosec // see the import
	into := io.MultiWriter(strong, weak)
	var kept bytes.Buffer
	if saysPackages(f.Path) {
		if *budget -= f.Size; f.Size > longestKept || *budget < 0 {
			return errors.New("there is too much metadata of packages to judge it")
		}
		into = io.MultiWriter(strong, weak, &kept)
	}
	n, err := io.Copy(into, content)
	if err != nil {
		return err
	}
	if n != f.Size {
		return fmt.Errorf("it has %d bytes, and the layer says %d", n, f.Size)
	}
	f.SHA256, f.MD5 = [sha256.Size]byte(strong.Sum(nil)), [md5.Size]byte(weak.Sum(nil))
	if saysPackages(f.Path) {
		f.Content = append([]byte{}, kept.Bytes()...) // never nil, also of an empty file
	}
	return nil
}

// saysPackages goes by names only, so that one pass is enough.
func saysPackages(file string) bool {
	dir, base := path.Split(file)
	switch base {
	case "METADATA", "PKG-INFO", "RECORD", "os-release":
		return true
	case "status":
		return strings.HasSuffix(dir, "dpkg/")
	}
	return strings.HasSuffix(base, ".egg-info") || strings.HasSuffix(base, ".md5sums") || strings.HasSuffix(dir, "dpkg/status.d/")
}
