package profile

import (
	"math/bits"
	"slices"
)

// A table counts distinct numbers, with open addressing.
type table struct {
	entries []entry // a power of two, at most a quarter of them used: then most values are found at once
	used    int
	shift   int // of a hash, to an index
}

type entry struct {
	bits uint64 // free: those of no finite number
	n    uint64 // 0: free
}

const free = ^uint64(0)

// add is also for tables that are empty yet.
func (t *table) add(b, n uint64) {
	if 4*t.used >= len(t.entries) {
		t.grow()
	}
	for i := scatter(b) >> t.shift; ; i++ {
		e := &t.entries[i&uint64(len(t.entries)-1)] //nolint:gosec // not negative: the table is not empty
		if e.bits == b {
			e.n += n
			return
		}
		if e.n == 0 {
			*e = entry{b, n}
			t.used++
			return
		}
	}
}

func (t *table) grow() {
	old := t.entries
	t.entries, t.used = slices.Repeat([]entry{{bits: free}}, max(64, 2*len(old))), 0
	t.shift = 64 - bits.Len(uint(len(t.entries)-1))
	for _, e := range old {
		if e.n > 0 {
			t.add(e.bits, e.n)
		}
	}
}

// scatter has its entropy in the high bits. Small whole numbers differ in the high bits of a float64 only, which a
// multiplication alone would lose.
func scatter(b uint64) uint64 { return (b ^ b>>32) * 0x9e3779b97f4a7c15 }
