package oci

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
)

// Kind of an entry of a layer.
type Kind int

// Kinds of entries.
const (
	KindFile     Kind = iota
	KindDir           // a directory
	KindSymlink       // Link is its text
	KindHardlink      // Link is the path of the same file
	KindOther         // a device, a pipe
	KindWhiteout      // nothing is left at Path of what lower layers have there
	KindOpaque        // nothing is left in Path of what lower layers have there
)

// An Entry is what one entry of a layer's tar says.
type Entry struct {
	Layer int    // from 0, the lowest
	Path  string // clean and slash-separated, without a slash before it: etc/passwd
	Kind  Kind
	Size  int64
	Link  string // the path of a hard link is clean, too
}

const (
	whiteoutPrefix = ".wh."
	opaqueName     = ".wh..wh..opq"
	reservedPrefix = ".wh..wh." // of file systems' own bookkeeping
	longestPath    = 4096       // bytes, Linux' own limit
)

// budget is what is left of the limits. What sparse files say that they hold is not in the tar, so both are counted.
type budget struct {
	tars, files int64 // bytes
	entries     int
}

func (l Limits) budget() budget { return budget{l.Unpacked, l.Unpacked, l.Entries} }

// Walk reads every layer from the lowest, in the order of its tar. The reader is a file's content, valid until visit
// returns. After the last entry of a layer its digests have been compared: an error then says that nothing of what was
// visited may be relied on.
func (m *Image) Walk(ctx context.Context, visit func(Entry, io.Reader) error) error {
	left := m.Limits.budget()
	for i := range m.Layers {
		if err := m.walkLayer(ctx, i, &left, visit); err != nil {
			return fmt.Errorf("read layer %d of %d (%s): %w", i+1, len(m.Layers), m.Layers[i].Digest, err)
		}
	}
	return nil
}

func (m *Image) walkLayer(ctx context.Context, n int, left *budget, visit func(Entry, io.Reader) error) (err error) {
	content, err := m.openLayer(ctx, n, left)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, content.Close()) }()
	if err := m.walkTar(n, content, left, visit); err != nil {
		return err
	}
	return content.verify()
}

func (m *Image) walkTar(n int, content io.Reader, left *budget, visit func(Entry, io.Reader) error) error {
	archive := tar.NewReader(content)
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if left.entries--; left.entries < 0 {
			return fmt.Errorf("the image has more than %d files and directories", m.Limits.Entries)
		}
		if left.files -= header.Size; left.files < 0 {
			return tooLarge(m.Limits)
		}
		entry, err := m.entry(n, header)
		if err != nil {
			return err
		}
		if entry.Path == "" {
			continue
		}
		if err := visit(entry, archive); err != nil {
			return fmt.Errorf("%s: %w", entry.Path, err)
		}
	}
}

// entry makes sense of a header. A path that leaves the image is no mistake that a builder makes, so it is not mended.
func (m *Image) entry(n int, header *tar.Header) (Entry, error) {
	name, err := inside(header.Name)
	if err != nil {
		return Entry{}, err
	}
	entry := Entry{Layer: n, Path: name, Kind: KindOther, Link: header.Linkname}
	dir, base := path.Split(name)
	switch {
	case base == opaqueName:
		return Entry{Layer: n, Path: strings.TrimSuffix(dir, "/"), Kind: KindOpaque}, nilUnlessRoot(dir)
	case strings.HasPrefix(base, reservedPrefix):
		return Entry{}, nil
	case strings.HasPrefix(base, whiteoutPrefix):
		entry.Path, entry.Kind, entry.Link = dir+strings.TrimPrefix(base, whiteoutPrefix), KindWhiteout, ""
		if entry.Path == dir || path.Clean(entry.Path) != entry.Path {
			return Entry{}, fmt.Errorf("whiteout %q names nothing", name)
		}
		return entry, nil
	}
	switch header.Typeflag {
	case tar.TypeReg, tar.TypeGNUSparse:
		entry.Kind, entry.Size, entry.Link = KindFile, header.Size, ""
	case tar.TypeDir:
		entry.Kind, entry.Link = KindDir, ""
	case tar.TypeSymlink:
		entry.Kind = KindSymlink
	case tar.TypeLink:
		entry.Kind = KindHardlink
		if entry.Link, err = inside(header.Linkname); err != nil {
			return Entry{}, err
		}
	case tar.TypeChar, tar.TypeBlock, tar.TypeFifo:
		entry.Link = ""
	case tar.TypeXGlobalHeader:
		return Entry{}, nil
	default: // engines refuse it, too; some of these hold content
		return Entry{}, fmt.Errorf("%q is of the type %q, which no builder writes", name, header.Typeflag)
	}
	return entry, nil
}

// nilUnlessRoot refuses to have the whole of the image below wiped, which no builder does.
func nilUnlessRoot(dir string) error {
	if dir == "" {
		return errors.New("a layer hides everything below it")
	}
	return nil
}

// inside cleans a path of the tar, with or without a slash or a dot before it.
func inside(name string) (string, error) {
	if len(name) > longestPath || strings.ContainsRune(name, 0) {
		return "", fmt.Errorf("%.80q is no path", name)
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == ".." {
			return "", fmt.Errorf("path %q leaves the image", name)
		}
	}
	return strings.TrimPrefix(path.Clean("/"+name), "/"), nil
}
