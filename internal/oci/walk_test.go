package oci

import (
	"archive/tar"
	"bytes"
	"strings"
	"testing"
)

func FuzzTar(f *testing.F) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range []tar.Header{
		{Name: "a/b", Typeflag: tar.TypeReg},
		{Name: "a/.wh.c", Typeflag: tar.TypeReg},
		{Name: "a/.wh..wh..opq", Typeflag: tar.TypeReg},
		{Name: "l.dist-info", Typeflag: tar.TypeSymlink, Linkname: "../.."},
		{Name: "h", Typeflag: tar.TypeLink, Linkname: "l"},
		{Name: "a-1.dist-info/METADATA", Typeflag: tar.TypeReg},
		{Name: "var/lib/dpkg/status", Typeflag: tar.TypeReg},
	} {
		if err := w.WriteHeader(&h); err != nil {
			f.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, content []byte) {
		image := &Image{Layers: make([]Layer, 2), Limits: Limits{Unpacked: 1 << 20, Entries: 1000, Kept: 1 << 20}}
		inventory := newInventory(image)
		left, visit := image.Limits.budget(), inventory.visitor()
		for n := range image.Layers {
			if err := image.walkTar(n, bytes.NewReader(content), &left, visit); err != nil {
				return
			}
		}
		if inventory.finish() != nil {
			return
		}
		inventory.Final.All(func(f *File) {
			if strings.HasPrefix(f.Path, "/") || strings.Contains("/"+f.Path+"/", "/../") {
				t.Errorf("path %q", f.Path)
			}
		})
		if inventory.Hidden < 0 {
			t.Errorf("%d bytes hidden", inventory.Hidden)
		}
	})
}
