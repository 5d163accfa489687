// Package journal keeps what a target must never forget: release.json, what is served and what is under way, and
// audit.jsonl, every side effect, its intent before it and its result after it.
//
// Both survive a kill at any point. release.json is replaced as a whole and only by a writer that saw its last version
// (compare-and-swap) and whose epoch no other has overtaken. audit.jsonl is a chain: each line holds the hash of the
// one before, so that an edit, a cut in the middle or another order shows. A cut at the end shows against an Anchor
// that was taken out of the directory; release.json holds one, too.
//
// It stands below package rollout, knows nothing of roll-outs, and its directory may be used by several processes.
package journal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/filelock"
	"github.com/meter-ml/meter-pipeline/internal/plain"
)

// Names of the files in the directory.
const (
	LogFile     = "audit.jsonl"
	ReleaseFile = "release.json"
)

// Errors that a caller tells apart.
var (
	// ErrStale is the answer to a writer with an old epoch: another has taken over.
	ErrStale = errors.New("another deployer has taken over")
	// ErrConflict is the answer to a writer that did not see the last version of release.json.
	ErrConflict = errors.New("release.json has changed meanwhile")
	// ErrDamaged says that the files are not what the journal wrote.
	ErrDamaged = errors.New("the journal was damaged or edited")
)

// A Journal appends to the log and swaps the release. It is for one goroutine; several journals, in several processes,
// may have the same directory.
type Journal struct {
	dir  string
	now  func() time.Time
	mask *plain.Mask
	file *os.File
	at   end   // what of the log was read or written so far
	bad  error // after which the state of the file is not known
}

// An end is a place between two entries of the log.
type end struct {
	offset int64
	line   int
	head   Anchor
	epoch  uint64 // the highest so far
}

// Open opens the journal of that directory, and makes it if there is none. It reads the whole log: a last line that was
// torn by a kill is cut off, and the log says so; anything else that does not fit is ErrDamaged. The mask hides secrets
// in what is appended.
func Open(ctx context.Context, dir string, now func() time.Time, mask *plain.Mask) (*Journal, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	file, err := os.OpenFile(filepath.Join(dir, LogFile), os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	j := &Journal{dir: dir, now: now, mask: mask, file: file, at: start()}
	if err = filelock.Take(ctx, file); err == nil {
		err = errors.Join(j.begin(), filelock.Release(file))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open journal: %w", err), file.Close())
	}
	return j, nil
}

// begin reads what is there, and compares it with what release.json knows of it.
func (j *Journal) begin() error {
	release, err := ReadRelease(j.dir)
	if err != nil {
		return err
	}
	known := claim{Anchor: release.Audit, from: ReleaseFile}
	err = j.catchUp(func(e Entry) error {
		known.see(e)
		return nil
	}, func() error {
		if what := known.wrong(j.at.head.Sequence); what != "" {
			return fmt.Errorf("%w: %s", ErrDamaged, what)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return errors.Join(j.sweep(), syncDir(j.dir)) // the log itself must be found after a crash
}

// Close closes it; everything is on the disk already.
func (j *Journal) Close() error { return j.file.Close() }

// Head is the last entry that this journal has seen, to be kept elsewhere.
func (j *Journal) Head() Anchor { return j.at.head }

// Epoch is the highest in the log that this journal has seen. A lease starts above it.
func (j *Journal) Epoch() uint64 { return j.at.epoch }

// Append writes an entry and returns it as written. It is on the disk when Append returns.
func (j *Journal) Append(ctx context.Context, e Entry) (Entry, error) {
	err := j.locked(ctx, func() (err error) {
		e, err = j.append(e)
		return err
	})
	if err != nil {
		return Entry{}, fmt.Errorf("append to audit log: %w", err)
	}
	return e, nil
}

// locked does something with the log for itself alone, and knowing all that others have appended.
func (j *Journal) locked(ctx context.Context, do func() error) (err error) {
	if j.bad != nil {
		return j.bad
	}
	if err := filelock.Take(ctx, j.file); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, filelock.Release(j.file)) }()
	nothing := func() error { return nil }
	if err := j.catchUp(func(Entry) error { return nil }, nothing); err != nil {
		return err
	}
	return do()
}

// catchUp reads what others have appended, checks it, and heals its end: who holds the lock may, since whoever was
// writing is dead.
func (j *Journal) catchUp(each func(Entry) error, check func() error) error {
	info, err := j.file.Stat()
	if err != nil {
		return err
	}
	named, err := os.Stat(filepath.Join(j.dir, LogFile))
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	case !os.SameFile(info, named):
		return fmt.Errorf("%w: another file has taken the place of %s", ErrDamaged, LogFile)
	case info.Size() < j.at.offset:
		return fmt.Errorf("%w: %s has become shorter: see its end against the anchor with deploy:history -verify", ErrDamaged, LogFile)
	case info.Size() == j.at.offset:
		return check()
	}
	s := scanner{at: j.at, limit: 1}
	tail, err := s.scan(io.NewSectionReader(j.file, j.at.offset, info.Size()-j.at.offset), each)
	if err != nil {
		return err
	}
	if len(s.problems) > 0 {
		return fmt.Errorf("%w: %s: look at it with deploy:history -verify", ErrDamaged, s.problems[0])
	}
	j.at = s.at
	if err := check(); err != nil {
		return err
	}
	return j.heal(tail)
}

// heal ends what a kill left behind the last line end: a whole line gets its end, a part of one is cut off.
func (j *Journal) heal(tail []byte) error {
	if len(tail) == 0 {
		return nil
	}
	if e, ok := j.at.whole(tail); ok {
		if err := j.write([]byte("\n"), j.at.offset+int64(len(tail))); err != nil {
			return err
		}
		j.at.pass(e, len(tail)+1)
		return nil
	}
	if !j.at.torn(tail) {
		return fmt.Errorf("%w: what stands behind line %d of %s is no torn entry: look at it with deploy:history -verify", ErrDamaged, j.at.line, LogFile)
	}
	if err := errors.Join(j.file.Truncate(j.at.offset), j.file.Sync()); err != nil {
		return fmt.Errorf("cut off a torn line: %w", err)
	}
	_, err := j.append(Entry{
		Epoch: j.at.epoch, Actor: "journal", Action: "heal", Kind: Note,
		Message: fmt.Sprintf("cut off %d bytes of an entry that was not written to its end", len(tail)),
	})
	return err
}

func (j *Journal) append(e Entry) (Entry, error) {
	if e.Epoch < j.at.epoch {
		return Entry{}, fmt.Errorf("%w: epoch %d, and the log has %d", ErrStale, e.Epoch, j.at.epoch)
	}
	e.Sequence, e.Previous, e.Time = j.at.head.Sequence+1, j.at.head.Hash, j.now().UTC().Round(0)
	e.tidy(j.mask)
	line, err := e.encode()
	if err != nil {
		return Entry{}, err
	}
	if err := j.write(line, j.at.offset); err != nil {
		return Entry{}, err
	}
	j.at.pass(e, len(line))
	return e, nil
}

// write adds to the end of the file, which is at that offset, and waits until it is on the disk. What was written in
// part is taken back. After a failed sync nobody knows what is on the disk, so nothing more is written.
func (j *Journal) write(line []byte, at int64) error {
	if _, err := j.file.Write(line); err != nil {
		return errors.Join(fmt.Errorf("%w: check that the disk has room", err), j.file.Truncate(at))
	}
	if err := j.file.Sync(); err != nil {
		j.bad = fmt.Errorf("the disk did not take an entry: %w: open the journal anew", err)
		return j.bad
	}
	return nil
}

// syncDir makes a new name in a directory survive a crash.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
