package evidence

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/registry"
)

// Annotations of a bundle in a registry, by which cosign and others choose what to fetch.
const (
	contentKey   = "dev.sigstore.bundle.content"
	predicateKey = "dev.sigstore.bundle.predicateType"
	createdKey   = "org.opencontainers.image.created"
	dsseContent  = "dsse-envelope"
)

// A Registry keeps what is attached to images; *registry.Client is one.
type Registry interface {
	Attach(ctx context.Context, repository, subject string, artifacts ...registry.Artifact) ([]string, error)
	Referrers(ctx context.Context, repository, subject, artifactType string) ([]registry.Descriptor, error)
	Fetch(ctx context.Context, repository, digest string) (registry.Fetched, error)
}

// Attach puts bundles beside an image, for whoever gets its digest. What is there already is not put there again: the
// annotations follow from the bundle, the date too, which is when the judging ended.
func Attach(ctx context.Context, client Registry, repository, digest string, bundles []Found) (int, error) {
	var artifacts []registry.Artifact
	for _, bundle := range bundles {
		s := claimed(bundle.Content)
		if s == nil {
			return 0, fmt.Errorf("attach evidence: %s is no bundle of it", bundle.Origin)
		}
		annotations := map[string]string{contentKey: dsseContent, predicateKey: s.GetPredicateType()}
		if at := s.finished(); !at.IsZero() {
			annotations[createdKey] = at.UTC().Format(time.RFC3339)
		}
		artifacts = append(artifacts, registry.Artifact{
			Type: BundleType, Annotations: annotations, Blobs: []registry.Blob{{MediaType: BundleType, Content: bundle.Content}},
		})
	}
	if len(artifacts) == 0 {
		return 0, nil
	}
	if _, err := client.Attach(ctx, repository, digest, artifacts...); err != nil {
		return 0, fmt.Errorf("attach evidence: %w", err)
	}
	return len(artifacts), nil
}

// finished is when what the statement is about was over; zero where it does not say.
func (s *Statement) finished() time.Time {
	if s.GetPredicateType() == ProvenanceType {
		if origin, err := s.origin(); err == nil {
			return origin.Finished
		}
	}
	if stage, err := s.stage(); err == nil {
		return stage.Finished
	}
	return time.Time{}
}

// AttachAll puts beside an image all evidence of it that the runs in a directory have left: what is about the image,
// and what is about the tree that it was made of.
func AttachAll(ctx context.Context, client Registry, repository, digest, runs string, keys []PublicKey) (int, error) {
	bundles, err := Collect(runs, digest, keys)
	if err != nil {
		return 0, err
	}
	return Attach(ctx, client, repository, digest, bundles)
}

// Fetch reads all bundles that are attached to an image. The registry is not trusted: what it lists under another name, or
// does not list, is for Verify to find out.
func Fetch(ctx context.Context, client Registry, repository, digest string) ([]Found, error) {
	listed, err := client.Referrers(ctx, repository, digest, BundleType)
	if err != nil {
		return nil, fmt.Errorf("look for evidence: %w", err)
	}
	var bundles []Found
	for _, entry := range listed {
		fetched, err := client.Fetch(ctx, repository, entry.Digest)
		if errors.Is(err, registry.ErrNotFound) {
			continue // listed and gone: what is missing then, Verify says
		}
		if err != nil {
			return nil, fmt.Errorf("read evidence: %w", err)
		}
		if fetched.Subject != digest || len(fetched.Blobs) != 1 {
			continue // not attached to this image, whatever the list says; or no bundle
		}
		bundles = append(bundles, Found{Origin: entry.Digest, Content: fetched.Blobs[0].Content})
	}
	return bundles, nil
}
