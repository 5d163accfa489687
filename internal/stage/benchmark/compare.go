package benchmark

import (
	"fmt"
	"math"
	"slices"

	"golang.org/x/perf/benchmath"
)

// What a comparison with the baseline can come to.
const (
	verdictSame        = "same"
	verdictSlower      = "slower"
	verdictFaster      = "faster"
	verdictNotCompared = "not compared"
)

// A Comparison is what became of a measure since its baseline.
type Comparison struct {
	Verdict string `json:"verdict"`
	// Reason says why it was not compared; the figures are zero then.
	Reason   string  `json:"reason,omitempty"`
	Baseline float64 `json:"baseline,omitempty"` // median of the medians, in seconds
	Now      float64 `json:"now,omitempty"`
	Change   float64 `json:"change,omitempty"` // 0.3 is 30 % slower
	P        float64 `json:"p,omitempty"`      // that chance alone puts the one beyond the margin of the other
	Sizes    [2]int  `json:"sizes"`            // repetitions: baseline's, now's
}

func notCompared(format string, args ...any) Comparison {
	return Comparison{Verdict: verdictNotCompared, Reason: fmt.Sprintf(format, args...)}
}

// compare tests the medians of independent repetitions, margin being the change that may be. Slower is not "slower
// than the baseline" but "slower than the baseline and the margin on top": the baseline is raised by the margin, and
// the Mann-Whitney test must then still find now's to be higher. So unchanged code has the whole margin between itself
// and a false alarm, however many repetitions there are, while a change well beyond the margin is found with few.
func compare(baseline, now []float64, alpha, margin float64) Comparison {
	if p := bestP(len(baseline), len(now)); p > alpha {
		return notCompared("%d repetitions beside the baseline's %d can't be significant at %v: raise benchmark.processes or benchmark.servers", len(now), len(baseline), alpha)
	}
	c := Comparison{
		Verdict: verdictSame, Baseline: quantile(baseline, 0.5), Now: quantile(now, 0.5), P: 1,
		Sizes: [2]int{len(baseline), len(now)},
	}
	if c.Baseline <= 0 {
		return notCompared("the baseline's median is zero")
	}
	c.Change = c.Now/c.Baseline - 1
	switch {
	case c.Change > margin:
		if c.P = significance(scaled(baseline, 1+margin), now); c.P <= alpha {
			c.Verdict = verdictSlower
		}
	case c.Change < 1/(1+margin)-1:
		if c.P = significance(scaled(baseline, 1/(1+margin)), now); c.P <= alpha {
			c.Verdict = verdictFaster
		}
	}
	return c
}

// significance is the probability that two samples of one distribution differ as much as these.
func significance(a, b []float64) float64 {
	sample := func(values []float64) *benchmath.Sample {
		return benchmath.NewSample(slices.Clone(values), &benchmath.DefaultThresholds) // it sorts in place
	}
	return benchmath.AssumeNothing.Compare(sample(a), sample(b)).P
}

// bestP is the lowest p that samples of these sizes can have: all of one above all of the other.
func bestP(n, m int) float64 {
	if n == 0 || m == 0 {
		return 1
	}
	ways := 1.0
	for i := 1; i <= n; i++ {
		ways *= float64(m+i) / float64(i)
	}
	return math.Min(1, 2/ways)
}

func scaled(values []float64, factor float64) []float64 {
	out := make([]float64, len(values))
	for i, v := range values {
		out[i] = v * factor
	}
	return out
}
