package trial

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/retry"
)

// eventually tries until it works, or says what last kept it from that.
func eventually(ctx context.Context, within time.Duration, what string, try func() error) error {
	until := time.Now().Add(within)
	for {
		err := try()
		if err == nil {
			return nil
		}
		if time.Now().After(until) {
			return fmt.Errorf("wait until %s: not within %s: %w", what, within, err)
		}
		if err := retry.Sleep(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
}

// get wants a 200.
func get(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, response.Body)
	_ = response.Body.Close()
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s answers %s", address, response.Status)
	}
	return err
}
