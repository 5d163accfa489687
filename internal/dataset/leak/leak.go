// Package leak looks for features that give the target of a model away: one that determines it, or two whose product
// or ratio does. A model that is trained on such a feature has learnt to divide, and will be wrong in production, where
// the feature is not known before the target.
//
// How far something determines the target is the larger of two coefficients of determination (R²):
//
//   - of a straight line through the middle: without the rows whose feature or target is among the smallest or largest
//     0.5 %, so that one outlier neither hides a leak nor fakes one. If that is not enough but near, the hundredth of
//     them that is farthest off the line is left out too, since a leak with some broken rows is a leak;
//   - of the ranks (Spearman's, squared), which is 1 for each monotone function, such as a logarithm.
//
// A column of two values is no part of a pair: times a flag, or by it, a feature is itself where the flag is set. Neither
// is a divisor that is zero in half of its rows or more.
//
// It is measured on a sample. Sums and differences of two features, and products of three, are not looked at.
package leak

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode"
)

const (
	least = 30 // rows below which nothing is judged
)

// A Report is what was found in a sample.
type Report struct {
	Rows      int       // that were looked at
	Reason    string    // why nothing was judged; empty if it was
	Leaks     []Leak    // the single features first, the strongest first
	Strongest Leak      // of all expressions, leak or not; by a first look at 512 rows unless it comes near the limit
	Skipped   []Skipped // columns that are no features
}

// A Leak is an expression of one or two features and how far it determines the target.
type Leak struct {
	Expression    string
	Fields        []int // positions of the features
	Determination float64
	Monotone      bool // it is by the ranks: the target is a function of it, but not a straight line
	Rows          int  // where the expression and the target have values
}

// Skipped says why a column is not looked at.
type Skipped struct {
	Field  int
	Reason string
}

// Find looks for leaks of the sample's target, which determine it by the limit (R², 0 to 1) or more. names are those
// of its columns. Features that leak by themselves are not looked at in pairs.
func Find(s *Sample, names []string, limit float64) Report {
	f := &finder{columns: s.columns(), names: names, limit: limit}
	f.target = f.columns[s.target]
	f.report.Rows = len(f.target)
	if f.report.Rows < least {
		f.report.Reason = fmt.Sprintf("%d rows with a target are too few: at least %d are needed", f.report.Rows, least)
		return f.report
	}
	if constant(f.target) {
		f.report.Reason = "the target has one value only, which anything determines"
		return f.report
	}
	f.prepare()
	var features []int
	for i, column := range f.columns {
		switch reason := f.unfit(column); {
		case i == s.target:
		case reason != "":
			f.report.Skipped = append(f.report.Skipped, Skipped{i, reason})
		default:
			leak := f.look(names[i], []int{i}, func(row int) float64 { return column[row] })
			if !f.note(leak) {
				features = append(features, i)
			}
		}
	}
	singles := len(f.report.Leaks)
	f.pairs(features)
	byStrength := func(a, b Leak) int { return cmp.Compare(b.Determination, a.Determination) }
	slices.SortStableFunc(f.report.Leaks[:singles], byStrength)
	slices.SortStableFunc(f.report.Leaks[singles:], byStrength)
	return f.report
}

type finder struct {
	columns [][]float64
	names   []string
	target  []float64
	limit   float64
	report  Report
	judge   judge
	looks   []look
	x, y    []float64 // scratch
}

// A look at an expression takes up to so many rows. One that is farther from determining the target than this is not
// worth the next, longer look.
type look struct {
	rows   int
	far    float64 // 1 - R²
	target *sides  // of the first so many rows
	ranks  []float64
}

// prepare orders the rows so that few of them show how the target varies, even if it is nearly always the same, and
// sorts the target once for each kind of look.
func (f *finder) prepare() {
	first := f.judge.sides(f.target, new([]float64))
	if first.usual >= 0 {
		var usual, others []int
		for row, rank := range first.ranks {
			if rank == first.usual {
				usual = append(usual, row)
			} else {
				others = append(others, row)
			}
		}
		var order []int
		for i, row := range usual {
			if order = append(order, row); i < len(others) {
				order = append(order, others[i])
			}
		}
		for c, column := range f.columns {
			f.columns[c] = make([]float64, len(order))
			for i, row := range order {
				f.columns[c][i] = column[row]
			}
			if &column[0] == &f.target[0] {
				f.target = f.columns[c]
			}
		}
	}
	near := 2 * (1 - f.limit)
	f.looks = []look{{rows: 512, far: max(near, 0.03)}, {rows: 4096, far: max(near, 0.005)}, {rows: len(f.target)}}
	for i := range f.looks {
		l := &f.looks[i]
		l.rows = min(l.rows, len(f.target))
		l.target = f.judge.sides(f.target[:l.rows], &l.ranks)
	}
}

func constant(column []float64) bool {
	return !slices.ContainsFunc(column, func(v float64) bool { return v != column[0] })
}

// unfit says why a column is no feature, or nothing.
func (f *finder) unfit(column []float64) string {
	present, varies, first := 0, false, 0.0
	for _, v := range column {
		if finite(v) {
			if present == 0 {
				first = v
			}
			varies = varies || v != first
			present++
		}
	}
	switch {
	case present < f.enough():
		return fmt.Sprintf("it has %d values in %d rows", present, len(column))
	case !varies:
		return "it has one value only"
	}
	return ""
}

func (f *finder) enough() int { return max(least, len(f.target)/10) }

func finite(v float64) bool { return v-v == 0 } // false for NaN and infinite values

// manifold reports whether a column has more than two values.
func manifold(column []float64) bool {
	var seen []float64
	return slices.ContainsFunc(column, func(v float64) bool {
		if finite(v) && !slices.Contains(seen, v) {
			seen = append(seen, v)
		}
		return len(seen) > 2
	})
}

// divides reports whether most values of a column are not zero.
func divides(column []float64) bool {
	zeros, others := 0, 0
	for _, v := range column {
		switch {
		case v == 0:
			zeros++
		case finite(v):
			others++
		}
	}
	return others > zeros
}

// pairs looks at the product and at both ratios of each two features. If both ratios leak, of which each is a monotone
// function of the other, the better one is told.
func (f *finder) pairs(features []int) {
	features = slices.DeleteFunc(features, func(i int) bool { return !manifold(f.columns[i]) })
	divisor := make([]bool, len(f.columns))
	for _, i := range features {
		divisor[i] = divides(f.columns[i])
	}
	for k, i := range features {
		for _, j := range features[k+1:] {
			a, b := f.columns[i], f.columns[j]
			nameA, nameB := f.names[i], f.names[j]
			f.note(f.look2(nameA, "*", nameB, []int{i, j}, func(row int) float64 { return a[row] * b[row] }))
			var one, other Leak
			if divisor[j] {
				one = f.look2(nameA, "/", nameB, []int{i, j}, func(row int) float64 { return a[row] / b[row] })
			}
			if divisor[i] {
				other = f.look2(nameB, "/", nameA, []int{j, i}, func(row int) float64 { return b[row] / a[row] })
			}
			switch {
			case f.leaks(one) && f.leaks(other) && one.Monotone && !other.Monotone:
				f.note(other)
			case f.leaks(one) && f.leaks(other):
				f.note(one)
			default:
				f.note(one)
				f.note(other)
			}
		}
	}
}

func (f *finder) look2(a, operator, b string, fields []int, value func(row int) float64) Leak {
	l := f.look(a, fields, value)
	if f.leaks(l) || l.Determination > f.report.Strongest.Determination {
		l.Expression = quote(a) + " " + operator + " " + quote(b)
	}
	return l
}

func (f *finder) leaks(l Leak) bool { return l.Determination >= f.limit && l.Rows >= f.enough() }

// note keeps a leak, and the strongest of all.
func (f *finder) note(l Leak) (leaks bool) {
	if l.Determination > f.report.Strongest.Determination {
		f.report.Strongest = l
	}
	if leaks = f.leaks(l); leaks {
		f.report.Leaks = append(f.report.Leaks, l)
	}
	return leaks
}

// look judges an expression by ever more rows, as long as it may be a leak.
func (f *finder) look(name string, fields []int, value func(row int) float64) Leak {
	l := Leak{Expression: quote(name), Fields: fields}
	for _, look := range f.looks {
		rows, whole := f.gather(value, look.rows)
		if rows < least {
			return Leak{}
		}
		of := look.target
		if !whole {
			of = nil
		}
		linear, monotone := f.judge.measure(f.x, f.y, of, f.limit)
		l.Determination, l.Monotone, l.Rows = max(linear, monotone), linear < min(monotone, f.limit), rows
		if 1-l.Determination > look.far {
			break
		}
	}
	return l
}

// gather fills x and y with up to most rows in which the expression has a value, and says how many they are and
// whether they are the first ones.
func (f *finder) gather(value func(row int) float64, most int) (rows int, first bool) {
	f.x, f.y = f.x[:0], f.y[:0]
	for row, t := range f.target {
		if v := value(row); finite(v) && finite(t) {
			f.x, f.y = append(f.x, v), append(f.y, t)
			if len(f.x) == most {
				return most, row == most-1
			}
		}
	}
	return len(f.x), false
}

// quote writes a name as a rule would.
func quote(name string) string {
	for i, c := range name {
		if c != '_' && !unicode.IsLetter(c) && (i == 0 || !unicode.IsDigit(c)) {
			return "`" + strings.ReplaceAll(name, "`", "``") + "`"
		}
	}
	return name
}

// String is the leak for a person: units / load_kw (R² 0.99997).
func (l Leak) String() string {
	how := "R²"
	if l.Monotone {
		how = "R² of ranks"
	}
	return fmt.Sprintf("%s (%s %.5f)", l.Expression, how, math.Floor(l.Determination*1e5)/1e5)
}
