package provision

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// probeLimit is how long one answer of a server may take. The first one takes seconds.
const probeLimit = 30 * time.Second

// keepsARun creates a run, reads it back, and takes it away again
// (https://mlflow.org/docs/latest/api_reference/rest-api.html).
func (m *mlflow) keepsARun(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, probeLimit)
	defer cancel()
	type answer struct {
		Run struct {
			Info struct {
				ID   string `json:"run_id"`
				Name string `json:"run_name"`
			} `json:"info"`
		} `json:"run"`
	}
	const api, name = "/api/2.0/mlflow/runs/", "does the server keep a run?"
	var created, read answer
	err := m.call(ctx, http.MethodPost, api+"create", map[string]any{"experiment_id": "0", "run_name": name}, &created)
	if err != nil {
		return fmt.Errorf("create a run: %w", err)
	}
	id := created.Run.Info.ID
	if err := m.call(ctx, http.MethodGet, api+"get?run_id="+url.QueryEscape(id), nil, &read); err != nil {
		return fmt.Errorf("read a run back: %w", err)
	}
	if id == "" || read.Run.Info.ID != id || read.Run.Info.Name != name {
		return errors.New("read a run back: it is not the one that was created")
	}
	return m.call(ctx, http.MethodPost, api+"delete", map[string]any{"run_id": id}, &struct{}{})
}

func (m *mlflow) call(ctx context.Context, method, path string, body any, answer any) error {
	var content []byte
	if body != nil {
		var err error
		if content, err = json.Marshal(body); err != nil {
			return err
		}
	}
	request, err := http.NewRequestWithContext(ctx, method, m.address+path, bytes.NewReader(content)) //nolint:gosec // the server is our own
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	transport := &http.Transport{DisableKeepAlives: true}             // and no proxy
	response, err := (&http.Client{Transport: transport}).Do(request) //nolint:gosec // the server is our own
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("it answers %d: %.200s", response.StatusCode, text)
	}
	return json.Unmarshal(text, answer)
}
