package agent

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/plain"
	"github.com/meter-ml/meter-pipeline/internal/rollout"
	"github.com/meter-ml/meter-pipeline/internal/rollout/agent/wire"
)

const (
	mostFiles  = 200
	keptSpare  = 5         // bundles that nothing refers to
	keptFor    = time.Hour // one that was just put, and whose order is still to come
	partPrefix = ".part-"
)

// errInput says that what was put is not what it should be.
var errInput = errors.New("it can't be taken")

// putBundle unpacks a tar into the directory of its digest, which it returns. Either all of it is there then or nothing.
func putBundle(layout wire.Layout, in io.Reader) (digest string, err error) {
	if err := os.MkdirAll(layout.Bundles(), 0o700); err != nil {
		return "", fmt.Errorf("put bundle: %w", err)
	}
	part, err := os.MkdirTemp(layout.Bundles(), partPrefix)
	if err != nil {
		return "", fmt.Errorf("put bundle: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(part)) }()
	sum := sha256.New()
	limited := &limited{r: in, left: wire.LongestBundle}
	all := io.TeeReader(limited, sum)
	err = unpack(part, tar.NewReader(all))
	if err == nil {
		_, err = io.Copy(io.Discard, all) // behind the end of the archive there is more of its padding
	}
	if err == nil {
		err = checkBundle(part)
	}
	if err != nil {
		return "", fmt.Errorf("put bundle: %w", err)
	}
	digest = "sha256:" + hex.EncodeToString(sum.Sum(nil))
	if err := settleIn(part, layout.Bundle(digest)); err != nil {
		return "", fmt.Errorf("put bundle: %w", err)
	}
	return digest, nil
}

// limited is an error where io.LimitReader is an end.
type limited struct {
	r    io.Reader
	left int64
}

func (l *limited) Read(b []byte) (int, error) {
	if l.left <= 0 {
		return 0, fmt.Errorf("%w: it has more than %d bytes", errInput, wire.LongestBundle)
	}
	n, err := l.r.Read(b[:min(int64(len(b)), l.left)])
	l.left -= int64(n)
	return n, err
}

// unpack takes regular files only, with names that stay below the directory.
func unpack(dir string, in *tar.Reader) (err error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	for files := 0; ; {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%w: it is no tar archive: %w", errInput, err)
		}
		name := strings.TrimSuffix(h.Name, "/")
		switch {
		case !fs.ValidPath(name) || plain.Line(name) != name || strings.Contains(name, `\`):
			return fmt.Errorf("%w: %q is no name for a file in it", errInput, plain.Line(h.Name))
		case h.Typeflag == tar.TypeDir:
			if err := root.MkdirAll(name, 0o755); err != nil {
				return fmt.Errorf("%w: %w", errInput, err)
			}
			continue
		case h.Typeflag != tar.TypeReg:
			return fmt.Errorf("%w: %s is neither a file nor a directory", errInput, name)
		}
		if files++; files > mostFiles {
			return fmt.Errorf("%w: it has more than %d files", errInput, mostFiles)
		}
		if err := unpackFile(root, name, h.FileInfo().Mode(), in); err != nil {
			return err
		}
	}
}

func unpackFile(root *os.Root, name string, mode fs.FileMode, in io.Reader) error {
	if dir := filepath.Dir(name); dir != "." {
		if err := root.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("%w: %w", errInput, err)
		}
	}
	// Who runs in a container is another user; what only its owner may execute, everybody may.
	file, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644|mode&0o100|mode&0o100>>3|mode&0o100>>6)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%w: %s is in it twice", errInput, name)
	}
	if err != nil {
		return err
	}
	_, err = io.Copy(file, in)
	return errors.Join(err, file.Sync(), file.Close())
}

// checkBundle looks at what would else be noticed in the middle of a roll-out.
func checkBundle(dir string) error {
	file, err := os.Open(filepath.Join(dir, "settings.json"))
	if err != nil {
		return fmt.Errorf("%w: it has no settings.json", errInput)
	}
	_, err = wire.ReadSettings(file)
	if err = errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("%w: %w", errInput, err)
	}
	return nil
}

// settleIn gives the directory its name. One that is there already has the same content, or it was edited by hand: then
// the fresh one takes its place.
func settleIn(part, dir string) error {
	if err := os.Chmod(part, 0o755); err != nil { //nolint:gosec // services of other users read what is in it
		return err
	}
	same, err := alike(part, dir)
	if err != nil || same {
		return err
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if err := os.Rename(part, dir); err != nil {
		return err
	}
	return syncDir(filepath.Dir(dir))
}

// alike reports whether two directories have the same files.
func alike(a, b string) (bool, error) {
	if _, err := os.Stat(b); errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	x, err := sums(a)
	if err != nil {
		return false, err
	}
	y, err := sums(b)
	return slices.Equal(x, y), err
}

func sums(dir string) (all []string, err error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	files := root.FS()
	err = fs.WalkDir(files, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := fs.ReadFile(files, path)
		if err != nil {
			return err
		}
		all = append(all, fmt.Sprintf("%s %x", path, sha256.Sum256(content)))
		return nil
	})
	return all, err
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// prune removes bundles that nothing refers to any more, but for the newest few, and what a kill has left of one.
func prune(layout wire.Layout, state rollout.State, now time.Time) error {
	needed, err := referred(layout, state)
	if err != nil {
		return fmt.Errorf("prune bundles: %w", err)
	}
	entries, err := os.ReadDir(layout.Bundles())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("prune bundles: %w", err)
	}
	type spare struct {
		path string
		at   time.Time
	}
	var spares []spare
	for _, e := range entries {
		info, gone := e.Info()
		if gone != nil || needed["sha256:"+e.Name()] || now.Sub(info.ModTime()) < keptFor {
			continue
		}
		path := filepath.Join(layout.Bundles(), e.Name())
		if strings.HasPrefix(e.Name(), partPrefix) {
			err = errors.Join(err, os.RemoveAll(path))
			continue
		}
		spares = append(spares, spare{path, info.ModTime()})
	}
	slices.SortFunc(spares, func(a, b spare) int { return b.at.Compare(a.at) })
	for _, s := range spares[min(len(spares), keptSpare):] {
		if gone := os.RemoveAll(s.path); gone != nil {
			err = errors.Join(err, fmt.Errorf("prune bundles: %w", gone))
		}
	}
	return err
}

// referred are the digests that a roll-out, a way back, or an order needs.
func referred(layout wire.Layout, state rollout.State) (map[string]bool, error) {
	needed := map[string]bool{}
	revisions := slices.Clone(state.Previous)
	for _, r := range []*rollout.Revision{state.Current, rolling(state.Roll, true), rolling(state.Roll, false)} {
		if r != nil {
			revisions = append(revisions, *r)
		}
	}
	ids, err := orderIDs(layout)
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		if o, err := readOrder(layout, id); err == nil && o.Revision != nil {
			revisions = append(revisions, *o.Revision)
		}
	}
	for _, r := range revisions {
		needed[r.Bundle] = true
	}
	return needed, nil
}

func rolling(r *rollout.Roll, target bool) *rollout.Revision {
	switch {
	case r == nil:
		return nil
	case target:
		return r.Target
	default:
		return r.From
	}
}
