package registry

import (
	"context"
	"fmt"

	"github.com/google/go-containerregistry/pkg/name"
)

// Keep uploads an artifact that belongs to no image, gives it a tag, and returns its digest. A tag that another artifact
// has is moved.
func (c *Client) Keep(ctx context.Context, repository, tag string, artifact Artifact) (string, error) {
	repo, err := name.NewRepository(repository, name.StrictValidation)
	if err != nil {
		return "", fmt.Errorf("keep artifact: %w", err)
	}
	manifest, digest, err := c.upload(ctx, repo, nil, artifact)
	if err != nil {
		return "", fmt.Errorf("keep %s:%s: %w", repository, tag, err)
	}
	if err := c.put(ctx, repo.Digest(digest), manifest); err != nil {
		return "", fmt.Errorf("keep %s:%s: %w", repository, tag, err)
	}
	_, err = c.Tag(ctx, repository, digest, tag, false)
	return digest, err
}
