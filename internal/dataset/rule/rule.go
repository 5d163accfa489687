// Package rule evaluates the conditions over one row that a contract's quality block asks for, a block of rows at a
// time.
//
// A rule is one condition that must not be false:
//
//	units <= load_kw * 1.5
//	status != 'fault' or is_missing(units)
//	0 <= `Lagging_Current_Reactive.Power_kVarh` <= 100 and weekday(date) < 5
//
// The grammar, the loosest binding first:
//
//	condition  = conjunct { "or" conjunct }
//	conjunct   = negation { "and" negation }
//	negation   = [ "not" ] comparison
//	comparison = sum { ( "=" | "!=" | "<" | "<=" | ">" | ">=" ) sum }   // 0 <= a < b is 0 <= a and a < b
//	           | sum [ "not" ] "in" "(" literal { "," literal } ")"
//	sum        = product { ( "+" | "-" ) product }
//	product    = factor { ( "*" | "/" ) factor }
//	factor     = [ "-" ] ( literal | field | function "(" condition { "," condition } ")" | "(" condition ")" )
//	literal    = number | 'text' | "text" | "true" | "false"
//	field      = a word | `any name`
//
// A quote within a text, or a backquote within a name, is written twice. "==" is read as "=".
//
// Numbers are float64. A time is its seconds since 1970; the difference of two times is a number of seconds, and a
// text that is compared with a time is read as one: '2024-01-31', '2024-01-31T23:30' (UTC) or '2024-01-31T23:30:00+01:00'.
// A time of day is its seconds since midnight, and '23:30' is one.
// Texts are compared byte by byte. A condition can be compared with 0 and 1, as data writes them. The functions:
//
//	abs(x)  floor(x)  sqrt(x)       of a number; the root of a negative one has no value
//	round(x)                        halves are rounded away from zero
//	min(x, y, ...)  max(x, y, ...)  of numbers or of times
//	length(s)                       characters of a text
//	hour(t)  minute(t)  second(t)   of a time, on the clock that its seconds count
//	time_of_day(t)                  seconds since midnight on that clock
//	weekday(t)                      0 is Monday, 6 is Sunday, as in Python
//	is_missing(x)                   whether a field, or what is computed from one, has no value
//
// # What is missing
//
// As in a CHECK of SQL there is a third truth value, unknown: a comparison with a missing value is unknown, and so is
// one with what has no value (a division by zero, not a number). "a and b" is false if either is false, "a or b" is
// true if either is true; otherwise an unknown side makes it unknown. A row for which the rule is unknown is not judged
// by it. How many those are is told, so that a rule which judges nothing does not pass unseen.
package rule

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// A Kind is what a field's values are to a rule.
type Kind uint8

// Kinds of values. None is for a field that a rule can only ask is_missing of.
const (
	None Kind = iota
	Number
	Text
	Boolean
	Time
)

func (k Kind) String() string {
	return [...]string{"value of another type", "number", "text", "condition", "time"}[k]
}

// A Field is a column that a rule can read.
type Field struct {
	Name string
	Kind Kind
}

// A Column holds one field's values in a block of rows. Numbers are for all kinds but Text and None: NaN is missing,
// booleans are 0 and 1, times are seconds since 1970. Texts, and fields of kind None, are slices of Data; where one
// starts behind its end, it is missing.
type Column struct {
	Numbers    []float64
	Data       []byte
	Start, End []uint32
}

// text returns the value of a row; ok is false if it is missing.
func (c *Column) text(row int) (value []byte, ok bool) {
	start, end := c.Start[row], c.End[row]
	if start > end {
		return nil, false
	}
	return c.Data[start:end], true
}

// A Rule is a compiled expression. It does not change, and any number of evaluators can share it.
type Rule struct {
	expression string
	fields     []int
	run        truths
	numbers    int       // scratch vectors of numbers
	truths     int       // scratch vectors of truth values
	constants  []float64 // each is a vector too, behind the scratch ones
}

// An Error says where an expression is wrong.
type Error struct {
	Column  int // in characters, from 1
	Message string
}

func (e *Error) Error() string { return fmt.Sprintf("column %d: %s", e.Column, e.Message) }

// Compile reads an expression over these fields. Its errors are of type *Error.
func Compile(expression string, fields []Field) (*Rule, error) {
	tree, err := parse(expression)
	if err != nil {
		return nil, err
	}
	if err := check(tree, fields); err != nil {
		return nil, err
	}
	if tree.kind != Boolean {
		return nil, &Error{tree.column, fmt.Sprintf("this is a %s, not a condition: compare it with something", tree.kind)}
	}
	c := &compiler{rule: &Rule{expression: expression}}
	c.rule.run = c.truth(tree)
	slices.Sort(c.rule.fields)
	c.rule.fields = slices.Compact(c.rule.fields)
	if len(c.rule.fields) == 0 {
		return nil, &Error{1, "it reads no field, so that it is the same for every row: name a field"}
	}
	return c.rule, nil
}

// Fields are the positions, ascending, of the fields that the rule reads: only their columns are looked at.
func (r *Rule) Fields() []int { return r.fields }

func (r *Rule) String() string { return r.expression }

// allTrue is what eight rows look like for which the rule is true: nearly all rows of good data.
const allTrue = isTrue * 0x0101010101010101

// rows that are evaluated at a time: the vectors of an expression of some size stay in the first-level cache.
const chunk = 512

// An Evaluator holds the vectors that a rule needs. It is for one goroutine.
type Evaluator struct {
	rule    *Rule
	columns []Column
	from    int // row of the columns where the chunk starts
	numbers [][]float64
	truths  [][]truth
}

// Evaluator returns a new one.
func (r *Rule) Evaluator() *Evaluator {
	e := &Evaluator{rule: r, numbers: make([][]float64, r.numbers), truths: make([][]truth, r.truths)}
	for i := range e.numbers {
		e.numbers[i] = make([]float64, chunk)
	}
	for i := range e.truths {
		e.truths[i] = make([]truth, chunk)
	}
	for _, value := range r.constants {
		e.numbers = append(e.numbers, slices.Repeat([]float64{value}, chunk))
	}
	return e
}

// Broken appends the rows (from 0) for which the rule is false, ascending, and counts those that it could not judge.
// columns are in the order of the fields that the rule was compiled with; those it does not read may be zero. It does
// not allocate if broken has room.
func (e *Evaluator) Broken(columns []Column, rows int, broken []int32) (_ []int32, unknown int) {
	e.columns = columns
	for e.from = 0; e.from < rows; e.from += chunk {
		judged := e.rule.run(e, min(chunk, rows-e.from))
		for i := 0; i < len(judged); i++ {
			if i+8 <= len(judged) && binary.NativeEndian.Uint64(judged[i:]) == allTrue {
				i += 7
				continue
			}
			switch judged[i] {
			case isFalse:
				broken = append(broken, int32(e.from+i)) //nolint:gosec // a block has fewer rows than 2³¹
			case isUnknown:
				unknown++
			}
		}
	}
	e.columns = nil
	return broken, unknown
}
