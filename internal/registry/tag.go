package registry

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/meter-ml/meter-pipeline/internal/plain"
)

// A MovedError says that a tag which never moves is another image's.
type MovedError struct {
	Repository, Tag string
	Have, Want      string // digests
}

func (e *MovedError) Error() string {
	return fmt.Sprintf("%s:%s is %s and never moves, so it can't become %s: give the new image a new version, or take the old tag away by hand if nobody uses it",
		e.Repository, e.Tag, e.Have, e.Want)
}

// Tag gives a digest that was pushed a tag, and reads it back. A fixed one is refused with a MovedError if it is
// another digest's; any other is moved. It reports whether anything was changed.
//
// Registries have no compare-and-swap. So of two who set the same new tag to different digests at the same moment, the
// later one wins; the read-back lets the other know, unless it happens before that.
func (c *Client) Tag(ctx context.Context, repository, digest, tag string, fixed bool) (changed bool, err error) {
	ref, err := digested(repository, digest)
	if err != nil {
		return false, fmt.Errorf("tag image: %w", err)
	}
	to, err := name.NewTag(repository+":"+tag, name.StrictValidation)
	if err != nil {
		return false, fmt.Errorf("tag image: %s: %w", plain.Line(tag), err)
	}
	have, err := c.head(ctx, to)
	switch {
	case errors.Is(err, ErrNotFound):
	case err != nil:
		return false, fmt.Errorf("tag %s: %w", to, err)
	case have.Digest == digest:
		return false, nil
	case fixed:
		return false, &MovedError{Repository: to.Context().Name(), Tag: tag, Have: have.Digest, Want: digest}
	}
	manifest, err := c.get(ctx, ref)
	if err != nil {
		return false, fmt.Errorf("tag %s: %w", to, err)
	}
	if err := c.put(ctx, to, manifest); err != nil {
		return false, fmt.Errorf("tag %s: %w", to, err)
	}
	if have, err = c.head(ctx, to); err != nil {
		return true, fmt.Errorf("tag %s: read back: %w", to, err)
	}
	if have.Digest != digest {
		return true, fmt.Errorf("tag %s: it is %s, not %s: another run moved it at the same time", to, have.Digest, digest)
	}
	return true, nil
}
