package profile

import (
	"math"
	"math/big"
	"math/bits"
)

// A histogram has 1,024 buckets of equal width between each two powers of two, so that a bucket is at most a thousandth
// of its values wide. A page is the buckets of one such octave.
const (
	bucketBits = 10
	bucketMask = 1<<bucketBits - 1
	pageShift  = 52 // bits of a float64 below its exponent
	pages      = 1 << (64 - pageShift)
	steps      = pageShift - bucketBits // bits of a float64 that a bucket does not tell apart
	// Values nearer to zero than 2⁻⁶⁴, or further than 2⁶⁴, are in one bucket for each octave: this bounds what a column
	// of hostile numbers can take to about 2 MiB.
	smallest = 1023 - 64
	largest  = 1023 + 64
	// Zero has no octave. Its place is that of a NaN, which never comes here: so there is no need to ask for it.
	zeroPage = pages - 1
)

// octave sums what lies in it exactly, as integers of the unit of its smallest value's last bit. Adding integers is
// associative, adding floats is not: so a mean does not depend on how the rows were split.
type octave struct {
	sum    [2]uint64 // of the significands, low word first
	square [3]uint64 // of their squares
}

type page struct {
	octave
	buckets [1 << bucketBits]uint64
}

// place is the bits of v such that positive values right of a bucket's edge come into the next one: a bucket holds its
// upper edge, on both sides of zero. Its sign and exponent are the page's index.
func place(v float64) uint64 {
	b := math.Float64bits(v)
	return b - 1 + b>>63
}

func (o *octave) add(place uint64) {
	significand := (place&(1<<pageShift-1) | 1<<pageShift) + 1 - place>>63
	var carry uint64
	o.sum[0], carry = bits.Add64(o.sum[0], significand, 0)
	o.sum[1], _ = bits.Add64(o.sum[1], 0, carry)
	high, low := bits.Mul64(significand, significand)
	o.square[0], carry = bits.Add64(o.square[0], low, 0)
	o.square[1], carry = bits.Add64(o.square[1], high, carry)
	o.square[2], _ = bits.Add64(o.square[2], 0, carry)
}

// addTimes is n times add.
func (o *octave) addTimes(place, n uint64) {
	significand := (place&(1<<pageShift-1) | 1<<pageShift) + 1 - place>>63
	var carry uint64
	high, low := bits.Mul64(significand, n)
	o.sum[0], carry = bits.Add64(o.sum[0], low, 0)
	o.sum[1] += high + carry
	high, low = bits.Mul64(significand, significand)
	h0, l0 := bits.Mul64(low, n)
	h1, l1 := bits.Mul64(high, n)
	middle, c := bits.Add64(h0, l1, 0)
	o.square[0], carry = bits.Add64(o.square[0], l0, 0)
	o.square[1], carry = bits.Add64(o.square[1], middle, carry)
	o.square[2] += h1 + c + carry
}

func (o *octave) merge(other *octave) {
	var carry uint64
	o.sum[0], carry = bits.Add64(o.sum[0], other.sum[0], 0)
	o.sum[1], _ = bits.Add64(o.sum[1], other.sum[1], carry)
	o.square[0], carry = bits.Add64(o.square[0], other.square[0], 0)
	o.square[1], carry = bits.Add64(o.square[1], other.square[1], carry)
	o.square[2] += other.square[2] + carry
}

// exponent of the last bit of a page's values, which are significand × 2^exponent. Subnormal numbers have no leading
// one, but are so small that it does no harm to give them one.
func exponent(index int) int { return index&(pages/2-1) - 1023 - pageShift }

// addTo puts the octave's exact sums into sums of all.
func (o *octave) addTo(sum, squares *big.Float, index int) {
	s := new(big.Int).SetUint64(o.sum[1])
	s.Or(s.Lsh(s, 64), new(big.Int).SetUint64(o.sum[0]))
	if index >= pages/2 {
		s.Neg(s)
	}
	q := new(big.Int).SetUint64(o.square[2])
	q.Or(q.Lsh(q, 64), new(big.Int).SetUint64(o.square[1]))
	q.Or(q.Lsh(q, 64), new(big.Int).SetUint64(o.square[0]))
	e := exponent(index)
	sum.Add(sum, scaled(s, e))
	squares.Add(squares, scaled(q, 2*e))
}

// scaled is n × 2^exponent, exactly.
func scaled(n *big.Int, exponent int) *big.Float {
	f := new(big.Float).SetPrec(precision).SetInt(n)
	return f.SetMantExp(f, exponent)
}

// precision in bits that holds every sum of squares of float64 exactly.
const precision = 2*(2*1074+1024) + 256

// moments are the mean and the standard deviation (of a sample, divided by n-1), from exact sums.
func moments(n int64, sum, squares *big.Float) (mean, deviation float64) {
	if n == 0 {
		return 0, 0
	}
	count := new(big.Float).SetPrec(precision).SetInt64(n)
	mean, _ = new(big.Float).SetPrec(precision).Quo(sum, count).Float64()
	if n == 1 {
		return mean, 0
	}
	// n Σx² - (Σx)² is exact, so that nothing cancels.
	spread := new(big.Float).SetPrec(precision).Mul(squares, count)
	spread.Sub(spread, new(big.Float).SetPrec(precision).Mul(sum, sum))
	below := new(big.Float).SetPrec(precision).SetInt64(n - 1)
	variance := spread.Quo(spread, below.Mul(below, count)).SetPrec(64)
	deviation, _ = variance.Sqrt(variance).Float64()
	return mean, deviation
}
