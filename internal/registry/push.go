package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"golang.org/x/sync/errgroup"
)

// uploads is how many blobs of an image are sent at the same time.
const uploads = 4

// A Pushed says what a push did.
type Pushed struct {
	Reference string // repository@digest
	Sent      int    // blobs that the registry lacked
	Present   int    // blobs that it had
	Bytes     int64  // of the blobs that were sent
	New       bool   // the manifest was written; else it was there
}

// Push puts an image of an OCI layout into a repository, under its digest only. What the registry has is not sent
// again, so a push that was cut off goes on with what is missing. Progress, if not nil, hears how many bytes of all
// blobs are there; calls do not overlap.
func (c *Client) Push(ctx context.Context, dir, digest, repository string, progress func(done, total int64)) (Pushed, error) {
	ref, err := digested(repository, digest)
	if err != nil {
		return Pushed{}, fmt.Errorf("push image: %w", err)
	}
	image, err := open(dir, digest)
	if err != nil {
		return Pushed{}, fmt.Errorf("push %s: %w", ref, err)
	}
	pushed := Pushed{Reference: ref.Name()}
	if err := c.blobs(ctx, ref.Context(), image, newTally(progress), &pushed); err != nil {
		return pushed, fmt.Errorf("push %s: %w", ref, err)
	}
	if pushed.New, err = c.manifest(ctx, ref, image.raw); err != nil {
		return pushed, fmt.Errorf("push %s: %w", ref, err)
	}
	return pushed, nil
}

// An opened image is one of a layout, its manifest shown to be the one that its digest names.
type opened struct {
	raw    raw
	layers []v1.Layer // each once, with the configuration
}

func open(dir, digest string) (opened, error) {
	const remedy = "build it again"
	hash, err := v1.NewHash(digest)
	if err != nil {
		return opened{}, err
	}
	path, err := layout.FromPath(dir)
	if err != nil {
		return opened{}, fmt.Errorf("read OCI layout: %w: %s", err, remedy)
	}
	content, err := path.Bytes(hash)
	if err != nil {
		return opened{}, fmt.Errorf("read manifest of the OCI layout: %w: %s", err, remedy)
	}
	if sum, _, err := v1.SHA256(bytes.NewReader(content)); err != nil || sum != hash {
		return opened{}, errors.Join(fmt.Errorf("read manifest of the OCI layout: it has the digest %s: %s", sum, remedy), err)
	}
	image, err := path.Image(hash)
	if err != nil {
		return opened{}, fmt.Errorf("read OCI layout: %w: %s", err, remedy)
	}
	mediaType, err := image.MediaType()
	if err != nil {
		return opened{}, err
	}
	if !mediaType.IsImage() {
		return opened{}, fmt.Errorf("read OCI layout: %s is no image for one platform but %s: %s for one platform, without attestations of buildx", digest, mediaType, remedy)
	}
	layers, err := distinct(image)
	if err != nil {
		return opened{}, fmt.Errorf("read layers of the OCI layout: %w: %s", err, remedy)
	}
	return opened{raw{content, mediaType}, layers}, nil
}

func distinct(image v1.Image) ([]v1.Layer, error) {
	layers, err := image.Layers()
	if err != nil {
		return nil, err
	}
	configuration, err := partial.ConfigLayer(image)
	if err != nil {
		return nil, err
	}
	seen := map[v1.Hash]bool{}
	var kept []v1.Layer
	for _, layer := range append(layers, configuration) {
		hash, err := layer.Digest()
		if err != nil {
			return nil, err
		}
		if !seen[hash] {
			kept = append(kept, layer)
		}
		seen[hash] = true
	}
	return kept, nil
}

// blobs sends what the registry lacks. Each is tried again on its own: what has arrived is not lost by another's end.
func (c *Client) blobs(ctx context.Context, repo name.Repository, image opened, tally *tally, pushed *Pushed) error {
	sent := make([]*counted, 0, len(image.layers))
	for _, layer := range image.layers {
		size, err := layer.Size()
		if err != nil {
			return err
		}
		sent = append(sent, &counted{Layer: layer, tally: tally, size: size})
		tally.total += size
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(uploads)
	for _, layer := range sent {
		group.Go(func() error {
			digest, err := layer.Digest()
			if err != nil {
				return err
			}
			err = c.retry(ctx, repo, "send blob "+digest.String(), func(ctx context.Context) error {
				return c.pusher.Upload(ctx, repo, layer)
			})
			if err == nil {
				tally.at(layer, layer.size)
			}
			return err
		})
	}
	err := group.Wait()
	for _, layer := range sent {
		switch {
		case !layer.opened:
			pushed.Present++
		default:
			pushed.Sent++
			pushed.Bytes += layer.size
		}
	}
	return err
}

// manifest writes the manifest, unless it is there, and reads it back.
func (c *Client) manifest(ctx context.Context, ref name.Digest, want raw) (written bool, err error) {
	_, err = c.get(ctx, ref)
	if errors.Is(err, ErrNotFound) {
		if err := c.put(ctx, ref, want); err != nil {
			return false, err
		}
		written = true
		_, err = c.get(ctx, ref)
	}
	if err != nil {
		return written, fmt.Errorf("read back: %w", err)
	}
	return written, nil
}

// counted is a layer that says how much of it was read.
type counted struct {
	v1.Layer
	tally  *tally
	size   int64
	opened bool // it was sent, or begun to be
}

// Compressed is called at the start of each try to send it.
func (l *counted) Compressed() (io.ReadCloser, error) {
	l.opened = true
	content, err := l.Layer.Compressed()
	if err != nil {
		return nil, err
	}
	l.tally.at(l, 0)
	return &countedReader{ReadCloser: content, layer: l}, nil
}

type countedReader struct {
	io.ReadCloser
	layer *counted
	read  int64
}

func (r *countedReader) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	if n > 0 {
		r.read += int64(n)
		r.layer.tally.at(r.layer, r.read)
	}
	return n, err
}

// tally adds up the blobs of an image.
type tally struct {
	total int64

	mu       sync.Mutex
	done     map[*counted]int64
	progress func(done, total int64)
}

func newTally(progress func(done, total int64)) *tally {
	return &tally{done: map[*counted]int64{}, progress: progress}
}

func (t *tally) at(layer *counted, n int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.done[layer] = n
	if t.progress == nil {
		return
	}
	var sum int64
	for _, n := range t.done {
		sum += n
	}
	t.progress(sum, t.total)
}
