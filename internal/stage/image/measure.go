package image

import (
	"archive/tar"
	"bufio"
	"errors"
	"fmt"
	"io"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/klauspost/compress/gzip"
)

// unpackedSizes measures layers by their digests, but for those that are known.
func unpackedSizes(layers []v1.Layer, known map[string]int64) (map[string]int64, error) {
	var one sync.Mutex
	var errs error
	found := map[string]int64{}
	var all sync.WaitGroup
	for _, layer := range layers {
		digest, err := layer.Digest()
		if err != nil {
			return nil, err
		}
		name := digest.String()
		one.Lock()
		_, begun := found[name] // images share layers
		size, ok := known[name]
		found[name] = size
		one.Unlock()
		if begun || ok {
			continue
		}
		all.Go(func() {
			size, err := sizeOf(layer)
			one.Lock()
			defer one.Unlock()
			found[name], errs = size, errors.Join(errs, err)
		})
	}
	all.Wait()
	return found, errs
}

// sizeOf is how many bytes a layer's files have.
func sizeOf(layer v1.Layer) (int64, error) {
	content, err := unpack(layer)
	if err != nil {
		return 0, fmt.Errorf("read layer: %w", err)
	}
	defer func() { _ = content.Close() }()
	var total int64
	for reader := tar.NewReader(content); ; {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return total, nil
		}
		if err != nil {
			return 0, fmt.Errorf("read layer: %w", err)
		}
		total += header.Size
	}
}

// unpack reads a layer. The library's own way is right for each format, and half as fast for the usual one.
func unpack(layer v1.Layer) (io.ReadCloser, error) {
	packed, err := layer.Compressed()
	if err != nil {
		return nil, err
	}
	buffered := bufio.NewReaderSize(packed, 1<<20)
	if magic, err := buffered.Peek(2); err != nil || magic[0] != 0x1f || magic[1] != 0x8b {
		return layer.Uncompressed()
	}
	content, err := gzip.NewReader(buffered)
	if err != nil {
		return nil, errors.Join(err, packed.Close())
	}
	return struct {
		io.Reader
		io.Closer
	}{content, packed}, nil
}
