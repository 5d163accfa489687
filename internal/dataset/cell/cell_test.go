package cell

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/dataset/contract"
)

// Every number that is read is the one that strconv reads.
func TestParseFloatEqualsStrconv(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	check := func(s string) {
		want, err := strconv.ParseFloat(s, 64)
		got, ok := ParseFloat([]byte(s))
		if err != nil && !strings.Contains(err.Error(), "range") {
			t.Fatalf("%q: strconv says %v", s, err)
		}
		if !ok || math.Float64bits(got) != math.Float64bits(want) {
			t.Errorf("%q: %v, %v, want %v", s, got, ok, want)
		}
	}
	for range 50_000 {
		v := math.Float64frombits(random.Uint64())
		if math.IsNaN(v) || math.IsInf(v, 0) {
			continue
		}
		check(strconv.FormatFloat(v, 'g', -1, 64))
		check(strconv.FormatFloat(random.NormFloat64()*1000, 'f', random.IntN(20), 64))
		check(strconv.FormatFloat(random.NormFloat64(), 'e', random.IntN(20), 64))
		check(fmt.Sprint(random.Int64()))
	}
	for _, s := range []string{"-0", "9007199254740993", "9007199254740992.5", "0.00000000000000001", "1e400", "-1e400", "1e-400"} {
		check(s)
	}
}

func FuzzParseFloat(f *testing.F) {
	for _, s := range []string{"", "-", ".", "1.5", "-.5e-7", "nan", "1_0", " 7 ", "99999999999999999"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, ok := ParseFloat([]byte(s))
		want, err := strconv.ParseFloat(strings.TrimFunc(s, func(r rune) bool { return len(trim([]byte(string(r)))) == 0 }), 64)
		plain := strings.Trim(s, "0123456789+-.eE \t\r\n") == ""
		if plain && ok != (err == nil || strings.Contains(err.Error(), "range")) {
			t.Fatalf("%q: accepted %v, strconv says %v", s, ok, err)
		}
		if ok && err == nil && got != want && !math.IsNaN(want) {
			t.Fatalf("%q: %v, want %v", s, got, want)
		}
	})
}

// Two cells are the same key exactly if they hold the same value.
func TestKeys(t *testing.T) {
	european := field(contract.TypeNumber, "")
	european.DecimalChar, european.GroupChar = ',', '.'
	tests := []struct {
		name            string
		field           contract.Field
		same, different []string
	}{
		{
			"numbers", field(contract.TypeNumber, ""),
			[]string{"1", "1.0", "+1", "01", "10e-1", "0.1E1", " 1 "},
			[]string{"-1", "1.0000000000000000000001", "10", "0.1", "0", "nan", "inf", "-inf", "1e400", "1e401"},
		},
		{"zeros", field(contract.TypeNumber, ""), []string{"0", "-0", "0.000", "0e9", ".0"}, []string{"1e-400", "-1"}},
		{"beyond float64", field(contract.TypeInteger, ""), []string{"9007199254740993", "+9007199254740993"}, []string{"9007199254740992"}},
		{"european", european, []string{"1.234,5", "1234,50"}, []string{"1,2345"}},
		{"booleans", field(contract.TypeBoolean, ""), []string{"true", "1", "TRUE"}, []string{"0"}},
		{
			"instants", field(contract.TypeDatetime, ""),
			[]string{"2018-01-01T00:00:00Z", "2018-01-01T01:00:00+01:00", "2017-12-31T24:00:00Z", "2018-01-01T00:00:00.000-00"},
			[]string{"2018-01-01T00:00:00", "2018-01-01T00:00:00.000000001Z", "2018-01-01T00:00:01Z"},
		},
		{
			"patterns", field(contract.TypeDatetime, "%d/%m/%Y %H:%M"),
			[]string{"1/2/2018 0:15", "01/02/2018 00:15"},
			[]string{"2/1/2018 0:15"},
		},
		{"dates", field(contract.TypeDate, ""), []string{"2018-01-01"}, []string{"2018-01-02"}},
		{"texts", field(contract.TypeString, ""), []string{"a"}, []string{"A", "a ", ""}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := compile(t, test.field)
			key := func(s string) string {
				if !p.Valid([]byte(s)) {
					t.Fatalf("%q is not valid", s)
				}
				return string(p.AppendKey(nil, []byte(s)))
			}
			seen := map[string]string{key(test.same[0]): test.same[0]}
			for _, s := range test.same[1:] {
				if key(s) != key(test.same[0]) {
					t.Errorf("%q has key %q, %q has %q", s, key(s), test.same[0], key(test.same[0]))
				}
			}
			for _, s := range test.different {
				if other, ok := seen[key(s)]; ok {
					t.Errorf("%q has the key of %q", s, other)
				}
				seen[key(s)] = s
			}
		})
	}
}

func TestCompareIsExact(t *testing.T) {
	p := compile(t, field(contract.TypeNumber, ""))
	ascending := []string{
		"-inf", "-1e401", "-1e400", "-12345678901234567891", "-12345678901234567890", "-0.10", "-0.1000000000000000000", "0", "0.1",
		"0.10000000000000000001", "9007199254740992", "9007199254740993", "1e400", "2e400", "inf",
	}
	for i, a := range ascending {
		for j, b := range ascending {
			want := min(max(i-j, -1), 1)
			if strings.HasPrefix(a, "-0.1") && strings.HasPrefix(b, "-0.1") {
				want = 0
			}
			if got, ok := p.Compare([]byte(a), []byte(b)); !ok || got != want {
				t.Errorf("%s against %s: %d, want %d", a, b, got, want)
			}
		}
	}
	if _, ok := p.Compare([]byte("nan"), []byte("1")); ok {
		t.Error("nan compares with 1")
	}
}

// Every day of the calendar is the one that package time knows.
func TestDays(t *testing.T) {
	p := compile(t, field(contract.TypeDate, ""))
	for d := time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC); d.Year() < 10_000; d = d.AddDate(0, 0, 1) {
		if got, ok := p.Time([]byte(d.Format(time.DateOnly))); !ok || got != d.UnixMicro() {
			t.Fatalf("%s: %d, %v, want %d", d.Format(time.DateOnly), got, ok, d.UnixMicro())
		}
	}
}

func TestTimes(t *testing.T) {
	tests := []struct {
		typ          contract.Type
		format, cell string
		want         string // RFC 3339
	}{
		{contract.TypeDatetime, "", "2018-03-25T01:30:00.5+01:00", "2018-03-25T00:30:00.5Z"},
		{contract.TypeDatetime, "", "2018-12-31T24:00:00", "2019-01-01T00:00:00Z"},
		{contract.TypeDatetime, "%Y-%m-%dT%H:%M%z", "2025-01-06T00:00+01:00", "2025-01-05T23:00:00Z"},
		{contract.TypeDatetime, "%Y-%m-%dT%H:%M%z", "2025-01-06T00:00-01:00:30.5", "2025-01-06T01:00:30.5Z"},
		{contract.TypeDatetime, "%d/%m/%Y %H:%M", "1/2/2018 0:15", "2018-02-01T00:15:00Z"},
		{contract.TypeDatetime, "%Y%m%d%H%M%S", "201811102030", "2018-11-10T20:03:00Z"},
		{contract.TypeDatetime, "%I %p, %d %B %y", "12 am, 3 MARCH 69", "1969-03-03T00:00:00Z"},
		{contract.TypeDate, "%Y-%j", "2019-366", "2020-01-01T00:00:00Z"},
		{contract.TypeDate, "%m/%Y", "3/2018", "2018-03-01T00:00:00Z"},
		{contract.TypeTime, "", "24:00:00", "1970-01-01T00:00:00Z"},
		{contract.TypeTime, "%H.%M", "7.5", "1970-01-01T07:05:00Z"},
		{contract.TypeYearMonth, "", "2018-02", "2018-02-01T00:00:00Z"},
	}
	for _, test := range tests {
		want, err := time.Parse(time.RFC3339, test.want)
		if err != nil {
			t.Fatal(err)
		}
		p := compile(t, field(test.typ, test.format))
		if got, ok := p.Time([]byte(test.cell)); !ok || got != want.UnixMicro() {
			t.Errorf("%q as %q: %v, %v, want %s", test.cell, test.format, time.UnixMicro(got).UTC(), ok, test.want)
		}
	}
}

func TestRefusedFormats(t *testing.T) {
	for format, want := range map[string]string{
		"any": "can't be judged", "%Y-%W": "unknown directive %W", "%d %d": "twice", "%Y%": "single %",
	} {
		if _, err := Compile(field(contract.TypeDate, format), nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", format, err)
		}
	}
}

func TestMissing(t *testing.T) {
	p, err := Compile(field(contract.TypeString, ""), []string{"", "NA", strings.Repeat("-", 80)})
	if err != nil {
		t.Fatal(err)
	}
	for cell, want := range map[string]bool{
		"": true, "NA": true, "na": false, "NB": false, " ": false, strings.Repeat("-", 80): true, strings.Repeat("-", 81): false,
	} {
		if p.Missing([]byte(cell)) != want {
			t.Errorf("%q: not %v", cell, want)
		}
	}
}

func TestElements(t *testing.T) {
	for cell, want := range map[string]int{"": 0, "Zähler": 6, "日本": 2} {
		if got := compile(t, field(contract.TypeString, "")).Elements([]byte(cell)); got != want {
			t.Errorf("%q: %d", cell, got)
		}
	}
	if got := compile(t, field(contract.TypeArray, "")).Elements([]byte("[1, [2, 3]]")); got != 2 {
		t.Errorf("array of %d", got)
	}
}

// A file has many millions of cells: none of them may cost an allocation.
func TestNoAllocation(t *testing.T) {
	european := field(contract.TypeNumber, "")
	european.DecimalChar, european.GroupChar = ',', '.'
	for cell, f := range map[string]contract.Field{
		"12.345": field(contract.TypeNumber, ""), "1.2345678901234567890e5": field(contract.TypeNumber, ""),
		"1.234,5": european, "-17": field(contract.TypeInteger, ""), "2018": field(contract.TypeYear, ""),
		"2018-01-01T00:00:00Z": field(contract.TypeDatetime, ""), "2018111": field(contract.TypeDate, "%Y%m%d"),
		"1 January 2018": field(contract.TypeDate, "%d %B %Y"), "P1DT2H": field(contract.TypeDuration, ""),
		"TRUE": field(contract.TypeBoolean, ""),
	} {
		p, b, key := compile(t, f), []byte(cell), make([]byte, 0, 100)
		if n := testing.AllocsPerRun(100, func() {
			if !p.Valid(b) {
				t.Fatalf("%q is not valid", cell)
			}
			key = p.AppendKey(key[:0], b)
		}); n != 0 {
			t.Errorf("%q: %v allocations", cell, n)
		}
	}
}

func BenchmarkCell(b *testing.B) {
	for _, bench := range []struct {
		name string
		f    contract.Field
		cell string
	}{
		{"number", field(contract.TypeNumber, ""), "226.514"},
		{"longnumber", field(contract.TypeNumber, ""), "226.51432109876543"},
		{"integer", field(contract.TypeInteger, ""), "86400"},
		{"datetime", field(contract.TypeDatetime, ""), "2018-01-01T00:00:00Z"},
		{"pattern", field(contract.TypeDatetime, "%Y-%m-%dT%H:%M%z"), "2025-01-06T00:00+01:00"},
		{"unpadded", field(contract.TypeDatetime, "%d/%m/%Y %H:%M"), "1/1/2018 0:15"},
	} {
		b.Run(bench.name, func(b *testing.B) {
			p, cell := compile(b, bench.f), []byte(bench.cell)
			for b.Loop() {
				if !p.Valid(cell) {
					b.Fatal("not valid")
				}
			}
		})
	}
}

// A column that is read at once has the values of its cells read one by one, wherever they stand.
func TestFloatsOfAColumn(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	const letters = "0123456789012345678901234567890123456789.-+e x/:"
	cells := []string{"-", ".", "-.", "", "1.", ".5", "-.5", "-0", "00000000", "-1234567", "1234.678", "99999999", "9999999.", "1.2.3", "--1", "1-", "-9999", "NA", "/", ":"}
	for range 200_000 {
		b := make([]byte, random.IntN(11))
		for i := range b {
			b[i] = letters[random.IntN(len(letters))]
		}
		cells = append(cells, string(b))
	}
	for range 200_000 {
		cells = append(cells, strconv.FormatFloat(random.NormFloat64()*1000, 'f', random.IntN(6), 64))
	}
	c := Column{Step: 1, Data: []byte("id\n")}
	for _, cell := range cells {
		c.Start = append(c.Start, uint32(len(c.Data)))
		c.Data = append(c.Data, cell...)
		c.End = append(c.End, uint32(len(c.Data)))
		c.Data = append(c.Data, ',')
	}
	for _, missing := range [][]string{{""}, {"NA"}, {"99999999"}} {
		for _, typ := range []contract.Type{contract.TypeNumber, contract.TypeInteger, contract.TypeYear, contract.TypeBoolean} {
			p, err := Compile(field(typ, ""), missing)
			if err != nil {
				t.Fatal(err)
			}
			numbers, state := make([]float64, len(cells)), make([]uint8, len(cells))
			odd := p.Floats(&c, numbers, state)
			for i, cell := range cells {
				want, wantState := math.NaN(), uint8(Missing)
				if !p.Missing([]byte(cell)) {
					var ok bool
					if want, ok = p.Float([]byte(cell)); ok {
						wantState = Present
					} else {
						want, wantState = math.NaN(), Wrong
					}
				}
				if wantState != Present {
					odd--
				}
				if state[i] != wantState || math.Float64bits(numbers[i]) != math.Float64bits(want) {
					t.Fatalf("%s %q: %v, state %d, want %v, %d", typ, cell, numbers[i], state[i], want, wantState)
				}
			}
			if odd != 0 {
				t.Errorf("%d more are odd than were told", odd)
			}
		}
	}
}

// The cells differ from round to round, since a processor learns a thousand of them by heart.
func BenchmarkFloats(b *testing.B) {
	const rows, rounds = 1024, 128
	random := rand.New(rand.NewPCG(3, 4))
	c := Column{Step: 1, Data: []byte("12345678")}
	for range rows * rounds {
		c.Start = append(c.Start, uint32(len(c.Data)))
		c.Data = strconv.AppendFloat(c.Data, random.NormFloat64()*100, 'f', 1+random.IntN(3), 64)
		c.End = append(c.End, uint32(len(c.Data)))
		c.Data = append(c.Data, ',')
	}
	p := compile(b, field(contract.TypeNumber, ""))
	numbers, state := make([]float64, rows), make([]uint8, rows)
	part := func(i int) *Column {
		from := i % rounds * rows
		return &Column{Data: c.Data, Start: c.Start[from:], End: c.End[from:], Step: 1}
	}
	b.Run("column", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			p.Floats(part(i), numbers, state)
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/rows, "ns/cell")
	})
	b.Run("single", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			c := part(i)
			for i := range numbers {
				numbers[i], _ = ParseFloat(c.Cell(i))
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/rows, "ns/cell")
	})
}
