package statistics

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"golang.org/x/perf/benchmath"
)

func TestMedian(t *testing.T) {
	for _, tt := range []struct {
		values []float64
		want   float64
	}{{[]float64{3}, 3}, {[]float64{3, 1, 2}, 2}, {[]float64{4, 1, 2, 3}, 2.5}} {
		if got := Median(tt.values); got != tt.want {
			t.Errorf("Median(%v) = %v, want %v", tt.values, got, tt.want)
		}
	}
	if !math.IsNaN(Median(nil)) {
		t.Error("the median of nothing is a number")
	}
	if got := Quantile([]float64{1, 2, 3, 4, 5}, 0.9); math.Abs(got-4.6) > 1e-12 {
		t.Errorf("the 90th percentile is %v", got)
	}
}

// The band is the one that golang.org/x/perf/benchmath gives benchstat, but for one rank: that one may leave more on one
// side than on the other.
func TestBandAgreesWithBenchmath(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for n := 1; n <= 60; n++ {
		values := make([]float64, n)
		for i := range values {
			values[i] = math.Exp(random.NormFloat64())
		}
		slices.Sort(values)
		want := benchmath.AssumeNothing.Summary(benchmath.NewSample(values, &benchmath.DefaultThresholds), Confidence)
		low, high, ok := Band(values)
		if ok != (n >= 6) {
			t.Errorf("%d values: ok is %v", n, ok)
		}
		apart := func(a, b float64) int {
			return max(slices.Index(values, a)-slices.Index(values, b), slices.Index(values, b)-slices.Index(values, a))
		}
		if ok && (apart(low, want.Lo) > 1 || apart(high, want.Hi) > 1) {
			t.Errorf("%d values: [%v, %v], and benchmath says [%v, %v]", n, low, high, want.Lo, want.Hi)
		}
	}
}

// The median is within the band as often as is promised, also of what is far from normal.
func TestBandCovers(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	const trials = 20_000
	for _, n := range []int{6, 10, 20} {
		covered := 0
		for range trials {
			values := make([]float64, n)
			for i := range values {
				values[i] = random.ExpFloat64()
			}
			if low, high, _ := Band(values); low <= math.Ln2 && math.Ln2 <= high {
				covered++
			}
		}
		if share := float64(covered) / trials; share < Confidence-0.005 {
			t.Errorf("%d values: the band covers the median in %.3f of the trials", n, share)
		}
	}
}

func TestSignTest(t *testing.T) {
	for _, tt := range []struct {
		over, n int
		want    float64
	}{{0, 10, 1}, {5, 5, 1.0 / 32}, {9, 10, 11.0 / 1024}, {8, 10, 56.0 / 1024}, {10, 10, 1.0 / 1024}, {0, 0, 1}} {
		if got := SignTest(tt.over, tt.n); math.Abs(got-tt.want) > 1e-9 {
			t.Errorf("SignTest(%d, %d) = %v, want %v", tt.over, tt.n, got, tt.want)
		}
	}
}

func TestWilson(t *testing.T) {
	// The first from Newcombe, Statistics in Medicine 17 (1998), table I: 81 of 263.
	low, high := Wilson(81, 263)
	if math.Abs(low-0.2553) > 5e-5 || math.Abs(high-0.3662) > 5e-5 {
		t.Errorf("[%.4f, %.4f]", low, high)
	}
	if low, high := Wilson(0, 0); low != 0 || high != 1 {
		t.Errorf("of nothing: [%v, %v]", low, high)
	}
	if low, high := Wilson(20, 20); high != 1 || low < 0.8 || low > 0.85 {
		t.Errorf("of all: [%v, %v]", low, high)
	}
}
