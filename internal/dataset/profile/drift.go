package profile

import (
	"fmt"
	"math"
)

const (
	// least is how many values each side must have: below it the shares of ten bins say nothing.
	least = 100
	// floor of a share, without which a bin that one side lacks would make PSI infinite; the same as in src/monitoring.
	floor = 1e-4
	// deciles of the baseline are PSI's bins.
	deciles = 10
	// single is up to how many distinct values each has a bin of its own, so that a new one shows.
	single = 4
)

// A Comparison says how far today's values of a column are from the baseline's.
type Comparison struct {
	PSI Distance
	KS  Distance
}

// A Distance is one measure of drift, and its verdict. Exactly one of Compared and Reason is set.
type Distance struct {
	Value    float64
	Limit    float64
	Drifted  bool   // Value is above Limit, and by more than chance
	Compared bool   // there is a verdict
	Reason   string // why there is none, and what to do
	// Chance is what Value exceeds in one of a thousand pairs of samples of these sizes from one distribution, if their
	// values are independent. Where it is above Limit, a value between the two is no verdict.
	Chance float64
}

// Compare judges today's values against the baseline's, with the limits of both measures; a limit of 0 or less asks
// for nothing. Missing values are no part of it.
//
// PSI, the population stability index, is the sum over bins of (a - e) ln(a / e), where e is the share of the
// baseline's values in the bin and a today's (Siddiqi, "Credit Risk Scorecards", 2006, chapter 8). Shares below 0.0001
// count as that. The bins are bounded by the baseline's deciles, the outermost ones open; equal deciles make one. A
// column of at most four distinct values has each as a bin, and what lies before, between and behind them as others.
// Texts have the baseline's ten most frequent values as bins, and one for all others. By chance alone, PSI is about
// χ² with (bins - 1) degrees of freedom times (1/n + 1/m) (Yurdakul, "Statistical Properties of Population Stability
// Index", 2018).
//
// KS, the Kolmogorov-Smirnov distance, is the largest difference between the two cumulative distributions. It is exact
// where both have few distinct values, and otherwise looked for at the edges of buckets, which are a thousandth of
// their values wide; a baseline from a file is known at every 256th of its values, and at the edges of buckets with
// more than that, so that the distance may be too small by 1/256. By chance alone it exceeds √(-½ ln(p/2)) √(1/n + 1/m) with probability p (Smirnov 1948).
func Compare(today, baseline *Summary, psi, ks float64) Comparison {
	c := Comparison{PSI: Distance{Limit: psi}, KS: Distance{Limit: ks}}
	if reason := incomparable(today, baseline); reason != "" {
		c.PSI.Reason, c.KS.Reason = reason, reason
		return c
	}
	if today.Kind == Text {
		c.texts(today, baseline)
		c.KS.Reason = "texts have no order: only the population stability index is for them"
		return c
	}
	now, before := today.distribution(), baseline.distribution()
	if before.exact != now.exact {
		now, before = now.coarse(), before.coarse()
	}
	n, m := float64(now.total()), float64(before.total())
	c.KS.judge(now.distance(&before), Smirnov(chance, n, m), n, m)

	bounds := before.bounds()
	value := PSI(shares(before.cumulative(bounds), m), shares(now.cumulative(bounds), n))
	c.PSI.judge(value, chiSquared(len(bounds))*(1/n+1/m), n, m)
	return c
}

// Smirnov is the distance that two samples of one distribution, of n and m values, exceed with probability p or less by
// chance alone; see Compare.
func Smirnov(p, n, m float64) float64 { return math.Sqrt(-math.Log(p/2) / 2 * (1/n + 1/m)) }

// PSI of shares of the same bins, each of which sum to 1; see Compare.
func PSI(expected, actual []float64) float64 {
	sum := 0.0
	for i, e := range expected {
		e, a := max(e, floor), max(actual[i], floor)
		sum += (a - e) * math.Log(a/e)
	}
	return sum
}

func incomparable(today, baseline *Summary) string {
	switch {
	case today == nil:
		return "today's data does not have this column"
	case baseline == nil:
		return "the baseline does not have this column: run mage data:baseline"
	case today.Kind != baseline.Kind:
		return fmt.Sprintf("the baseline has this column as %s, today it is %s: run mage data:baseline", baseline.Kind, today.Kind)
	case today.Kind == Time:
		return "times move on: there is no drift in them"
	case today.finite() < least || baseline.finite() < least:
		return fmt.Sprintf("%d values are too few to compare with %d of the baseline: at least %d of each are needed",
			today.finite(), baseline.finite(), least)
	}
	return ""
}

// finite values are those in the distribution.
func (s *Summary) finite() int64 { return s.Count - s.Infinite }

func (s *Summary) distribution() distribution {
	if len(s.full.parts) > 0 || s.Distribution == nil {
		return s.full
	}
	return s.Distribution.parts()
}

// chance is the probability that decides what chance alone can do.
const chance = 0.001

// judge decides. Few values prove a large distance, but neither a small one nor its absence.
func (d *Distance) judge(value, noise, n, m float64) {
	d.Value, d.Chance = value, noise
	switch {
	case d.Limit <= 0:
		d.Reason = "no limit is set"
	case value > d.Limit && value > noise:
		d.Compared, d.Drifted = true, true
	case noise <= d.Limit:
		d.Compared = true
	default:
		d.Reason = fmt.Sprintf("%.0f and %.0f values are too few for a limit of %.3g: by chance alone the distance can be %.2g, and it is %.2g",
			n, m, d.Limit, noise, value)
	}
}

// chiSquared is the value that a χ² variable of so many degrees of freedom exceeds with probability chance, by the
// approximation of Wilson and Hilferty (1931), within 3 % from two degrees on.
func chiSquared(freedom int) float64 {
	const z = 3.0902323 // which a normal variable exceeds with that probability
	k := float64(max(1, freedom))
	return k * math.Pow(1-2/(9*k)+z*math.Sqrt(2/(9*k)), 3)
}

// bounds are PSI's bins: the upper bounds, included, of all but the last.
func (d *distribution) bounds() []float64 {
	var bounds []float64
	if d.discrete || (d.exact && len(d.parts) <= single) {
		for _, p := range d.parts {
			bounds = append(bounds, min(p.lower, math.Nextafter(p.upper, math.Inf(-1))), p.upper)
		}
		return union(bounds, nil)
	}
	total, before := d.total(), int64(0)
	for _, p := range d.parts {
		// Whether one of the nine deciles is above what is before this part, and at most with it.
		if upto := before + p.n; min(deciles-1, upto*deciles/total) > before*deciles/total {
			bounds = append(bounds, p.upper)
		}
		before += p.n
	}
	return bounds
}

// shares of bins from how many values are up to their bounds.
func shares(cumulative []int64, total float64) []float64 {
	all := make([]float64, len(cumulative)+1)
	before := int64(0)
	for i, n := range cumulative {
		all[i] = float64(n-before) / total
		before = n
	}
	all[len(cumulative)] = (total - float64(before)) / total
	return all
}

// texts compares by the baseline's most frequent values.
func (c *Comparison) texts(today, baseline *Summary) {
	now, known := today.values()
	before, knew := baseline.values()
	if !known || !knew {
		c.PSI.Reason = fmt.Sprintf("there are more than %d distinct texts: name it under no drift, or give it an enum", fewTexts)
		return
	}
	n, m := float64(today.Count), float64(baseline.Count)
	count := map[string]int64{}
	for _, v := range now {
		count[v.Text] += v.Count
	}
	var expected, actual []float64
	restBefore, restNow := 1.0, 1.0
	for _, v := range before[:min(topValues, len(before))] {
		e, a := float64(v.Count)/m, float64(count[v.Text])/n
		expected, actual = append(expected, e), append(actual, a)
		restBefore, restNow = restBefore-e, restNow-a
	}
	expected, actual = append(expected, max(0, restBefore)), append(actual, max(0, restNow))
	c.PSI.judge(PSI(expected, actual), chiSquared(len(expected)-1)*(1/n+1/m), n, m)
}

// values of a text column as a profile shows them; of today's all, of a file's the most frequent.
func (s *Summary) values() (all []Value, known bool) {
	if s.Texts == nil {
		return nil, false
	}
	if len(s.texts) == 0 {
		return s.Texts.Frequent, len(s.Texts.Frequent) > 0
	}
	for _, v := range s.texts {
		all = append(all, Value{shorten(v.Text), v.Count})
	}
	return all, true
}

// String is one measure for a person: 0.031 (limit 0.2).
func (d Distance) String() string {
	if !d.Compared {
		return "not compared: " + d.Reason
	}
	return fmt.Sprintf("%.3f (limit %.3g)", d.Value, d.Limit)
}
