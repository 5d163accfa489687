package oci_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/compression"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/meter-ml/meter-pipeline/internal/oci"
	"github.com/meter-ml/meter-pipeline/internal/oci/ocitest"
)

func open(t *testing.T, image v1.Image) *oci.Image {
	t.Helper()
	opened, err := oci.Open(ocitest.Write(t, image))
	if err != nil {
		t.Fatal(err)
	}
	return opened
}

func take(t *testing.T, layers ...ocitest.Layer) (*oci.Inventory, error) {
	t.Helper()
	return oci.Take(t.Context(), open(t, ocitest.Image(t, nil, layers...)))
}

// seen lists the files that a container would see.
func seen(i *oci.Inventory) []string {
	var files []string
	i.Final.All(func(f *oci.File) { files = append(files, f.Path) })
	return files
}

func TestFinalFileSystem(t *testing.T) {
	lower := ocitest.Files(map[string]string{"a/b/one": "1", "a/b/two": "2", "a/three": "3", "etc/key": "secret", "lib/real": "r"})
	tests := map[string]struct {
		upper ocitest.Layer
		want  []string
	}{
		"nothing":                {ocitest.Files(map[string]string{"x": ""}), []string{"a/b/one", "a/b/two", "a/three", "etc/key", "lib/real", "x"}},
		"a file is deleted":      {ocitest.Files(map[string]string{"etc/.wh.key": ""}), []string{"a/b/one", "a/b/two", "a/three", "lib/real"}},
		"a directory is deleted": {ocitest.Files(map[string]string{".wh.a": ""}), []string{"etc/key", "lib/real"}},
		"a directory is emptied, whatever comes first": {
			ocitest.Layer{{Name: "a/b/new", Content: "n"}, {Name: "a/.wh..wh..opq"}, {Name: "a/newer", Content: "n"}},
			[]string{"a/b/new", "a/newer", "etc/key", "lib/real"},
		},
		"deleted and made again in one layer": {
			ocitest.Layer{{Name: "etc/key", Content: "other"}, {Name: "etc/.wh.key"}},
			[]string{"a/b/one", "a/b/two", "a/three", "etc/key", "lib/real"},
		},
		"a directory becomes a file": {ocitest.Files(map[string]string{"a": "file"}), []string{"a", "etc/key", "lib/real"}},
		"a file becomes a directory": {
			ocitest.Files(map[string]string{"a/three/deep": "d"}), []string{"a/b/one", "a/b/two", "a/three/deep", "etc/key", "lib/real"},
		},
		"a directory becomes a link": {
			ocitest.Layer{{Name: "a", Type: tar.TypeSymlink, Link: "/lib"}}, []string{"a", "etc/key", "lib/real"},
		},
		"names with a dot, a slash, and none": {
			ocitest.Layer{{Name: "./d", Content: "d"}, {Name: "/e", Content: "e"}, {Name: "./", Type: tar.TypeDir}},
			[]string{"a/b/one", "a/b/two", "a/three", "d", "e", "etc/key", "lib/real"},
		},
		"bookkeeping of a file system": {
			ocitest.Files(map[string]string{".wh..wh.plnk/1": "", ".wh..wh.aufs": ""}),
			[]string{".wh..wh.plnk/1", "a/b/one", "a/b/two", "a/three", "etc/key", "lib/real"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			inventory, err := take(t, lower, test.upper)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, seen(inventory)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if len(inventory.Layers[0]) != 5 {
				t.Errorf("the lower layer has %d files", len(inventory.Layers[0]))
			}
		})
	}
}

func TestSizes(t *testing.T) {
	inventory, err := take(t, ocitest.Files(map[string]string{"a": "12345", "b": "123"}), ocitest.Files(map[string]string{".wh.a": "", "b": "1"}))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]int64{8, 1}, inventory.Unpacked); diff != "" || inventory.Total() != 9 || inventory.Hidden != 8 {
		t.Errorf("got %v, in all %d, hidden %d", inventory.Unpacked, inventory.Total(), inventory.Hidden)
	}
}

func TestAHardLinkTakesNoRoom(t *testing.T) {
	inventory, err := take(t, ocitest.Layer{{Name: "a", Content: "12345"}, {Name: "b", Type: tar.TypeLink, Link: "a"}, {Name: "c", Type: tar.TypeLink, Link: "b"}},
		ocitest.Files(map[string]string{".wh.a": ""}))
	if err != nil {
		t.Fatal(err)
	}
	if inventory.Total() != 5 || inventory.Hidden != 0 {
		t.Errorf("in all %d, hidden %d", inventory.Total(), inventory.Hidden)
	}
}

func TestLinksStayInside(t *testing.T) {
	inventory, err := take(t, ocitest.Layer{
		{Name: "real/file", Content: "content"},
		{Name: "absolute", Type: tar.TypeSymlink, Link: "/real/file"},
		{Name: "out", Type: tar.TypeSymlink, Link: "../../../../../../etc/passwd"},
		{Name: "etc/passwd", Content: "the image's own"},
		{Name: "dir", Type: tar.TypeSymlink, Link: "real"},
		{Name: "loop", Type: tar.TypeSymlink, Link: "loop"},
		{Name: "hard", Type: tar.TypeLink, Link: "real/file"},
		{Name: "device", Type: tar.TypeChar},
	})
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"absolute": "real/file", "out": "etc/passwd", "dir/file": "real/file", "loop": "", "nowhere": "", "hard": "hard", "dir/../etc/passwd": "etc/passwd",
	} {
		got := ""
		if f := inventory.Final.Find(path); f != nil {
			got = f.Path
		}
		if got != want {
			t.Errorf("%s leads to %q, want %q", path, got, want)
		}
	}
	if inventory.Final.Find("hard").SHA256 != inventory.Final.Find("real/file").SHA256 {
		t.Error("a hard link holds something else")
	}
}

func TestHostileTarsAreErrors(t *testing.T) {
	tests := map[string]struct {
		layer  ocitest.Layer
		limits func(*oci.Limits)
		want   string
	}{
		"a path that leaves":       {layer: ocitest.Files(map[string]string{"a/../../etc/passwd": "x"}), want: "leaves the image"},
		"a hard link that leaves":  {layer: ocitest.Layer{{Name: "a", Type: tar.TypeLink, Link: "../../etc/shadow"}}, want: "leaves the image"},
		"a whiteout of nothing":    {layer: ocitest.Files(map[string]string{"a/.wh.": ""}), want: "names nothing"},
		"a whiteout of above":      {layer: ocitest.Files(map[string]string{"a/.wh...": ""}), want: "names nothing"},
		"everything is hidden":     {layer: ocitest.Files(map[string]string{".wh..wh..opq": ""}), want: "hides everything"},
		"a type that nobody knows": {layer: ocitest.Layer{{Header: &tar.Header{Name: "a", Typeflag: 'Z'}}}, want: "which no builder writes"},
		"a long path":              {layer: ocitest.Files(map[string]string{strings.Repeat("d/", 3000) + "x": "x"}), want: "is no path"},
		"too many files": {
			layer:  ocitest.Files(map[string]string{"a": "", "b": "", "c": ""}),
			limits: func(l *oci.Limits) { l.Entries = 2 }, want: "more than 2 files",
		},
		"a bomb": {
			layer:  ocitest.Files(map[string]string{"zeros": string(make([]byte, 8<<20))}),
			limits: func(l *oci.Limits) { l.Unpacked = 1 << 20 }, want: "more than 1048576 bytes",
		},
		"a lot of metadata": {
			layer:  ocitest.Files(map[string]string{"a/METADATA": strings.Repeat("x", 2000)}),
			limits: func(l *oci.Limits) { l.Kept = 1000 }, want: "too much metadata",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			image := open(t, ocitest.Image(t, nil, test.layer))
			if test.limits != nil {
				test.limits(&image.Limits)
			}
			if _, err := oci.Take(t.Context(), image); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

func TestABombBehindTheEndOfTheTar(t *testing.T) {
	image := open(t, ocitest.Raw(t, nil, append(ocitest.Files(map[string]string{"a": "x"}).Bytes(t), make([]byte, 8<<20)...)))
	image.Limits.Unpacked = 1 << 20
	if _, err := oci.Take(t.Context(), image); err == nil || !strings.Contains(err.Error(), "more than 1048576 bytes") {
		t.Errorf("got %v", err)
	}
}

// gnuHeader is a header that no library writes.
func gnuHeader(name string, kind byte, size int, change func([]byte)) []byte {
	header := make([]byte, 512)
	copy(header, name)
	copy(header[124:], fmt.Sprintf("%011o", size))
	copy(header[148:], "        ")
	header[156] = kind
	copy(header[257:], "ustar  \x00")
	if change != nil {
		change(header)
	}
	total := 0
	for _, b := range header {
		total += int(b)
	}
	copy(header[148:], fmt.Sprintf("%06o\x00 ", total))
	return header
}

// Two sparse files, each of less than the limit, hold more than that together, and next to nothing in the tar.
func TestSparseFilesCountAsWhatTheyHold(t *testing.T) {
	sparse := func(name string) []byte {
		return gnuHeader(name, tar.TypeGNUSparse, 0, func(header []byte) {
			const size = 700_000
			copy(header[386:], fmt.Sprintf("%011o\x00%011o", size, 0)) // where the only data are, and how many
			copy(header[483:], fmt.Sprintf("%011o", size))
		})
	}
	content := slices.Concat(sparse("a"), sparse("b"), make([]byte, 1024))
	image := open(t, ocitest.Raw(t, nil, content))
	if inventory, err := oci.Take(t.Context(), image); err != nil || inventory.Total() != 1_400_000 {
		t.Fatalf("got %v", err)
	}
	image.Limits.Unpacked = 1_000_000
	if _, err := oci.Take(t.Context(), image); err == nil || !strings.Contains(err.Error(), "more than 1000000 bytes") {
		t.Errorf("got %v", err)
	}
}

func TestAHugeHeader(t *testing.T) {
	const size = 2 << 20
	content := slices.Concat(gnuHeader("././@LongLink", tar.TypeGNULongName, size, nil), bytes.Repeat([]byte("x"), size), ocitest.Files(map[string]string{"a": "x"}).Bytes(t))
	if _, err := oci.Take(t.Context(), open(t, ocitest.Raw(t, nil, content))); err == nil || !strings.Contains(err.Error(), "header field too long") {
		t.Errorf("got %v", err)
	}
}

func TestWhatIsNotATar(t *testing.T) {
	for name, content := range map[string][]byte{"text": bytes.Repeat([]byte("no tar "), 1000), "half": ocitest.Files(map[string]string{"a": strings.Repeat("x", 5000)}).Bytes(t)[:2000]} {
		t.Run(name, func(t *testing.T) {
			if inventory, err := oci.Take(t.Context(), open(t, ocitest.Raw(t, nil, content))); err == nil {
				t.Errorf("it is an image with %v", seen(inventory))
			}
		})
	}
}

func TestEveryWayOfPacking(t *testing.T) {
	tar := ocitest.Files(map[string]string{"a": strings.Repeat("x", 100_000)}).Bytes(t)
	for _, way := range []compression.Compression{compression.GZip, compression.ZStd, compression.None} {
		layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(tar)), nil }, tarball.WithCompression(way))
		if err != nil {
			t.Fatal(err)
		}
		image, err := mutate.AppendLayers(empty.Image, layer)
		if err != nil {
			t.Fatal(err)
		}
		inventory, err := oci.Take(t.Context(), open(t, image))
		if err != nil || inventory.Total() != 100_000 {
			t.Errorf("%s: %v", way, err)
		}
	}
}

func TestCancelled(t *testing.T) {
	image := open(t, ocitest.Image(t, nil, ocitest.Files(map[string]string{"a": "x"})))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := oci.Take(ctx, image); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestAnErrorOfTheVisitorEndsTheWalk(t *testing.T) {
	image := open(t, ocitest.Image(t, nil, ocitest.Files(map[string]string{"a": "x", "b": "y"})))
	want := errors.New("enough")
	visits := 0
	err := image.Walk(t.Context(), func(oci.Entry, io.Reader) error { visits++; return want })
	if !errors.Is(err, want) || visits != 1 {
		t.Errorf("got %v after %d visits", err, visits)
	}
}

func TestWhatIsNotTheImageIsRefused(t *testing.T) {
	pack := func(content []byte) []byte {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		_, _ = w.Write(content)
		_ = w.Close()
		return b.Bytes()
	}
	// blob returns the path of a blob of the image: its manifest, its configuration, or its layer.
	blob := func(dir string, h v1.Hash) string { return filepath.Join(dir, "blobs", h.Algorithm, h.Hex) }
	tests := map[string]struct {
		change func(t *testing.T, dir string, m *v1.Manifest, digest v1.Hash)
		want   string
	}{
		"another manifest": {func(t *testing.T, dir string, _ *v1.Manifest, d v1.Hash) { t.Helper(); appendTo(t, blob(dir, d), " ") }, "is not what its digest stands for"},
		"another configuration": {func(t *testing.T, dir string, m *v1.Manifest, _ v1.Hash) {
			t.Helper()
			appendTo(t, blob(dir, m.Config.Digest), " ")
		}, "is not what its digest stands for"},
		"a byte more in a layer": {func(t *testing.T, dir string, m *v1.Manifest, _ v1.Hash) {
			t.Helper()
			appendTo(t, blob(dir, m.Layers[0].Digest), "x")
		}, "layer 1 of 1"},
		// The byte says when the layer was packed: neither size nor content change with it.
		"a byte of the packing": {func(t *testing.T, dir string, m *v1.Manifest, _ v1.Hash) {
			t.Helper()
			content, err := os.ReadFile(blob(dir, m.Layers[0].Digest))
			if err != nil {
				t.Fatal(err)
			}
			content[4] ^= 1
			if err := os.WriteFile(blob(dir, m.Layers[0].Digest), content, 0o600); err != nil {
				t.Fatal(err)
			}
		}, "it is not what its digest stands for"},
		"another layer": {func(t *testing.T, dir string, m *v1.Manifest, _ v1.Hash) {
			t.Helper()
			if err := os.WriteFile(blob(dir, m.Layers[0].Digest), pack(ocitest.Files(map[string]string{"b": "y"}).Bytes(t)), 0o600); err != nil {
				t.Fatal(err)
			}
		}, "layer 1 of 1"},
		"no layer": {func(t *testing.T, dir string, m *v1.Manifest, _ v1.Hash) {
			t.Helper()
			if err := os.Remove(blob(dir, m.Layers[0].Digest)); err != nil {
				t.Fatal(err)
			}
		}, "is missing"},
		"a link instead of a layer": {func(t *testing.T, dir string, m *v1.Manifest, _ v1.Hash) {
			t.Helper()
			path := blob(dir, m.Layers[0].Digest)
			if err := errors.Join(os.Remove(path), os.Symlink("/dev/zero", path)); err != nil {
				t.Fatal(err)
			}
		}, "is no regular file"},
		"no index": {func(t *testing.T, dir string, _ *v1.Manifest, _ v1.Hash) {
			t.Helper()
			if err := os.Remove(filepath.Join(dir, "index.json")); err != nil {
				t.Fatal(err)
			}
		}, "index.json"},
		"an index of others": {func(t *testing.T, dir string, _ *v1.Manifest, _ v1.Hash) {
			t.Helper()
			if err := os.WriteFile(filepath.Join(dir, "index.json"), []byte(`{"schemaVersion":2,"manifests":[]}`), 0o600); err != nil {
				t.Fatal(err)
			}
		}, "does not list it"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			image := ocitest.Image(t, nil, ocitest.Files(map[string]string{"a": "x"}))
			manifest, err := image.Manifest()
			if err != nil {
				t.Fatal(err)
			}
			dir, digest := ocitest.Write(t, image)
			hash, err := v1.NewHash(digest)
			if err != nil {
				t.Fatal(err)
			}
			test.change(t, dir, manifest, hash)
			opened, err := oci.Open(dir, digest)
			if err == nil {
				_, err = oci.Take(t.Context(), opened)
			}
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

func TestAConfigurationThatNamesOtherContent(t *testing.T) {
	image := ocitest.Image(t, func(c *v1.ConfigFile) {
		c.RootFS.DiffIDs[0] = v1.Hash{Algorithm: "sha256", Hex: strings.Repeat("0", 64)}
	}, ocitest.Files(map[string]string{"a": "x"}))
	if _, err := oci.Take(t.Context(), open(t, image)); err == nil || !strings.Contains(err.Error(), "is not the one that the configuration names") {
		t.Errorf("got %v", err)
	}
}

func TestPackages(t *testing.T) {
	site := ocitest.Site
	inventory, err := take(t,
		ocitest.Files(ocitest.Merged(
			ocitest.Debian("libssl3", "3.0.1-1", map[string]string{"usr/lib/libssl.so": "elf"}),
			ocitest.Distribution("Old_Name.x", "1.0", nil),
			map[string]string{
				site + "/replaced-1.dist-info/METADATA":             "Name: replaced\nVersion: 1\n",
				"usr/lib/python3/dist-packages/six-1.16.egg-info":   "Name: six\nVersion: 1.16\n",
				"var/lib/dpkg/info/python3-six:all.md5sums":         "00112233445566778899aabbccddeeff  usr/lib/python3/dist-packages/six-1.16.egg-info\n",
				"var/lib/dpkg/status.d/tzdata":                      "Package: tzdata\nVersion: 2024a-0\nArchitecture: all\n",
				"usr/lib/python3/dist-packages/d.egg-info/PKG-INFO": "Metadata-Version: 1\nName: d\nVersion: 3\nLicense: BSD\n",
				site + "/emptied-1.dist-info/METADATA":              "Name: emptied\nVersion: 1\n",
			},
		)),
		ocitest.Layer{
			{Name: site + "/.wh.replaced-1.dist-info"},
			{Name: site + "/replaced-2.dist-info/METADATA", Content: "Name: replaced\nVersion: 2\n"},
			{Name: site + "/emptied-1.dist-info/.wh.METADATA"},
			{Name: "opt/elsewhere/METADATA", Content: "Name: linked\nVersion: 5\n"},
			{Name: site + "/linked-5.dist-info", Type: tar.TypeSymlink, Link: "/opt/elsewhere"},
		})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range inventory.Packages {
		line := string(p.Manager) + " " + p.Canonical() + " " + p.Version
		if p.Debian != "" {
			line += " of " + p.Debian
		}
		got = append(got, line)
	}
	want := []string{
		"dpkg libssl3 3.0.1-1", "dpkg tzdata 2024a-0", "python d 3", "python linked 5", "python old-name-x 1.0", "python replaced 2",
		"python six 1.16 of python3-six",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	at := slices.IndexFunc(inventory.Packages, func(p oci.Package) bool { return p.Name == "replaced" })
	if p := inventory.Packages[at]; p.Layer != 1 || p.Path != site+"/replaced-2.dist-info/METADATA" {
		t.Errorf("got %+v", p)
	}
}

func TestMetadataThatCanNotBeRead(t *testing.T) {
	tests := map[string]struct {
		layer ocitest.Layer
		want  string
	}{
		"no version":  {ocitest.Files(map[string]string{"a-1.dist-info/METADATA": "Name: a\n"}), "no version"},
		"no metadata": {ocitest.Files(map[string]string{"a-1.dist-info/RECORD": ""}), "has no METADATA"},
		"a link to what was not kept": {ocitest.Layer{
			{Name: "a-1.dist-info/METADATA", Type: tar.TypeSymlink, Link: "../other"}, {Name: "other", Content: "Name: a\nVersion: 1\n"},
		}, "leads to other"},
		"dpkg without a version": {ocitest.Files(map[string]string{"var/lib/dpkg/status": "Package: a\nStatus: install ok installed\n"}), "no name or no version"},
		"dpkg's status elsewhere": {ocitest.Layer{
			{Name: "var/lib/dpkg/status", Type: tar.TypeSymlink, Link: "/other"}, {Name: "other", Content: "Package: a\nVersion: 1\n"},
		}, "leads elsewhere"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := take(t, test.layer); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

func TestLicenses(t *testing.T) {
	for metadata, want := range map[string]string{
		"License-Expression: MIT OR Apache-2.0\nLicense: x\n":                "MIT OR Apache-2.0",
		"License: BSD\nClassifier: License :: OSI Approved :: BSD License\n": "BSD License",
		"Classifier: License :: OSI Approved\nLicense: Apache 2.0\n":         "Apache 2.0",
		"License: UNKNOWN\n": "",
		"Classifier: License :: Public Domain\nClassifier: License :: Other/Proprietary License\n": "Public Domain|Other/Proprietary License",
		"\nLicense: MIT\n": "",
	} {
		p, err := oci.ParseMetadata([]byte("Name: a\nVersion: 1\n" + metadata))
		if err != nil || strings.Join(p.Licenses, "|") != want {
			t.Errorf("%q: got %q, %v", metadata, p.Licenses, err)
		}
	}
}

func appendTo(t *testing.T, path, text string) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, append(content, text...), 0o600); err != nil {
		t.Fatal(err)
	}
}

func FuzzMetadata(f *testing.F) {
	f.Add([]byte("Package: a\nVersion: 1\n\nPackage: b\nVersion: 2\nStatus: install ok installed\n"))
	f.Add([]byte("Name: a\nVersion: 1\nClassifier: License :: X\n\n"))
	f.Add([]byte("a,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0\n\"b\",,\n"))
	f.Add([]byte("00112233445566778899aabbccddeeff  usr/bin/a\n"))
	f.Fuzz(func(t *testing.T, content []byte) {
		packages, err := oci.ParseDpkg(content)
		for _, p := range packages {
			if err == nil && (p.Name == "" || p.Version == "") {
				t.Errorf("got %+v", p)
			}
		}
		if p, err := oci.ParseMetadata(content); err == nil && (p.Canonical() == "" || p.Version == "") {
			t.Errorf("got %+v", p)
		}
		for _, s := range append(oci.ParseRecord("x/a.dist-info/RECORD", content), oci.ParseMD5Sums(content)...) {
			if strings.HasPrefix(s.Path, "/") || strings.HasPrefix(s.Path, "../") {
				t.Errorf("path %q", s.Path)
			}
		}
	})
}
