package imagetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

const (
	suite = "bookworm" // whose python3 is the 3.11 that requirements are locked for; from the mirror that debootstrap knows
	// recipe changes whenever the base image has to be made anew.
	recipe     = "2"
	repository = "python"
)

// serveBase makes the base image, once a month, and serves it for the builder to take.
func (m *Machine) serveBase(ctx context.Context) error {
	image, err := m.baseImage(ctx)
	if err != nil {
		return fmt.Errorf("make base image: %w", err)
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	m.registry = &http.Server{Handler: registry.New(registry.Logger(log.New(io.Discard, "", 0))), ReadHeaderTimeout: startLimit}
	go func() { _ = m.registry.Serve(listener) }() // until Close
	ref, err := name.NewRepository(listener.Addr().String()+"/"+repository, name.Insecure)
	if err != nil {
		return err
	}
	digest, err := image.Digest()
	if err != nil {
		return err
	}
	if err := remote.Write(ref.Digest(digest.String()), image, remote.WithContext(ctx)); err != nil {
		return fmt.Errorf("serve base image: %w", err)
	}
	m.Base = ref.Digest(digest.String()).String()
	m.added["METER_BASE_IMAGE"] = m.Base
	return nil
}

// baseImage is kept from earlier times. Its packages are of the month, since Debian corrects them.
func (m *Machine) baseImage(ctx context.Context) (v1.Image, error) {
	kept := filepath.Join(m.cache, "base-"+recipe+"-"+time.Now().Format("2006-01"))
	if image, err := onlyImage(kept); err == nil {
		return image, nil
	}
	m.options.Log("making a base image with debootstrap, once, about a minute")
	making := kept + ".making" // ours alone under the lock; a killed run may have left it
	if err := os.RemoveAll(making); err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(making) }()
	root := filepath.Join(making, "root")
	if err := m.bootstrap(ctx, root); err != nil {
		return nil, err
	}
	packed := filepath.Join(making, "root.tar.gz")
	if err := m.run(ctx, "tar", "--create", "--gzip", "--numeric-owner", "--file", packed, "--directory", root, "."); err != nil {
		return nil, err
	}
	layer, err := tarball.LayerFromFile(packed)
	if err != nil {
		return nil, err
	}
	image, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		return nil, err
	}
	image, err = mutate.ConfigFile(image, configured(image))
	if err != nil {
		return nil, err
	}
	written, err := layout.Write(filepath.Join(making, "layout"), empty.Index)
	if err != nil {
		return nil, err
	}
	if err := written.AppendImage(image); err != nil {
		return nil, err
	}
	if err := errors.Join(os.RemoveAll(kept), os.Rename(filepath.Join(making, "layout"), kept)); err != nil {
		return nil, err
	}
	return onlyImage(kept)
}

func configured(image v1.Image) *v1.ConfigFile {
	file, err := image.ConfigFile()
	if err != nil {
		file = &v1.ConfigFile{}
	}
	file = file.DeepCopy()
	file.OS, file.Architecture = "linux", "amd64"
	file.Config.Cmd = []string{"python3"}
	file.Config.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	return file
}

func onlyImage(dir string) (v1.Image, error) {
	index, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		return nil, err
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return nil, err
	}
	if len(manifest.Manifests) != 1 {
		return nil, fmt.Errorf("%s holds %d images", dir, len(manifest.Manifests))
	}
	return index.Image(manifest.Manifests[0].Digest)
}

// bootstrap makes the root file system: Debian with python3, as near as can be to what the public image is. What only
// people read is left out, as it is there.
func (m *Machine) bootstrap(ctx context.Context, root string) error {
	err := m.run(ctx, "debootstrap", "--variant=minbase", "--include=ca-certificates,python3,python3-venv", suite, root)
	if err != nil {
		return err
	}
	list := filepath.Join(root, "etc/apt/sources.list")
	installed, err := os.ReadFile(list) // deb MIRROR SUITE main
	if err != nil {
		return err
	}
	fields := strings.Fields(string(installed))
	if len(fields) < 3 || fields[0] != "deb" {
		return fmt.Errorf("read what debootstrap wrote into %s: it begins with %q", list, fields)
	}
	mirror := strings.TrimSuffix(fields[1], "/")
	var sources strings.Builder
	for _, line := range []string{mirror + " " + suite, mirror + " " + suite + "-updates", mirror + "-security " + suite + "-security"} {
		sources.WriteString("deb " + line + " main\n")
	}
	if err := os.WriteFile(list, []byte(sources.String()), 0o644); err != nil {
		return err
	}
	// The installer gives the state of the release; what was corrected since comes as an update, as in any image.
	if err := m.upgrade(ctx, root); err != nil {
		return err
	}
	for _, pattern := range []string{"var/cache/apt/*", "var/lib/apt/lists/*", "var/log/*", "tmp/*", "usr/share/doc/*", "usr/share/man/*", "usr/share/locale/*"} {
		paths, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			return err
		}
		for _, path := range paths {
			if err := os.RemoveAll(path); err != nil {
				return err
			}
		}
	}
	return nil
}

// upgrade takes Debian's corrections.
func (m *Machine) upgrade(ctx context.Context, root string) error {
	return errors.Join(
		m.run(ctx, "chroot", root, "apt-get", "update", "--quiet"),
		m.run(ctx, "chroot", root, "apt-get", "dist-upgrade", "--yes", "--quiet", "--no-install-recommends"),
	)
}
