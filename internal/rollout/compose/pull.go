package compose

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/registry"

	"github.com/meter-ml/meter-pipeline/internal/plain"
	"github.com/meter-ml/meter-pipeline/internal/rollout"
)

// Pull implements rollout.Backend. An image that the registry does not have, or does not give away, comes no more.
func (t *Target) Pull(ctx context.Context, fence rollout.Fence, r rollout.Revision) error {
	auth, err := t.registryAuth()
	if err != nil {
		return fmt.Errorf("pull the images of %s: %w", r.Release, err)
	}
	there, err := t.images(ctx)
	if err != nil {
		return fmt.Errorf("pull the images of %s: %w", r.Release, err)
	}
	for _, name := range slices.Sorted(maps.Keys(r.Images)) {
		reference := r.Images[name]
		if there[reference] != "" {
			continue
		}
		if !strings.Contains(reference, "@sha256:") {
			return rollout.Permanent(fmt.Errorf("pull the images of %s: %s is not named by digest: %s", r.Release, name, plain.Line(reference)))
		}
		if err := t.admit(ctx, fence); err != nil {
			return err
		}
		if err := t.pull(ctx, reference, auth); err != nil {
			return fmt.Errorf("pull the images of %s: %s: %w", r.Release, name, err)
		}
	}
	return nil
}

func (t *Target) pull(ctx context.Context, reference, auth string) error {
	progress, err := t.engine.ImagePull(ctx, reference, image.PullOptions{RegistryAuth: auth})
	if err != nil {
		return lasting(err)
	}
	defer func() { _ = progress.Close() }()
	// It fails in the midst of an answer with status 200.
	decoder := json.NewDecoder(progress)
	for {
		var message struct {
			Error string `json:"error"`
		}
		err := decoder.Decode(&message)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case message.Error != "":
			return lasting(errors.New(plain.Line(message.Error)))
		}
	}
}

// lasting marks what no repetition mends. The engine tells it in words only, once it has begun.
func lasting(err error) error {
	for _, words := range []string{"manifest unknown", "manifest for ", "repository does not exist", "denied: ", "access denied", "unauthorized", "no basic auth credentials", "incorrect username or password", "invalid reference format", "no matching manifest"} {
		if errdefs.IsNotFound(err) || errdefs.IsInvalidArgument(err) || strings.Contains(err.Error(), words) {
			return rollout.Permanent(err)
		}
	}
	return err
}

// registryAuth is what the engine shows a registry: from files among the agent's own secrets, if there are any.
func (t *Target) registryAuth() (string, error) {
	var values []string
	for _, name := range []string{"REGISTRY_USERNAME", "REGISTRY_PASSWORD"} {
		content, err := os.ReadFile(filepath.Join(t.layout.Secrets(), "agent", name))
		if errors.Is(err, fs.ErrNotExist) {
			return "", nil
		}
		if err != nil {
			return "", err
		}
		values = append(values, strings.TrimSpace(string(content)))
	}
	if values[0] == "" {
		return "", nil
	}
	return registry.EncodeAuthConfig(registry.AuthConfig{Username: values[0], Password: values[1]})
}
