// Package ocitest makes images in memory and lays them out on disk, for tests of whatever reads images.
package ocitest

import (
	"archive/tar"
	"bytes"
	"crypto/md5" //nolint:gosec // it is dpkg's
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// A Layer is made of what a tar has in that order.
type Layer []Entry

// An Entry is one file. Without a type it is a regular one.
type Entry struct {
	Name    string
	Content string
	Type    byte
	Link    string
	Mode    int64
	Header  *tar.Header // instead of all of the above, for what is odd
}

// Files is a layer of regular files.
func Files(files map[string]string) Layer {
	var layer Layer
	for _, name := range slices.Sorted(maps.Keys(files)) {
		layer = append(layer, Entry{Name: name, Content: files[name]})
	}
	return layer
}

// Bytes is the layer as a tar.
func (l Layer) Bytes(t testing.TB) []byte {
	t.Helper()
	var b bytes.Buffer
	archive := tar.NewWriter(&b)
	for _, e := range l {
		header := e.Header
		if header == nil {
			header = &tar.Header{Name: e.Name, Typeflag: e.Type, Linkname: e.Link, Size: int64(len(e.Content)), Mode: e.Mode}
			if header.Mode == 0 {
				header.Mode = 0o644
			}
		}
		if err := archive.WriteHeader(header); err != nil {
			t.Fatal(err)
		}
		if _, err := archive.Write([]byte(e.Content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// Image puts layers together. Change, if it is not nil, changes the configuration.
func Image(t testing.TB, change func(*v1.ConfigFile), layers ...Layer) v1.Image {
	t.Helper()
	tars := make([][]byte, 0, len(layers))
	for _, layer := range layers {
		tars = append(tars, layer.Bytes(t))
	}
	return Raw(t, change, tars...)
}

// Raw is an image of tars as they are.
func Raw(t testing.TB, change func(*v1.ConfigFile), tars ...[]byte) v1.Image {
	t.Helper()
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	for i, content := range tars {
		layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil },
			tarball.WithMediaType(types.OCILayer))
		if err != nil {
			t.Fatal(err)
		}
		history := v1.History{CreatedBy: fmt.Sprintf("step %d", i+1), Created: v1.Time{Time: Created()}}
		if image, err = mutate.Append(image, mutate.Addendum{Layer: layer, History: history}); err != nil {
			t.Fatal(err)
		}
	}
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Created = "linux", "amd64", v1.Time{Time: Created()}
	if change != nil {
		change(config)
	}
	if image, err = mutate.ConfigFile(image, config); err != nil {
		t.Fatal(err)
	}
	return image
}

// Created is when these images say that they were made.
func Created() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) }

// Write lays an image out on disk, and returns the directory and the digest.
func Write(t testing.TB, image v1.Image) (dir, digest string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "layout")
	at, err := layout.Write(dir, empty.Index)
	if err != nil {
		t.Fatal(err)
	}
	if err := at.AppendImage(image); err != nil {
		t.Fatal(err)
	}
	hash, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return dir, hash.String()
}

// Site is where Python packages of these images are.
const Site = "opt/venv/lib/python3.11/site-packages"

// Distribution is an installed Python package with the given files, all of them in its RECORD.
func Distribution(name, version string, files map[string]string) map[string]string {
	info := fmt.Sprintf("%s-%s.dist-info", strings.ReplaceAll(name, "-", "_"), version)
	all := map[string]string{}
	var record strings.Builder
	put := func(file, content string) {
		all[Site+"/"+file] = content
		sum := sha256.Sum256([]byte(content))
		fmt.Fprintf(&record, "%s,sha256=%s,%d\n", file, base64.RawURLEncoding.EncodeToString(sum[:]), len(content))
	}
	for _, file := range slices.Sorted(maps.Keys(files)) {
		put(file, files[file])
	}
	put(info+"/METADATA", fmt.Sprintf("Metadata-Version: 2.1\nName: %s\nVersion: %s\nClassifier: License :: OSI Approved :: MIT License\n\nWhat it is.\n", name, version))
	all[Site+"/"+info+"/RECORD"] = record.String() + info + "/RECORD,,\n"
	return all
}

// Debian is the state of dpkg after the installation of one package with the given files.
func Debian(name, version string, files map[string]string) map[string]string {
	all := map[string]string{
		"etc/os-release": "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nID=debian\nVERSION_ID=\"12\"\nVERSION_CODENAME=bookworm\n",
		"var/lib/dpkg/status": fmt.Sprintf("Package: %s\nStatus: install ok installed\nArchitecture: amd64\nVersion: %s\nDescription: a package\n with a second line\n\n"+
			"Package: gone\nStatus: deinstall ok config-files\nArchitecture: amd64\nVersion: 1\n", name, version),
	}
	var sums strings.Builder
	for _, file := range slices.Sorted(maps.Keys(files)) {
		all[file] = files[file]
		fmt.Fprintf(&sums, "%x  %s\n", md5.Sum([]byte(files[file])), file) //nolint:gosec // it is dpkg's
	}
	all["var/lib/dpkg/info/"+name+".md5sums"] = sums.String()
	return all
}

// Merged is the files of all of them.
func Merged(parts ...map[string]string) map[string]string {
	all := map[string]string{}
	for _, part := range parts {
		maps.Copy(all, part)
	}
	return all
}
