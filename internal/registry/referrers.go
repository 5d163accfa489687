package registry

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/meter-ml/meter-pipeline/internal/retry"
)

const (
	// emptyType is of the configuration that an artifact does not have (OCI image specification 1.1, "guidance for an
	// empty descriptor").
	emptyType    = "application/vnd.oci.empty.v1+json"
	emptyContent = "{}"

	longestBlob = 64 << 20 // bytes of an artifact's blob that are still read
	attachTries = 10
	// settling is how long after it was listed an artifact must still be: see Attach.
	settling = 100 * time.Millisecond
)

// A Blob is one file of an artifact.
type Blob struct {
	MediaType   string
	Content     []byte
	Annotations map[string]string
}

// An Artifact is what can be attached to a digest: evidence, a bill of materials. Its digest follows from what it
// holds, so an annotation that says when it was attached would make another of it each time.
type Artifact struct {
	Type        string // application/vnd.dev.sigstore.bundle.v0.3+json
	Annotations map[string]string
	Blobs       []Blob
}

// Attach uploads artifacts, makes the subject's referrers of them, and returns their digests in the same order. What
// is attached already is not attached again.
//
// A registry without the referrers API (docker-registry 2.8 has none) keeps the list of referrers as an index under a
// tag, which clients change themselves. There is no compare-and-swap for it: of two who write at the same time, one
// may lose the other's entry. Attachers of one client wait for each other. Against others it looks again, at once and a
// moment later, and repeats what is missing; so entries get lost only if another's reading and writing enclose that
// moment. Such an artifact is still there under its digest, and attaching it once more lists it.
func (c *Client) Attach(ctx context.Context, repository, subject string, artifacts ...Artifact) ([]string, error) {
	ref, err := digested(repository, subject)
	if err != nil {
		return nil, fmt.Errorf("attach artifact: %w", err)
	}
	of, err := c.head(ctx, ref)
	if err != nil {
		return nil, fmt.Errorf("attach to %s: %w", ref, err)
	}
	digests := make([]string, 0, len(artifacts))
	manifests := map[string]raw{}
	for _, artifact := range artifacts {
		manifest, digest, err := c.upload(ctx, ref.Context(), &of, artifact)
		if err != nil {
			return nil, fmt.Errorf("attach to %s: %w", ref, err)
		}
		manifests[digest] = manifest
		digests = append(digests, digest)
	}
	if err := c.list(ctx, ref, manifests); err != nil {
		return nil, fmt.Errorf("attach to %s: %w", ref, err)
	}
	return digests, nil
}

// upload sends the artifact's blobs, and returns its manifest. Without a subject it belongs to nothing.
func (c *Client) upload(ctx context.Context, repo name.Repository, of *Descriptor, artifact Artifact) (raw, string, error) {
	if artifact.Type == "" {
		return raw{}, "", errors.New("the artifact has no type")
	}
	var subject *v1.Descriptor
	if of != nil {
		hash, err := v1.NewHash(of.Digest)
		if err != nil {
			return raw{}, "", err
		}
		subject = &v1.Descriptor{MediaType: types.MediaType(of.MediaType), Size: of.Size, Digest: hash}
	}
	configuration, err := c.blob(ctx, repo, Blob{MediaType: emptyType, Content: []byte(emptyContent)})
	if err != nil {
		return raw{}, "", err
	}
	manifest := v1.Manifest{
		SchemaVersion: 2, MediaType: types.OCIManifestSchema1, ArtifactType: artifact.Type,
		Config: configuration, Layers: []v1.Descriptor{}, Annotations: artifact.Annotations, Subject: subject,
	}
	for _, blob := range artifact.Blobs {
		layer, err := c.blob(ctx, repo, blob)
		if err != nil {
			return raw{}, "", err
		}
		manifest.Layers = append(manifest.Layers, layer)
	}
	if len(manifest.Layers) == 0 {
		manifest.Layers = append(manifest.Layers, configuration)
	}
	content, err := json.Marshal(manifest)
	if err != nil {
		return raw{}, "", err
	}
	digest, _, err := v1.SHA256(bytes.NewReader(content))
	return raw{content, types.OCIManifestSchema1}, digest.String(), err
}

func (c *Client) blob(ctx context.Context, repo name.Repository, blob Blob) (v1.Descriptor, error) {
	layer := static.NewLayer(blob.Content, types.MediaType(blob.MediaType))
	digest, err := layer.Digest()
	if err != nil {
		return v1.Descriptor{}, err
	}
	err = c.retry(ctx, repo, "send blob "+digest.String(), func(ctx context.Context) error {
		return c.pusher.Upload(ctx, repo, layer)
	})
	return v1.Descriptor{
		MediaType: types.MediaType(blob.MediaType), Size: int64(len(blob.Content)), Digest: digest, Annotations: blob.Annotations,
	}, err
}

// list has every manifest among the subject's referrers, and sees that it stays there.
func (c *Client) list(ctx context.Context, subject name.Digest, manifests map[string]raw) error {
	c.attach.Lock()
	defer c.attach.Unlock()
	written, settled := false, false
	var refused error
	for range attachTries {
		missing, err := c.unlisted(ctx, subject, manifests)
		if err != nil {
			return err
		}
		if len(missing) == 0 && (settled || !written) {
			return nil
		}
		settled, written = len(missing) == 0, true
		for _, digest := range missing {
			// The library updates the list under the tag after the manifest is there, if the registry has no API for it.
			// docker-registry calls a tag invalid while another client is writing it.
			refused = c.put(ctx, subject.Context().Digest(digest), manifests[digest])
			if refused != nil && status(refused) != http.StatusBadRequest {
				return refused
			}
		}
		if err := retry.Sleep(ctx, settling+rand.N(settling)); err != nil { //nolint:gosec // nothing secret hangs on it
			return err
		}
	}
	return errors.Join(refused, fmt.Errorf("list the artifacts: after %d tries some are still missing: others attach to the same image at the same time: try again later", attachTries))
}

// unlisted are the digests that the subject's referrers lack, in a fixed order.
func (c *Client) unlisted(ctx context.Context, subject name.Digest, manifests map[string]raw) ([]string, error) {
	listed, err := c.referrers(ctx, subject)
	if err != nil {
		return nil, err
	}
	var missing []string
	for digest := range manifests {
		if !slices.ContainsFunc(listed, func(d Descriptor) bool { return d.Digest == digest }) {
			missing = append(missing, digest)
		}
	}
	slices.Sort(missing)
	return missing, nil
}

// Referrers lists what is attached to a digest, of one type or, if that is empty, of all. The order is the registry's.
// That an entry is there is the registry's word: what it holds must be verified by whoever reads it. Of a registry that
// pages its answer, only the first page is seen.
func (c *Client) Referrers(ctx context.Context, repository, subject, artifactType string) ([]Descriptor, error) {
	ref, err := digested(repository, subject)
	if err != nil {
		return nil, fmt.Errorf("list referrers: %w", err)
	}
	listed, err := c.referrers(ctx, ref)
	if err != nil {
		return nil, fmt.Errorf("list referrers of %s: %w", ref, err)
	}
	var kept []Descriptor
	for _, d := range listed {
		// Some registries list the configuration's type instead of the artifact's.
		if d.ArtifactType == "" || d.ArtifactType == emptyType {
			manifest, err := c.get(ctx, ref.Context().Digest(d.Digest))
			if err != nil {
				return nil, fmt.Errorf("list referrers of %s: %w", ref, err)
			}
			d.ArtifactType = manifest.artifactType()
		}
		if artifactType == "" || d.ArtifactType == artifactType {
			kept = append(kept, d)
		}
	}
	return kept, nil
}

// artifactType is what the manifest says that it is, else what its configuration is.
func (r raw) artifactType() string {
	manifest, err := v1.ParseManifest(bytes.NewReader(r.bytes))
	if err != nil {
		return "" // an index, say: it is listed as what nobody knows
	}
	return cmp.Or(manifest.ArtifactType, string(manifest.Config.MediaType))
}

func (c *Client) referrers(ctx context.Context, subject name.Digest) ([]Descriptor, error) {
	var listed []Descriptor
	err := c.retry(ctx, subject.Context(), "list referrers", func(ctx context.Context) error {
		index, err := remote.Referrers(subject, remote.WithContext(ctx), remote.Reuse(c.puller))
		if err != nil {
			return err
		}
		manifest, err := index.IndexManifest()
		if err != nil {
			return err
		}
		listed = nil
		for _, d := range manifest.Manifests {
			listed = append(listed, Descriptor{
				Digest: d.Digest.String(), MediaType: string(d.MediaType), Size: d.Size,
				ArtifactType: d.ArtifactType, Annotations: d.Annotations,
			})
		}
		return nil
	})
	return listed, err
}

// A Fetched artifact is one that was read back, with the subject that its manifest names.
type Fetched struct {
	Artifact
	Subject string // digest; empty if it refers to nothing
}

// Fetch reads an artifact. Each of its parts has the digest that names it, or there is an error.
func (c *Client) Fetch(ctx context.Context, repository, digest string) (Fetched, error) {
	ref, err := digested(repository, digest)
	if err != nil {
		return Fetched{}, fmt.Errorf("fetch artifact: %w", err)
	}
	content, err := c.get(ctx, ref)
	if err != nil {
		return Fetched{}, fmt.Errorf("fetch %s: %w", ref, err)
	}
	manifest, err := v1.ParseManifest(bytes.NewReader(content.bytes))
	if err != nil {
		return Fetched{}, fmt.Errorf("fetch %s: read manifest: %w", ref, err)
	}
	fetched := Fetched{Artifact: Artifact{Type: content.artifactType(), Annotations: manifest.Annotations}}
	if manifest.Subject != nil {
		fetched.Subject = manifest.Subject.Digest.String()
	}
	for _, layer := range manifest.Layers {
		if layer.MediaType == emptyType {
			continue
		}
		blob, err := c.fetchBlob(ctx, ref.Context(), layer)
		if err != nil {
			return Fetched{}, fmt.Errorf("fetch %s: %w", ref, err)
		}
		fetched.Blobs = append(fetched.Blobs, blob)
	}
	return fetched, nil
}

func (c *Client) fetchBlob(ctx context.Context, repo name.Repository, layer v1.Descriptor) (Blob, error) {
	blob := Blob{MediaType: string(layer.MediaType), Annotations: layer.Annotations}
	if layer.Size > longestBlob {
		return blob, fmt.Errorf("its blob %s has %d bytes, more than %d", layer.Digest, layer.Size, longestBlob)
	}
	err := c.retry(ctx, repo, "read blob "+layer.Digest.String(), func(ctx context.Context) error {
		found, err := c.puller.Layer(ctx, repo.Digest(layer.Digest.String()))
		if err != nil {
			return err
		}
		reader, err := found.Compressed() // the library verifies the digest while it is read
		if err != nil {
			return err
		}
		defer func() { _ = reader.Close() }()
		blob.Content, err = io.ReadAll(io.LimitReader(reader, longestBlob+1))
		if err == nil && int64(len(blob.Content)) != layer.Size {
			err = fmt.Errorf("it has %d bytes, the manifest says %d", len(blob.Content), layer.Size)
		}
		return err
	})
	return blob, err
}
