package contract

import (
	"errors"
	"strings"
	"testing"

	"github.com/meter-ml/meter-pipeline/internal/strict"
)

// refusal is one mistake in a descriptor, and what its problem holds.
type refusal struct{ name, content, want string }

func refuse(t *testing.T, file string, cases []refusal) {
	t.Helper()
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			_, err := Decode(file, []byte(tc.content))
			if _, ok := errors.AsType[strict.Problems](err); !ok {
				t.Fatalf("error = %v, want Problems", err)
			}
			if !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error is\n%s\nwant it to hold\n%s", err, tc.want)
			}
		})
	}
}

func TestDecodeRefusesResource(t *testing.T) {
	rest := "\nschema: {fields: [{name: a, type: number}]}\n"
	named := "name: x\npath: x.csv\n"
	refuse(t, "x.yaml", []refusal{
		{"empty", "# nothing\n", "x.yaml: it is empty: describe a data set"},
		{"unknown key", named + "pth: y.csv" + rest, `x.yaml:3:1: unknown key "pth" in x.yaml: did you mean "path"?`},
		{"camel case", named + "directory_variable: X" + rest, `did you mean "directoryVariable"?`},
		{"number for a name", "name: 1\n", "x.yaml:1:7: name is 1, not a text: put it in quotes"},
		{"no name", "path: x.csv" + rest, `the data set's name is ""`},
		{"name that leads out", "name: ../x\npath: x.csv" + rest, `x.yaml:1:7: the data set's name is "../x": use lower-case letters`},
		{"no path", "name: x" + rest, "path is missing"},
		{"path that leads out", "name: x\npath: a/../../x.csv" + rest, `x.yaml:2:7: path is "a/../../x.csv", outside of the project`},
		{"absolute path", "name: x\npath: /etc/passwd" + rest, "outside of the project"},
		{"control character in the path", "name: x\npath: \"a\\e[2Jb.csv\"" + rest, `path is "a\x1b[2Jb.csv", with a backslash or a control character`},
		{"backslash in the path", "name: x\npath: 'a\\b.csv'" + rest, "with a backslash"},
		{"address", "name: x\npath: https://example.org/x.csv" + rest, "is the address"},
		{"list of paths", "name: x\npath: [a.csv]" + rest, "path is a list, not a text"},
		{"variable", named + "directoryVariable: $HOME" + rest, `x.yaml:3:20: "$HOME" is no name for a variable`},
		{"encoding", named + "encoding: utf-9" + rest, `the encoding "utf-9" can't be read: did you mean "utf-8"?`},
		{"compression", named + "compression: zip" + rest, `compression is "zip"`},
		{"format", named + "format: xlsx" + rest, `format is "xlsx"`},
		{"profile", named + "profile: tabular-data-package" + rest, `did you mean "tabular-data-resource"?`},
		{"long delimiter", named + "dialect: {delimiter: \"||\"}" + rest, `x.yaml:3:22: dialect.delimiter is "||": give a single ASCII character`},
		{"no delimiter", named + "dialect: {delimiter: \"\"}" + rest, `dialect.delimiter is ""`},
		{"delimiter that is not ASCII", named + "dialect: {delimiter: \"\u00a7\"}" + rest, "single ASCII character"},
		{"delimiter that ends lines", named + "dialect: {delimiter: \"\\n\"}" + rest, "that ends no line"},
		{"delimiter is the quote", named + "dialect: {delimiter: \"'\", quoteChar: \"'\"}" + rest, `delimiter and quoteChar are both '\''`},
		{"comment is the delimiter", named + "dialect: {commentChar: \",\"}" + rest, "delimiter and commentChar are both ','"},
		{"line terminator", named + "dialect: {lineTerminator: \";\"}" + rest, `lines can't end with ";"`},
		{"blank delimiter and skipped space", named + "dialect: {delimiter: \" \", skipInitialSpace: true}" + rest, "skipInitialSpace would skip the delimiter"},
		{"constrains nothing", named + "schema: {fields: [{name: a, type: string}, {name: b}]}\nquality: {rows: {minimum: 1}, nulls: {a: 1}}\n", "x.yaml:1: it constrains nothing: every file with these columns passes"},
	})
}

func TestDecodeRefusesSchema(t *testing.T) {
	schema := func(text string) string { return "name: x\npath: x.csv\nschema:\n" + text + "\n" }
	field := func(text string) string { return schema("  fields:\n    - {name: a, " + text + "}") }
	refuse(t, "x.yaml", []refusal{
		{"no fields", "name: x\npath: x.csv\n", "the data set has no fields"},
		{"field without a name", schema("  fields: [{type: number}]"), "x.yaml:4:12: schema.fields[0] has no name"},
		{"two of a name", schema("  fields:\n    - {name: a, type: number}\n    - {name: a}"), `x.yaml:6:14: two fields have the name "a"`},
		{"control character in a name", schema("  fields: [{name: \"a\\x07\"}]"), `the field's name "a\a" holds a character that can't be seen`},
		{"byte-order mark in a name", schema("  fields: [{name: \"\\uFEFFa\"}]"), "the encoding is utf-8-sig"},
		{"name that turns the text", schema("  fields: [{name: \"a\\u202Eb\"}]"), "can't be seen"},
		{"long name", schema("  fields: [{name: " + strings.Repeat("a", 200) + "}]"), "more than 128 characters"},
		{"unknown type", field("type: float"), `x.yaml:5:23: the type of field "a" is "float"`},
		{"list", field("type: list"), `the type of field "a" is "list"`},
		{"format of another type", field("type: string, format: date"), `the format of field "a" is "date", which string has not`},
		{"guessed dates", field("type: date, format: any"), `x.yaml:5:37: the format of field "a" is any: each value's would be guessed: write the pattern`},
		{"pattern without a day", field(`type: date, format: "%m/%Y"`), "it leaves the day open"},
		{"pattern without an hour", field(`type: datetime, format: "%d/%m/%Y"`), "it leaves the hour open"},
		{"twelve hours without AM", field(`type: time, format: "%I:%M"`), "it leaves the hour open"},
		{"pattern that is none", field("type: date, format: YYYY-MM-DD"), "it has no directive: write a pattern of strptime"},
		{"directive of the locale", field(`type: datetime, format: "%c"`), "there is no %c here"},
		{"directive twice", field(`type: date, format: "%d/%d/%m/%Y"`), "%d stands twice"},
		{"time of a date", field(`type: date, format: "%d/%m/%Y %H"`), "a date has no time"},
		{"percent at the end", field(`type: date, format: "%d/%m/%Y%"`), "it ends with %"},
		{"constraint of another type", field("type: number, constraints: {pattern: x}"), `x.yaml:5:54: the type number of field "a" has no pattern: valid here: required, unique, enum, minimum, maximum`},
		{"pattern without a type", field("constraints: {pattern: x}"), "the type any of field \"a\" has no pattern"},
		{"minimum of a text", field("type: string, constraints: {minimum: 1}"), `has no minimum`},
		{"minimum of a duration", field("type: duration, constraints: {minimum: P1D}"), `has no minimum`},
		{"key of a constraint outside of it", field("type: number, minimum: 1"), `unknown key "minimum" in schema.fields[0]`},
		{"minimum above maximum", field("type: number, constraints: {minimum: 2, maximum: 1.5}"), "x.yaml:5:54: minimum 2 is more than maximum 1.5"},
		{"dates the wrong way", field(`type: date, format: "%d/%m/%Y", constraints: {minimum: 2/1/2018, maximum: 01/12/2017}`), "minimum 2/1/2018 is more than maximum 01/12/2017"},
		{"minimum that is no number", field("type: number, constraints: {minimum: low}"), `x.yaml:5:54: minimum "low" is no value of the field "a", whose type is number`},
		{"minimum that is no integer", field("type: integer, constraints: {minimum: 1.5}"), "minimum 1.5 is no value"},
		{"hexadecimal", field("type: integer, constraints: {minimum: 0x10}"), "minimum 0x10 is no value"},
		{"infinity", field("type: number, constraints: {maximum: .inf}"), "maximum .inf is no value"},
		{"a number without end", field("type: number, constraints: {maximum: 1e999999999}"), `maximum "1e999999999" is no value`},
		{"minimum that is no date", field("type: date, constraints: {minimum: 2018-02-30}"), `minimum "2018-02-30" is no value`},
		{"minimum in another format", field(`type: datetime, format: "%d/%m/%Y %H:%M", constraints: {minimum: 2018-01-01 00:00}`), "whose type is datetime of the format %d/%m/%Y %H:%M"},
		{"enum that breaks the type", field("type: integer, constraints: {enum: [1, two]}"), `x.yaml:5:56: enum[1] "two" is no value`},
		{"number in the enum of a text", field("type: string, constraints: {enum: [1]}"), `enum[0] 1 is no value of the field "a", whose type is string: put it in quotes: "1"`},
		{"enum of a boolean", field("type: boolean, constraints: {enum: [maybe]}"), `enum[0] "maybe" is no value`},
		{"empty enum", field("type: integer, constraints: {enum: []}"), `the enum of field "a" is empty`},
		{"enum with a value twice", field("type: integer, constraints: {enum: [1, 1]}"), `"1" stands twice`},
		{"example", field("type: integer, example: x"), `example "x" is no value`},
		{"length below nothing", field("type: string, constraints: {minLength: -1}"), "minLength is -1"},
		{"lengths the wrong way", field("type: string, constraints: {minLength: 3, maxLength: 2}"), "minLength 3 is more than maxLength 2"},
		{"length as a text", field("type: string, constraints: {minLength: \"3\"}"), "not a whole number"},
		{"unclosed group", field("type: string, constraints: {pattern: \"(a\"}"), `the pattern of field "a" is not a regular expression: missing closing )`},
		{"look-ahead", field("type: string, constraints: {pattern: \"(?!a)b\"}"), "RE2 has no look-ahead"},
		{"look-behind", field("type: string, constraints: {pattern: \"(?<=a)b\"}"), "RE2 has no look-ahead or look-behind"},
		{"back-reference", field("type: string, constraints: {pattern: '(a)\\1'}"), "RE2 has no back-references"},
		{"possessive", field("type: string, constraints: {pattern: 'a++'}"), "RE2 has no atomic groups or possessive repetition"},
		{"XML's classes", field("type: string, constraints: {pattern: '\\i\\c*'}"), `RE2 has not XML's \i and \c`},
		{"too many repetitions", field("type: string, constraints: {pattern: 'a{2000}'}"), "invalid repeat count"},
		{"empty pattern", field("type: string, constraints: {pattern: ''}"), "is empty"},
		{"true values of a number", field("type: number, trueValues: [ja]"), "trueValues is for booleans"},
		{"both true and false", field("type: boolean, trueValues: [\"0\"]"), `"0" is both true and false`},
		{"decimal character of a text", field("type: string, decimalChar: \",\""), "decimalChar is for numbers: remove it, or change the type"},
		{"long decimal character", field("type: number, decimalChar: \"..\""), "give a single ASCII character"},
		{"digit as a group character", field("type: number, groupChar: \"0\""), "stands in numbers already"},
		{"one character for both", field("type: number, groupChar: \".\""), "'.' would both group digits and end them"},
		{"missing value twice", schema("  missingValues: [\"\", \"-\", \"-\"]\n  fields: [{name: a, type: number}]"), `x.yaml:4:28: "-" stands twice`},
		{"missing value that is a number", schema("  missingValues: [-99]\n  fields: [{name: a}]"), "put it in quotes"},
		{"key of an unknown field", schema("  primaryKey: [a, bb]\n  fields: [{name: a}, {name: b}]"), `x.yaml:4:19: there is no field "bb": did you mean "b"?`},
		{"single key of an unknown field", schema("  primaryKey: c\n  fields: [{name: a}]"), `x.yaml:4:15: there is no field "c"`},
		{"key with a field twice", schema("  primaryKey: [a, a]\n  fields: [{name: a}]"), `"a" stands twice`},
		{"foreign key of unequal length", schema("  foreignKeys: [{fields: [a, b], reference: {resource: y, fields: a}}]\n  fields: [{name: a}, {name: b}]"), "2 fields refer to 1"},
		{"foreign key without fields", schema("  foreignKeys: [{fields: [], reference: {resource: y, fields: []}}]\n  fields: [{name: a}]"), "has no fields"},
		{"foreign key to itself", schema("  foreignKeys: [{fields: a, reference: {fields: a}}]\n  fields: [{name: a}]"), "refers to itself"},
		{"foreign key to no field of its own", schema("  foreignKeys: [{fields: a, reference: {resource: x, fields: b}}]\n  fields: [{name: a}]"), `there is no field "b"`},
	})
}

func TestDecodeRefusesQuality(t *testing.T) {
	quality := func(text string) string {
		return `name: x
path: x.csv
schema:
  primaryKey: id
  fields: [{name: id, type: integer}, {name: at, type: datetime}, {name: day, type: date}, {name: clock, type: time}, {name: kwh, type: number}, {name: kind, type: string, constraints: {enum: [a, b]}}]
quality:
  ` + text + "\n"
	}
	refuse(t, "x.yaml", []refusal{
		{"unknown key", quality("null: {kwh: 0}"), `x.yaml:7:3: unknown key "null" in quality: did you mean "nulls"?`},
		{"no rows", quality("rows: {minimum: 0}"), "x.yaml:7:19: the least number of rows is 0: choose 1 or more"},
		{"rows the wrong way", quality("rows: {minimum: 5, maximum: 4}"), "the most rows, 4, are fewer than the least, 5"},
		{"share in per cent", quality("nulls: {kwh: 5}"), "x.yaml:7:16: the share quality.nulls.kwh is 5: choose 0 to 1; 5 % is 0.05"},
		{"negative share", quality("duplicates: -0.1"), "quality.duplicates is -0.1"},
		{"nulls of an unknown field", quality("nulls: {kw: 0}"), `there is no field "kw": did you mean "kwh"?`},
		{"nulls of the key", quality("nulls: {id: 0.1}"), `the field "id" is required`},
		{"share without a value", quality("shares: [{field: kind, share: 0.1}]"), "quality.shares[0] has no value"},
		{"share without a share", quality("shares: [{field: kind, value: a}]"), "quality.shares[0].share is missing"},
		{"share of what is not in the enum", quality("shares: [{field: kind, value: c, share: 0.1}]"), `"c" is not in the enum of the field "kind"`},
		{"share of what is no value", quality("shares: [{field: kwh, value: c, share: 0.1}]"), `value "c" is no value of the field "kwh"`},
		{"constant field", quality("constant: [kin]"), `did you mean "kind"?`},
		{"rule without an expression", quality("rules: [{name: r}]"), `the rule "r" has no expression`},
		{"rule's name", quality("rules: [{name: A rule, expression: kwh > 0}]"), `the rule's name is "A rule"`},
		{"two rules of a name", quality("rules: [{name: r, expression: kwh > 0}, {name: r, expression: kwh > 1}]"), `two rules have the name "r"`},
		{"freshness of a number", quality("freshness: {field: kwh, within: 1h}"), `the field "kwh" is of the type number: it must be date or datetime`},
		{"freshness without a time", quality("freshness: {field: at}"), "quality.freshness.within is 0s"},
		{"interval without a time", quality("interval: {every: 1h}"), "0 fields tell the time"},
		{"interval of two dates", quality("interval: {time: [day, at], every: 1h}"), `the field "at" is of the type datetime: it must be time`},
		{"interval by the time", quality("interval: {time: at, by: [at], every: 1h}"), `"at" is the time itself`},
		{"interval below zero", quality("interval: {time: at, every: -1h}"), "quality.interval.every is -1h0m0s"},
		{"interval in numbers", quality("interval: {time: at, every: 60}"), "not a duration"},
		{"gaps in per cent", quality("interval: {time: at, every: 1h, gaps: 2}"), "2 % is 0.02"},
		{"drift without a baseline", quality("drift: {psi: 0.1}"), "quality.drift.baseline is missing"},
		{"baseline that leads out", quality("drift: {baseline: ../b.json}"), "outside of the project"},
		{"baseline of another kind", quality("drift: {baseline: b.csv}"), "name a file that ends with .json"},
		{"drift that nothing misses", quality("drift: {baseline: b.json, ks: 2}"), "quality.drift.ks is 2: choose more than 0 and at most 1"},
		{"drift of an unknown field", quality("drift: {baseline: b.json, fields: [kw]}"), `did you mean "kwh"?`},
		{"leak without a target", quality("leak: {}"), "quality.leak.target is missing"},
		{"leak of a text", quality("leak: {target: kind}"), "it must be number or integer"},
		{"target as a feature", quality("leak: {target: kwh, features: [kwh]}"), `"kwh" stands twice`},
		{"excluded without a reason", quality("leak: {target: kwh, exclude: [{field: id}]}"), "quality.leak.exclude[0] has no reason"},
		{"excluded target", quality("leak: {target: kwh, exclude: [{field: kwh, reason: r}]}"), "name it once"},
		{"no feature left", quality("leak: {target: kwh, exclude: [{field: id, reason: r}]}"), "no feature is left"},
		{"determination", quality("leak: {target: kwh, determination: 1.1}"), "choose more than 0 and at most 1"},
	})
}

func TestDecodeRefusesJSON(t *testing.T) {
	refuse(t, "x.json", []refusal{
		{"comma at the end", "{\n  \"name\": \"x\",\n}\n", "x.json:3:1: it is not JSON: invalid character '}'"},
		{"single quotes", "{'name': 'x'}", "x.json:1:2: it is not JSON"},
		{"cut off", "{\"name\": \"x\"", "x.json:1:13: it is not JSON: it ends too early"},
		{"two values", "{}\n{}", "x.json:2:1: it is not JSON: something follows"},
		{"a column in characters", "{\"name\": \"ä\", x}", "x.json:1:15: it is not JSON"},
		{"comment", "# {}", "x.json:1:1: it is not JSON"},
		{"empty", " \n", "x.json: it is empty"},
		{"unknown key after tabs", "{\n\t\t\"nam\": \"x\"\n}", `x.json:2:3: unknown key "nam"`},
		{"same key twice", "{\"name\": \"x\",\n\"name\": \"y\"}", "x.json:2:1"},
		{"null", "{\"name\": null}", "x.json:1:10: name has no value"},
		{"Latin-1", "{\"name\": \"\xe4\"}", "x.json:1: it is not UTF-8 text"},
	})
}

func TestJSONIsReadAsJSON(t *testing.T) {
	got, err := Decode("x.json", []byte("\xef\xbb\xbf{\r\n\t\"name\": \"x\",\t\"path\": \"a\\/b.csv\", \"title\": \"\\ud83d\\ude00 \\\\ud83d\\t\", \"schema\": {\"fields\": [{\"name\": \"a\", \"type\": \"number\", \"constraints\": {\"minimum\": 1E2}}]}}"))
	if err != nil {
		t.Fatal(err)
	}
	if got.Path != "a/b.csv" || got.Title != "😀 \\ud83d\t" || got.Schema.Fields[0].Minimum != "1E2" {
		t.Errorf("got %q, %q, %q", got.Path, got.Title, got.Schema.Fields[0].Minimum)
	}
}

func FuzzDecode(f *testing.F) {
	for _, seed := range []string{everything, minimal("a"), "", "{}", `{"name": "x", "schema": {"fields": [{"name": "a", "type": "date", "format": "%Y"}]}}`, "name: 'x"} {
		f.Add([]byte(seed), false)
		f.Add([]byte(seed), true)
	}
	f.Fuzz(func(t *testing.T, content []byte, asJSON bool) {
		file := "x.yaml"
		if asJSON {
			file = "x.json"
		}
		c, err := Decode(file, content)
		if err == nil {
			if len(c.Schema.Fields) == 0 || c.Path == "" || c.Dialect.Delimiter == 0 {
				t.Errorf("accepted %+v", c)
			}
			return
		}
		problems, ok := errors.AsType[strict.Problems](err)
		if !ok || len(problems) == 0 {
			t.Fatalf("error of another kind: %v", err)
		}
		for _, p := range problems {
			if p.Message == "" || strings.Contains(p.Message, "\n") {
				t.Errorf("message %q", p.Message)
			}
		}
	})
}
