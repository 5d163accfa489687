package benchmark

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
)

// drawn are medians of processes: noise within a run, and one shift for the whole run.
func drawn(r *rand.Rand, n int, level, noise, shift float64) []float64 {
	level *= math.Exp(shift * r.NormFloat64())
	out := make([]float64, n)
	for i := range out {
		out[i] = level * math.Exp(noise*r.NormFloat64())
	}
	return out
}

// Unchanged code is never called slower, though each run is as noisy as on a shared machine; a change of 30 % is always.
func TestCompareIsStable(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	const runs = 2000
	for _, sizes := range [][2]int{{24, 8}, {15, 5}} {
		alarms, found := 0, 0
		for range runs {
			baseline := drawn(r, sizes[0], 1, 0.03, 0.015)
			if compare(baseline, drawn(r, sizes[1], 1, 0.03, 0.015), 0.001, 0.15).Verdict != verdictSame {
				alarms++
			}
			if compare(baseline, drawn(r, sizes[1], 1.3, 0.03, 0.015), 0.001, 0.15).Verdict == verdictSlower {
				found++
			}
		}
		if alarms > 0 || found < runs*97/100 {
			t.Errorf("with %v repetitions %d of %d unchanged runs raised an alarm, and %d of %d slower ones", sizes, alarms, runs, found, runs)
		}
	}
}

func TestCompare(t *testing.T) {
	level := func(n int, v float64) []float64 {
		out := make([]float64, n)
		for i := range out {
			out[i] = v * (1 + 0.001*float64(i))
		}
		return out
	}
	for _, tc := range []struct {
		name          string
		baseline, now []float64
		want          string
	}{
		{"unchanged", level(30, 1), level(10, 1), verdictSame},
		{"10 % slower, within the margin", level(30, 1), level(10, 1.1), verdictSame},
		{"just beyond the margin, but not significantly", level(30, 1), level(10, 1.16), verdictSame},
		{"20 % slower", level(30, 1), level(10, 1.2), verdictSlower},
		{"30 % slower", level(30, 1), level(10, 1.3), verdictSlower},
		{"30 % slower, in five", level(15, 1), level(5, 1.3), verdictSlower},
		{"30 % faster", level(30, 1), level(10, 0.7), verdictFaster},
		{"one process ten times slower", level(30, 1), append(level(9, 1), 10), verdictSame},
		{"all the same to the last bit, and slower", []float64{1, 1, 1, 1, 1, 1, 1, 1, 1, 1}, []float64{2, 2, 2, 2, 2, 2, 2, 2, 2, 2}, verdictSlower},
		{"too few to tell", level(3, 1), level(3, 2), verdictNotCompared},
		{"none", nil, level(3, 2), verdictNotCompared},
	} {
		c := compare(tc.baseline, tc.now, 0.001, 0.15)
		if c.Verdict != tc.want {
			t.Errorf("%s: %+v, want %s", tc.name, c, tc.want)
		}
		if c.Verdict == verdictNotCompared && !strings.Contains(c.Reason, "can't be significant at 0.001") {
			t.Errorf("%s: %s", tc.name, c.Reason)
		}
	}
}

func TestBestP(t *testing.T) {
	for _, tc := range []struct {
		n, m int
		want float64
	}{{7, 7, 2. / 3432}, {5, 15, 2. / 15504}, {10, 30, 2. / 847660528}, {1, 1, 1}, {0, 9, 1}} {
		if got := bestP(tc.n, tc.m); math.Abs(got/tc.want-1) > 1e-9 {
			t.Errorf("bestP(%d, %d) = %v, want %v", tc.n, tc.m, got, tc.want)
		}
	}
}
