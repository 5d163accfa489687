package profile

import "math"

// A Spread is a column's picture beside the baseline's: shares of the same bins of equal width from Low to High. Those
// of a text column are the shares of its most frequent values, in Names, and have no order.
type Spread struct {
	Low, High float64
	Names     []string
	Today     []float64 // 0 to 1
	Baseline  []float64 // empty if there is none
}

// NewSpread brings both histograms to the same bins. It is nil if today has nothing to be drawn; baseline may be nil.
func NewSpread(today, baseline *Summary) *Spread {
	if baseline != nil && baseline.Kind != today.Kind {
		baseline = nil
	}
	switch {
	case today.Texts != nil:
		return spreadTexts(today, baseline)
	case today.Numbers == nil:
		return nil
	}
	h := today.Numbers.Histogram
	s := &Spread{Low: h.Low, High: h.High}
	if baseline != nil && baseline.Numbers != nil {
		s.Low, s.High = min(s.Low, baseline.Numbers.Histogram.Low), max(s.High, baseline.Numbers.Histogram.High)
		s.Baseline = s.rebin(baseline.Numbers.Histogram)
	}
	s.Today = s.rebin(h)
	return s
}

// rebin spreads each bin evenly over those that it lies under. One without a width falls into a single bin.
func (s *Spread) rebin(h Histogram) []float64 {
	shares := make([]float64, bins)
	total := 0.0
	for _, n := range h.Counts {
		total += float64(n)
	}
	width := s.High/bins - s.Low/bins
	step := 0.0
	if len(h.Counts) > 0 {
		step = h.High/float64(len(h.Counts)) - h.Low/float64(len(h.Counts))
	}
	for i, n := range h.Counts {
		if n == 0 || total == 0 {
			continue
		}
		from, upto := position(h.Low+step*float64(i)-s.Low, width), position(h.Low+step*float64(i+1)-s.Low, width)
		share := float64(n) / total
		if upto-from < 1e-9 {
			shares[min(bins-1, int(from))] += share
			continue
		}
		for k := int(from); k < bins && float64(k) < upto; k++ {
			shares[k] += share * (min(upto, float64(k+1)) - max(from, float64(k))) / (upto - from)
		}
	}
	return shares
}

// position is in bins, from 0 to all of them.
func position(distance, width float64) float64 {
	if width == 0 || math.IsNaN(distance) {
		return 0
	}
	return max(0, min(bins, distance/width))
}

// spreadTexts takes the baseline's values first, so that they stand where they stood.
func spreadTexts(today, baseline *Summary) *Spread {
	if len(today.Texts.Frequent) == 0 {
		return nil
	}
	s := &Spread{}
	at := map[string]int{}
	put := func(to []float64, values []Value, total int64) []float64 {
		for _, v := range values {
			i, ok := at[v.Text]
			if !ok {
				i = len(s.Names)
				at[v.Text] = i
				s.Names = append(s.Names, v.Text)
			}
			for len(to) <= i {
				to = append(to, 0)
			}
			to[i] += float64(v.Count) / float64(total)
		}
		return to
	}
	if baseline != nil && baseline.Texts != nil {
		s.Baseline = put(nil, baseline.Texts.Frequent, baseline.Count)
	}
	s.Today = put(nil, today.Texts.Frequent, today.Count)
	for len(s.Today) < len(s.Names) {
		s.Today = append(s.Today, 0)
	}
	for s.Baseline != nil && len(s.Baseline) < len(s.Names) {
		s.Baseline = append(s.Baseline, 0)
	}
	return s
}
