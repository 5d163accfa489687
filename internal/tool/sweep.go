package tool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/filelock"
)

const (
	sweepGrace   = time.Second // between SIGTERM and SIGKILL
	sweepLimit   = 3 * time.Second
	longestEntry = 1 << 20 // bytes of a record that are still read
)

// Sweep ends what runs left running whose owner is dead, and returns a line about each of these runs. It never touches
// what a living run owns. State is the .pipeline directory. An error means that something may be left; other records
// have been dealt with all the same.
func Sweep(ctx context.Context, state string) ([]string, error) {
	paths, err := records(state)
	if err != nil {
		return nil, fmt.Errorf("sweep: %w", err)
	}
	var said []string
	var errs []error
	for _, path := range paths {
		line, err := sweepOne(ctx, path)
		if line != "" {
			said = append(said, line)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("sweep %s: %w", filepath.Base(path), err))
		}
	}
	return said, errors.Join(errs...)
}

// Living returns the IDs of the runs whose owner is alive.
func Living(state string) ([]string, error) {
	paths, err := records(state)
	if err != nil {
		return nil, fmt.Errorf("list running: %w", err)
	}
	var living []string
	for _, path := range paths {
		file, dead, err := claim(path)
		if err != nil {
			return nil, fmt.Errorf("list running: %w", err)
		}
		if dead {
			_ = file.Close()
			continue
		}
		if exists(path) {
			living = append(living, strings.TrimSuffix(filepath.Base(path), recordSuffix))
		}
	}
	return living, nil
}

func records(state string) ([]string, error) {
	dir := filepath.Join(state, runningDir)
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var paths []string
	for _, e := range entries {
		if e.Type().IsRegular() && strings.HasSuffix(e.Name(), recordSuffix) {
			paths = append(paths, filepath.Join(dir, e.Name()))
		}
	}
	return paths, nil
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// claim takes over the record of a dead run. The file is nil if the run lives, or another sweep was faster.
func claim(path string) (file *os.File, dead bool, err error) {
	file, err = os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	if free, err := filelock.Try(file); err != nil || !free {
		_ = file.Close()
		return nil, false, err
	}
	if !isNamed(file, path) { // its owner ended it between the two calls
		_ = file.Close()
		return nil, false, nil
	}
	return file, true, nil
}

func isNamed(file *os.File, path string) bool {
	opened, err := file.Stat()
	named, nameErr := os.Stat(path)
	return err == nil && nameErr == nil && os.SameFile(opened, named)
}

func sweepOne(ctx context.Context, path string) (string, error) {
	file, dead, err := claim(path)
	if err != nil || !dead {
		return "", err
	}
	defer func() { _ = file.Close() }()
	b, err := io.ReadAll(io.LimitReader(file, longestEntry))
	if err != nil {
		return "", err
	}
	left := parseRecord(b)
	if left.run == "" {
		left.run = strings.TrimSuffix(filepath.Base(path), recordSuffix)
	}
	names, err := left.end(ctx)
	if err != nil {
		return "", err // the record stays, for the next sweep
	}
	if err := os.Remove(path); err != nil {
		return "", err
	}
	if len(names) == 0 {
		return "", nil
	}
	return fmt.Sprintf("ended what the killed run %s had left running: %s", left.run, strings.Join(names, ", ")), nil
}

// end asks what is left to end, then kills it, and returns its names.
func (r *remains) end(ctx context.Context) ([]string, error) {
	var names []string
	begun := time.Now()
	for {
		found := r.find()
		if len(found) == 0 {
			slices.Sort(names)
			return slices.Compact(names), nil
		}
		sig := syscall.SIGTERM
		if time.Since(begun) > sweepGrace {
			sig = syscall.SIGKILL
		}
		var errs []error
		for _, s := range found {
			name := fmt.Sprintf("%s (process %d)", s.name, s.pid)
			if sig == syscall.SIGKILL || !slices.Contains(names, name) {
				errs = append(errs, s.signal(sig))
			}
			names = append(names, name)
		}
		if err := errors.Join(errs...); err != nil {
			return nil, fmt.Errorf("%w: end it by hand", err)
		}
		if time.Since(begun) > sweepLimit {
			return nil, fmt.Errorf("%s does not end: end it by hand", strings.Join(names, ", "))
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(lookAgain):
		}
	}
}
