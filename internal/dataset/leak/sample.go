package leak

import (
	"cmp"
	"math"
	"slices"
)

// rows that a sample keeps: enough that chance determines nothing, few enough to look at hundreds of expressions.
const rows = 20000

// A Sample keeps up to 20,000 rows of some numeric columns: those with the smallest hashes of their content. So it is
// the same however the rows were split and whatever their order. It is for one goroutine.
type Sample struct {
	target int // column without which a row is of no use
	width  int
	kept   []kept
	values []float64 // of all kept rows, by slot
	limit  uint64    // no row with this hash or a larger one gets in
	hashes []uint64  // scratch
}

// kept is one row, whose values are at slot × width.
type kept struct {
	hash uint64
	slot int
}

// NewSample returns an empty one, for rows of width values of which one, by its position, is the target.
func NewSample(width, target int) *Sample {
	return &Sample{target: target, width: width, limit: math.MaxUint64}
}

// Add looks at rows of a block. Each column holds as many values, NaN if there is none. A row without a target is left
// out.
func (s *Sample) Add(columns [][]float64) {
	target := columns[s.target]
	s.hashes = slices.Grow(s.hashes[:0], len(target))[:len(target)]
	hashes := s.hashes
	clear(hashes)
	for _, column := range columns {
		column = column[:len(hashes)]
		for i, v := range column {
			h := (hashes[i] ^ math.Float64bits(v+0)) * 0x9e3779b97f4a7c15 // -0 + 0 is 0
			hashes[i] = h ^ h>>29
		}
	}
	for i, h := range hashes {
		if h = spread(h); h >= s.limit || math.IsNaN(target[i]) {
			continue
		}
		at := s.slot(h)
		for c, column := range columns {
			s.values[at+c] = column[i]
		}
	}
}

// slot makes room for a row, and returns where its values go.
func (s *Sample) slot(hash uint64) int {
	if len(s.kept) >= 2*rows {
		s.trim()
	}
	slot := len(s.kept)
	s.kept = append(s.kept, kept{hash, slot})
	if need := (slot + 1) * s.width; need > len(s.values) {
		s.values = append(s.values, make([]float64, max(need, min(2*need, 2*rows*s.width))-len(s.values))...)
	}
	return slot * s.width
}

// trim drops rows that can't be among the 20,000 with the smallest hashes. Hashes are spread evenly, so counting them in
// 1,024 ranges finds a good limit. Many equal rows are the exception: of these any can go, and that takes a sort.
func (s *Sample) trim() {
	var counts [1024]int
	width := s.limit/uint64(len(counts)) + 1
	for _, k := range s.kept {
		counts[min(k.hash/width, uint64(len(counts)-1))]++
	}
	n, last := 0, 0
	for ; n < rows; last++ {
		n += counts[last]
	}
	if n > rows*5/4 {
		slices.SortFunc(s.kept, byHash)
		s.limit, n = s.kept[rows-1].hash, rows
	} else {
		if last < len(counts) {
			s.limit = min(s.limit, uint64(last)*width)
		}
		s.kept = slices.DeleteFunc(s.kept, func(k kept) bool { return k.hash >= s.limit })
	}
	s.kept = s.kept[:min(n, len(s.kept))]
	slices.SortFunc(s.kept, func(a, b kept) int { return a.slot - b.slot })
	for i, k := range s.kept {
		copy(s.values[i*s.width:(i+1)*s.width], s.values[k.slot*s.width:])
		s.kept[i].slot = i
	}
}

func byHash(a, b kept) int { return cmp.Compare(a.hash, b.hash) }

// Merge adds the rows of another sample of the same columns, which stays as it is.
func (s *Sample) Merge(other *Sample) {
	for _, k := range other.kept {
		if k.hash < s.limit {
			at := s.slot(k.hash)
			copy(s.values[at:at+s.width], other.values[k.slot*s.width:])
		}
	}
}

// columns are the sample's, each in the order of the rows' hashes, which is as good as a random one.
func (s *Sample) columns() [][]float64 {
	order := slices.SortedFunc(slices.Values(s.kept), byHash)
	order = order[:min(rows, len(order))]
	all := make([][]float64, s.width)
	for c := range all {
		all[c] = make([]float64, len(order))
		for i, k := range order {
			all[c][i] = s.values[k.slot*s.width+c]
		}
	}
	return all
}

// spread makes all bits of a hash depend on all others: the finalizer of MurmurHash3.
func spread(h uint64) uint64 {
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	h *= 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}
