// Package composetest has what tests and trials of deploys need: a trivial server in place of model_api that is bad in
// every way a release can be, its image, and a registry on this machine from which an engine pulls it by digest.
package composetest

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/rollout/compose/composetest/known"
)

// Knobs are the trivial server's variables: see composetest/server/knobs.go.
type Knobs map[string]string

// A Registry serves images of the trivial server on a port of this machine, which the engine needs no TLS for.
type Registry struct {
	Host   string // 127.0.0.1:port
	Binary []byte // of the trivial server

	server *http.Server
}

// Serve builds the trivial server with Go, and starts a registry. Source is any directory of this repository.
func Serve(ctx context.Context, runner engine.Runner, source string, env []string) (*Registry, error) {
	dir, err := os.MkdirTemp("", "composetest-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	program := filepath.Join(dir, "server")
	const pkg = "github.com/meter-ml/meter-pipeline/internal/rollout/compose/composetest/server"
	out, err := runner.Run(ctx, engine.Invocation{
		Program: "go", Args: []string{"build", "-trimpath", "-ldflags=-s -w", "-o", program, pkg}, Dir: source,
		Env: append(slices.Clone(env), "CGO_ENABLED=0", "GOFLAGS="),
	})
	if err == nil && out.ExitCode != 0 {
		err = fmt.Errorf("exit code %d: %s", out.ExitCode, out.Stderr)
	}
	if err != nil {
		return nil, fmt.Errorf("build the trivial server: %w", err)
	}
	r := &Registry{}
	if r.Binary, err = os.ReadFile(program); err != nil {
		return nil, err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r.Host = listener.Addr().String()
	r.server = &http.Server{Handler: registry.New(registry.Logger(log.New(io.Discard, "", 0))), ReadHeaderTimeout: time.Minute}
	go func() { _ = r.server.Serve(listener) }() // until Close
	return r, nil
}

// Close ends the registry.
func (r *Registry) Close() error { return r.server.Close() }

// Push makes an image of the trivial server with these variables, and returns its name as an engine pulls it:
// repository@digest.
func (r *Registry) Push(ctx context.Context, repository string, knobs Knobs) (string, error) {
	image, err := r.Image(knobs)
	if err != nil {
		return "", fmt.Errorf("make image of the trivial server: %w", err)
	}
	digest, err := image.Digest()
	if err != nil {
		return "", err
	}
	ref, err := name.NewDigest(r.Host+"/"+repository+"@"+digest.String(), name.Insecure)
	if err != nil {
		return "", err
	}
	if err := remote.Write(ref, image, remote.WithContext(ctx)); err != nil {
		return "", fmt.Errorf("push image of the trivial server: %w", err)
	}
	return ref.String(), nil
}

// Image is from scratch: the program and the known answers.
func (r *Registry) Image(knobs Knobs) (v1.Image, error) {
	answers, err := known.Answers()
	if err != nil {
		return nil, err
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		packed, err := pack(map[string][]byte{"server": r.Binary, "model/answers.json": answers})
		return io.NopCloser(bytes.NewReader(packed)), err
	})
	if err != nil {
		return nil, err
	}
	image, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		return nil, err
	}
	var env []string
	for _, key := range slices.Sorted(maps.Keys(knobs)) {
		env = append(env, key+"="+knobs[key])
	}
	return mutate.ConfigFile(image, configured(image, env))
}

func configured(image v1.Image, env []string) *v1.ConfigFile {
	file, err := image.ConfigFile()
	if err != nil {
		file = &v1.ConfigFile{}
	}
	file = file.DeepCopy()
	file.OS, file.Architecture = "linux", "amd64"
	file.Config.Env = append([]string{"PATH=/"}, env...)
	file.Config.Entrypoint = []string{"/server"}
	file.Config.User = "10001:10001"
	file.Config.Healthcheck = &v1.HealthConfig{
		Test: []string{"CMD", "/server", "health"}, Interval: time.Second, Timeout: 2 * time.Second, StartPeriod: 5 * time.Second, Retries: 3,
	}
	return file
}

func pack(files map[string][]byte) ([]byte, error) {
	var packed bytes.Buffer
	w := tar.NewWriter(&packed)
	for _, path := range slices.Sorted(maps.Keys(files)) {
		header := &tar.Header{Name: path, Mode: 0o755, Size: int64(len(files[path])), Format: tar.FormatPAX}
		if err := w.WriteHeader(header); err != nil {
			return nil, err
		}
		if _, err := w.Write(files[path]); err != nil {
			return nil, err
		}
	}
	return packed.Bytes(), w.Close()
}
