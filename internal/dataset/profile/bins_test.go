package profile

import (
	"math"
	"testing"
)

// column of the numbers from low up to, but not including, high.
func numbersFrom(low, high int) *Summary {
	c := NewColumn(Number)
	for v := low; v < high; v++ {
		c.Float(float64(v))
	}
	s := c.Summary("n")
	return &s
}

func TestBinsOfEqualDataAreEqual(t *testing.T) {
	for _, n := range []int{40, 1000, 5000} { // single values, thinned values, buckets
		s := numbersFrom(1, n+1)
		shares, before := Bins(s, s)
		sum := 0.0
		for i, share := range shares {
			sum += before[i]
			if math.Abs(share-before[i]) > 0.01 {
				t.Errorf("%d values: bin %d holds %.3f today and %.3f before", n, i, share, before[i])
			}
		}
		if math.Abs(sum-1) > 0.01 {
			t.Errorf("%d values: the baseline's bins add up to %.3f", n, sum)
		}
	}
}

func TestBinsLeaveOutWhatTheBaselineHadElsewhere(t *testing.T) {
	_, before := Bins(numbersFrom(500, 1000), numbersFrom(0, 1000))
	sum := 0.0
	for _, share := range before {
		sum += share
	}
	if math.Abs(sum-0.5) > 0.01 {
		t.Errorf("half of the baseline lies in today's range, but %.3f is drawn", sum)
	}
}

func TestBinsOfTexts(t *testing.T) {
	texts := func(values ...string) *Summary {
		c := NewColumn(Text)
		for _, v := range values {
			c.Text([]byte(v))
		}
		s := c.Summary("t")
		return &s
	}
	shares, before := Bins(texts("a", "a", "a", "b"), texts("b", "c"))
	if len(shares) != 2 || shares[0] != 0.75 || shares[1] != 0.25 || before[0] != 0 || before[1] != 0.5 {
		t.Errorf("today %v, before %v", shares, before)
	}
}

func TestBinsOfNothing(t *testing.T) {
	empty := NewColumn(Number).Summary("n")
	for _, s := range []*Summary{nil, &empty} {
		if shares, before := Bins(s, nil); shares != nil || before != nil {
			t.Errorf("bins of nothing are %v and %v", shares, before)
		}
	}
}
