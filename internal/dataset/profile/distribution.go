package profile

import (
	"math"
	"slices"
)

const (
	bins   = 40  // of a picture
	stored = 256 // steps of a distribution in a file, about
)

// A distribution is parts in ascending order. Those of an exact one are single values, others buckets.
type distribution struct {
	exact     bool
	discrete  bool // it has, or had before it was coarse, so few values that each is a bin of PSI
	parts     []part
	low, high float64
}

// A part is n values above lower, up to upper.
type part struct {
	lower, upper float64
	n            int64
}

func (d *distribution) total() int64 {
	var n int64
	for _, p := range d.parts {
		n += p.n
	}
	return n
}

func (d *distribution) move(by float64) {
	for i := range d.parts {
		d.parts[i].lower += by
		d.parts[i].upper += by
	}
}

// below is about how many values are at most x: exact at the edges of parts, in between by a straight line.
func (d *distribution) below(x float64) float64 {
	n := 0.0
	for _, p := range d.parts {
		if p.upper <= x {
			n += float64(p.n)
			continue
		}
		if p.lower < x && !d.exact {
			n += float64(p.n) * (x - p.lower) / (p.upper - p.lower)
		}
		break
	}
	return n
}

// quantile is the value of that rank's upper edge, or within its bucket by a straight line.
func (d *distribution) quantile(share float64) float64 {
	rank := share * float64(d.total())
	before := 0.0
	for _, p := range d.parts {
		if n := float64(p.n); before+n >= rank {
			value := p.lower + (p.upper-p.lower)*(rank-before)/n
			return max(d.low, min(d.high, value))
		}
		before += float64(p.n)
	}
	return d.high
}

func (d *distribution) quantiles() []Quantile {
	var all []Quantile
	for _, share := range []float64{0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99} {
		all = append(all, Quantile{share, d.quantile(share)})
	}
	return all
}

// histogram leaves the far ends of a long tail out of the range, else one outlier would make it a single line.
func (d *distribution) histogram() Histogram {
	h := Histogram{Low: d.quantile(0.005), High: d.quantile(0.995), Counts: make([]int64, bins)}
	if span := h.High - h.Low; span == 0 || d.high-d.low <= 2*span {
		h.Low, h.High = d.low, d.high
	}
	total := d.total()
	width := h.High/bins - h.Low/bins
	if width == 0 {
		h.Counts[0] = total
		return h
	}
	before := int64(0)
	for i := range h.Counts {
		upto := total
		if i < bins-1 {
			upto = int64(math.Round(d.below(h.Low + width*float64(i+1))))
		}
		h.Counts[i] = upto - before
		before = upto
	}
	return h
}

// coarse puts single values into the buckets that they would have been counted in, to compare them with buckets.
func (d *distribution) coarse() distribution {
	if !d.exact {
		return *d
	}
	c := distribution{low: d.low, high: d.high, discrete: len(d.parts) <= single}
	for _, p := range d.parts {
		lower, upper := bucketOf(p.upper)
		if last := len(c.parts) - 1; last >= 0 && c.parts[last].upper == upper {
			c.parts[last].n += p.n
			continue
		}
		c.parts = append(c.parts, part{lower, upper, p.n})
	}
	return c
}

// thin is what of it goes into a file: all single values, if they are few, or some 256 steps of about equal counts,
// each of which ends where a bucket does. A bucket with more than its share is a step of its own, and starts where it
// starts: a step of no values stands before it if need be.
func (d *distribution) thin() *Distribution {
	t := &Distribution{Exact: d.exact && len(d.parts) <= stored}
	if t.Exact {
		for _, p := range d.parts {
			t.add(p.upper, p.n)
		}
		return t
	}
	c := d.coarse()
	most := max(1, c.total()/stored)
	t.add(c.parts[0].lower, 0)
	for _, p := range c.parts {
		last := len(t.Count) - 1
		switch {
		case p.n < most && t.Count[last] > 0 && t.Count[last]+p.n <= most:
			t.Upper[last] = p.upper
			t.Count[last] += p.n
			continue
		case p.n >= most && t.Upper[last] < p.lower:
			t.add(p.lower, 0)
		}
		t.add(p.upper, p.n)
	}
	return t
}

func (t *Distribution) add(upper float64, n int64) {
	t.Upper, t.Count = append(t.Upper, upper), append(t.Count, n)
}

func (t *Distribution) parts() distribution {
	d := distribution{exact: t.Exact}
	for i, upper := range t.Upper {
		lower := upper
		if i > 0 && !t.Exact {
			lower = t.Upper[i-1]
		}
		d.parts = append(d.parts, part{lower, upper, t.Count[i]})
	}
	return d
}

// cumulative gives how many values are at most each edge, not counting a part that the edge is within.
func (d *distribution) cumulative(edges []float64) []int64 {
	all := make([]int64, len(edges))
	sum, at := int64(0), 0
	for i, edge := range edges {
		for ; at < len(d.parts) && d.parts[at].upper <= edge; at++ {
			sum += d.parts[at].n
		}
		all[i] = sum
	}
	return all
}

// distance is the Kolmogorov-Smirnov distance to a baseline. Where an edge is within a step of the baseline, whose
// cumulative share is only known to be between two others there, the nearest of these counts.
func (d *distribution) distance(baseline *distribution) float64 {
	edges := union(baseline.uppers(), d.uppers())
	now, before := d.cumulative(edges), baseline.cumulative(edges)
	n, m := float64(d.total()), float64(baseline.total())
	farthest, at := 0.0, 0
	for i, edge := range edges {
		for at < len(baseline.parts) && baseline.parts[at].upper <= edge {
			at++
		}
		low, high := float64(before[i])/m, float64(before[i])/m
		if at < len(baseline.parts) && baseline.parts[at].lower < edge {
			high = float64(before[i]+baseline.parts[at].n) / m
		}
		share := float64(now[i]) / n
		farthest = max(farthest, share-high, low-share)
	}
	return farthest
}

func (d *distribution) uppers() []float64 {
	all := make([]float64, len(d.parts))
	for i, p := range d.parts {
		all[i] = p.upper
	}
	return all
}

// union of two ascending lists.
func union(a, b []float64) []float64 {
	all := slices.Concat(a, b)
	slices.Sort(all)
	return slices.Compact(all)
}
