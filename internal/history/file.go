package history

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/filelock"
	"github.com/meter-ml/meter-pipeline/internal/wholefile"
)

// Append adds a run to the file, as one line in one write. A torn line that an earlier run left is cut off first. With
// keep above 0, only about that many of the newest lines stay.
func (h *History) Append(ctx context.Context, run *engine.Run, keep int) error {
	return appendLines(ctx, h.path, keep, Of(run))
}

// AppendDeploys adds the deploys that the file does not have yet, and returns how many those were.
func AppendDeploys(ctx context.Context, path string, keep int, deploys ...Deploy) (int, error) {
	known, err := Read(path)
	if err != nil {
		return 0, err
	}
	// A release that is brought there once more, as after a failure, is another deploy.
	type identity struct {
		environment, release string
		started              int64
	}
	of := func(d Deploy) identity { return identity{d.Environment, d.Release, d.Started.UnixMilli()} }
	have := map[identity]bool{}
	for _, d := range known.Deploys {
		have[of(d)] = true
	}
	var lines []any
	for _, d := range deploys {
		d.tidy()
		if err := d.check(); err != nil {
			return 0, fmt.Errorf("append to history: %w", err)
		}
		if !have[of(d)] {
			have[of(d)] = true
			lines = append(lines, deployLine{schema, &d})
		}
	}
	return len(lines), appendLines(ctx, path, keep, lines...)
}

func appendLines(ctx context.Context, path string, keep int, lines ...any) error {
	if len(lines) == 0 {
		return nil
	}
	var all []byte
	for _, l := range lines {
		one, err := json.Marshal(l)
		if err != nil {
			return fmt.Errorf("append to history: %w", err)
		}
		all = append(append(all, one...), '\n')
	}
	if err := write(ctx, path, all, keep); err != nil {
		return fmt.Errorf("append to history: %w: check that the disk has room and that you may write there", err)
	}
	return nil
}

// write holds a lock meanwhile, since another run's line that is just being written must not look torn. That the run is
// being stopped is no reason to forget it: the lock is only ever held for moments.
func write(ctx context.Context, path string, lines []byte, keep int) (err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	file, err := openLocked(context.WithoutCancel(ctx), path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if err := mend(file); err != nil {
		return err
	}
	if _, err = file.Write(lines); err != nil || keep <= 0 {
		return err
	}
	return prune(file, path, keep)
}

// openLocked opens the file for itself alone. Pruning replaces it, so the one that was waited for may be gone by then.
func openLocked(ctx context.Context, path string) (*os.File, error) {
	for {
		file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
		if err != nil {
			return nil, err
		}
		if err := filelock.Take(ctx, file); err != nil {
			return nil, errors.Join(err, file.Close())
		}
		mine, err := file.Stat()
		if err != nil {
			return nil, errors.Join(err, file.Close())
		}
		now, err := os.Stat(path)
		switch {
		case err == nil && os.SameFile(mine, now):
			return file, nil
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			return nil, errors.Join(err, file.Close())
		}
		if err := file.Close(); err != nil {
			return nil, err
		}
	}
}

// mend cuts off what stands behind the last line end, unless it is whole, or longer than any line: then it only lacks
// its end.
func mend(file *os.File) error {
	info, err := file.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return err
	}
	end := make([]byte, 1)
	if _, err := file.ReadAt(end, info.Size()-1); info.Size() == 0 || err == nil && end[0] == '\n' {
		return nil
	}
	from := max(info.Size()-window, 0)
	b, err := io.ReadAll(io.NewSectionReader(file, from, window))
	if err != nil || len(b) == 0 || b[len(b)-1] == '\n' {
		return err
	}
	if at := bytes.LastIndexByte(b, '\n'); (at >= 0 || from == 0) && !json.Valid(b[at+1:]) {
		return file.Truncate(from + int64(at) + 1)
	}
	_, err = file.Write([]byte("\n"))
	return err
}

// shortest is less than any line: a file that has no room for more lines than are kept is not even read.
const shortest = 200

// prune leaves the newest lines. It waits until there is a tenth too many, so that not every run writes the whole file.
func prune(file *os.File, path string, keep int) error {
	info, err := file.Stat()
	if err != nil || !info.Mode().IsRegular() || info.Size() < int64(keep)*shortest {
		return err
	}
	content, err := io.ReadAll(io.NewSectionReader(file, 0, info.Size()))
	if err != nil {
		return err
	}
	lines := bytes.Count(content, []byte("\n"))
	if lines <= keep+keep/10 {
		return nil
	}
	for range lines - keep {
		_, content, _ = bytes.Cut(content, []byte("\n"))
	}
	return wholefile.Write(path, content, 0o600)
}
