package profile

import (
	"math"
	"slices"
)

// A Picture is how today's values lie beside the baseline's: shares (0 to 1) in the same bins, which are of equal width
// from Low to High, or one for each of the most frequent texts.
type Picture struct {
	Shares   []float64 // nil where there is nothing to draw: no value, or too many distinct texts to count
	Baseline []float64 // nil where there is no baseline
	Low      float64   // of numbers
	High     float64
}

// NewPicture draws both over the range of both, so that a baseline that lies elsewhere is seen there.
func NewPicture(today, baseline *Summary) Picture {
	switch {
	case today == nil:
		return Picture{}
	case today.Numbers != nil:
		return numbersPicture(today, baseline)
	case today.Texts != nil:
		return textsPicture(today, baseline)
	default:
		return Picture{}
	}
}

func numbersPicture(today, baseline *Summary) Picture {
	h := today.Numbers.Histogram
	p := Picture{Shares: portions(h.Counts), Low: h.Low, High: h.High}
	if baseline == nil || baseline.Distribution == nil || baseline.Numbers == nil || today.Distribution == nil {
		return p
	}
	before := baseline.Numbers.Histogram
	p.Low, p.High = min(h.Low, before.Low), max(h.High, before.High)
	p.Shares = today.Distribution.binned(p.Low, p.High)
	p.Baseline = baseline.Distribution.binned(p.Low, p.High)
	return p
}

func textsPicture(today, baseline *Summary) Picture {
	var counts []int64
	for _, v := range today.Texts.Frequent {
		counts = append(counts, v.Count)
	}
	p := Picture{Shares: sharesOf(counts, today.Count)}
	if baseline != nil && baseline.Texts != nil && len(baseline.Texts.Frequent) > 0 {
		p.Baseline = sharesOf(baseline.occurrences(today.Texts.Frequent), baseline.Count)
	}
	return p
}

// binned puts the values into the bins of a picture; the outermost hold what lies outside, too.
func (t *Distribution) binned(low, high float64) []float64 {
	d := t.parts()
	counts := make([]int64, bins)
	total, before := d.total(), int64(0)
	for i := range counts {
		upto := total
		if i < bins-1 && high > low {
			upto = int64(math.Round(d.below(low + (high-low)*float64(i+1)/bins)))
		}
		counts[i] = upto - before
		before = upto
	}
	return sharesOf(counts, total)
}

func (s *Summary) occurrences(values []Value) []int64 {
	counts := make([]int64, len(values))
	for i, v := range values {
		at := slices.IndexFunc(s.Texts.Frequent, func(w Value) bool { return w.Text == v.Text })
		if at >= 0 {
			counts[i] = s.Texts.Frequent[at].Count
		}
	}
	return counts
}

func portions(counts []int64) []float64 {
	var total int64
	for _, n := range counts {
		total += n
	}
	return sharesOf(counts, total)
}

func sharesOf(counts []int64, total int64) []float64 {
	if total == 0 {
		return nil
	}
	shares := make([]float64, len(counts))
	for i, n := range counts {
		shares[i] = float64(n) / float64(total)
	}
	return shares
}
