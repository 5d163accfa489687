package journal

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
	"strings"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/wholefile"
)

const (
	schema         = 1
	longestRelease = 1 << 20
)

// A Release is release.json: the state of the target, and what it must fit.
type Release struct {
	Schema  int             `json:"schema"`
	Serial  uint64          `json:"serial"` // one more with each swap; 0 before the first
	Epoch   uint64          `json:"epoch"`  // of the lease under which it was written: never less than before
	Written time.Time       `json:"written"`
	Audit   Anchor          `json:"audit"` // the last entry of the log then
	State   json.RawMessage `json:"state"`
	// Digest is SHA-256 of the file without it.
	Digest string `json:"digest"`
}

// Release reads release.json. Where there is none, it is the zero Release, which can be swapped, too.
func (j *Journal) Release() (Release, error) { return ReadRelease(j.dir) }

// Swap replaces release.json by one with that state, if it still is what the caller saw and no higher epoch has been
// seen anywhere in the journal. It is on the disk when Swap returns.
func (j *Journal) Swap(ctx context.Context, seen Release, epoch uint64, state any) (next Release, err error) {
	err = j.locked(ctx, func() error {
		now, err := ReadRelease(j.dir)
		switch {
		case err != nil:
			return err
		case epoch < max(now.Epoch, j.at.epoch):
			return fmt.Errorf("%w: epoch %d, and the journal has %d", ErrStale, epoch, max(now.Epoch, j.at.epoch))
		case now.Serial != seen.Serial || now.Digest != seen.Digest:
			return fmt.Errorf("%w: version %d was seen, and it is %d", ErrConflict, seen.Serial, now.Serial)
		}
		next = Release{Schema: schema, Serial: now.Serial + 1, Epoch: epoch, Written: j.now().UTC(), Audit: j.at.head}
		return j.put(&next, state)
	})
	if err != nil {
		return Release{}, fmt.Errorf("write %s: %w", ReleaseFile, err)
	}
	return next, nil
}

func (j *Journal) put(next *Release, state any) error {
	content, err := json.Marshal(state)
	if err != nil {
		return fmt.Errorf("encode state: %w", err)
	}
	next.State = j.mask.Bytes(content)
	next.Digest = next.digest()
	if content, err = json.Marshal(next); err != nil {
		return err
	}
	if len(content) >= longestRelease {
		return fmt.Errorf("it would have %d bytes", len(content))
	}
	if err := wholefile.Write(filepath.Join(j.dir, ReleaseFile), append(content, '\n'), 0o600); err != nil {
		return err
	}
	return syncDir(j.dir)
}

// digest is of the compact form, in which it is written.
func (r Release) digest() string {
	r.Digest = ""
	content, err := json.Marshal(r)
	if err != nil { // of a state that is no JSON, which no digest fits
		return ""
	}
	return hash(content)
}

// ReadRelease reads release.json of a directory; see Journal.Release.
func ReadRelease(dir string) (Release, error) {
	file, err := os.Open(filepath.Join(dir, ReleaseFile))
	if errors.Is(err, fs.ErrNotExist) {
		return Release{}, nil
	}
	if err != nil {
		return Release{}, fmt.Errorf("read release: %w", err)
	}
	content, err := io.ReadAll(io.LimitReader(file, longestRelease))
	if err := errors.Join(err, file.Close()); err != nil {
		return Release{}, fmt.Errorf("read release: %w", err)
	}
	r, err := decodeRelease(content)
	if err != nil {
		return Release{}, fmt.Errorf("%w: %s: %w: the audit log tells the last state", ErrDamaged, ReleaseFile, err)
	}
	return r, nil
}

func decodeRelease(content []byte) (Release, error) {
	var r Release
	decoder := json.NewDecoder(bytes.NewReader(content))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&r); err != nil {
		return r, fmt.Errorf("it can't be read: %w", err)
	}
	again, err := json.Marshal(r)
	switch {
	case r.Schema != schema:
		return r, fmt.Errorf("it has schema %d, not %d", r.Schema, schema)
	case err != nil || r.Digest == "" || r.digest() != r.Digest || !bytes.Equal(append(again, '\n'), content):
		return r, errors.New("its digest does not fit its content: it was edited")
	}
	return r, nil
}

// sweep removes what a kill left beside release.json as it was being replaced.
func (j *Journal) sweep() error {
	entries, err := os.ReadDir(j.dir)
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "."+ReleaseFile+"-") {
			err = errors.Join(err, os.Remove(filepath.Join(j.dir, e.Name())))
		}
	}
	return err
}
