package agent

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"
)

// defaultReserve is much more than the journal of any roll-out and the way back takes.
const defaultReserve = 4 << 20

// Little room is less than both.
const (
	littleBytes = 512 << 20
	littleShare = 0.05
)

// A reserve is room in the state directory that is given up when the disk is full: so what was decided can still be
// written down, and a roll-out can go back. A side effect is never without its intent on the disk.
type reserve struct {
	path string
	size int64
	mu   sync.Mutex
}

// keep makes the file, if there is room for it twice. Of zeros a file system might keep none.
func (r *reserve) keep() (err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if info, err := os.Stat(r.path); err == nil && info.Size() == r.size {
		return nil
	}
	if free, _, err := room(filepath.Dir(r.path)); err != nil || free < 2*r.size {
		return err
	}
	file, err := os.OpenFile(r.path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err = errors.Join(err, file.Close()); err != nil {
			err = errors.Join(fmt.Errorf("keep a reserve: %w", err), os.Remove(r.path))
		}
	}()
	_, err = io.Copy(file, io.LimitReader(&pattern{}, r.size))
	return err
}

// A pattern is bytes that nothing packs to nothing.
type pattern struct{ state uint64 }

func (p *pattern) Read(b []byte) (int, error) {
	for i := range b {
		p.state = p.state*6364136223846793005 + 1442695040888963407
		b[i] = byte(p.state >> 56)
	}
	return len(b), nil
}

// give reports whether err says that the disk is full, and there was a reserve to give up.
func (r *reserve) give(err error) bool {
	if !full(err) {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return os.Remove(r.path) == nil
}

func full(err error) bool { return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) }

// room is how many bytes of a file system are free, and there in all.
func room(dir string) (free, total int64, err error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, 0, fmt.Errorf("look at the disk of %s: %w", dir, err)
	}
	size := int64(s.Bsize)                                     //nolint:unconvert // its type is another one on other systems
	return int64(s.Bavail) * size, int64(s.Blocks) * size, nil //nolint:gosec // no file system has 2^63 bytes
}

// scarce says that the disk has little room.
func scarce(dir string) (string, error) {
	free, total, err := room(dir)
	if err != nil || free >= littleBytes || float64(free) >= littleShare*float64(total) {
		return "", err
	}
	return fmt.Sprintf("%d MiB of %d MiB are free where the state is: make room, or the next roll-out can't be written down", free>>20, total>>20), nil
}
