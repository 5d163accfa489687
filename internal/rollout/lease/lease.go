// Package lease is the lock of a target: one deployer at a time, and none that is dead or asleep.
//
// A lease lies in the state directory and ends by itself unless it is renewed, so a killed holder blocks nobody for
// longer. Each acquisition has a higher epoch, the fencing token (Kleppmann, "How to do distributed locking", 2016):
// every mutation presents it, and what has seen a higher one refuses. So a holder that was paused past its lease and
// wakes up late does no harm, which no expiry alone can promise.
//
// It stands below package rollout, beside the journal.
package lease

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
	"sync"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/filelock"
	"github.com/meter-ml/meter-pipeline/internal/plain"
	"github.com/meter-ml/meter-pipeline/internal/wholefile"
)

const (
	leaseFile = "lease.json"
	lockFile  = "lease.lock"
	schema    = 1
	longest   = 4 << 10
	// longestName is of a holder, escaped at the worst less than half of longest.
	longestName = 256
	// glance is how often a waiting contender looks whether the lease was given back.
	glance = time.Second
)

// Defaults of a Desk.
const (
	Expiry  = 30 * time.Second
	Renewal = 10 * time.Second
)

// Errors that a caller tells apart.
var (
	// ErrHeld says that another holds the lease.
	ErrHeld = errors.New("another deployer is at work")
	// ErrLost says that the lease has expired or was taken over.
	ErrLost = errors.New("the lease is lost")
)

// A Lease is lease.json.
type Lease struct {
	Schema  int       `json:"schema"`
	Epoch   uint64    `json:"epoch"`
	Holder  string    `json:"holder"` // for people
	Renewed time.Time `json:"renewed"`
	Expires time.Time `json:"expires"` // the same as Renewed: it was given back
}

// A Desk is where leases of one directory are taken.
type Desk struct {
	Dir     string
	Holder  string
	Now     func() time.Time
	Expiry  time.Duration // 0: the default
	Renewal time.Duration
}

// Held is a lease that was taken.
type Held struct {
	desk  Desk
	epoch uint64

	mu      sync.Mutex
	expires time.Time
}

// Try takes the lease if it is free, with an epoch above the last one and above floor, which is the highest that the
// journal knows: so a lost lease.json does not bring an old epoch back. ErrHeld says who has it.
func (d Desk) Try(ctx context.Context, floor uint64) (*Held, error) {
	var held *Held
	err := d.locked(ctx, func() error {
		now := d.Now()
		last, err := Read(d.Dir)
		if err != nil {
			return err
		}
		if now.Before(last.Expires) {
			return fmt.Errorf("%w: %s, until %s at the latest", ErrHeld, last.Holder, last.Expires.Format(time.RFC3339))
		}
		held, err = d.take(now, max(last.Epoch, floor)+1)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("take lease: %w", err)
	}
	return held, nil
}

// Take waits for the lease. Waiting is called once for each holder that it waits for.
func (d Desk) Take(ctx context.Context, floor uint64, waiting func(Lease)) (*Held, error) {
	var w watch
	for {
		held, err := d.Try(ctx, floor)
		if !errors.Is(err, ErrHeld) {
			return held, err
		}
		last, err := Read(d.Dir)
		if err != nil {
			return nil, fmt.Errorf("take lease: %w", err)
		}
		if last.Epoch != w.last.Epoch {
			waiting(last)
		}
		// After a step back of the clock a dead holder's lease would last far too long.
		if w.unchanged(last, d.Now()) > d.expiry() {
			if err := d.void(ctx, last); err != nil {
				return nil, err
			}
			continue
		}
		pause := min(glance, max(last.Expires.Sub(d.Now()), time.Millisecond))
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for lease of %s: %w", last.Holder, context.Cause(ctx))
		case <-time.After(pause):
		}
	}
}

// A watch knows how long a lease was seen without a renewal, by the monotonic clock that Now has, too.
type watch struct {
	last  Lease
	since time.Time
}

func (w *watch) unchanged(now Lease, at time.Time) time.Duration {
	if now.Epoch != w.last.Epoch || !now.Renewed.Equal(w.last.Renewed) {
		w.last, w.since = now, at
	}
	return at.Sub(w.since)
}

// void ends a lease that was not renewed while it was watched for longer than it may last.
func (d Desk) void(ctx context.Context, seen Lease) error {
	return d.locked(ctx, func() error {
		last, err := Read(d.Dir)
		if err != nil || last.Epoch != seen.Epoch || !last.Renewed.Equal(seen.Renewed) {
			return err
		}
		last.Expires = last.Renewed
		if now := d.Now(); now.Before(last.Expires) {
			last.Renewed, last.Expires = now, now
		}
		return d.write(last)
	})
}

func (d Desk) expiry() time.Duration {
	if d.Expiry > 0 {
		return d.Expiry
	}
	return Expiry
}

func (d Desk) renewal() time.Duration {
	if d.Renewal > 0 {
		return d.Renewal
	}
	return Renewal
}

func (d Desk) take(now time.Time, epoch uint64) (*Held, error) {
	l := Lease{Epoch: epoch, Holder: d.Holder, Renewed: now, Expires: now.Add(d.expiry())}
	if err := d.write(l); err != nil {
		return nil, err
	}
	return &Held{desk: d, epoch: epoch, expires: l.Expires}, nil
}

func (d Desk) write(l Lease) error {
	l.Schema, l.Renewed, l.Expires = schema, l.Renewed.UTC(), l.Expires.UTC()
	if l.Holder = plain.Line(l.Holder); len(l.Holder) > longestName {
		l.Holder = strings.ToValidUTF8(l.Holder[:longestName], "")
	}
	content, err := json.Marshal(l)
	if err != nil {
		return fmt.Errorf("encode lease: %w", err)
	}
	return wholefile.Write(filepath.Join(d.Dir, leaseFile), append(content, '\n'), 0o600)
}

// locked does something while nobody else reads and writes the lease. The lock lasts for moments only: what a deployer
// holds is the lease.
func (d Desk) locked(ctx context.Context, do func() error) (err error) {
	file, err := os.OpenFile(filepath.Join(d.Dir, lockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if err := filelock.Take(ctx, file); err != nil {
		return err
	}
	return do()
}

// Read returns the last lease of a directory, whether it has ended or not; the zero Lease if there never was one.
func Read(dir string) (Lease, error) {
	file, err := os.Open(filepath.Join(dir, leaseFile))
	if errors.Is(err, fs.ErrNotExist) {
		return Lease{}, nil
	}
	if err != nil {
		return Lease{}, fmt.Errorf("read lease: %w", err)
	}
	content, err := io.ReadAll(io.LimitReader(file, longest))
	if err := errors.Join(err, file.Close()); err != nil {
		return Lease{}, fmt.Errorf("read lease: %w", err)
	}
	var l Lease
	decoder := json.NewDecoder(bytes.NewReader(content))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&l); err != nil || l.Schema != schema || l.Epoch == 0 {
		return Lease{}, fmt.Errorf("read lease: %s is damaged: remove it; the journal knows the epoch", leaseFile)
	}
	return l, nil
}
