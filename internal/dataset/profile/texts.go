package profile

import (
	"math/bits"
	"slices"
	"strings"
	"unicode/utf8"
)

const (
	fewTexts  = 1000      // distinct texts up to which each is counted
	fewBytes  = 256 << 10 // bytes of distinct texts up to which they are kept
	topValues = 10
)

// texts accumulates a column of texts: a table of the values, and when it gets too large, estimates only. Whether it
// does depends on all distinct values together, not on where the rows were split.
type texts struct {
	entries  []textEntry // a power of two, at most a quarter of them used; nil once it got too large
	used     int
	shift    int
	bytes    int
	seen     *sketch // nil while the table holds all
	shortest int
	longest  int
	length   uint64 // of all, in characters
}

type textEntry struct {
	text string
	hash uint64
	n    uint64 // 0: free; so is then the hash, which no empty text has
}

func (c *texts) add(b []byte) {
	hash := hashText(b)
	if c.seen != nil {
		c.estimate(utf8.RuneCount(b), hash, 1)
		return
	}
	if len(c.entries) > 0 {
		if e := &c.entries[hash>>(c.shift&63)&uint64(len(c.entries)-1)]; e.hash == hash && e.text == string(b) { //nolint:gosec // not negative
			e.n++
			return
		}
	}
	c.count(b, hash, 1)
}

// count adds a value to the table n times.
func (c *texts) count(b []byte, hash, n uint64) {
	if 4*c.used >= len(c.entries) {
		c.grow()
	}
	for i := hash >> c.shift; ; i++ {
		e := &c.entries[i&uint64(len(c.entries)-1)] //nolint:gosec // not negative
		if e.hash == hash && e.n > 0 && e.text == string(b) {
			e.n += n
			return
		}
		if e.n == 0 {
			*e = textEntry{string(b), hash, n}
			c.used++
			c.bytes += len(b)
			break
		}
	}
	if c.used > fewTexts || c.bytes > fewBytes {
		c.spill()
	}
}

func (c *texts) grow() {
	old := c.entries
	c.entries = slices.Repeat([]textEntry{{hash: free}}, max(64, 2*len(old)))
	c.shift = 64 - bits.Len(uint(len(c.entries)-1))
	for _, e := range old {
		if e.n == 0 {
			continue
		}
		i := e.hash >> c.shift
		for c.entries[i&uint64(len(c.entries)-1)].n > 0 { //nolint:gosec // not negative
			i++
		}
		c.entries[i&uint64(len(c.entries)-1)] = e //nolint:gosec // not negative
	}
}

func (c *texts) estimate(length int, hash, n uint64) {
	c.seen.add(mix(hash))
	c.shortest, c.longest = min(c.shortest, length), max(c.longest, length)
	c.length += uint64(length) * n //nolint:gosec // not negative
}

func (c *texts) spill() {
	c.seen, c.shortest = &sketch{}, int(^uint(0)>>1)
	for _, e := range c.entries {
		if e.n > 0 {
			c.estimate(utf8.RuneCountInString(e.text), e.hash, e.n)
		}
	}
	c.entries, c.used, c.bytes = nil, 0, 0
}

func (c *texts) merge(other *texts) {
	if c.seen == nil && other.seen != nil {
		c.spill()
	}
	for _, e := range other.entries {
		switch {
		case e.n == 0:
		case c.seen != nil:
			c.estimate(utf8.RuneCountInString(e.text), e.hash, e.n)
		default:
			c.count([]byte(e.text), e.hash, e.n)
		}
	}
	if other.seen != nil {
		c.seen.merge(other.seen)
		c.shortest, c.longest = min(c.shortest, other.shortest), max(c.longest, other.longest)
		c.length += other.length
	}
}

func (c *texts) distinct() (n int64, exact bool) {
	if c.seen == nil {
		return int64(c.used), true
	}
	return max(1, c.seen.estimate()), false
}

// values lists the distinct ones, the most frequent first, while they are few.
func (c *texts) values() []Value {
	var all []Value
	for _, e := range c.entries {
		if e.n > 0 {
			all = append(all, Value{e.text, int64(e.n)}) //nolint:gosec // fewer rows than 2⁶³
		}
	}
	slices.SortFunc(all, func(a, b Value) int {
		switch {
		case a.Count > b.Count:
			return -1
		case a.Count < b.Count:
			return 1
		default:
			return strings.Compare(a.Text, b.Text)
		}
	})
	return all
}

// lengths are the shortest, longest and mean one in characters.
func (c *texts) lengths(n int64) (shortest, longest int, mean float64) {
	all := *c
	if all.seen == nil {
		all.spill() // of the copy
	}
	if n == 0 {
		return 0, 0, 0
	}
	return all.shortest, all.longest, float64(all.length) / float64(n)
}
