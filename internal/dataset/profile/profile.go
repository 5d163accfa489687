// Package profile says how the values of each column lie, and how far that is from how they once lay.
//
// A worker keeps a Column for each column of its blocks, and Merge puts those of all workers together. What comes out
// is the same, to the last bit, however the rows were split and in whatever order the parts are merged: numbers are
// counted one by one while there are at most 1,024 distinct ones and in a histogram with relative buckets of a
// thousandth from then on, sums are exact, and the estimate of distinct values does not depend on order.
//
// A Profile is what is kept of that: it is part of the data report, and, as a file, the baseline for drift.
package profile

import "math"

// A Kind says how a column's values are accumulated.
type Kind string

// Kinds of columns.
const (
	Number  Kind = "number"
	Boolean Kind = "boolean" // numbers 0 and 1
	Time    Kind = "time"    // numbers: seconds since 1970
	Text    Kind = "text"
)

// origin of times within a histogram, whose buckets are the finer the nearer to zero: 2020-01-01.
const origin = 1577836800

// A Column accumulates the values of one column. It is for one goroutine.
type Column struct {
	kind     Kind
	count    int64 // of values, finite and infinite
	nulls    int64
	infinite int64
	numbers  numbers
	texts    texts
	shifted  []float64 // scratch for times
}

// NewColumn returns an empty one.
func NewColumn(kind Kind) *Column { return &Column{kind: kind} }

// Floats adds values of a column that is not of texts. NaN is a missing value. Infinite values are counted, but are in
// no distribution.
func (c *Column) Floats(values []float64) {
	if c.kind == Time {
		c.shifted = c.shifted[:0]
		for _, v := range values {
			c.shifted = append(c.shifted, v-origin)
		}
		values = c.shifted
	}
	missing, infinite := c.numbers.add(values)
	c.count += int64(len(values)) - missing
	c.nulls += missing
	c.infinite += infinite
}

// Float adds one value; Floats is faster.
func (c *Column) Float(v float64) { c.Floats([]float64{v}) }

// Text adds a value of a column of texts. It does not keep b.
func (c *Column) Text(b []byte) {
	c.count++
	c.texts.add(b)
}

// Texts adds the values data[start[i]:end[i]]; one that starts behind its end is missing.
func (c *Column) Texts(data []byte, start, end []uint32) {
	end = end[:len(start)]
	for i, from := range start {
		if to := end[i]; from <= to {
			c.count++
			c.texts.add(data[from:to])
		} else {
			c.nulls++
		}
	}
}

// Null adds n missing values.
func (c *Column) Null(n int64) { c.nulls += n }

// Merge adds what other has seen, a column of the same kind, which stays as it is.
func (c *Column) Merge(other *Column) {
	c.count += other.count
	c.nulls += other.nulls
	c.infinite += other.infinite
	c.numbers.merge(&other.numbers)
	c.texts.merge(&other.texts)
}

// Count is the number of values that are not missing, and the number of those that are.
func (c *Column) Count() (present, missing int64) { return c.count, c.nulls }

// Distinct is the number of distinct finite values, exact up to 1,024 numbers or 1,000 texts, and beyond them an
// estimate with a standard error of 1.6 %.
func (c *Column) Distinct() (n int64, exact bool) {
	if c.kind == Text {
		return c.texts.distinct()
	}
	return c.numbers.distinct()
}

// Frequent returns up to n of the most frequent texts, the most frequent first; ok is false if there were too many
// distinct ones to count them.
func (c *Column) Frequent(n int) (values []Value, ok bool) {
	if c.kind != Text || c.texts.seen != nil {
		return nil, false
	}
	values = c.texts.values()
	return values[:min(n, len(values))], true
}

// Summary is what a profile keeps of the column.
func (c *Column) Summary(name string) Summary {
	s := Summary{Name: name, Kind: c.kind, Count: c.count, Nulls: c.nulls, Infinite: c.infinite}
	s.Distinct, s.DistinctExact = c.Distinct()
	if c.count == c.infinite {
		return s
	}
	if c.kind == Text {
		c.summarizeTexts(&s)
		return s
	}
	d := c.numbers.distribution()
	finite := c.count - c.infinite
	mean, deviation := c.numbers.moments(finite)
	low, high := c.numbers.low, c.numbers.high
	if d.exact {
		low, high = d.parts[0].upper, d.parts[len(d.parts)-1].upper
	}
	if c.kind == Time {
		d.move(origin)
		mean, low, high = mean+origin, low+origin, high+origin
	}
	d.low, d.high = low, high
	s.Numbers = &Numbers{
		Min: low, Max: high, Mean: mean, Deviation: min(deviation, math.MaxFloat64),
		Quantiles: d.quantiles(), Histogram: d.histogram(),
	}
	if c.kind != Time {
		s.full = d
		s.Distribution = d.thin()
	}
	return s
}

func (c *Column) summarizeTexts(s *Summary) {
	shortest, longest, mean := c.texts.lengths(c.count)
	s.Texts = &Texts{Shortest: shortest, Longest: longest, MeanLength: mean}
	all := c.texts.values()
	for _, v := range all[:min(topValues, len(all))] {
		s.Texts.Frequent = append(s.Texts.Frequent, Value{shorten(v.Text), v.Count})
	}
	s.texts = all
}

// shorten bounds a text for a report.
func shorten(s string) string {
	const most = 80
	for i := range s {
		if i >= 4*most || (i >= most && len([]rune(s[:i])) == most) {
			return s[:i] + "…"
		}
	}
	return s
}
