package profile

import (
	"cmp"
	"math"
	"math/big"
	"slices"
)

// few is up to how many distinct numbers each is counted by itself. That is exact, and it is also faster: the counts
// say everything else.
const few = 1024

// numbers accumulates a column of numbers: first in a table of its values, from their 1,025th on in a histogram.
type numbers struct {
	few  table
	many *[pages]*page    // nil while the table holds all
	far  map[int]*distant // octaves outside of what many counts finely
	low  float64
	high float64
	seen *sketch
}

// distant is an octave that is one bucket.
type distant struct {
	octave
	count uint64
}

func (c *numbers) add(values []float64) (missing, infinite int64) {
	if c.many != nil {
		return c.addMany(values)
	}
	entries, shift := c.few.entries, c.few.shift
	for i, v := range values {
		if v-v != 0 { // false for finite numbers only
			if math.IsNaN(v) {
				missing++
			} else {
				infinite++
			}
			continue
		}
		b := math.Float64bits(v + 0) // -0 + 0 is 0
		if len(entries) > 0 {
			if e := &entries[scatter(b)>>(shift&63)&uint64(len(entries)-1)]; e.bits == b { //nolint:gosec // not negative
				e.n++
				continue
			}
		}
		if c.few.add(b, 1); c.few.used > few {
			c.spill()
			m, f := c.addMany(values[i+1:])
			return missing + m, infinite + f
		}
		entries, shift = c.few.entries, c.few.shift
	}
	return missing, infinite
}

// addMany is the loop of add once the table is full.
func (c *numbers) addMany(values []float64) (missing, infinite int64) {
	low, high, seen, many := c.low, c.high, c.seen, c.many
	for _, v := range values {
		if v-v != 0 { // false for finite numbers only
			if math.IsNaN(v) {
				missing++
			} else {
				infinite++
			}
			continue
		}
		v += 0       // -0 + 0 is 0
		if v < low { // min would look for NaN again
			low = v
		}
		if v > high {
			high = v
		}
		seen.add(mix(math.Float64bits(v)))
		at := place(v)
		if p := many[at>>pageShift]; p != nil {
			p.add(at)
			p.buckets[at>>steps&bucketMask]++
			continue
		}
		c.addSlowly(v, 1)
	}
	c.low, c.high = low, high
	return missing, infinite
}

// addSlowly adds a value n times to the histogram; it may be far, or the first on its page.
func (c *numbers) addSlowly(v float64, n uint64) {
	at := place(v)
	index := int(at >> pageShift)
	if e := index % (pages / 2); index != zeroPage && (e < smallest || e >= largest) {
		if c.far[index] == nil {
			c.far[index] = &distant{}
		}
		c.far[index].addTimes(at, n)
		c.far[index].count += n
		return
	}
	if c.many[index] == nil {
		c.many[index] = &page{}
	}
	c.many[index].addTimes(at, n)
	c.many[index].buckets[at>>steps&bucketMask] += n
}

// addCounted adds one value of a table to the histogram and to what goes with it.
func (c *numbers) addCounted(v float64, n uint64) {
	c.low, c.high = min(c.low, v), max(c.high, v)
	c.seen.add(mix(math.Float64bits(v)))
	c.addSlowly(v, n)
}

// spill goes over from the table to the histogram.
func (c *numbers) spill() {
	c.many, c.far, c.seen = &[pages]*page{}, map[int]*distant{}, &sketch{}
	c.low, c.high = math.Inf(1), math.Inf(-1)
	for _, e := range c.few.entries {
		if e.n > 0 {
			c.addCounted(math.Float64frombits(e.bits), e.n)
		}
	}
	c.few = table{}
}

func (c *numbers) merge(other *numbers) {
	if c.many == nil && other.many != nil {
		c.spill()
	}
	for _, e := range other.few.entries {
		if e.n == 0 {
			continue
		}
		v := math.Float64frombits(e.bits)
		if c.many != nil {
			c.addCounted(v, e.n)
			continue
		}
		if c.few.add(e.bits, e.n); c.few.used > few {
			c.spill()
		}
	}
	if other.many == nil {
		return
	}
	c.low, c.high = min(c.low, other.low), max(c.high, other.high)
	c.seen.merge(other.seen)
	for index, p := range other.many {
		if p == nil {
			continue
		}
		if c.many[index] == nil {
			c.many[index] = &page{}
		}
		mine := c.many[index]
		mine.merge(&p.octave)
		for i, n := range p.buckets {
			mine.buckets[i] += n
		}
	}
	for index, d := range other.far {
		if c.far[index] == nil {
			c.far[index] = &distant{}
		}
		c.far[index].merge(&d.octave)
		c.far[index].count += d.count
	}
}

// distinct is exact while the table holds all values.
func (c *numbers) distinct() (n int64, exact bool) {
	if c.many == nil {
		return int64(c.few.used), true
	}
	return max(few+1, c.seen.estimate()), false
}

// moments of n values in all.
func (c *numbers) moments(n int64) (mean, deviation float64) {
	sum, squares := new(big.Float).SetPrec(precision), new(big.Float).SetPrec(precision)
	octaves := map[int]*octave{}
	for _, e := range c.few.entries {
		v := math.Float64frombits(e.bits)
		if e.n == 0 || v == 0 {
			continue
		}
		index := int(place(v) >> pageShift)
		if octaves[index] == nil {
			octaves[index] = &octave{}
		}
		octaves[index].addTimes(place(v), e.n)
	}
	if c.many != nil {
		for index, p := range c.many {
			if p != nil && index != zeroPage {
				octaves[index] = &p.octave
			}
		}
	}
	for index, d := range c.far {
		octaves[index] = &d.octave
	}
	for index, o := range octaves { // in any order: exact sums have none
		o.addTo(sum, squares, index)
	}
	return moments(n, sum, squares)
}

// distribution is all that is known of how the values lie.
func (c *numbers) distribution() distribution {
	if c.many != nil {
		return distribution{parts: c.buckets()}
	}
	d := distribution{exact: true}
	for _, e := range c.few.entries {
		if e.n > 0 {
			v := math.Float64frombits(e.bits)
			d.parts = append(d.parts, part{v, v, int64(e.n)}) //nolint:gosec // fewer rows than 2⁶³
		}
	}
	slices.SortFunc(d.parts, func(a, b part) int { return cmp.Compare(a.upper, b.upper) })
	return d
}

// buckets lists those that are not empty, in the order of their values: below zero the highest place comes first.
func (c *numbers) buckets() []part {
	parts := make([]part, 0, 4<<bucketBits)
	put := func(bucket uint64, shift int, n uint64) {
		if n > 0 {
			lower, upper := bucketEdges(bucket, shift)
			parts = append(parts, part{lower, upper, int64(n)}) //nolint:gosec // fewer rows than 2⁶³
		}
	}
	for index := zeroPage - 1; index >= pages/2; index-- {
		if d := c.far[index]; d != nil {
			put(uint64(index), pageShift, d.count)
		}
		if p := c.many[index]; p != nil {
			for i := bucketMask; i >= 0; i-- {
				put(uint64(index)<<bucketBits|uint64(i), steps, p.buckets[i])
			}
		}
	}
	if p := c.many[zeroPage]; p != nil {
		parts = append(parts, part{-math.SmallestNonzeroFloat64, 0, int64(p.buckets[bucketMask])}) //nolint:gosec // fewer rows than 2⁶³
	}
	for index := range pages / 2 {
		if d := c.far[index]; d != nil {
			put(uint64(index), pageShift, d.count)
		}
		if p := c.many[index]; p != nil {
			for i, n := range p.buckets {
				put(uint64(index)<<bucketBits|uint64(i), steps, n)
			}
		}
	}
	return parts
}

// bucketEdges are the bounds of the values whose place starts with these bits: above lower, up to upper.
func bucketEdges(bucket uint64, shift int) (lower, upper float64) {
	first, next := math.Float64frombits(bucket<<shift), math.Float64frombits((bucket+1)<<shift)
	if bucket<<shift>>63 == 0 {
		return first, finite(next)
	}
	if first == 0 { // zero is counted by itself
		first = -math.SmallestNonzeroFloat64
	}
	return finite(next), first
}

// bucketOf is the bucket that a value would be counted in.
func bucketOf(v float64) (lower, upper float64) {
	if v == 0 {
		return -math.SmallestNonzeroFloat64, 0
	}
	at := place(v)
	if e := int(at >> pageShift % (pages / 2)); e < smallest || e >= largest {
		return bucketEdges(at>>pageShift, pageShift)
	}
	return bucketEdges(at>>steps, steps)
}

// finite bounds the outermost octave, whose edge would be infinite, which JSON can't say.
func finite(v float64) float64 { return max(-math.MaxFloat64, min(math.MaxFloat64, v)) }
