package contract

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"

	"github.com/meter-ml/meter-pipeline/internal/strict"
)

// types lists what there is, in the standard's order. Its second version has list, too, which frictionless-py has not.
func types() []string {
	all := []Type{
		TypeString, TypeNumber, TypeInteger, TypeBoolean, TypeObject, TypeArray, TypeDate, TypeTime, TypeDatetime,
		TypeYear, TypeYearMonth, TypeDuration, TypeGeopoint, TypeGeojson, TypeAny,
	}
	return names(all, func(t Type) string { return string(t) })
}

// formats lists a type's formats; those of dates and times are patterns besides.
func formats(t Type) []string {
	switch t {
	case TypeString:
		return []string{"default", "email", "uri", "binary", "uuid"}
	case TypeGeopoint:
		return []string{"default", "array", "object"}
	case TypeGeojson:
		return []string{"default", "topojson"}
	default:
		return []string{"default"}
	}
}

// applicable lists the constraints that a type may have. Where the standard (minimum and maximum of durations) and
// frictionless-py (none of them) differ, we take the latter: a month is not shorter or longer than 30 days.
func applicable(t Type) []string {
	always := []string{"required", "unique", "enum"}
	switch t {
	case TypeString:
		return append(always, "minLength", "maxLength", "pattern")
	case TypeObject, TypeArray:
		return append(always, "minLength", "maxLength")
	case TypeNumber, TypeInteger, TypeDate, TypeTime, TypeDatetime, TypeYear, TypeYearMonth:
		return append(always, "minimum", "maximum")
	default:
		return always
	}
}

// field makes a field. Without a type it is any, as the standard's second version has it (the first: string).
func (b *builder) field(key string, f *field) Field {
	to := Field{
		Name: f.Name, Title: f.Title, Description: f.Description, Type: Type(f.Type), Unit: f.Unit,
		DecimalChar: '.', BareNumber: true, TrueValues: f.TrueValues, FalseValues: f.FalseValues,
		Required: f.Constraints.Required, Unique: f.Constraints.Unique, MinLength: -1, MaxLength: -1, Line: b.Line(key),
	}
	if f.Type == "" {
		to.Type = TypeAny
	} else if !slices.Contains(types(), f.Type) {
		b.Report(key+".type", fmt.Sprintf("the type of field %q is %q", f.Name, f.Type), strict.Suggest(f.Type, types()))
		return to
	}
	right := b.format(key, f, &to)
	right = b.numeric(key, f, &to) && right
	b.logical(key, f, &to)
	b.constraints(key+".constraints", f, &to, right)
	if right {
		b.value(key+".example", f.Example, &to) // reported if it is none
	}
	return to
}

// format takes a field's format. It reports whether values can be read with it.
func (b *builder) format(key string, f *field, to *Field) bool {
	to.Format = strings.TrimPrefix(f.Format, "fmt:") // the way of the standard's version 0
	switch {
	case to.Format == "":
		to.Format = "default"
	case to.Format == "any" && temporal(to.Type):
		b.Report(key+".format", fmt.Sprintf("the format of field %q is any: each value's would be guessed", f.Name), "write the pattern, such as %d/%m/%Y; a guess is no check")
		return false
	case temporal(to.Type) && to.Format != "default":
		if message := checkPattern(to.Format, to.Type); message != "" {
			b.Report(key+".format", fmt.Sprintf("the format of field %q is %q: %s", f.Name, to.Format, message), "write a pattern of strptime, such as %Y-%m-%dT%H:%M:%S%z")
			return false
		}
	case !slices.Contains(formats(to.Type), to.Format):
		b.Report(key+".format", fmt.Sprintf("the format of field %q is %q, which %s has not", f.Name, to.Format, to.Type), strict.Suggest(to.Format, formats(to.Type)))
		return false
	}
	return true
}

func temporal(t Type) bool { return t == TypeDate || t == TypeTime || t == TypeDatetime }

// numeric takes the characters that numbers are written with. The standard gives integers a groupChar; frictionless-py
// ignores it there, and we do not.
func (b *builder) numeric(key string, f *field, to *Field) bool {
	number := to.Type == TypeNumber
	either := number || to.Type == TypeInteger
	right := b.only(key+".decimalChar", f.DecimalChar != nil, number, "numbers") &&
		b.only(key+".groupChar", f.GroupChar != nil, either, "numbers and integers") &&
		b.only(key+".bareNumber", f.BareNumber != nil, either, "numbers and integers")
	for _, char := range []struct {
		key  string
		text *string
		to   *byte
	}{{".decimalChar", f.DecimalChar, &to.DecimalChar}, {".groupChar", f.GroupChar, &to.GroupChar}} {
		b.character(key+char.key, char.text, char.to, char.key == ".groupChar")
		if *char.to != 0 && strings.ContainsRune("0123456789+-eE", rune(*char.to)) {
			b.Report(key+char.key, fmt.Sprintf("%q stands in numbers already", *char.to), "choose another character")
			right = false
		}
	}
	if to.DecimalChar == to.GroupChar {
		b.Report(key+".groupChar", fmt.Sprintf("%q would both group digits and end them", to.GroupChar), "choose two characters")
		right = false
	}
	set(&to.BareNumber, f.BareNumber)
	return right
}

func (b *builder) logical(key string, f *field, to *Field) {
	boolean := to.Type == TypeBoolean
	b.only(key+".trueValues", f.TrueValues != nil, boolean, "booleans")
	b.only(key+".falseValues", f.FalseValues != nil, boolean, "booleans")
	if !boolean {
		return
	}
	if f.TrueValues == nil {
		to.TrueValues = []string{"true", "True", "TRUE", "1"}
	}
	if f.FalseValues == nil {
		to.FalseValues = []string{"false", "False", "FALSE", "0"}
	}
	b.distinct(key+".trueValues", to.TrueValues)
	b.distinct(key+".falseValues", to.FalseValues)
	for i, value := range to.FalseValues {
		if slices.Contains(to.TrueValues, value) {
			b.Report(element(key+".falseValues", i, b), fmt.Sprintf("%q is both true and false", value), "list it once; see trueValues")
		}
	}
}

// only reports a key that other types have.
func (b *builder) only(key string, given, may bool, whose string) bool {
	if given && !may {
		b.Report(key, fmt.Sprintf("%s is for %s", key[strings.LastIndexByte(key, '.')+1:], whose), "remove it, or change the type")
	}
	return !given || may
}

// constraints takes a field's. Those that are values of the field are judged only if its values can be read.
func (b *builder) constraints(key string, f *field, to *Field, right bool) {
	con := &f.Constraints
	may := applicable(to.Type)
	given := map[string]bool{
		"minimum": con.Minimum != nil, "maximum": con.Maximum != nil, "minLength": con.MinLength != nil,
		"maxLength": con.MaxLength != nil, "pattern": con.Pattern != nil,
	}
	for _, name := range []string{"minimum", "maximum", "minLength", "maxLength", "pattern"} {
		if given[name] && !slices.Contains(may, name) {
			b.Report(key+"."+name, fmt.Sprintf("the type %s of field %q has no %s", to.Type, f.Name, name), "valid here: "+strings.Join(may, ", "))
			right = false
		}
	}
	set(&to.MinLength, con.MinLength)
	set(&to.MaxLength, con.MaxLength)
	for _, length := range []struct {
		name  string
		value *int
	}{{"minLength", con.MinLength}, {"maxLength", con.MaxLength}} {
		if length.value != nil && *length.value < 0 {
			b.Report(key+"."+length.name, fmt.Sprintf("%s is %d", length.name, *length.value), "give a number of characters")
		}
	}
	if to.MinLength >= 0 && to.MaxLength >= 0 && to.MinLength > to.MaxLength {
		b.Report(key+".minLength", fmt.Sprintf("minLength %d is more than maxLength %d", to.MinLength, to.MaxLength), "no value can be both: exchange them")
	}
	b.pattern(key+".pattern", con.Pattern, to)
	if right {
		b.values(key, con, to)
	}
}

func (b *builder) pattern(key string, pattern *string, to *Field) {
	if pattern == nil {
		return
	}
	to.Pattern = *pattern
	if *pattern == "" {
		b.Report(key, fmt.Sprintf("the pattern of field %q is empty", to.Name), "only an empty value matches it: write one, or remove the key")
		return
	}
	if _, err := to.Regexp(); err != nil {
		b.Report(key, fmt.Sprintf("the pattern of field %q is not a regular expression: %s", to.Name, reason(err)), remedy(*pattern, err))
	}
}

// Regexp compiles the field's pattern so that it must match the whole value, as the standard has it (frictionless-py
// puts it between ^ and $, so that of a|b only one end is fixed). The syntax is Go's RE2, which takes time linear to
// the value's length: \d, \w and \s are ASCII.
func (f *Field) Regexp() (*regexp.Regexp, error) {
	return regexp.Compile(`\A(?:` + f.Pattern + `)\z`)
}

// reason is a syntax error without the pattern.
func reason(err error) string {
	if syntaxErr, ok := errors.AsType[*syntax.Error](err); ok {
		return fmt.Sprintf("%s in %q", syntaxErr.Code, syntaxErr.Expr)
	}
	return err.Error()
}

// remedy tells what other dialects of regular expressions have and RE2 has not.
func remedy(pattern string, err error) string {
	syntaxErr, _ := errors.AsType[*syntax.Error](err)
	expr := ""
	if syntaxErr != nil {
		expr = syntaxErr.Expr
	}
	switch {
	case regexp.MustCompile(`^\(\?<?[=!]`).MatchString(expr):
		return "RE2 has no look-ahead or look-behind: write what the value is, not what it is not, or use a rule"
	case regexp.MustCompile(`^\\[1-9k]`).MatchString(expr):
		return "RE2 has no back-references: use a rule"
	case strings.HasPrefix(expr, "(?>") || regexp.MustCompile(`[*+?}]\+`).MatchString(pattern):
		return "RE2 has no atomic groups or possessive repetition, and needs none: remove it"
	case regexp.MustCompile(`^\\[icIC]`).MatchString(expr):
		return `RE2 has not XML's \i and \c: write [A-Za-z_:] and [-.0-9A-Za-z_:]`
	case expr == `\Z`:
		return "the whole value must match anyway: remove it"
	default:
		return "see https://github.com/google/re2/wiki/Syntax"
	}
}
