// Package cell reads the bytes of one cell as a value of Table Schema (https://specs.frictionlessdata.io/table-schema),
// without allocation, because a file has many millions of them.
//
// A cell is accepted where frictionless-py 5 accepts it, except where that is looser than the standard's own words.
// There we take the standard's side, since a gate that accepts less can be opened by a format in the contract:
//
//   - digits are ASCII, and "1_000", "Infinity", "sNaN" and "nan7" are no numbers (Python's int and Decimal take them);
//   - a date without a format is YYYY-MM-DD, padded (frictionless takes 2018-1-5, by way of strptime);
//   - a datetime without a format has a T, and no week or ordinal date in front of it (isoparse takes any separator);
//   - a year has four digits, a yearmonth is YYYY-MM (frictionless takes "+123" and "7-1");
//   - a duration says at least one number, also after a T ("PT" is taken by isodate), and has no alternative form;
//   - a uri needs an escape for what RFC 3986 does not let stand in it, and JSON knows no NaN;
//   - a pattern must match the whole cell (frictionless anchors only the first and last branch of "a|b");
//   - the format "any" is refused by Compile: it lets the reader guess, and two readers guess differently.
//
// As frictionless does, and as the standard does not forbid, numbers and integers may be surrounded by white space, the
// group character may stand anywhere, and what a format for strptime takes follows Python, backtracking included.
package cell

import (
	"bytes"
	"fmt"

	"github.com/meter-ml/meter-pipeline/internal/dataset/contract"
)

// Kind of a field's values says which of a Parser's methods reads them.
type Kind uint8

// Kinds.
const (
	Text  Kind = iota // Valid; strings and what is checked for its form only
	Float             // Float; numbers, integers, years, booleans as 0 and 1
	Time              // Time; dates, times, datetimes, yearmonths
)

// A Parser reads the cells of one field. It is used by many goroutines at once.
type Parser struct {
	kind    Kind
	typ     contract.Type
	number  numberFormat
	layout  *Layout // of dates and times, nil for the standard's own
	valid   func([]byte) bool
	truths  [2][]string // words for false and true
	missing words
}

// Compile returns the parser of a field. Missing are the cells that hold no value.
func Compile(f contract.Field, missing []string) (*Parser, error) {
	p := &Parser{typ: f.Type, missing: compileWords(missing)}
	var err error
	switch f.Type {
	case contract.TypeNumber, contract.TypeInteger:
		p.kind, p.number = Float, compileNumber(f)
	case contract.TypeYear:
		p.kind, p.number.plain = Float, true
	case contract.TypeBoolean:
		p.kind = Float
		p.truths = [2][]string{f.FalseValues, f.TrueValues}
	case contract.TypeYearMonth:
		p.kind = Time
	case contract.TypeDate, contract.TypeTime, contract.TypeDatetime:
		p.kind = Time
		p.layout, err = compileTimeFormat(f)
	default:
		p.valid, err = compileText(f)
	}
	if err != nil {
		return nil, err
	}
	return p, nil
}

func compileTimeFormat(f contract.Field) (*Layout, error) {
	switch f.Format {
	case "", "default":
		return nil, nil //nolint:nilnil // no layout is the standard's own form
	case "any":
		return nil, fmt.Errorf("field %q: the format any can't be judged: write the pattern that the cells have, such as %%d.%%m.%%Y",
			f.Name)
	}
	layout, err := CompileLayout(f.Format)
	if err != nil {
		return nil, fmt.Errorf("field %q: format %q: %w", f.Name, f.Format, err)
	}
	return layout, nil
}

// Kind says how the field's values are read.
func (p *Parser) Kind() Kind { return p.kind }

// Missing says whether the cell holds no value.
func (p *Parser) Missing(b []byte) bool { return p.missing.has(b) }

// Plain says whether ParseFloat (or ParseInteger) reads the field's cells: the caller saves a few calls for each.
func (p *Parser) Plain() (number, integer bool) {
	return p.typ == contract.TypeNumber && p.number.plain, p.typ == contract.TypeInteger && p.number.plain
}

// Anything says whether every cell is valid, so that none needs to be looked at.
func (p *Parser) Anything() bool { return p.kind == Text && p.valid == nil }

// Valid says whether a cell that is not missing holds a value of the field's type.
func (p *Parser) Valid(b []byte) bool {
	var ok bool
	switch p.kind {
	case Float:
		_, ok = p.Float(b)
	case Time:
		_, ok = p.Time(b)
	default:
		ok = p.valid == nil || p.valid(b)
	}
	return ok
}

// Float reads a cell of a field of kind Float. NaN and infinities are valid numbers.
func (p *Parser) Float(b []byte) (float64, bool) {
	switch {
	case p.typ == contract.TypeYear:
		return parseYear(b)
	case p.typ == contract.TypeBoolean:
		return p.boolean(b)
	case p.typ == contract.TypeInteger:
		if p.number.plain {
			return ParseInteger(b)
		}
	case p.number.plain:
		return ParseFloat(b)
	}
	return p.number.parse(b)
}

// Time reads a cell of a field of kind Time: microseconds since 1970-01-01T00:00:00Z, or since midnight for a time of
// day. A datetime without a zone counts as UTC. Digits beyond the microsecond are cut off; AppendKey keeps them.
func (p *Parser) Time(b []byte) (int64, bool) {
	t, ok := p.moment(b)
	return t.micros, ok
}

func (p *Parser) moment(b []byte) (moment, bool) {
	if p.layout != nil {
		t, ok := p.layout.parse(b)
		switch p.typ {
		case contract.TypeDate:
			return moment{micros: t.days * day}, ok
		case contract.TypeTime:
			return t.timeOfDay(), ok
		default:
			return t.instant(), ok
		}
	}
	switch p.typ {
	case contract.TypeDate:
		return parseDate(b)
	case contract.TypeTime:
		return parseTimeOfDay(b)
	case contract.TypeYearMonth:
		return parseYearMonth(b)
	default:
		return parseDatetime(b)
	}
}

// boolean looks among the words for false first: in frictionless they overrule those for true.
func (p *Parser) boolean(b []byte) (float64, bool) {
	for value, words := range p.truths {
		for _, word := range words {
			if string(b) == word {
				return float64(value), true
			}
		}
	}
	return 0, false
}

// words is a small set of cells that is asked for every cell: their lengths tell nearly all others.
type words struct {
	lengths uint64 // bit n: a word of n bytes, the highest also for all longer ones
	list    [][]byte
	numeric bool // one of them is a number
}

func compileWords(list []string) words {
	var w words
	for _, s := range list {
		w.lengths |= 1 << min(len(s), 63)
		w.list = append(w.list, []byte(s))
		_, number := ParseFloat([]byte(s))
		w.numeric = w.numeric || number
	}
	return w
}

func (w *words) has(b []byte) bool {
	return w.lengths>>min(len(b), 63)&1 != 0 && w.find(b)
}

func (w *words) find(b []byte) bool {
	for _, word := range w.list {
		if bytes.Equal(b, word) {
			return true
		}
	}
	return false
}
