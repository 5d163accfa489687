package compose

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// syntheticHeader marks requests that no user sent. The proxy's log and model_api count them apart.
	syntheticHeader = "X-Meter-Synthetic"
	// syntheticPatience is how long each may take.
	syntheticPatience = 10 * time.Second
	// mostOpen synthetic requests: where that many wait, more would only make it worse.
	mostOpen = 256
)

// Synthetic implements Listener.
func (t *Target) Synthetic(ctx context.Context, rate float64, bodies [][]byte) (Sent, error) {
	if rate <= 0 || len(bodies) == 0 {
		return Sent{}, errors.New("send synthetic requests: there is no rate, or no body")
	}
	members, err := t.members(ctx)
	if err != nil {
		return Sent{}, fmt.Errorf("send synthetic requests: %w", err)
	}
	proxy, ok := members[proxyService]
	if !ok || !runs(proxy) {
		return Sent{}, errors.New("send synthetic requests: there is no proxy that runs")
	}
	url := "http://" + t.address(proxy) + ":" + proxyPort + "/predict"
	transport := &http.Transport{MaxIdleConnsPerHost: 16, IdleConnTimeout: 10 * time.Second}
	defer transport.CloseIdleConnections()
	web := &http.Client{Timeout: syntheticPatience, Transport: transport}

	var sent, failed atomic.Int64
	var open sync.WaitGroup
	slots := make(chan struct{}, mostOpen)
	began := time.Now()
	for i := 0; ; i++ {
		due := began.Add(time.Duration(float64(i) / rate * float64(time.Second)))
		select {
		case <-ctx.Done():
			open.Wait()
			return Sent{sent.Load(), failed.Load()}, nil
		case <-time.After(time.Until(due)):
		}
		select {
		case slots <- struct{}{}:
		default:
			continue
		}
		open.Go(func() {
			defer func() { <-slots }()
			sent.Add(1)
			// What has begun is brought to its end: a request that is cut would look like one that failed.
			// At random: the proxy deals in turn, so in turn each slot would get the same few questions over and over, and
			// give other answers than the other slot.
			if !post(context.WithoutCancel(ctx), web, url, bodies[rand.IntN(len(bodies))]) { //nolint:gosec // no secret
				failed.Add(1)
			}
		})
	}
}

func post(ctx context.Context, web *http.Client, url string, body []byte) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return false
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set(syntheticHeader, "1")
	response, err := web.Do(request)
	if err != nil {
		return false
	}
	defer func() { _ = response.Body.Close() }()
	_, err = io.Copy(io.Discard, response.Body)
	return err == nil && response.StatusCode < http.StatusInternalServerError
}
