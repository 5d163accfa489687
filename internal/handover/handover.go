// Package handover is what one stage hands the next: typed files in the artifacts of a run, each with a manifest that
// says what is handed over and the digests of its files.
//
// It stands beside the engine and knows no stage. A file and its manifest, and no value in memory, so that the stages
// of one run can be jobs on different machines. Who reads verifies first: what was changed on the way is refused.
package handover

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/meter-ml/meter-pipeline/internal/wholefile"
)

// A File is one file that is handed over, as it was when it was.
type File struct {
	Path   string `json:"path"` // slash-separated, relative to the manifest
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// put writes a manifest as a whole. What names its content in an error.
func put(artifacts, manifest, what string, content any) error {
	text, err := json.MarshalIndent(content, "", "  ")
	if err == nil {
		err = wholefile.Write(filepath.Join(artifacts, manifest), append(text, '\n'), 0o644)
	}
	if err != nil {
		return fmt.Errorf("hand over %s: %w", what, err)
	}
	return nil
}

// take reads a manifest strictly. The remedy is for whom nothing was handed over.
func take(artifacts, manifest, what, remedy string, content any) error {
	text, err := os.ReadFile(filepath.Join(artifacts, manifest))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("take over %s: none were handed over: %s", what, remedy)
	}
	if err != nil {
		return fmt.Errorf("take over %s: %w", what, err)
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(content); err != nil {
		return fmt.Errorf("take over %s: read %s: %w", what, manifest, err)
	}
	return nil
}

// list describes every file below some directories and files of the artifacts, in the order of their names. Only
// regular files are handed over: a link could lead anywhere.
func list(artifacts string, paths []string) ([]File, error) {
	root, err := os.OpenRoot(artifacts)
	if err != nil {
		return nil, err
	}
	defer func() { _ = root.Close() }()
	var files []File
	for _, path := range paths {
		err := fs.WalkDir(root.FS(), path, func(name string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			file, err := describe(root, name)
			files = append(files, file)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	return slices.Compact(files), nil
}

func describe(root *os.Root, name string) (File, error) {
	info, err := root.Lstat(filepath.FromSlash(name))
	if err != nil {
		return File{}, err
	}
	if !info.Mode().IsRegular() {
		return File{}, fmt.Errorf("%s is no regular file", name)
	}
	file, err := root.Open(filepath.FromSlash(name))
	if err != nil {
		return File{}, err
	}
	defer func() { _ = file.Close() }()
	hash := sha256.New()
	size, err := io.Copy(hash, file)
	return File{Path: name, Size: size, SHA256: hex.EncodeToString(hash.Sum(nil))}, err
}

// digest is one value for many files: that of the lines that sha256sum would write.
func digest(files []File) string {
	hash := sha256.New()
	for _, file := range files {
		_, _ = fmt.Fprintf(hash, "%s  %s\n", file.SHA256, file.Path) // a hash takes everything
	}
	return "sha256:" + hex.EncodeToString(hash.Sum(nil))
}

// compare says how files differ from what the manifest says of them.
func compare(want, got []File) error {
	found := map[string]File{}
	for _, file := range got {
		found[file.Path] = file
	}
	var errs []error
	for _, file := range want {
		other, ok := found[file.Path]
		delete(found, file.Path)
		switch {
		case !ok:
			errs = append(errs, fmt.Errorf("%s is missing", file.Path))
		case other != file:
			errs = append(errs, fmt.Errorf("%s is not the file that was handed over: its SHA-256 is %.12s…, not %.12s…", file.Path, other.SHA256, file.SHA256))
		}
	}
	for _, file := range got {
		if _, unknown := found[file.Path]; unknown {
			errs = append(errs, fmt.Errorf("%s was added", file.Path))
		}
	}
	return errors.Join(errs...)
}
