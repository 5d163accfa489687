package difftest

import (
	"regexp"
	"slices"
	"strings"

	"github.com/meter-ml/meter-pipeline/internal/dataset"
)

// A difference is one that is meant.
type difference struct {
	name   string
	what   string // the case
	theirs string // what frictionless does
	ours   string
	why    string

	// explains says whether this is why only one side (ours, or else theirs) has an entry, beside all of ours.
	explains func(s sample, all []entry, ours bool, e entry) bool
	// whole says whether the file is one that the two read as different cells, so that only the verdict is compared.
	whole func(s sample, ours []entry) bool
	// crash is in the message with which frictionless ends.
	crash string
}

// differences in the order of the page.
func differences() []difference {
	return slices.Concat(formDifferences(), tableDifferences(), cellDifferences())
}

func formDifferences() []difference {
	found := func(rules ...string) func(sample, []entry) bool {
		return func(_ sample, ours []entry) bool {
			return slices.ContainsFunc(ours, func(e entry) bool { return slices.Contains(rules, e.rule) })
		}
	}
	return []difference{
		{
			name: "quotes", what: `1,a"b or 1,"a"b or a quote that is not closed`,
			theirs: "passes: Python's csv reader makes cells of anything", ours: "quote, at row and column",
			why:   "RFC 4180 allows none of them, and Go's encoding/csv, which decides here, rejects them; readers make different cells of them",
			whole: found(dataset.RuleQuote),
		},
		{
			name: "line ends", what: `a carriage return that no line feed follows, outside of quotes`,
			theirs: "passes: it ends a line", ours: "line-end, at the row",
			why:   "RFC 4180 knows \\r\\n, and everybody \\n; encoding/csv and most tools keep a lone \\r in the cell, so that rows merge",
			whole: found(dataset.RuleLineEnd),
		},
		{
			name: "line ends in cells", what: `\r\n between quotes`,
			theirs: "is two characters of the value", ours: "is the one character \\n",
			why: "encoding/csv reads it so, and a file that was written on another system keeps its values",
			explains: func(s sample, _ []entry, _ bool, e entry) bool {
				return isCellRule(e.rule) && strings.Contains(string(s.data), "\r\n") && strings.Contains(e.cell, "\n")
			},
		},
		{
			name: "NUL", what: `a zero byte`, theirs: "passes", ours: "nul, at row and column",
			why:   "no text holds one; it is what a crashed writer or UTF-16 leaves, and databases refuse it",
			whole: found(dataset.RuleNUL),
		},
		{
			name: "encoding", what: "bytes that are no text in the declared encoding",
			theirs: "one error for the file, and no more is read", ours: "encoding, at row and column of each, and the rest is judged",
			why:   "the place is what a person needs",
			whole: found(dataset.RuleEncoding),
		},
		{
			name: "byte-order mark", what: "a byte-order mark, and the encoding is declared as utf-8",
			theirs: "passes: the mark is taken off", ours: "byte-order-mark",
			why:   "other readers make it a part of the first column's name; declare utf-8-sig",
			whole: found(dataset.RuleByteOrderMark),
		},
	}
}

func tableDifferences() []difference {
	return []difference{
		{
			name: "no rows", what: "a header and no row", theirs: "passes", ours: "rows",
			why:      "nothing was judged, and what judged nothing never passes; quality.rows.minimum is at least 1",
			explains: func(_ sample, _ []entry, ours bool, e entry) bool { return ours && e.rule == dataset.RuleRows },
		},
		{
			name: "partial key", what: "one part of a primary key has no value",
			theirs: "passes: the key as a whole is not missing", ours: "primary-key",
			why: "the standard: no part of a primary key may be missing, as in a database",
			explains: func(_ sample, _ []entry, ours bool, e entry) bool {
				return ours && e.rule == dataset.RulePrimaryKey && strings.Contains(e.message, "has no value")
			},
		},
		{
			name: "wrong key", what: "two rows whose keys would be equal but for cells that are no value of their type",
			theirs: "primary-key: what is no value counts as missing, and all missing as equal", ours: "type-error only",
			why: "x and y are not the same meter; once they are corrected, the key is judged",
			explains: func(s sample, all []entry, ours bool, e entry) bool {
				return !ours && e.rule == dataset.RulePrimaryKey && slices.ContainsFunc(all, func(other entry) bool {
					return other.row == e.row && other.rule == dataset.RuleType && slices.Contains(s.key(), other.field)
				})
			},
		},
		{
			name: "required key", what: "a part of the key is required, and missing, or its column is",
			theirs: "required or missing-label, and primary-key besides", ours: "required or missing-label only",
			why: "one mistake is told once",
			explains: func(s sample, all []entry, ours bool, e entry) bool {
				return !ours && e.rule == dataset.RulePrimaryKey && slices.ContainsFunc(all, func(other entry) bool {
					return (other.row == e.row && other.rule == dataset.RuleRequired || other.rule == dataset.RuleMissingLabel) &&
						slices.Contains(s.key(), other.field)
				})
			},
		},
		{
			name: "key of a blank row", what: "a row without any value, and there is a primary key",
			theirs: "blank-row and primary-key", ours: "blank-row only",
			why: "one mistake is told once",
			explains: func(_ sample, all []entry, ours bool, e entry) bool {
				return !ours && e.rule == dataset.RulePrimaryKey && slices.ContainsFunc(all, func(other entry) bool {
					return other.row == e.row && other.rule == dataset.RuleBlankRow
				})
			},
		},
		{
			name: "extra columns", what: "the header has a column too many, a row has not",
			theirs: "missing-cell in the row, too", ours: "extra-label only",
			why: "nothing is missing that the contract asks for",
			explains: func(s sample, _ []entry, ours bool, e entry) bool {
				return !ours && e.rule == dataset.RuleMissingCell && e.field > len(s.names())
			},
		},
		{
			name: "blank header", what: "the first line is blank, and a header is declared",
			theirs: "no error about it: the other lines are rows, in the contract's order", ours: "missing-label, for each field",
			why: "what the columns are is not known",
			explains: func(s sample, all []entry, ours bool, e entry) bool {
				missing := 0
				for _, other := range all {
					if other.rule == dataset.RuleMissingLabel {
						missing++
					}
				}
				return ours && e.rule == dataset.RuleMissingLabel && missing == len(s.names())
			},
		},
		{
			name: "comment before the header", what: "the first line is a comment, the second one the header",
			theirs: "takes the header for a row: it looks in the first line only", ours: "takes it for the header",
			why:      "a comment is no row, wherever it stands",
			explains: func(s sample, _ []entry, ours bool, e entry) bool { return !ours && e.row == 2 && s.data[0] == '#' },
		},
		{
			name: "no quote character", what: `the dialect says quoteChar: ""`,
			theirs: "can't read the file, and says that it is empty", ours: "a quote is a character as any other",
			why:   "frictionless-py means the same, but Python's csv refuses an empty one",
			whole: func(s sample, _ []entry) bool { return s.complete("")["dialect"].(object)["quoteChar"] == "" },
		},
	}
}

// key has the numbers of the primary key's fields.
func (s sample) key() []int {
	var numbers []int
	key, _ := s.descriptor["schema"].(object)["primaryKey"].([]string)
	for _, name := range key {
		numbers = append(numbers, slices.Index(s.names(), name)+1)
	}
	return numbers
}

// isCellRule tells what a single cell's value is judged by.
func isCellRule(rule string) bool {
	switch rule {
	case dataset.RuleType, dataset.RuleUnique, dataset.RuleMinimum, dataset.RuleMaximum, dataset.RuleMinLength, dataset.RuleMaxLength, dataset.RulePattern, dataset.RuleEnum:
		return true
	}
	return false
}

func cellDifferences() []difference {
	// refused is a type error of ours in a cell of such a field that looks so.
	refused := func(pattern string, types ...string) func(sample, []entry, bool, entry) bool {
		form := regexp.MustCompile(pattern)
		return func(s sample, _ []entry, ours bool, e entry) bool {
			f := s.field(e.field)
			return ours && e.rule == dataset.RuleType && f != nil && slices.Contains(types, f["type"].(string)) && form.MatchString(e.cell)
		}
	}
	return []difference{
		{
			name: "python-digits", what: "1_000, Infinity, sNaN, nan7, digits of other scripts",
			theirs: "are numbers, as to Python's int and Decimal", ours: "type-error",
			why:      "the standard: digits 0 to 9, NaN, INF and -INF",
			explains: refused(`(?i)_|infinity|snan|nan\d|[^\x00-\x7f]`, "integer", "number"),
		},
		{
			name: "groups of digits", what: "1,000 as an integer with the groupChar ,", theirs: "type-error: it knows the groupChar of numbers only", ours: "is an integer",
			why: "the standard gives both types a groupChar",
			explains: func(s sample, _ []entry, ours bool, e entry) bool {
				f := s.field(e.field)
				return !ours && e.rule == dataset.RuleType && f["type"] == "integer" && f["groupChar"] != nil
			},
		},
		{
			name: "leading point", what: ".5 kWh as a number that is not bare", theirs: "is 5: what is no digit is taken off in front", ours: "is 0.5",
			why: "so it is where nothing stands behind it",
			explains: func(s sample, _ []entry, _ bool, e entry) bool {
				f := s.field(e.field)
				return f["bareNumber"] == false && strings.HasPrefix(e.cell, ".")
			},
		},
		{
			name: "padding", what: "2018-1-5 as a date without a format", theirs: "is a date, as to strptime", ours: "type-error",
			why:      "the standard: ISO 8601, YYYY-MM-DD; with the format %Y-%m-%d it is one to both",
			explains: refused(`^\d{4}-\d{1,2}-\d{1,2}$`, "date"),
		},
		{
			name: "datetime", what: "2024-02-29 12:00:00 as a datetime without a format", theirs: "passes: any character stands for the T", ours: "type-error",
			why:      "the standard: YYYY-MM-DDThh:mm:ss; a format says what else there is",
			explains: refused(`^.{10}[^T]`, "datetime"),
		},
		{
			name: "zones", what: "2024-02-29T12:00:00 where the minimum has a zone, or the reverse",
			theirs: "ends with a TypeError, and the file is not judged", ours: "an instant without a zone counts as UTC",
			why:   "a file is judged to its end; a format with %z asks for a zone",
			crash: "can't compare offset-naive and offset-aware",
		},
		{
			name: "year", what: "+123 as a year, 7-1 as a yearmonth", theirs: "pass", ours: "type-error",
			why:      "the standard: as in XML Schema, YYYY and YYYY-MM",
			explains: refused(`^\+|^\d-|-\d$|^\d{1,3}$`, "year", "yearmonth"),
		},
		{
			name: "duration", what: "PT as a duration", theirs: "passes", ours: "type-error",
			why:      "ISO 8601: at least one number, and one after a T",
			explains: refused(`T$`, "duration"),
		},
		{
			name: "json", what: "[NaN] as an array", theirs: "passes: Python's json reads it", ours: "type-error",
			why:      "JSON has no NaN",
			explains: refused(`NaN|Infinity`, "array", "object"),
		},
		{
			name: "uri", what: "https://example.org/a b as a uri", theirs: "passes", ours: "type-error",
			why:      "RFC 3986: what is not of its alphabet is escaped",
			explains: refused(`[^!-~]`, "string"),
		},
		{
			name: "pattern", what: "ax, where the pattern is a|b", theirs: "passes: only the ends of the first and last branch are held", ours: "pattern",
			why: "the standard: the whole value matches, as in XML Schema",
			explains: func(s sample, _ []entry, ours bool, e entry) bool {
				return ours && e.rule == dataset.RulePattern && strings.Contains(s.constraint(e.field, "pattern"), "|")
			},
		},
	}
}

// field of that number, from 1.
func (s sample) field(number int) object {
	fields := s.descriptor["schema"].(object)["fields"].([]any)
	if number < 1 || number > len(fields) {
		return nil
	}
	return fields[number-1].(object)
}

func (s sample) constraint(number int, name string) string {
	f := s.field(number)
	if f == nil {
		return ""
	}
	constraints, _ := f["constraints"].(object)
	text, _ := constraints[name].(string)
	return text
}

// explain names the difference that an entry of one side shows, if there is one.
func explain(s sample, all []entry, ours bool, e entry) string {
	for _, d := range differences() {
		if d.explains != nil && d.explains(s, all, ours, e) {
			return d.name
		}
	}
	return ""
}
