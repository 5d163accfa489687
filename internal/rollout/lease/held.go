package lease

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Epoch is what every mutation presents.
func (h *Held) Epoch() uint64 { return h.epoch }

// Check asks, right before a mutation, whether the lease still is this one and has not expired. It reads the file: what
// the holder remembers says nothing after a pause.
func (h *Held) Check(ctx context.Context) error {
	return h.desk.locked(ctx, func() error { return h.check(h.desk.Now()) })
}

func (h *Held) check(now time.Time) error {
	last, err := Read(h.desk.Dir)
	switch {
	case err != nil:
		return err
	case last.Epoch != h.epoch:
		return fmt.Errorf("%w: %s has taken over with epoch %d, this is epoch %d", ErrLost, last.Holder, last.Epoch, h.epoch)
	case !now.Before(last.Expires):
		return fmt.Errorf("%w: epoch %d ended at %s", ErrLost, h.epoch, last.Expires.Format(time.RFC3339))
	}
	return nil
}

// Renew makes the lease last from now. One that has ended is not renewed, even if nobody has taken it: whoever slept so
// long looks at everything anew.
func (h *Held) Renew(ctx context.Context) error {
	return h.desk.locked(ctx, func() error {
		now := h.desk.Now()
		if err := h.check(now); err != nil {
			return err
		}
		expires := now.Add(h.desk.expiry())
		err := h.desk.write(Lease{Epoch: h.epoch, Holder: h.desk.Holder, Renewed: now, Expires: expires})
		if err != nil {
			return fmt.Errorf("renew lease: %w", err)
		}
		h.mu.Lock()
		h.expires = expires
		h.mu.Unlock()
		return nil
	})
}

// Keep renews the lease until stop is called. The context that it returns ends with ErrLost as its cause when the lease
// is lost, which a disk that takes no renewal also comes to.
func (h *Held) Keep(ctx context.Context) (kept context.Context, stop func()) {
	kept, cancel := context.WithCancelCause(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-kept.Done():
				return
			case <-time.After(h.desk.renewal()):
			}
			err := h.Renew(kept)
			for err != nil && !errors.Is(err, ErrLost) && kept.Err() == nil {
				if !h.desk.Now().Before(h.until()) {
					err = fmt.Errorf("%w: %w", ErrLost, err)
					break
				}
				time.Sleep(min(glance, h.desk.renewal()/4))
				err = h.Renew(kept)
			}
			if err != nil {
				cancel(err)
				return
			}
		}
	}()
	return kept, func() {
		cancel(context.Canceled)
		<-ended
	}
}

func (h *Held) until() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.expires
}

// Release gives the lease back, so that the next need not wait. One that is lost already is not.
func (h *Held) Release(ctx context.Context) error {
	return h.desk.locked(ctx, func() error {
		now := h.desk.Now()
		if err := h.check(now); err != nil {
			if errors.Is(err, ErrLost) {
				return nil
			}
			return err
		}
		return h.desk.write(Lease{Epoch: h.epoch, Holder: h.desk.Holder, Renewed: now, Expires: now})
	})
}
