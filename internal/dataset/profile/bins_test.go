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

func sum(shares []float64) float64 {
	total := 0.0
	for _, share := range shares {
		total += share
	}
	return total
}

func TestPictureOfEqualDataIsEqual(t *testing.T) {
	for _, n := range []int{1, 40, 1000, 5000} { // single values, thinned values, buckets
		s := numbersFrom(1, n+1)
		p := NewPicture(s, s)
		for i, share := range p.Shares {
			if math.Abs(share-p.Baseline[i]) > 1e-9 {
				t.Errorf("%d values: bin %d holds %.3f today and %.3f before", n, i, share, p.Baseline[i])
			}
		}
		if math.Abs(sum(p.Shares)-1) > 1e-9 {
			t.Errorf("%d values: the bins add up to %.3f", n, sum(p.Shares))
		}
	}
}

func TestPictureShowsABaselineThatLiesElsewhere(t *testing.T) {
	p := NewPicture(numbersFrom(500, 1000), numbersFrom(0, 500))
	half := len(p.Shares) / 2
	if p.Low > 5 || p.High < 990 || sum(p.Shares[:half-1]) > 0.01 || sum(p.Baseline[half+1:]) > 0.01 {
		t.Errorf("%+v", p)
	}
	if math.Abs(sum(p.Baseline)-1) > 1e-9 {
		t.Errorf("the baseline's bins add up to %.3f", sum(p.Baseline))
	}
}

func TestPictureOfTexts(t *testing.T) {
	texts := func(values ...string) *Summary {
		c := NewColumn(Text)
		for _, v := range values {
			c.Text([]byte(v))
		}
		s := c.Summary("t")
		return &s
	}
	p := NewPicture(texts("a", "a", "a", "b"), texts("b", "c"))
	if len(p.Shares) != 2 || p.Shares[0] != 0.75 || p.Shares[1] != 0.25 || p.Baseline[0] != 0 || p.Baseline[1] != 0.5 {
		t.Errorf("%+v", p)
	}
}

func TestPictureOfNothing(t *testing.T) {
	empty := NewColumn(Number).Summary("n")
	for _, s := range []*Summary{nil, &empty} {
		if p := NewPicture(s, nil); p.Shares != nil || p.Baseline != nil {
			t.Errorf("nothing is drawn as %+v", p)
		}
	}
}
