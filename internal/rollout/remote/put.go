package remote

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/rollout/agent/wire"
)

// A Bundle holds the files that say how a release runs, by their names.
type Bundle map[string][]byte

// Tar is the bundle as one file, always the same for the same content.
func (b Bundle) Tar() ([]byte, error) {
	var all bytes.Buffer
	w := tar.NewWriter(&all)
	for _, name := range slices.Sorted(maps.Keys(b)) {
		header := &tar.Header{Name: name, Mode: 0o644, Size: int64(len(b[name])), ModTime: time.Unix(0, 0), Format: tar.FormatUSTAR}
		if err := w.WriteHeader(header); err != nil {
			return nil, fmt.Errorf("pack %s: %w", name, err)
		}
		if _, err := w.Write(b[name]); err != nil {
			return nil, fmt.Errorf("pack %s: %w", name, err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("pack the bundle: %w", err)
	}
	return all.Bytes(), nil
}

// PutBundle brings a bundle to the target, where its digest is its name.
func (t *Target) PutBundle(ctx context.Context, b Bundle) (string, error) {
	content, err := b.Tar()
	if err != nil {
		return "", err
	}
	out, err := t.ask(ctx, bytes.NewReader(content), nil, "put bundle")
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(content)
	want, got := "sha256:"+hex.EncodeToString(sum[:]), strings.TrimSpace(string(out.Stdout))
	if got != want {
		return "", fmt.Errorf("put bundle: the agent received %q, and %s was sent", got, want)
	}
	return want, nil
}

// PutSecrets brings secrets to the target. They go over standard input alone: no argument and no variable holds one.
func (t *Target) PutSecrets(ctx context.Context, secrets wire.Secrets) error {
	if len(secrets) == 0 {
		return nil
	}
	content, err := json.Marshal(secrets)
	if err != nil {
		return fmt.Errorf("put secrets: %w", err)
	}
	_, err = t.ask(ctx, bytes.NewReader(content), nil, "put secrets")
	return err
}
