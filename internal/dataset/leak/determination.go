package leak

import (
	"math"
	"math/bits"
	"slices"
)

// judge measures how far a feature determines a target. It keeps its scratch vectors.
type judge struct {
	keys      []uint64
	rankX     []float64
	rankY     []float64
	coreX     []float64
	coreY     []float64
	residuals []float64
}

// sides are the values of a vector that bound its middle 99 %, and its ranks.
type sides struct {
	ranks     []float64
	low, high float64
	usual     float64 // rank of the value that more than half of all are, or -1
}

// measure gives the two determinations of y by x; see the package comment. limit says from where on the second, costly
// look at a linear one is worth it.
func (j *judge) measure(x, y []float64, of *sides, limit float64) (linear, monotone float64) {
	sx := j.sides(x, &j.rankX)
	sy := of
	if sy == nil {
		sy = j.sides(y, &j.rankY)
	}
	monotone = fit(sx.ranks, sy.ranks).determination()
	if sy.usual >= 0 && monotone >= limit {
		monotone = j.unusual(x, y, sy)
	}
	j.coreX, j.coreY = j.coreX[:0], j.coreY[:0]
	for i, v := range x {
		if v >= sx.low && v <= sx.high && y[i] >= sy.low && y[i] <= sy.high {
			j.coreX, j.coreY = append(j.coreX, v), append(j.coreY, y[i])
		}
	}
	f := fit(j.coreX, j.coreY)
	if f.xx == 0 || f.yy == 0 { // a rare event is all that there is to the target: it is not an outlier
		return fit(x, y).determination(), monotone
	}
	linear = f.determination()
	if linear < limit && 1-linear < 10*max(1-limit, 0.01) {
		linear = max(linear, j.without(f))
	}
	return linear, monotone
}

// unusual is the determination by ranks among the rows whose target is not the one value that most have: these would
// decide alone, and a feature that only tells the others apart from them is no function of the target.
func (j *judge) unusual(x, y []float64, sy *sides) float64 {
	var restX, restY []float64
	for i, rank := range sy.ranks {
		if rank != sy.usual {
			restX, restY = append(restX, x[i]), append(restY, y[i])
		}
	}
	if len(restX) < least {
		return 0
	}
	var ranksX, ranksY []float64
	return fit(j.sides(restX, &ranksX).ranks, j.sides(restY, &ranksY).ranks).determination()
}

// without leaves out the hundredth of the middle that is farthest off the line, if the rest still varies.
func (j *judge) without(f line) float64 {
	j.residuals = j.residuals[:0]
	for i, x := range j.coreX {
		j.residuals = append(j.residuals, math.Abs(f.residual(x, j.coreY[i])))
	}
	sorted := slices.Sorted(slices.Values(j.residuals))
	most := sorted[len(sorted)-1-len(sorted)/100]
	n := 0
	for i, r := range j.residuals {
		if r <= most {
			j.coreX[n], j.coreY[n] = j.coreX[i], j.coreY[i]
			n++
		}
	}
	rest := fit(j.coreX[:n], j.coreY[:n])
	if rest.yy < f.yy/2 {
		return 0
	}
	return rest.determination()
}

// sides sorts x. Equal values have the mean of their ranks; so have values that differ by less than a part in 10¹¹,
// which only rounding tells apart.
func (j *judge) sides(x []float64, ranks *[]float64) *sides {
	n := len(x)
	low := uint64(1)<<bits.Len(uint(n)) - 1
	j.keys = j.keys[:0]
	for i, v := range x {
		j.keys = append(j.keys, ordered(v)&^low|uint64(i))
	}
	slices.Sort(j.keys)
	*ranks = slices.Grow((*ranks)[:0], n)[:n]
	usual := -1.0
	for from := 0; from < n; {
		upto := from + 1
		for upto < n && j.keys[upto]&^low == j.keys[from]&^low {
			upto++
		}
		for _, key := range j.keys[from:upto] {
			(*ranks)[key&low] = float64(from+upto-1) / 2
		}
		if 2*(upto-from) > n {
			usual = float64(from+upto-1) / 2
		}
		from = upto
	}
	off := max(1, n/200)
	return &sides{ranks: *ranks, low: x[j.keys[off]&low], high: x[j.keys[n-1-off]&low], usual: usual}
}

// ordered maps floats to integers of the same order.
func ordered(v float64) uint64 {
	b := math.Float64bits(v + 0)
	if b>>63 == 1 {
		return ^b
	}
	return b | 1<<63
}

// A line is a least-squares fit, as sums around the means.
type line struct{ meanX, meanY, xx, xy, yy float64 }

func fit(x, y []float64) line {
	if len(x) == 0 {
		return line{}
	}
	// Around the first values, so that little cancels.
	var sx, sy, sxx, sxy, syy float64
	x0, y0 := x[0], y[0]
	y = y[:len(x)]
	for i, v := range x {
		a, b := v-x0, y[i]-y0
		sx += a
		sy += b
		sxx += a * a
		sxy += a * b
		syy += b * b
	}
	n := float64(len(x))
	f := line{meanX: x0 + sx/n, meanY: y0 + sy/n, xx: sxx - sx/n*sx, xy: sxy - sx/n*sy, yy: syy - sy/n*sy}
	if f.xx <= 1e-12*sxx || math.IsInf(f.xx, 0) {
		f.xx = 0
	}
	if f.yy <= 1e-12*syy || math.IsInf(f.yy, 0) {
		f.yy = 0
	}
	return f
}

// determination is R², 0 if one of both does not vary.
func (f line) determination() float64 {
	if f.xx == 0 || f.yy == 0 {
		return 0
	}
	return min(1, f.xy/f.xx*(f.xy/f.yy))
}

func (f line) residual(x, y float64) float64 { return y - f.meanY - f.xy/f.xx*(x-f.meanX) }
