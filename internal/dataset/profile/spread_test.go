package profile

import (
	"math"
	"slices"
	"testing"
)

func TestSpread(t *testing.T) {
	uniform := func(from, upto float64) *Summary {
		s := numbersOf(Number, series(4000, func(i float64) float64 { return from + (upto-from)*i/3999 })...).Summary("x")
		return &s
	}
	sum := func(shares []float64) float64 {
		n := 0.0
		for _, s := range shares {
			n += s
		}
		return n
	}
	one := numbersOf(Number, 5, 5).Summary("x")
	wild := numbersOf(Number, -math.MaxFloat64, math.MaxFloat64).Summary("x")
	for name, pair := range map[string][2]*Summary{
		"apart": {uniform(0, 1), uniform(3, 4)}, "same": {uniform(0, 1), uniform(0, 1)}, "one": {&one, uniform(0, 10)},
		"only one": {&one, &one}, "wild": {&wild, uniform(0, 1)},
	} {
		s := NewSpread(pair[0], pair[1])
		if len(s.Today) != bins || len(s.Baseline) != bins || math.Abs(sum(s.Today)-1) > 1e-9 || math.Abs(sum(s.Baseline)-1) > 1e-9 {
			t.Errorf("%s: %+v", name, s)
		}
	}
	if s := NewSpread(uniform(0, 1), uniform(3, 4)); s.Low != 0 || s.High != 4 || s.Today[12] != 0 || s.Baseline[25] != 0 || math.Abs(s.Today[3]-0.1) > 0.01 {
		t.Errorf("%+v", s)
	}
	if s := NewSpread(uniform(0, 1), nil); s.Baseline != nil {
		t.Errorf("%+v", s)
	}
	empty := NewColumn(Number).Summary("x")
	if NewSpread(&empty, uniform(0, 1)) != nil || len(NewSpread(uniform(0, 1), &empty).Today) != bins {
		t.Error("a column without values")
	}
}

func TestSpreadOfTexts(t *testing.T) {
	before, now := textsOf("a", "a", "a", "b").Summary("x"), textsOf("c", "a").Summary("x")
	s := NewSpread(&now, &before)
	if !slices.Equal(s.Names, []string{"a", "b", "c"}) || !slices.Equal(s.Today, []float64{0.5, 0, 0.5}) || !slices.Equal(s.Baseline, []float64{0.75, 0.25, 0}) {
		t.Errorf("%+v", s)
	}
}
