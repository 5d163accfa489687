package contract

import (
	"fmt"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/strict"
)

// A value is what a cell of a field says, in a form that compares. Only the few values in a descriptor are read with
// it; package cell reads those of a file.
type value struct {
	number *big.Rat  // of numbers, integers and years
	moment time.Time // of dates, times and months
}

func (v value) compare(w value) int {
	if v.number != nil {
		return v.number.Cmp(w.number)
	}
	return v.moment.Compare(w.moment)
}

// values takes minimum, maximum and enum.
func (b *builder) values(key string, con *constraints, to *Field) {
	var least, most value
	var haveLeast, haveMost bool
	to.Minimum, least, haveLeast = b.value(key+".minimum", con.Minimum, to)
	to.Maximum, most, haveMost = b.value(key+".maximum", con.Maximum, to)
	if haveLeast && haveMost && least.compare(most) > 0 {
		b.Report(key+".minimum", fmt.Sprintf("minimum %s is more than maximum %s", to.Minimum, to.Maximum), "no value can be both: exchange them")
	}
	if con.Enum != nil && len(con.Enum) == 0 {
		b.Report(key+".enum", fmt.Sprintf("the enum of field %q is empty", to.Name), "no value passes: list those that may stand there")
	}
	for i := range con.Enum {
		at := fmt.Sprintf("%s.enum[%d]", key, i)
		text, _, ok := b.value(at, &con.Enum[i], to)
		if ok && slices.Contains(to.Enum, text) {
			b.Report(at, fmt.Sprintf("%q stands twice", text), "remove one")
		}
		to.Enum = append(to.Enum, text)
	}
}

// value returns a value of the descriptor as it would be written in a cell of the field, and what it says.
func (b *builder) value(key string, given *strict.Scalar, f *Field) (text string, v value, ok bool) {
	if given == nil {
		return "", v, false
	}
	text, ok = f.cell(*given)
	if ok {
		v, ok = f.parse(text)
	}
	if !ok {
		what := string(f.Type)
		if f.Format != "default" {
			what += " of the format " + f.Format
		}
		advice := "write it as it stands in the file"
		if given.Native && (f.Type == TypeString || f.Type == TypeAny) {
			advice = fmt.Sprintf("put it in quotes: %q", given.Text)
		}
		name := regexp.MustCompile(`[a-zA-Z]+(\[\d+])?$`).FindString(key)
		b.Report(key, fmt.Sprintf("%s %s is no value of the field %q, whose type is %s", name, quoted(*given), f.Name, what), advice)
	}
	return text, v, ok
}

func quoted(s strict.Scalar) string {
	if s.Native {
		return s.Text
	}
	return strconv.Quote(s.Text)
}

// cell is a value of the descriptor as it would be written in the file: the standard allows JSON's own numbers, true
// and false besides texts in the field's format.
func (f *Field) cell(given strict.Scalar) (string, bool) {
	if !given.Native {
		return given.Text, true
	}
	switch f.Type {
	case TypeNumber:
		return strings.Replace(given.Text, ".", string(f.DecimalChar), 1), true
	case TypeBoolean:
		list := f.FalseValues
		if given.Text == "true" {
			list = f.TrueValues
		}
		if len(list) == 0 || (given.Text != "true" && given.Text != "false") {
			return given.Text, slices.Contains(f.TrueValues, given.Text) || slices.Contains(f.FalseValues, given.Text)
		}
		return list[0], true
	case TypeString, TypeAny:
		return given.Text, false
	default:
		return given.Text, true
	}
}

// parse reads a cell as far as a descriptor needs it: types that have no minimum are taken as they are.
func (f *Field) parse(text string) (value, bool) {
	switch f.Type {
	case TypeNumber, TypeInteger:
		return f.parseNumber(text)
	case TypeYear:
		if len(text) != 4 {
			return value{}, false
		}
		return parseRat(text, yearForm)
	case TypeYearMonth:
		return parseMoment("%Y-%m", text)
	case TypeDate:
		return parseMoment(f.pattern("%Y-%m-%d"), text)
	case TypeTime:
		if v, ok := parseMoment(f.pattern("%H:%M:%S"), text); ok || f.Format != "default" {
			return v, ok
		}
		return parseISO("1900-01-01T" + text)
	case TypeDatetime:
		if f.Format != "default" {
			return parseMoment(f.Format, text)
		}
		return parseISO(text)
	case TypeBoolean:
		return value{number: new(big.Rat)}, slices.Contains(f.TrueValues, text) || slices.Contains(f.FalseValues, text)
	default:
		return value{number: new(big.Rat)}, true
	}
}

func (f *Field) pattern(standard string) string {
	if f.Format == "default" {
		return standard
	}
	return f.Format
}

func (f *Field) parseNumber(text string) (value, bool) {
	if f.GroupChar != 0 {
		text = strings.ReplaceAll(text, string(f.GroupChar), "")
	}
	if f.Type == TypeInteger {
		return parseRat(text, integerForm)
	}
	if f.DecimalChar != '.' {
		if strings.Contains(text, ".") {
			return value{}, false
		}
		text = strings.Replace(text, string(f.DecimalChar), ".", 1)
	}
	return parseRat(text, numberForm)
}

// Forms of numbers. The exponent is bounded, since a number is written out to be compared.
var (
	yearForm    = regexp.MustCompile(`^[0-9]+$`)
	integerForm = regexp.MustCompile(`^[+-]?[0-9]+$`)
	numberForm  = regexp.MustCompile(`^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?$`)
)

// longestNumber bounds the time that a number of a descriptor takes.
const longestNumber = 800

// parseRat reads a number of that form.
func parseRat(text string, form *regexp.Regexp) (value, bool) {
	if len(text) > longestNumber || !form.MatchString(text) {
		return value{}, false
	}
	number, ok := new(big.Rat).SetString(text)
	return value{number: number}, ok
}

// parseISO reads the standard's form of a datetime; the zone is optional, as it is to frictionless-py.
func parseISO(text string) (value, bool) {
	for _, layout := range []string{"2006-01-02T15:04:05Z07:00", "2006-01-02T15:04:05"} {
		if moment, err := time.Parse(layout, text); err == nil {
			return value{moment: moment}, true
		}
	}
	return value{}, false
}
