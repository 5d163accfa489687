package evidence

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/meter-ml/meter-pipeline/internal/wholefile"
)

const (
	// Directory is where a run keeps its bundles, in its artifacts.
	Directory = "evidence"
	suffix    = ".sigstore.json"
)

// A Found is a bundle, and where it was found. Nothing is known of it yet.
type Found struct {
	Origin  string // file, or the artifact's digest in the registry
	Content []byte
}

// Keep signs statements and keeps each as a file of the run. It returns how many.
func Keep(artifacts string, key PrivateKey, statements []*Statement) (int, error) {
	dir := filepath.Join(artifacts, Directory)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return 0, fmt.Errorf("keep evidence: %w", err)
	}
	for _, s := range statements {
		content, err := Seal(key, s)
		if err != nil {
			return 0, err
		}
		if err := wholefile.Write(filepath.Join(dir, s.Name+suffix), append(content, '\n'), 0o644); err != nil {
			return 0, fmt.Errorf("keep evidence: %w", err)
		}
	}
	return len(statements), nil
}

// ReadDir finds the bundles below a directory: a run's, or one with many.
func ReadDir(dir string) ([]Found, error) {
	root, err := os.OpenRoot(dir) // a link that leads out of it is not followed
	if err != nil {
		return nil, fmt.Errorf("read evidence: %w", err)
	}
	defer func() { _ = root.Close() }()
	var found []Found
	err = fs.WalkDir(root.FS(), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(name, suffix) {
			return err
		}
		info, err := root.Stat(filepath.FromSlash(name))
		if err != nil || !info.Mode().IsRegular() || info.Size() > MaxBundle {
			return errors.Join(err, fmt.Errorf("%s is no bundle of evidence: it is no regular file, or too large", name))
		}
		content, err := root.ReadFile(filepath.FromSlash(name))
		found = append(found, Found{Origin: name, Content: bytes.TrimSpace(content)})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read evidence: %w", err)
	}
	return found, nil
}

// Collect finds, in the directories of earlier runs, what was signed by a trusted key about an image's digest, or about
// the source tree that a provenance among it names as the image's.
func Collect(runs, digest string, keys []PublicKey) ([]Found, error) {
	dirs, err := filepath.Glob(filepath.Join(runs, "*", "artifacts", Directory))
	if err != nil {
		return nil, fmt.Errorf("collect evidence: %w", err)
	}
	slices.Sort(dirs)
	var all []Found
	for _, dir := range dirs {
		found, err := ReadDir(dir)
		if errors.Is(err, fs.ErrNotExist) { // it was pruned meanwhile
			continue
		}
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return relevant(all, digest, keys), nil
}

// relevant leaves out what is about other trees and images, and what nobody would trust.
func relevant(all []Found, digest string, keys []PublicKey) []Found {
	image := strings.TrimPrefix(digest, "sha256:")
	trees := map[string]bool{}
	opened := make([]*Statement, len(all))
	for i, found := range all {
		signed, err := Open(found.Content, keys)
		if err != nil {
			continue
		}
		opened[i] = signed.Statement
		if signed.GetPredicateType() == ProvenanceType && signed.about(sha256sum, image) {
			if origin, err := signed.origin(); err == nil {
				trees[origin.Tree] = true
			}
		}
	}
	var kept []Found
	seen := map[string]bool{}
	for i, s := range opened {
		if s == nil || seen[fingerprint(s.Payload)] {
			continue
		}
		about := s.about(sha256sum, image)
		for tree := range trees {
			about = about || s.about(gitTree, tree)
		}
		if about {
			seen[fingerprint(s.Payload)] = true
			kept = append(kept, all[i])
		}
	}
	return kept
}

func fingerprint(payload []byte) string {
	sum := sha256.Sum256(payload)
	return hex.EncodeToString(sum[:])
}
