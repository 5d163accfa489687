package provision

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"

	"github.com/xi2/xz"
)

// unpack writes a .tar.xz archive into a directory. Nothing in it may lead out of the directory.
func unpack(packed io.Reader, dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	// Whoever runs the server must be able to read it, whatever the umask is.
	if err := os.Chmod(dir, 0o755); err != nil { //nolint:gosec // programs are for everybody to run
		return err
	}
	plain, err := xz.NewReader(packed, 0)
	if err != nil {
		return err
	}
	for archive := tar.NewReader(plain); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := unpackOne(root, header, archive); err != nil {
			return fmt.Errorf("%s: %w", header.Name, err)
		}
	}
}

func unpackOne(root *os.Root, header *tar.Header, content io.Reader) error {
	name := filepath.Clean(filepath.FromSlash(header.Name))
	if err := makeDirs(root, filepath.Dir(name)); err != nil {
		return err
	}
	switch header.Typeflag {
	case tar.TypeDir:
		return makeDirs(root, name)
	case tar.TypeSymlink:
		target := path.Join(path.Dir(header.Name), header.Linkname) //nolint:gosec // checked on the next line
		if path.IsAbs(header.Linkname) || !filepath.IsLocal(target) {
			return errors.New("the link leads out of the archive")
		}
		return root.Symlink(header.Linkname, name)
	case tar.TypeReg:
		mode := os.FileMode(0o644)
		if header.FileInfo().Mode()&0o111 != 0 {
			mode = 0o755
		}
		return unpackFile(root, name, mode, content)
	default:
		return fmt.Errorf("unexpected kind of entry %q", header.Typeflag)
	}
}

func unpackFile(root *os.Root, name string, mode os.FileMode, content io.Reader) error {
	file, err := root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(file, content)
	if err == nil {
		err = file.Chmod(mode)
	}
	return errors.Join(err, file.Close())
}

// makeDirs makes a directory and those above it, for everybody to enter.
func makeDirs(root *os.Root, name string) error {
	if name == "." {
		return nil
	}
	if err := makeDirs(root, filepath.Dir(name)); err != nil {
		return err
	}
	err := root.Mkdir(name, 0o755)
	if errors.Is(err, os.ErrExist) {
		return nil
	}
	if err == nil {
		err = root.Chmod(name, 0o755)
	}
	return err
}
