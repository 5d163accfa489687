// Package statistics holds the few tests and intervals that reports about many runs rest on. None of them assumes a
// distribution: durations have a long right tail. It stands at the bottom of the import graph.
package statistics

import (
	"math"
	"slices"
)

// Median of values, which stay as they are; NaN if there are none.
func Median(values []float64) float64 { return Quantile(values, 0.5) }

// Quantile interpolates linearly between order statistics (definition 7 of Hyndman and Fan, Sample Quantiles in
// Statistical Packages, 1996); NaN if there are no values.
func Quantile(values []float64, q float64) float64 {
	n := len(values)
	if n == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	at := q * float64(n-1)
	low := int(at)
	if low+1 >= n {
		return sorted[n-1]
	}
	return sorted[low] + (at-float64(low))*(sorted[low+1]-sorted[low])
}

// Confidence of all intervals.
const Confidence = 0.95

// Band is an interval that holds the median of whatever the values are drawn from, with at least 95 % confidence: two
// order statistics, whose ranks are quantiles of a binomial distribution (Conover, Practical Nonparametric Statistics,
// 3rd edition, section 3.2). Fewer than six values give none.
func Band(values []float64) (low, high float64, ok bool) {
	k := rank(len(values))
	if k == 0 {
		return 0, 0, false
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[k-1], sorted[len(sorted)-k], true
}

// rank is the greatest k so that fewer than k of n values lie below the median with a probability of at most 2.5 %.
func rank(n int) int {
	k := 0
	for binomialAtMost(k, n) <= (1-Confidence)/2 && k < n/2 {
		k++
	}
	return k
}

// binomialAtMost is the probability of at most k heads in n throws of a fair coin.
func binomialAtMost(k, n int) float64 {
	sum := 0.0
	for i := 0; i <= k; i++ {
		sum += math.Exp(logChoose(n, i) - float64(n)*math.Ln2)
	}
	return min(sum, 1)
}

func logChoose(n, k int) float64 {
	a, _ := math.Lgamma(float64(n + 1))
	b, _ := math.Lgamma(float64(k + 1))
	c, _ := math.Lgamma(float64(n - k + 1))
	return a - b - c
}

// SignTest is the one-sided p of over values above a limit, of n: how likely it is to see as many if the median is no
// higher than the limit (Conover, section 3.4). Values that are exactly the limit count as not above.
func SignTest(over, n int) float64 {
	if n == 0 || over <= 0 {
		return 1
	}
	return binomialAtMost(n-over, n)
}

// Wilson is the 95 % interval of a share of successes (Wilson 1927; it is the one that stays within 0 and 1 and is right
// for shares near 1).
func Wilson(successes, n int) (low, high float64) {
	if n == 0 {
		return 0, 1
	}
	const z = 1.959963984540054
	total, p := float64(n), float64(successes)/float64(n)
	centre := p + z*z/(2*total)
	spread := z * math.Sqrt(p*(1-p)/total+z*z/(4*total*total))
	scale := 1 + z*z/total
	return max(0, (centre-spread)/scale), min(1, (centre+spread)/scale)
}
