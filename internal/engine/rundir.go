package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
)

// runDir is the place on disk of one run. Nothing in it is shared with another run.
type runDir struct{ path string }

const (
	logsDir    = "logs"
	artsDir    = "artifacts"
	scratchDir = "scratch"
	runsDir    = "runs"
	latestLink = "latest"
)

// makeRunDir makes the directory and points .pipeline/latest to it. The link moves at the start, not at the end: of a
// run that was killed, the newest report must be seen to be missing, instead of an older one being taken for it.
func makeRunDir(dir string) (runDir, error) {
	r := runDir{dir}
	if err := r.make(); err != nil {
		return r, fmt.Errorf("make run directory: %w: check that the disk has room and that you may write there", err)
	}
	if err := r.link(); err != nil {
		return r, fmt.Errorf("point %s to the run: %w", latestLink, err)
	}
	return r, nil
}

func (r runDir) make() error {
	if err := os.MkdirAll(r.path, 0o755); err != nil {
		return err
	}
	entries, err := os.ReadDir(r.path)
	if err != nil {
		return err
	}
	if len(entries) > 0 {
		return fmt.Errorf("%s is not empty: it belongs to another run", r.path)
	}
	for _, name := range []string{logsDir, artsDir} {
		if err := os.Mkdir(filepath.Join(r.path, name), 0o750); err != nil {
			return err
		}
	}
	return nil
}

// link makes the new link under a name of its own and renames it, so that a reader sees the old or the new run.
func (r runDir) link() error {
	runs, id := filepath.Split(r.path)
	if filepath.Base(runs) != runsDir {
		return nil
	}
	state := filepath.Dir(filepath.Clean(runs))
	made := filepath.Join(state, latestLink+"."+id)
	if err := os.Symlink(filepath.Join(runsDir, id), made); err != nil {
		return err
	}
	if err := os.Rename(made, filepath.Join(state, latestLink)); err != nil {
		return errors.Join(err, os.Remove(made))
	}
	return nil
}

func (r runDir) artifacts() string { return filepath.Join(r.path, artsDir) }

// logPath is relative, slash-separated.
func (r runDir) logPath(stage, step string) string { return path.Join(logsDir, stage, step+".log") }

func (r runDir) scratch(stage, step string) string {
	return filepath.Join(r.path, scratchDir, stage, step)
}

// removeScratch removes what a step left, also directories that it made read-only.
func removeScratch(dir string) error {
	err := os.RemoveAll(dir)
	if err == nil || !errors.Is(err, fs.ErrPermission) {
		return err
	}
	walk := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if d != nil && d.IsDir() {
			return errors.Join(err, os.Chmod(p, 0o700)) //nolint:gosec // a directory needs its x bit
		}
		return nil
	})
	return errors.Join(walk, os.RemoveAll(dir))
}
