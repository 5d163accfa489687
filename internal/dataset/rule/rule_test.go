package rule_test

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/dataset/rule"
)

var (
	nan    = math.NaN()
	fields = []rule.Field{
		{"a", rule.Number},
		{"b", rule.Number},
		{"load_kw", rule.Number},
		{"status", rule.Text},
		{"odd. name`", rule.Number},
		{"holiday", rule.Boolean},
		{"start", rule.Time},
		{"finish", rule.Time},
		{"shape", rule.None},
	}
)

// row is one value of each field; nil is missing.
type row []any

func at(t *testing.T, text string) float64 {
	t.Helper()
	when, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return float64(when.Unix())
}

func columns(t *testing.T, rows ...row) []rule.Column {
	t.Helper()
	all := make([]rule.Column, len(fields))
	for _, r := range rows {
		for i, f := range fields {
			c := &all[i]
			var value any
			if i < len(r) {
				value = r[i]
			}
			if f.Kind == rule.Text || f.Kind == rule.None {
				start := uint32(len(c.Data))
				text, ok := value.(string)
				c.Data = append(c.Data, text...)
				end := uint32(len(c.Data))
				if !ok {
					start, end = 1, 0
				}
				c.Start, c.End = append(c.Start, start), append(c.End, end)
				continue
			}
			number := nan
			switch v := value.(type) {
			case int:
				number = float64(v)
			case float64:
				number = v
			case bool:
				number = map[bool]float64{true: 1}[v]
			case string:
				number = at(t, v)
			}
			c.Numbers = append(c.Numbers, number)
		}
	}
	return all
}

func TestOneRow(t *testing.T) {
	full := row{3, -2, 0.5, "ok", 7, true, "2024-01-31T23:30:15Z", "2024-02-01T00:00:00Z", "{}"}
	tests := []struct {
		expression string
		row        row
		want       string
	}{
		{"a = 3", full, "true"},
		{"a == 3.0e0", full, "true"},
		{"a != 3", full, "false"},
		{"a > 2 and b < 0", full, "true"},
		{"a > 3", full, "false"},
		{"a >= 3", full, "true"},
		{"a <= 2.9", full, "false"},
		{"a < b", full, "false"},
		{"a + b * 2 = -1", full, "true"},
		{"(a + b) * 2 = 2", full, "true"},
		{"a - b - 1 = 4", full, "true"},
		{"a / b / 2 = -.75", full, "true"},
		{"-a = -3", full, "true"},
		{"-(a + b) = -1", full, "true"},
		{"0 < a < 4", full, "true"},
		{"0 < a < 3", full, "false"},
		{"4 > a >= 3 > b", full, "true"},
		{"a = 1 or a = 3 and b = 0", full, "false"},
		{"(a = 1 or a = 3) and b = -2", full, "true"},
		{"not a = 3", full, "false"},
		{"not (a = 3 and b = 3)", full, "true"},
		{"a in (1, -2, 3)", full, "true"},
		{"a not in (1, -2, 3)", full, "false"},
		{"b in (-2)", full, "true"},
		{"abs(b) = 2", full, "true"},
		{"min(a, b, load_kw) = b", full, "true"},
		{"max(a, b, load_kw) = a", full, "true"},
		{"round(load_kw) = 1 and floor(load_kw) = 0", full, "true"},
		{"status = 'ok'", full, "true"},
		{`status != "ok"`, full, "false"},
		{"'o' < status and status < 'p'", full, "true"},
		{"status >= 'ok' and status <= 'ok' and not status > 'ok'", full, "true"},
		{"status in ('fault', 'ok')", full, "true"},
		{"status not in ('fault', 'it''s')", full, "true"},
		{"length(status) = 2", full, "true"},
		{"length(status) in (1, 2)", full, "true"},
		{"`odd. name``` = 7", full, "true"},
		{"holiday", full, "true"},
		{"not holiday", full, "false"},
		{"holiday = true", full, "true"},
		{"holiday != (a > 2)", full, "false"},
		{"holiday or false", full, "true"},
		{"holiday = 1 and 0 != holiday", full, "true"},
		{"a - 2 = (b < 0)", full, "true"},
		{"(a < 0) = 1", full, "false"},
		{"(a < 0) = 1", nil, "unknown"},
		{"sqrt(a + 1) = 2", full, "true"},
		{"sqrt(b) >= 0", full, "unknown"},
		{"finish - start = 29 * 60 + 45", full, "true"},
		{"start < finish", full, "true"},
		{"start + 1785 = finish", full, "true"},
		{"start >= '2024-01-31'", full, "true"},
		{"'2024-02-01T00:00:00+01:00' < start", full, "true"},
		{"start in ('2024-01-31T23:30:15', '2024-01-31 23:30:15')", full, "true"},
		{"hour(start) = 23 and minute(start) = 30 and second(start) = 15", full, "true"},
		{"time_of_day(start) = 23.5 * 3600 + 15", full, "true"},
		{"weekday(start) = 2 and weekday(finish) = 3", full, "true"}, // a Wednesday
		{"max(start, finish) = finish", full, "true"},
		{"start > '23:59:59'", full, "true"},
		{"start = '06:30'", row{nil, nil, nil, nil, nil, nil, "1970-01-01T06:30:00Z"}, "true"},
		{"is_missing(a)", full, "false"},
		{"is_missing(shape) or is_missing(status)", full, "false"},

		{"a = 3", nil, "unknown"},
		{"a != 3", nil, "unknown"},
		{"a < 3 or a >= 3", nil, "unknown"},
		{"status = 'ok'", nil, "unknown"},
		{"status in ('ok')", nil, "unknown"},
		{"not holiday", nil, "unknown"},
		{"a in (1)", nil, "unknown"},
		{"max(a, b) = 1", row{1, nil}, "unknown"},
		{"min(a, b) = 1", row{1, nil}, "unknown"},
		{"a = 3 and b = 1", row{nil, 2}, "false"},
		{"a = 3 or b = 1", row{nil, 1}, "true"},
		{"a = 3 and b = 1", row{nil, 1}, "unknown"},
		{"is_missing(a) and is_missing(status) and is_missing(shape) and is_missing(holiday)", nil, "true"},
		{"is_missing(a + b)", row{1, nil}, "true"},
		{"is_missing(a) or a > 0", nil, "true"},
		{"a / b > 0", row{1, 0}, "unknown"},
		{"b != 0 and a / b > 0", row{1, 0}, "false"},
		{"length(status) < 5", nil, "unknown"},
		{"length(status) = 2", row{1, 1, 1, "é€"}, "true"},
		{"status = ''", row{1, 1, 1, ""}, "true"},
		{"round(a) = -3", row{-2.5}, "true"},
		{"weekday(start) = 2", row{nil, nil, nil, nil, nil, nil, "1969-12-31T00:00:00Z"}, "true"},
		{"hour(start) = 23", row{nil, nil, nil, nil, nil, nil, "1969-12-31T23:59:59Z"}, "true"},
	}
	for _, tt := range tests {
		t.Run(tt.expression, func(t *testing.T) {
			r, err := rule.Compile(tt.expression, fields)
			if err != nil {
				t.Fatal(err)
			}
			broken, unknown := r.Evaluator().Broken(columns(t, tt.row), 1, nil)
			got := "true"
			if len(broken) == 1 {
				got = "false"
			} else if unknown == 1 {
				got = "unknown"
			}
			if got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
		})
	}
}

func TestErrors(t *testing.T) {
	tests := []struct{ expression, want string }{
		{"", "column 1: a value is missing, here is the end"},
		{"lod_kw > 1", `column 1: there is no field "lod_kw": did you mean "load_kw"?`},
		{"a > 1 and  statu = 'ok'", `column 12: there is no field "statu": did you mean "status"?`},
		{"é = 1", `column 1: there is no field "é"`},
		{"'é' = statuss", `column 7: there is no field "statuss": did you mean "status"?`},
		{"ab(a) = 1", `column 1: there is no function "ab": did you mean "abs"?`},
		{"abs(a, b) = 1", "column 1: abs takes one value, these are 2"},
		{"max(a) = 1", "column 1: max takes two values or more, these are 1"},
		{"abs(status) = 1", `column 5: "abs" is for a number, this is a text`},
		{"min(status, status) = 1", `column 5: "min" is for numbers or times, this is a text`},
		{"max(a, start) = 1", `column 8: "max" is for a number, this is a time`},
		{"a", "column 1: this is a number, not a condition: compare it with something"},
		{"a + 'x' = 1", `column 5: "+" is for numbers, this is a text`},
		{"a * start = 1", `column 5: "*" is for numbers, this is a time`},
		{"start + finish = 1", "column 7: two times have no sum"},
		{"a = 'x'", "column 5: a number can't be compared with this: it is a text"},
		{"status in ('ok', 1)", "column 18: a text can't be compared with this: it is a number"},
		{"status in (ok)", `column 12: a list holds numbers and texts, not "ok": put a text in quotes`},
		{"start = shape", "column 9: a time can't be compared with this: it is a value of another type"},
		{"start < 'today'", `column 9: "today" is not a time: write it as 2024-01-31`},
		{"holiday < true", `column 9: "<" is not for conditions`},
		{"holiday < 1", `column 9: "<" is not for conditions`},
		{"1 >= holiday", `column 3: ">=" is not for conditions`},
		{"holiday in (1)", "column 13: a condition can't be compared with this: it is a number"},
		{"holiday in (true)", `column 9: "in" is not for conditions`},
		{"shape = 'x'", "column 1: a field of this type can't be compared"},
		{"a and b > 1", `column 1: "and" joins conditions, this is a number`},
		{"a = 1 = 1", "column 7: only <, <=, > and >= can be chained"},
		{"a = b < 1", "column 7: only <, <=, > and >= can be chained"},
		{"a < 1 b", `column 7: "b" is one too many: join conditions with and, or`},
		{"(a < 1", `column 7: ")" is missing for the bracket in column 1, here is the end`},
		{"'x' in ('x')", "column 1: a field stands before in, not a text"},
		{"a in 1", `column 6: "(" is missing behind in, here is "1"`},
		{"a < ", "column 5: a value is missing, here is the end"},
		{"a < and", `column 5: a value is missing, here is "and"`},
		{"a < 12kw", `column 5: "12kw" is not a number`},
		{"a < 1e999", `column 5: "1e999" is not a number, or too large for one`},
		{"a < 0x10", `column 5: "0x10" is not a number`},
		{"status = 'ok", "column 10: the quote ' is not closed"},
		{"a.b = 1", `column 2: ".b" is one too many`},
		{"a % 2 = 0", `column 3: '%' is not known: names with such characters go in backquotes`},
		{"1 < 2", "column 1: it reads no field"},
		{"a < \xff", "column 1: it is not valid UTF-8"},
		{strings.Repeat("(", 200), "nested deeper than 100 levels"},
		{strings.Repeat(" ", 5000), "longer than 4096 bytes"},
	}
	for _, tt := range tests {
		_, err := rule.Compile(tt.expression, fields)
		var located *rule.Error
		if !errors.As(err, &located) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%.60s: %v, want %s", tt.expression, err, tt.want)
		}
	}
}

func TestManyRows(t *testing.T) {
	const rows = 3000
	c := make([]rule.Column, len(fields))
	var want []int32
	missing := 0
	for i := range rows {
		a := float64(i % 7)
		switch {
		case i%11 == 0:
			a = nan
			missing++
		case a*2 > 9:
			want = append(want, int32(i))
		}
		c[0].Numbers = append(c[0].Numbers, a)
	}
	r, err := rule.Compile("a * 2 <= 9", fields)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(r.Fields(), []int{0}) {
		t.Errorf("it reads %v", r.Fields())
	}
	e := r.Evaluator()
	got, unknown := e.Broken(c, rows, make([]int32, 0, rows))
	if !slices.Equal(got, want) || unknown != missing {
		t.Errorf("%d broken and %d unknown, want %d and %d", len(got), unknown, len(want), missing)
	}
	if n := testing.AllocsPerRun(10, func() { e.Broken(c, rows, got[:0]) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzCompile(f *testing.F) {
	for _, s := range []string{
		"a <= b * 1.5", "status in ('ok', \"x\")", "0 < `odd. name``` < 3 or not holiday", "is_missing(min(a, -b)) = true",
		"start - '2024-01-01' > 1", "weekday(start) not in (6, 7)", "length(status) >= 2 and shape = 1",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, expression string) {
		r, err := rule.Compile(expression, fields)
		var located *rule.Error
		if err != nil {
			if !errors.As(err, &located) || located.Column < 1 || located.Column > len(expression)+1 {
				t.Fatalf("%v", err)
			}
			return
		}
		c := columns(t, row{1, 2, 3, "ok", 4, true, "2024-01-31T23:30:15Z", "2024-01-31T23:30:15Z", "x"}, nil)
		broken, unknown := r.Evaluator().Broken(c, 2, nil)
		if len(broken)+unknown > 2 {
			t.Fatalf("%d rows are broken and %d unknown, of 2", len(broken), unknown)
		}
	})
}

func benchmark(b *testing.B, expression string) {
	const rows = 8192
	c := make([]rule.Column, len(fields))
	words := []string{"ok", "fault", "estimated"}
	for i := range rows {
		c[0].Numbers = append(c[0].Numbers, float64(i*7919%1000))
		c[1].Numbers = append(c[1].Numbers, float64(i*104729%1000)+800)
		start := uint32(len(c[3].Data))
		c[3].Data = append(c[3].Data, words[i*7919%3]...)
		c[3].Start, c[3].End = append(c[3].Start, start), append(c[3].End, uint32(len(c[3].Data)))
	}
	r, err := rule.Compile(expression, fields)
	if err != nil {
		b.Fatal(err)
	}
	e := r.Evaluator()
	broken := make([]int32, 0, rows)
	for b.Loop() {
		e.Broken(c, rows, broken)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/rows, "ns/row")
}

func BenchmarkProduct(b *testing.B) { benchmark(b, "a <= b * 1.5") }
func BenchmarkTexts(b *testing.B)   { benchmark(b, "status in ('ok', 'fault', 'estimated')") }
func BenchmarkBoth(b *testing.B)    { benchmark(b, "a <= b * 1.5 or status = 'fault'") }
