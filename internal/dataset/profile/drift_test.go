package profile

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
)

func series(n int, f func(i float64) float64) []float64 {
	all := make([]float64, n)
	for i := range all {
		all[i] = f(float64(i))
	}
	return all
}

// shuffled gives the whole numbers below 5003 in another order, without three of them.
func shuffled(i float64) float64 { return math.Mod(i*7919, 5003) }

// The expected numbers are those of numpy 2.4.6 and scipy 1.17.1, with i = np.arange(5000):
//
//	edges = np.unique(np.quantile(before, np.arange(1, 10) / 10, method="inverted_cdf"))
//	e = np.bincount(np.searchsorted(edges, before, side="left"), minlength=len(edges) + 1) / len(before)
//	a = np.bincount(np.searchsorted(edges, now, side="left"), minlength=len(edges) + 1) / len(now)
//	e, a = np.maximum(e, 1e-4), np.maximum(a, 1e-4)
//	psi = np.sum((a - e) * np.log(a / e))
//	ks = scipy.stats.ks_2samp(before, now).statistic
//
// "ends and middle" and "three values" have each value as a bin.
func TestAgainstScipy(t *testing.T) {
	tests := []struct {
		name        string
		before, now func(i float64) float64
		psi, ks     float64
		exact       bool
	}{
		{"few", func(i float64) float64 { return math.Mod(i*7919, 97) }, func(i float64) float64 { return math.Mod(i*i, 97) }, 0.07293294280129302, 0.062, true},
		{"many", func(i float64) float64 { return shuffled(i) / 7 }, func(i float64) float64 { return (shuffled(i)*0.9 + 100) / 7 }, 0.12781497066549322, 0.0802, false},
		{"many, and few today", func(i float64) float64 { return shuffled(i) / 7 }, func(i float64) float64 { return math.Floor(shuffled(i)/7/5) * 5 }, 0.001058192187664611, 0.0068, false},
		{"few, and many today", func(i float64) float64 { return math.Floor(shuffled(i)/7/50) * 50 }, func(i float64) float64 { return shuffled(i) / 7 }, 0.0880554421164097, 0.0698, false},
		{"mostly zero", func(i float64) float64 { return when(math.Mod(i, 10) < 8, 0, i) }, func(i float64) float64 { return when(math.Mod(i, 10) < 7, 0, i) }, 0.053899650073268704, 0.1, false},
		{"a tail", func(i float64) float64 { return 1 / (1 + i) }, func(i float64) float64 { return 1.3 / (1 + i) }, 1.4364622681160635, 0.2308, false},
		{"signs", func(i float64) float64 { return shuffled(i)/7 - 300 }, func(i float64) float64 { return shuffled(i)/7 - 290 }, 0.00394591612997383, 0.0142, false},
		{"all elsewhere", func(i float64) float64 { return i / 5000 }, func(i float64) float64 { return 2 + i/5000 }, 8.283089355027482, 1, false},
		{"all below", func(i float64) float64 { return 2 + i/5000 }, func(i float64) float64 { return i / 5000 }, 8.283089355027482, 1, false},
		{"one value inside", func(i float64) float64 { return i / 5000 }, func(float64) float64 { return 0.5 }, 8.283089355027482, 0.5, false},
		{"ends and middle", func(i float64) float64 { return when(math.Mod(i, 100) == 0, 0, 10) }, func(i float64) float64 { return i / 500 }, 16.569589434097526, 0.99, false},
		{"three values", func(i float64) float64 { return math.Mod(i, 3) }, func(i float64) float64 { return math.Mod(i*i, 5) }, 6.09897392152865, 0.4, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before := numbersOf(Number, series(5000, tt.before)...).Summary("x")
			now := numbersOf(Number, series(5000, tt.now)...).Summary("x")
			tolerance := map[bool]float64{true: 1e-12, false: 0.004}[tt.exact]
			for _, where := range []string{"memory", "file"} {
				c := Compare(&now, &before, 0.2, 0.095)
				if got := c.PSI.Value; math.Abs(got-tt.psi) > tolerance*max(1, 5*tt.psi) {
					t.Errorf("%s: PSI %v, want %v", where, got, tt.psi)
				}
				if got := c.KS.Value; math.Abs(got-tt.ks) > tolerance+1e-9 {
					t.Errorf("%s: KS %v, want %v", where, got, tt.ks)
				}
				if c.PSI.Drifted != (tt.psi > 0.2) || c.KS.Drifted != (tt.ks > 0.095) || !c.PSI.Compared || !c.KS.Compared {
					t.Errorf("%s: %+v", where, c)
				}
				before = reread(t, before)
			}
		})
	}
}

func when(b bool, x, y float64) float64 {
	if b {
		return x
	}
	return y
}

// reread is a summary as a file gives it back.
func reread(t *testing.T, s Summary) Summary {
	t.Helper()
	content, err := Baseline{Profile: Profile{Columns: []Summary{s}}}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	b, err := decode(content)
	if err != nil {
		t.Fatal(err)
	}
	return b.Columns[0]
}

func TestSameIsNoDrift(t *testing.T) {
	for name, f := range map[string]func(float64) float64{
		"few": func(i float64) float64 { return math.Mod(i, 7) }, "many": shuffled, "one": func(float64) float64 { return 3 },
		"tail": func(i float64) float64 { return 1 / (1 + i) }, "dense": func(i float64) float64 { return 50 + i/1e6 },
	} {
		s := numbersOf(Number, series(5000, f)...).Summary("x")
		before := reread(t, s)
		if c := Compare(&s, &before, 0.2, 0.1); c.PSI.Value > 1e-12 || c.KS.Value > 1e-12 || !c.PSI.Compared || !c.KS.Compared {
			t.Errorf("%s: %+v", name, c)
		}
	}
}

func TestTextDrift(t *testing.T) {
	repeat := func(counts map[string]int) *Column {
		c := NewColumn(Text)
		for text, n := range counts {
			for range n {
				c.Text([]byte(text))
			}
		}
		return c
	}
	before := repeat(map[string]int{"ok": 980, "estimated": 15, "fault": 5}).Summary("status")
	now := repeat(map[string]int{"ok": 880, "estimated": 15, "fault": 5, "lost": 100}).Summary("status")
	// Bins ok, estimated, fault, others: (.88-.98) ln(.88/.98) + (.1-.0001) ln(.1/.0001) = 0.70085
	want := -0.1*math.Log(0.88/0.98) + 0.0999*math.Log(1000)
	for range 2 {
		c := Compare(&now, &before, 0.2, 0.095)
		if math.Abs(c.PSI.Value-want) > 1e-12 || !c.PSI.Drifted || c.KS.Compared || !strings.Contains(c.KS.Reason, "no order") {
			t.Errorf("%+v, want %v", c, want)
		}
		if c = Compare(&before, &before, 0.2, 0.1); c.PSI.Value > 1e-12 || !c.PSI.Compared {
			t.Errorf("%+v", c)
		}
		before = reread(t, before)
	}
}

func TestNotCompared(t *testing.T) {
	many := numbersOf(Number, series(5000, shuffled)...).Summary("x")
	some := numbersOf(Number, series(150, func(i float64) float64 { return shuffled(i) + 300 })...).Summary("x")
	other := numbersOf(Number, series(150, func(i float64) float64 { return i + 1e6 })...).Summary("x")
	few := numbersOf(Number, series(99, shuffled)...).Summary("x")
	moments := numbersOf(Time, series(5000, shuffled)...).Summary("x")
	words := NewColumn(Text)
	for i := range 2000 {
		words.Text([]byte{byte(i), byte(i >> 8)})
	}
	texts := words.Summary("x")
	tests := []struct {
		name        string
		now, before *Summary
		want        string
	}{
		{"no baseline", &many, nil, "the baseline does not have this column: run mage data:baseline"},
		{"another kind", &many, &texts, "as text, today it is number: run mage data:baseline"},
		{"few today", &few, &many, "99 values are too few to compare with 5000"},
		{"few then", &many, &few, "5000 values are too few to compare with 99 of the baseline: at least 100"},
		{"times", &moments, &moments, "times move on"},
		{"texts", &texts, &texts, "more than 1000 distinct"},
		{"chance", &some, &many, "150 and 5000 values are too few for a limit of 0.1: by chance alone the distance can be 0.16, and it is"},
	}
	for _, tt := range tests {
		c := Compare(tt.now, tt.before, 0.05, 0.1)
		if c.KS.Compared || c.KS.Drifted || (!strings.Contains(c.KS.Reason, tt.want) && !strings.Contains(c.PSI.Reason, tt.want)) {
			t.Errorf("%s: %+v", tt.name, c)
		}
	}
	if c := Compare(&other, &many, 0.2, 0.1); !c.PSI.Drifted || !c.KS.Drifted {
		t.Errorf("150 values elsewhere are few, but enough: %+v", c)
	}
	if c := Compare(&many, &many, 0, 0); c.PSI.Compared || c.PSI.Reason != "no limit is set" {
		t.Errorf("%+v", c)
	}
}

// scipy.stats.chi2.isf(0.001, k)
func TestChiSquared(t *testing.T) {
	for k, want := range map[int]float64{2: 13.815510557964274, 9: 27.877164871256575} {
		if got := chiSquared(k); math.Abs(got/want-1) > 0.03 {
			t.Errorf("%d: %v, want %v", k, got, want)
		}
	}
}

func TestSmall(t *testing.T) {
	s := numbersOf(Number, series(100000, func(i float64) float64 { return math.Exp(math.Sin(i)*9) - 20 })...).Summary("x")
	content, err := json.Marshal(s)
	if err != nil || len(content) > 16<<10 {
		t.Errorf("%d bytes for one column, %v", len(content), err)
	}
}
