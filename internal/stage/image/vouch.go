package image

import (
	"bytes"
	"path"
	"strings"

	"github.com/meter-ml/meter-pipeline/internal/oci"
	"github.com/meter-ml/meter-pipeline/internal/stage/security"
)

// vouchers say of which files it is known where they come from: those that are, byte for byte, what a pinned Python
// package or a Debian package lists. What anybody else could have written is not vouched for.
type vouchers struct {
	records map[string][]oci.Sum // by path: SHA-256 of pinned packages
	debian  map[string][]oci.Sum // by path: MD5
}

// vouch collects the lists of all layers, since a lower layer may hold what a later one replaced.
func vouch(inventory *oci.Inventory, pinned map[string]security.Package) vouchers {
	v := vouchers{records: map[string][]oci.Sum{}, debian: map[string][]oci.Sum{}}
	for _, layer := range inventory.Layers {
		installed := map[string]bool{} // directories of metadata of packages that are pinned, in this version
		for _, f := range layer {
			if path.Base(f.Path) != "METADATA" || f.Content == nil {
				continue
			}
			p, err := oci.ParseMetadata(f.Content)
			installed[path.Dir(f.Path)] = err == nil && pinned[p.Canonical()].Version == p.Version && p.Version != ""
		}
		for _, f := range layer {
			switch dir, base := path.Split(f.Path); {
			case base == "RECORD" && installed[path.Clean(dir)]:
				put(v.records, oci.ParseRecord(f.Path, f.Content))
			case dir == "var/lib/dpkg/info/" && strings.HasSuffix(base, ".md5sums"):
				put(v.debian, oci.ParseMD5Sums(f.Content))
			}
		}
	}
	return v
}

func put(sums map[string][]oci.Sum, more []oci.Sum) {
	for _, s := range more {
		sums[s.Path] = append(sums[s.Path], s)
	}
}

// for a file reports whether it is what a package lists under its path.
func (v vouchers) know(f *oci.File) bool {
	return holds(v.records[f.Path], f.SHA256[:]) || holds(v.debian[merged(f.Path)], f.MD5[:]) || holds(v.debian[f.Path], f.MD5[:])
}

func holds(sums []oci.Sum, sum []byte) bool {
	for _, s := range sums {
		if bytes.Equal(s.Sum, sum) {
			return true
		}
	}
	return false
}

// merged is the path under which packages list a file that lies in /usr by now: Debian made /bin a link to /usr/bin.
func merged(file string) string { return strings.TrimPrefix(file, "usr/") }
