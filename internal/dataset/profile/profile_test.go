package profile

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
)

func numbersOf(kind Kind, values ...float64) *Column {
	c := NewColumn(kind)
	c.Floats(values)
	return c
}

func textsOf(values ...string) *Column {
	c := NewColumn(Text)
	for _, v := range values {
		c.Text([]byte(v))
	}
	return c
}

// kinds of numbers that columns hold, and some that none should.
func generators(r *rand.Rand) map[string]func() float64 {
	return map[string]func() float64{
		"few":      func() float64 { return float64(r.IntN(50)) / 4 },
		"edge":     func() float64 { return float64(r.IntN(few + r.IntN(3))) },
		"normal":   func() float64 { return 230 + 5*r.NormFloat64() },
		"wide":     func() float64 { return math.Exp(20*r.NormFloat64()) * float64(1-2*r.IntN(2)) },
		"any bits": func() float64 { return math.Float64frombits(r.Uint64()) },
		"zeros":    func() float64 { return max(0, r.NormFloat64()) * float64(r.IntN(2)) },
		"missing": func() float64 {
			return []float64{math.NaN(), math.Inf(1), math.Inf(-1), math.Copysign(0, -1), r.Float64()}[r.IntN(5)]
		},
		"one":       func() float64 { return 50 },
		"subnormal": func() float64 { return float64(r.IntN(5000)) * math.SmallestNonzeroFloat64 },
	}
}

func TestAnySplitIsTheSame(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for name, next := range generators(r) {
		t.Run(name, func(t *testing.T) {
			for range 12 {
				values := make([]float64, r.IntN(6000))
				for i := range values {
					values[i] = next()
				}
				want := numbersOf(Number, values...).Summary("x")
				if !slices.IsSortedFunc(want.full.parts, func(a, b part) int { return cmp.Compare(a.upper, b.upper) }) || want.full.total() != want.finite() {
					t.Fatalf("%d values in parts that do not ascend, or hold %d", want.finite(), want.full.total())
				}
				parts := make([]*Column, 1+r.IntN(5))
				for i := range parts {
					parts[i] = NewColumn(Number)
				}
				for len(values) > 0 {
					n := min(len(values), 1+r.IntN(700))
					parts[r.IntN(len(parts))].Floats(values[:n])
					values = values[n:]
				}
				for _, p := range parts[1:] {
					parts[0].Merge(p)
				}
				if got := parts[0].Summary("x"); !reflect.DeepEqual(got, want) {
					t.Fatalf("split:\n%+v\nwhole:\n%+v", got, want)
				}
			}
		})
	}
}

func TestAnySplitOfTextsIsTheSame(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, distinct := range []int{1, 5, 999, 1000, 1001, 20000} {
		for _, long := range []int{0, 300} {
			words := make([]string, 5000)
			for i := range words {
				words[i] = fmt.Sprint("é", r.IntN(distinct), strings.Repeat("x", r.IntN(long+1)))
			}
			want := textsOf(words...).Summary("x")
			parts := []*Column{textsOf(), textsOf(), textsOf()}
			for _, w := range words {
				parts[r.IntN(3)].Text([]byte(w))
			}
			r.Shuffle(3, func(i, k int) { parts[i], parts[k] = parts[k], parts[i] })
			parts[0].Merge(parts[1])
			parts[0].Merge(parts[2])
			if got := parts[0].Summary("x"); !reflect.DeepEqual(got, want) {
				t.Fatalf("%d distinct: split:\n%+v\nwhole:\n%+v", distinct, got, want)
			}
		}
	}
}

// The numbers are those of numpy:
//
//	i = np.arange(5000); x = np.concatenate([i*7919%5003/7, [0, -1e-3, 1e6]])
//	x.mean(), x.std(ddof=1), np.quantile(x, [.01,.05,.25,.5,.75,.95,.99], method="inverted_cdf")
func TestMoments(t *testing.T) {
	x := []float64{0, -1e-3, 1e6}
	for i := range 5000 {
		x = append(x, float64(i*7919%5003)/7)
	}
	s := numbersOf(Number, x...).Summary("x")
	if s.Count != 5003 || s.Numbers.Min != -1e-3 || s.Numbers.Max != 1e6 {
		t.Errorf("%+v", s)
	}
	if got, want := s.Numbers.Mean, 556.9510862910824; math.Abs(got/want-1) > 1e-14 {
		t.Errorf("mean %v, want %v", got, want)
	}
	if got, want := s.Numbers.Deviation, 14134.353020324796; math.Abs(got/want-1) > 1e-14 {
		t.Errorf("deviation %v, want %v", got, want)
	}
	for i, want := range []float64{6.857142857142857, 35.42857142857143, 178.28571428571428, 357.2857142857143, 536.0, 679.0, 707.5714285714286} {
		if q := s.Numbers.Quantiles[i]; math.Abs(q.Value/want-1) > 0.002 {
			t.Errorf("quantile %v: %v, want %v", q.Share, q.Value, want)
		}
	}
	var n int64
	for _, k := range s.Numbers.Histogram.Counts {
		n += k
	}
	if h := s.Numbers.Histogram; n != 5003 || len(h.Counts) != bins || h.High > 720 {
		t.Errorf("an outlier stretches the picture, or values are lost: %+v", h)
	}
}

func TestExactSums(t *testing.T) {
	tests := []struct {
		name            string
		values          []float64
		mean, deviation float64
	}{
		{"one", []float64{3}, 3, 0},
		{"cancellation", []float64{1e16, 1, -1e16}, 1.0 / 3, 1e16},
		{"far from zero", []float64{1e9 + 1, 1e9 + 2, 1e9 + 3}, 1e9 + 2, 1},
		{"large", []float64{math.MaxFloat64, math.MaxFloat64}, math.MaxFloat64, 0},
		{"too far apart", []float64{math.MaxFloat64, -math.MaxFloat64}, 0, math.MaxFloat64},
		{"powers of two", []float64{1, 2, 4, 8, -1, -2, -4, -8}, 0, math.Sqrt(170.0 / 7)},
	}
	for _, tt := range tests {
		s := numbersOf(Number, tt.values...).Summary("x")
		if s.Numbers.Mean != tt.mean || math.Abs(s.Numbers.Deviation-tt.deviation) > 1e-15*tt.deviation {
			t.Errorf("%s: %v ± %v, want %v ± %v", tt.name, s.Numbers.Mean, s.Numbers.Deviation, tt.mean, tt.deviation)
		}
	}
}

func TestNothing(t *testing.T) {
	for _, c := range []*Column{NewColumn(Number), NewColumn(Text), numbersOf(Number, math.NaN()), numbersOf(Time, math.Inf(1))} {
		c.Null(2)
		s := c.Summary("x")
		if s.Nulls < 2 || s.Numbers != nil || s.Texts != nil || s.Distribution != nil || s.Distinct != 0 {
			t.Errorf("%+v", s)
		}
	}
}

func TestTimes(t *testing.T) {
	var values []float64
	for i := range 5000 {
		values = append(values, 1735689600+900*float64(i)) // 2025-01-01, every quarter of an hour
	}
	s := numbersOf(Time, values...).Summary("t")
	if n := s.Numbers; n.Min != values[0] || n.Max != values[4999] || math.Abs(n.Mean-values[2499]-450) > 1e-3 {
		t.Errorf("%+v", n)
	}
	if middle := s.Numbers.Quantiles[3].Value; math.Abs(middle-values[2500]) > 86400 {
		t.Errorf("the median is %v s off", middle-values[2500])
	}
}

func TestTexts(t *testing.T) {
	c := textsOf("ok", "é€", "", "ok", strings.Repeat("y", 200))
	c.Texts([]byte("okfault"), []uint32{0, 1, 2}, []uint32{2, 0, 7})
	s := c.Summary("status")
	want := []Value{{"ok", 3}, {"", 1}, {"fault", 1}, {strings.Repeat("y", 80) + "…", 1}, {"é€", 1}}
	if s.Count != 7 || s.Nulls != 1 || s.Texts.Shortest != 0 || s.Texts.Longest != 200 || !slices.Equal(s.Texts.Frequent, want) {
		t.Errorf("%+v %+v", s, s.Texts)
	}
	if most, ok := c.Frequent(1); !ok || most[0] != want[0] {
		t.Errorf("%v", most)
	}
}

func TestDistinct(t *testing.T) {
	for _, n := range []int{0, 1, 1000, 1024, 1025, 3000, 20000, 300000} {
		c, w := NewColumn(Number), NewColumn(Text)
		for i := range n {
			c.Float(float64(i) / 100)
			w.Text(fmt.Appendf(nil, "MTR-%06d", i))
		}
		for _, column := range []*Column{c, w} {
			got, exact := column.Distinct()
			if want := int64(n); (exact && got != want) || math.Abs(float64(got-want)) > 0.05*float64(n) || exact != (n <= fewTexts || (n <= few && column == c)) {
				t.Errorf("%d %s: %d, exact %v", n, column.kind, got, exact)
			}
		}
	}
}

func TestBucketsHoldTheirValues(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 100000 {
		v := math.Float64frombits(r.Uint64())
		if v == 0 || math.IsNaN(v) || math.IsInf(v, 0) {
			continue
		}
		lower, upper := bucketOf(v)
		if !(lower < v && v <= upper) {
			t.Fatalf("%v is not in (%v, %v]", v, lower, upper)
		}
		if math.Abs(v) > 1e-15 && math.Abs(v) < 1e15 && upper-lower > math.Abs(v)/1000 {
			t.Fatalf("(%v, %v] is wide for %v", lower, upper, v)
		}
	}
}

// used is the processor time of this process: on a machine that does other things too, it varies less than the clock.
func used(b *testing.B) int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return u.Utime.Nano() + u.Stime.Nano()
}

func TestPictureOfAUsualValue(t *testing.T) {
	h := numbersOf(Number, append(make([]float64, 999), 40)...).Summary("x").Numbers.Histogram
	if h.Low != 0 || h.High != 40 || h.Counts[0] != 999 || h.Counts[bins-1] != 1 {
		t.Errorf("%+v", h)
	}
}

func BenchmarkSummary(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	c := NewColumn(Number)
	for range 200000 {
		c.Float(r.NormFloat64())
	}
	for b.Loop() {
		c.Summary("x")
	}
}

func benchmark(b *testing.B, next func() float64) {
	c, values := NewColumn(Number), make([]float64, 8192)
	for i := range values {
		values[i] = next()
	}
	c.Floats(values)
	before := used(b)
	for b.Loop() {
		c.Floats(values)
	}
	b.ReportMetric(float64(used(b)-before)/float64(b.N)/float64(len(values)), "cpu-ns/value")
}

func BenchmarkNumbers(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	b.Run("few", func(b *testing.B) { benchmark(b, func() float64 { return 50 + float64(r.IntN(40))/100 }) })
	b.Run("thousand", func(b *testing.B) { benchmark(b, func() float64 { return float64(r.IntN(1000)) }) })
	b.Run("voltage", func(b *testing.B) { benchmark(b, func() float64 { return 230 + 5*r.NormFloat64() }) })
	b.Run("uniform", func(b *testing.B) { benchmark(b, r.Float64) })
	b.Run("wide", func(b *testing.B) { benchmark(b, func() float64 { return math.Exp(3 * r.NormFloat64()) }) })
	b.Run("zeros", func(b *testing.B) { benchmark(b, func() float64 { return max(0, r.NormFloat64()) }) })
}

func benchmarkTexts(b *testing.B, format string, distinct, repeat int) {
	r := rand.New(rand.NewPCG(1, 2))
	c := NewColumn(Text)
	var data []byte
	var start, end []uint32
	for i := range 8192 {
		n := i / repeat
		if repeat == 1 {
			n = r.IntN(distinct)
		}
		start = append(start, uint32(len(data)))
		data = fmt.Appendf(data, format, n%distinct)
		end = append(end, uint32(len(data)))
	}
	c.Texts(data, start, end)
	before := used(b)
	for b.Loop() {
		c.Texts(data, start, end)
	}
	b.ReportMetric(float64(used(b)-before)/float64(b.N)/8192, "cpu-ns/value")
}

func BenchmarkTexts(b *testing.B) {
	b.Run("status", func(b *testing.B) { benchmarkTexts(b, "state%d", 3, 1) })
	b.Run("meters", func(b *testing.B) { benchmarkTexts(b, "MTR-%04d", 500, 1) })
	b.Run("sorted", func(b *testing.B) { benchmarkTexts(b, "MTR-%04d", 500, 1000) })
	b.Run("many", func(b *testing.B) { benchmarkTexts(b, "2025-01-06T00:00+%05d", 8000, 1) })
}
