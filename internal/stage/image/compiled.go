package image

import (
	"encoding/binary"
	"io"
	"math/bits"
	"path"
	"strings"

	"github.com/meter-ml/meter-pipeline/internal/oci"
)

// Layout of a compiled Python file's head (PEP 552): magic number, flags, and a hash of the source that it was made of.
const (
	pycHashed = 1 // the flag for a hash, instead of a time and a size
	pycDir    = "__pycache__"
)

// compiled is a compiled Python file, and what its source hashes to by which key.
type compiled struct {
	file      *oci.File
	key, hash uint64
	proven    bool // a source that is vouched for hashes to that
}

// compiledFiles lists those of all layers by the path of their source. One that names a time instead of a hash could be
// of anything.
func compiledFiles(inventory *oci.Inventory) map[string][]*compiled {
	files := map[string][]*compiled{}
	for _, layer := range inventory.Layers {
		for _, f := range layer {
			dir, base := path.Split(f.Path)
			name, isCompiled := strings.CutSuffix(base, ".pyc")
			module, _, named := strings.Cut(name, ".cpython-")
			if !isCompiled || !named || path.Base(dir) != pycDir || binary.LittleEndian.Uint32(f.Head[4:])&pycHashed == 0 {
				continue
			}
			source := path.Join(path.Dir(path.Clean(dir)), module+".py")
			files[source] = append(files[source], &compiled{
				file: f, key: uint64(binary.LittleEndian.Uint32(f.Head[:])), hash: binary.LittleEndian.Uint64(f.Head[8:]),
			})
		}
	}
	return files
}

// prove compares a source with what is said to be made of it. Whoever forges a compiled file can forge this hash, too;
// but no secret gets into one by mistake while its source is what a package brought.
func prove(files []*compiled, source io.Reader) error {
	if len(files) == 0 {
		return nil
	}
	text, err := io.ReadAll(source)
	if err != nil {
		return err
	}
	for _, c := range files {
		c.proven = c.proven || isSource(text, c.key, c.hash)
	}
	return nil
}

// isSource reports whether a text hashes to what a compiled file says: with SipHash-1-3 since Python 3.11, before with
// SipHash-2-4.
func isSource(text []byte, key, hash uint64) bool {
	return sipHash(1, 3, key, text) == hash || sipHash(2, 4, key, text) == hash
}

// sipHash is the keyed hash of Aumasson and Bernstein, with a second half of the key that is zero.
func sipHash(each, last int, key uint64, text []byte) uint64 {
	v := sip{key ^ 0x736f6d6570736575, 0x646f72616e646f6d, key ^ 0x6c7967656e657261, 0x7465646279746573}
	length := uint64(len(text)) << 56
	for ; len(text) >= 8; text = text[8:] {
		v.add(each, binary.LittleEndian.Uint64(text))
	}
	var tail [8]byte
	copy(tail[:], text)
	v.add(each, binary.LittleEndian.Uint64(tail[:])|length)
	v[2] ^= 0xff
	v.mix(last)
	return v[0] ^ v[1] ^ v[2] ^ v[3]
}

type sip [4]uint64

func (v *sip) add(rounds int, word uint64) {
	v[3] ^= word
	v.mix(rounds)
	v[0] ^= word
}

func (v *sip) mix(rounds int) {
	for range rounds {
		v[0] += v[1]
		v[1] = bits.RotateLeft64(v[1], 13) ^ v[0]
		v[0] = bits.RotateLeft64(v[0], 32)
		v[2] += v[3]
		v[3] = bits.RotateLeft64(v[3], 16) ^ v[2]
		v[0] += v[3]
		v[3] = bits.RotateLeft64(v[3], 21) ^ v[0]
		v[2] += v[1]
		v[1] = bits.RotateLeft64(v[1], 17) ^ v[2]
		v[2] = bits.RotateLeft64(v[2], 32)
	}
}
