// Package registry speaks with a container registry: it pushes images from OCI layouts, sets tags, and attaches to a
// digest what is known of it.
//
// It stands beside the engine and knows no stage. What it does can be repeated: what is there already is not sent
// again, so that whoever was interrupted begins anew. Every digest is read back before anything is said to be there,
// and tags come last, so that a push that ends half-way leaves nothing that anybody would find by a name.
package registry

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/meter-ml/meter-pipeline/internal/plain"
)

// ErrNotFound says that the registry has nothing of that name.
var ErrNotFound = errors.New("the registry has none")

// Options of a client. Host, Username and Password belong together: no other registry is ever told them.
type Options struct {
	Host     string // host:port that the credentials are for
	Username string // REGISTRY_USERNAME
	Password string // REGISTRY_PASSWORD
	// Patience is how long one request, or the upload of one blob, is tried again; 0 is two minutes.
	Patience time.Duration
	// Pause is before the second try, and doubles; 0 is 200 ms.
	Pause time.Duration
	// Log, if set, hears of what is tried again and why. Calls may overlap.
	Log func(format string, args ...any)
	// Transport is for tests; nil is one of the client's own.
	Transport http.RoundTripper
}

// A Client speaks with registries. Its methods may be called at the same time.
//
// Without a user name the credentials are those of the Docker credential store: go-containerregistry reads
// DOCKER_CONFIG and the user's config.json itself, and starts the credential helper that is named there, as docker
// does. That is the one program that this project starts outside of its runner.
type Client struct {
	opts   Options
	mask   *plain.Mask
	pusher *remote.Pusher
	puller *remote.Puller
	attach sync.Mutex // the list of referrers is read, changed and written
}

// New returns a client. Nothing is sent yet.
func New(o Options) (*Client, error) {
	if (o.Username == "") != (o.Password == "") {
		return nil, errors.New("log in to the registry: one of REGISTRY_USERNAME and REGISTRY_PASSWORD is set and the other is not: set both, or neither to use what `docker login` stored")
	}
	if o.Patience <= 0 {
		o.Patience = 2 * time.Minute
	}
	if o.Pause <= 0 {
		o.Pause = 200 * time.Millisecond
	}
	if o.Log == nil {
		o.Log = func(string, ...any) {}
	}
	if o.Transport == nil {
		o.Transport = newTransport()
	}
	c := &Client{opts: o, mask: plain.NewMask(o.Password, basic(o.Username, o.Password))}
	options := []remote.Option{
		remote.WithTransport(careful{o.Transport}),
		remote.WithAuthFromKeychain(keychain{o}),
		// Trying again is done here, as the library knows neither Retry-After nor the end of the context.
		remote.WithRetryPredicate(func(error) bool { return false }),
		remote.WithRetryStatusCodes(),
		remote.WithUserAgent("meter-pipeline"),
	}
	var err error
	if c.pusher, err = remote.NewPusher(options...); err != nil {
		return nil, fmt.Errorf("make registry client: %w", err)
	}
	if c.puller, err = remote.NewPuller(options...); err != nil {
		return nil, fmt.Errorf("make registry client: %w", err)
	}
	return c, nil
}

// keychain gives the credentials of the options to their own host, and those of the Docker credential store to others.
type keychain struct{ Options }

// Resolve is what the library asks before it speaks with a registry.
func (k keychain) Resolve(to authn.Resource) (authn.Authenticator, error) {
	if k.Username != "" && to.RegistryStr() == k.Host {
		return &authn.Basic{Username: k.Username, Password: k.Password}, nil
	}
	return authn.DefaultKeychain.Resolve(to)
}

// A Descriptor says what is in a registry, by digest.
type Descriptor struct {
	Digest       string // sha256:…
	MediaType    string
	Size         int64
	ArtifactType string            // of a referrer
	Annotations  map[string]string // of a referrer
}

// Resolved is what a reference stands for now.
type Resolved struct {
	Repository string // ghcr.io/meter-ml/model-api
	Descriptor
}

// Resolve finds what a reference stands for: host/path:tag or host/path@sha256:…, both in full, since a name that is
// completed with somebody's default could mean another image.
func (c *Client) Resolve(ctx context.Context, reference string) (Resolved, error) {
	ref, err := name.ParseReference(reference, name.StrictValidation)
	if err != nil {
		return Resolved{}, fmt.Errorf("resolve %s: %w: write it in full, as in ghcr.io/owner/name:tag or ghcr.io/owner/name@sha256:…", plain.Line(reference), err)
	}
	found, err := c.head(ctx, ref)
	if err != nil {
		return Resolved{}, fmt.Errorf("resolve %s: %w", ref, err)
	}
	return Resolved{Repository: ref.Context().Name(), Descriptor: found}, nil
}

// head asks what is there under a name, ErrNotFound if nothing is.
func (c *Client) head(ctx context.Context, ref name.Reference) (Descriptor, error) {
	var found Descriptor
	err := c.retry(ctx, ref.Context(), "look up "+ref.Identifier(), func(ctx context.Context) error {
		d, err := c.puller.Head(ctx, ref)
		if err == nil {
			found = Descriptor{Digest: d.Digest.String(), MediaType: string(d.MediaType), Size: d.Size}
		}
		return err
	})
	return found, err
}

// get reads a manifest. The library compares its digest with the one that was asked for.
func (c *Client) get(ctx context.Context, ref name.Reference) (raw, error) {
	var manifest raw
	err := c.retry(ctx, ref.Context(), "read manifest "+ref.Identifier(), func(ctx context.Context) error {
		d, err := c.puller.Get(ctx, ref)
		if err == nil {
			manifest = raw{d.Manifest, d.MediaType}
		}
		return err
	})
	return manifest, err
}

// put writes a manifest under a name.
func (c *Client) put(ctx context.Context, ref name.Reference, manifest remote.Taggable) error {
	return c.retry(ctx, ref.Context(), "write manifest "+ref.Identifier(), func(ctx context.Context) error {
		return c.pusher.Put(ctx, ref, manifest)
	})
}

// digested is a reference by digest.
func digested(repository, digest string) (name.Digest, error) {
	ref, err := name.NewDigest(repository+"@"+digest, name.StrictValidation)
	if err != nil {
		return name.Digest{}, fmt.Errorf("%s@%s is no image: %w: write host/path and sha256:…", plain.Line(repository), plain.Line(digest), err)
	}
	return ref, nil
}

// status is the HTTP status of an error, 0 if it has none.
func status(err error) int {
	if answer, ok := errors.AsType[*transport.Error](err); ok {
		return answer.StatusCode
	}
	return 0
}
