package compose

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/meter-ml/meter-pipeline/internal/filelock"
	"github.com/meter-ml/meter-pipeline/internal/rollout"
	"github.com/meter-ml/meter-pipeline/internal/wholefile"
)

// epoch is epoch.json.
type epoch struct {
	Epoch uint64 `json:"epoch"`
}

// admit refuses an epoch that is older than the last which acted here, and remembers a newer one. The lease is asked
// last. So between the answer and the effect there is nothing but the call itself: a few microseconds at the engine's and
// the proxy's sockets, which are connected before; and the start of docker compose where that does the work, whose effect
// the next leader sees when it observes.
//
// The lock is not held during the effect: an agent that is stopped in the midst of one would hold up its successor for
// as long as it sleeps.
func (t *Target) admit(ctx context.Context, fence rollout.Fence) error {
	if err := t.raise(ctx, fence.Epoch()); err != nil {
		return err
	}
	return fence.Check(ctx)
}

func (t *Target) raise(ctx context.Context, mine uint64) (err error) {
	lock, err := os.OpenFile(filepath.Join(t.config.State, "epoch.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("present epoch %d: %w", mine, err)
	}
	defer func() { _ = lock.Close() }() // which ends the lock, too
	if err := filelock.Take(ctx, lock); err != nil {
		return fmt.Errorf("present epoch %d: %w", mine, err)
	}
	file := filepath.Join(t.config.State, "epoch.json")
	var last epoch
	if err := readJSON(file, &last); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("present epoch %d: %w", mine, err)
	}
	switch {
	case mine < last.Epoch:
		return fmt.Errorf("present epoch %d: refused: epoch %d has acted here since", mine, last.Epoch)
	case mine == last.Epoch:
		return nil
	}
	return writeJSON(file, epoch{mine})
}

func readJSON(path string, into any) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(content, into); err != nil {
		return fmt.Errorf("read %s: %w", filepath.Base(path), err)
	}
	return nil
}

func writeJSON(path string, value any) error {
	content, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return fmt.Errorf("write %s: %w", filepath.Base(path), err)
	}
	return wholefile.Write(path, append(content, '\n'), 0o600)
}
