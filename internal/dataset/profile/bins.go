package profile

import "slices"

// Bins are the shares (0 to 1) of today's values in the bins of its own histogram, or of its most frequent texts, and
// those of the baseline in the same ones. Either is nil where there is nothing to draw: no value, or too many distinct
// texts to count.
func Bins(today, baseline *Summary) (shares, before []float64) {
	switch {
	case today == nil:
		return nil, nil
	case today.Numbers != nil:
		h := today.Numbers.Histogram
		shares = portions(h.Counts)
		if baseline != nil && baseline.Distribution != nil {
			before = baseline.binned(h)
		}
	case today.Texts != nil:
		var counts []int64
		for _, v := range today.Texts.Frequent {
			counts = append(counts, v.Count)
		}
		shares = sharesOf(counts, today.Count)
		if baseline != nil && baseline.Texts != nil && len(baseline.Texts.Frequent) > 0 {
			before = sharesOf(baseline.occurrences(today.Texts.Frequent), baseline.Count)
		}
	}
	return shares, before
}

// binned puts the baseline's values into the bins of another histogram; what lies outside is in none of them.
func (s *Summary) binned(h Histogram) []float64 {
	d := s.Distribution.parts()
	total := float64(d.total())
	if total == 0 || len(h.Counts) == 0 {
		return nil
	}
	width := (h.High - h.Low) / float64(len(h.Counts))
	shares := make([]float64, len(h.Counts))
	if width <= 0 {
		return nil
	}
	below := 0.0
	for _, p := range d.parts { // those under the first bin, without a single value on its edge
		if p.upper < h.Low {
			below += float64(p.n)
		}
	}
	for i := range shares {
		upto := max(below, d.below(h.Low+width*float64(i+1)))
		shares[i] = (upto - below) / total
		below = upto
	}
	return shares
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
