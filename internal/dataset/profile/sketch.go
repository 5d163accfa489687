package profile

import (
	"encoding/binary"
	"math"
	"math/bits"
)

const sketchBits = 12 // 4,096 registers: a standard error of 1.6 %

// A sketch estimates how many distinct values there are: HyperLogLog (Flajolet, Fusy, Gandouet, Meunier 2007) with the
// estimator of Ertl, "New cardinality estimation algorithms for HyperLogLog sketches" (2017), algorithm 6, which needs
// no tables of corrections. It does not matter in what order, or how often, values come.
type sketch [1 << sketchBits]uint8

func (s *sketch) add(hash uint64) {
	register := &s[hash>>(64-sketchBits)]
	if rank := uint8(bits.LeadingZeros64(hash<<sketchBits|1<<(sketchBits-1))) + 1; rank > *register { //nolint:gosec // at most 53
		*register = rank
	}
}

func (s *sketch) merge(other *sketch) {
	for i, rank := range other {
		s[i] = max(s[i], rank)
	}
}

func (s *sketch) estimate() int64 {
	const m, q = 1 << sketchBits, 64 - sketchBits
	var ranks [q + 2]float64
	for _, rank := range s {
		ranks[rank]++
	}
	z := m * tau(1-ranks[q+1]/m)
	for k := q; k >= 1; k-- {
		z = (z + ranks[k]) / 2
	}
	z += m * sigma(ranks[0]/m)
	return int64(math.Round(m * m / (2 * math.Ln2 * z)))
}

// sigma is x + the sum of x^(2^k) 2^(k-1) over k from 1.
func sigma(x float64) float64 {
	if x == 1 {
		return math.Inf(1)
	}
	for y, z := 1.0, x; ; y *= 2 {
		x *= x
		before := z
		z += x * y
		if z == before {
			return z
		}
	}
}

// tau is a third of 1 - x - the sum of (1 - x^(2^-k))² 2^-k over k from 1.
func tau(x float64) float64 {
	if x == 0 || x == 1 {
		return 0
	}
	for y, z := 1.0, 1-x; ; {
		x = math.Sqrt(x)
		before := z
		y /= 2
		z -= (1 - x) * (1 - x) * y
		if z == before {
			return z / 3
		}
	}
}

// mix spreads a number's bits over a hash: the finalizer of MurmurHash3.
func mix(h uint64) uint64 {
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	h *= 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}

const (
	prime1 = 0xa0761d6478bd642f
	prime2 = 0xe7037ed1a0b428db
)

// hashText is the same on every machine and in every run, which hash/maphash is not: estimates must not vary. It
// multiplies and folds sixteen bytes at a time, as wyhash does. Texts with equal hashes would be estimated as one
// distinct value; nothing else depends on it.
func hashText(b []byte) uint64 {
	h := uint64(len(b)) * prime1
	for ; len(b) > 16; b = b[16:] {
		h = fold(h^binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:])^prime1)
	}
	var first, last uint64
	switch {
	case len(b) >= 8:
		first, last = binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[len(b)-8:])
	case len(b) >= 4:
		first, last = uint64(binary.LittleEndian.Uint32(b)), uint64(binary.LittleEndian.Uint32(b[len(b)-4:]))
	case len(b) > 0:
		first = uint64(b[0])<<16 | uint64(b[len(b)/2])<<8 | uint64(b[len(b)-1])
	}
	return fold(h^first^prime2, last^prime1)
}

func fold(a, b uint64) uint64 {
	high, low := bits.Mul64(a, b)
	return high ^ low
}
