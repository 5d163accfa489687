package difftest

import "strings"

// A cellCase is a field and cells that are good, bad, or judged differently: by the name of the difference. Each cell is
// a file of its own.
type cellCase struct {
	name      string
	field     object
	good, bad []string
	differs   []differing
}

// differing are cells that show a difference, and the rule that we find broken, if we do.
type differing struct {
	name, rule string
	cells      []string
}

// refused are cells that frictionless takes and that are no value of the type to us.
func refused(name string, cells ...string) []differing {
	return []differing{{name, "type-error", cells}}
}

func typed(kind string, more object) object { return field("value", kind, more) }

func constrained(kind string, constraints object) object {
	return typed(kind, object{"constraints": constraints})
}

func cellCases() []cellCase {
	return append(typeCases(), constraintCases()...)
}

func typeCases() []cellCase {
	return []cellCase{
		{
			name: "integer", field: typed("integer", nil),
			good:    []string{"0", "-1", "+7", "007", "9223372036854775808", " 5 "},
			bad:     []string{"1.0", "1e3", "x", "--1", "0x10", "1 000", "½", "-"},
			differs: refused("python-digits", "1_000", "٣"),
		},
		{
			name: "number", field: typed("number", nil),
			good:    []string{"0", "-1.5", "+2", "1e3", "1E-3", ".5", "5.", "NaN", "INF", "-INF", "-inf", "1e400", " 1.5 "},
			bad:     []string{"x", "1,5", "1.2.3", "1e", "0x1p2", "..", "e5", "1 000.5"},
			differs: refused("python-digits", "1_000.5", "Infinity", "sNaN", "nan7", "٣.٥"),
		},
		{
			name: "number with commas", field: typed("number", object{"decimalChar": ",", "groupChar": "."}),
			good: []string{"1,5", "1.000,5", "1.000.000", "-3"},
			bad:  []string{"x", "1,5,0"},
		},
		{
			name: "number with spaces", field: typed("number", object{"groupChar": " "}),
			good: []string{"1 000.5", "1 000 000"},
			bad:  []string{"1,5", "x"},
		},
		{
			name: "number with a unit", field: typed("number", object{"bareNumber": false}),
			good: []string{"95 %", "EUR 7", "-3 €", "1.5 kWh"},
			bad:  []string{"kWh", "1-2"},
		},
		{
			name: "integer with a unit", field: typed("integer", object{"bareNumber": false}),
			good: []string{"95%", "EUR 7"},
			bad:  []string{"%", "1.5 kWh"},
		},
		{
			name: "integer with commas", field: typed("integer", object{"groupChar": ","}),
			good: []string{"1000"}, bad: []string{"1.000", "x"},
			differs: []differing{{"groups of digits", "", []string{"1,000", "1,0"}}},
		},
		{
			name: "range of numbers with a unit", field: typed("number", object{"bareNumber": false, "constraints": object{"minimum": 1}}),
			good: []string{"1 kWh"}, bad: []string{"0.5 kWh"},
			differs: []differing{{"leading point", "minimum", []string{".5 kWh"}}},
		},
		{
			name: "boolean", field: typed("boolean", nil),
			good: []string{"true", "True", "TRUE", "1", "false", "False", "FALSE", "0"},
			bad:  []string{"yes", "tRUE", "2", " true"},
		},
		{
			name: "boolean of its own words", field: typed("boolean", object{"trueValues": []string{"ja"}, "falseValues": []string{"nein"}}),
			good: []string{"ja", "nein"},
			bad:  []string{"true", "0", "Ja"},
		},
		{
			name: "string", field: constrained("string", object{"required": true}),
			good: []string{"x", " ", "ü", "1", "null", "NA", "a\"b", "a,b", "a\nb"},
		},
		{
			name: "email", field: typed("string", object{"format": "email"}),
			good: []string{"a@b.de", "a.b+c@d-e.example.org"},
			bad:  []string{"a", "a@", "@b.de", "a@b", "a b@c.de"},
		},
		{
			name: "uri", field: typed("string", object{"format": "uri"}),
			good:    []string{"https://example.org/a?b=c#d", "urn:isbn:0", "mailto:a@b.de"},
			bad:     []string{"example.org", "//example.org"},
			differs: refused("uri", "https://example.org/a b", "https://example.org/ü"),
		},
		{
			name: "uuid", field: typed("string", object{"format": "uuid"}),
			good: []string{"00112233-4455-6677-8899-aabbccddeeff", "00112233445566778899AABBCCDDEEFF"},
			bad:  []string{"00112233-4455-6677-8899-aabbccddeef", "x", "g0112233-4455-6677-8899-aabbccddeeff"},
		},
		{
			name: "binary", field: typed("string", object{"format": "binary"}),
			good: []string{"YQ==", "YWI=", "YWJj"},
			bad:  []string{"a", "YQ", "ü==="},
		},
		{
			name: "date", field: typed("date", nil),
			good:    []string{"2024-02-29", "0001-01-01", "9999-12-31"},
			bad:     []string{"2023-02-29", "2024-13-01", "2024-00-10", "29.02.2024", "2024-02-29T00:00:00", "20240229", " 2024-02-29"},
			differs: refused("padding", "2018-1-5"),
		},
		{
			name: "date of a pattern", field: typed("date", object{"format": "%d/%m/%Y"}),
			good: []string{"29/02/2024", "1/2/2024", "01/2/2024"},
			bad:  []string{"30/02/2024", "2024-02-29", "1/2/24", "1/13/2024", "1/2/2024 "},
		},
		{
			name: "date of two digits", field: typed("date", object{"format": "%d.%m.%y"}),
			good: []string{"29.02.24", "1.1.69", "1.1.68"},
			bad:  []string{"29.02.23", "29.02", "1.1.2024"},
		},
		{
			name: "date with a month's name", field: typed("date", object{"format": "%d %b %Y"}),
			good: []string{"1 Feb 2024", "01 FEB 2024"},
			bad:  []string{"1 Fev 2024", "1 2 2024"},
		},
		{
			name: "time", field: typed("time", nil),
			good: []string{"00:00:00", "23:59:59", "12:30:15.5", "12:30:15+01:00"},
			bad:  []string{"25:00:00", "12:60:00", "12:30", "noon", "12-30-15"},
		},
		{
			name: "time of a pattern", field: typed("time", object{"format": "%H:%M"}),
			good: []string{"00:00", "9:5", "23:59"},
			bad:  []string{"24:00", "12:30:15", "12"},
		},
		{
			name: "datetime", field: typed("datetime", nil),
			good: []string{
				"2024-02-29T12:00:00", "2024-02-29T12:00:00Z", "2024-02-29T12:00:00+01:00", "2024-02-29T12:00:00.123456",
				"2024-02-29T12:00:00-0130",
			},
			bad:     []string{"2024-02-29", "2024-02-30T12:00:00", "2024-02-29T25:00:00", "2024-02-29T12:00", "29.02.2024 12:00:00", "2024-02-29T12:00:60"},
			differs: refused("datetime", "2024-02-29 12:00:00", "2024-02-29x12:00:00"),
		},
		{
			name: "datetime of a pattern", field: typed("datetime", object{"format": "%d/%m/%Y %H:%M"}),
			good: []string{"29/02/2024 12:00", "1/2/2024 0:00"},
			bad:  []string{"29/02/2024", "29/02/2024 24:00", "29-02-2024 12:00"},
		},
		{
			name: "datetime of a pattern with a zone", field: typed("datetime", object{"format": "%Y-%m-%d %H:%M:%S%z"}),
			good: []string{"2024-02-29 12:00:00+0100", "2024-02-29 12:00:00+01:00", "2024-02-29 12:00:00Z"},
			bad:  []string{"2024-02-29 12:00:00", "2024-02-29 12:00:00+1", "2024-02-29T12:00:00+0100"},
		},
		{
			name: "year", field: typed("year", nil),
			good:    []string{"2024", "0001", "9999"},
			bad:     []string{"24", "20245", "x", "-2024", "20 4"},
			differs: refused("year", "+123"),
		},
		{
			name: "yearmonth", field: typed("yearmonth", nil),
			good:    []string{"2024-02", "2024-12"},
			bad:     []string{"2024-13", "2024-00", "2024", "202402", "2024/02", "2024-02-01"},
			differs: refused("year", "7-1", "2024-2"),
		},
		{
			name: "duration", field: typed("duration", nil),
			good:    []string{"P1Y", "PT15M", "P1Y2M3DT4H5M6S", "-P1D", "P2W", "PT0.5S"},
			bad:     []string{"1D", "P", "P1", "PT15", "P1S", "x"},
			differs: refused("duration", "PT", "P1DT"),
		},
		{
			name: "object", field: typed("object", nil),
			good: []string{`{}`, `{"a": 1}`, `{"a": [1, {"b": null}]}`},
			bad:  []string{"[]", "1", "x", `{"a"}`, `{"a": 1`},
		},
		{
			name: "array", field: typed("array", nil),
			good:    []string{"[]", `[1, "a"]`},
			bad:     []string{"{}", "1", "x", "[1"},
			differs: refused("json", "[NaN]"),
		},
		{
			name: "geopoint", field: typed("geopoint", nil),
			good: []string{"90.5, 45.5", "0,0", "-180,-90"},
			bad:  []string{"181, 0", "0, 91", "x", "1", "1,2,3"},
		},
		{
			name: "geojson", field: typed("geojson", nil),
			good: []string{`{"type": "Point", "coordinates": [1.0, 2.0]}`},
			bad:  []string{`{"type": "Nowhere"}`, "[]", "x"},
		},
		{
			name: "any", field: constrained("any", object{"required": true}),
			good: []string{"x", "1", "2024-02-29", " "},
		},
		{
			name: "own missing value", field: typed("integer", nil),
			good: []string{"5"},
			bad:  []string{"n/a", "NULL"},
		},
	}
}

func constraintCases() []cellCase {
	return []cellCase{
		{name: "minimum of integers", field: constrained("integer", object{"minimum": -3}), good: []string{"-3", "4"}, bad: []string{"-4", "-30"}},
		{name: "maximum of integers", field: constrained("integer", object{"maximum": 9007199254740993}), good: []string{"9007199254740993"}, bad: []string{"9007199254740994"}},
		{
			name: "range of numbers", field: constrained("number", object{"minimum": 0, "maximum": 0.1}),
			good: []string{"0", "0.1", "-0", "0.10", "1e-9"},
			bad:  []string{"-0.0001", "0.1000000000000000000001", "INF", "-INF", "1"},
		},
		{name: "range of numbers and no number", field: constrained("number", object{"minimum": 0}), good: []string{"INF"}, bad: []string{"NaN"}},
		{name: "range of years", field: constrained("year", object{"minimum": 2000, "maximum": 2024}), good: []string{"2000", "2024"}, bad: []string{"1999", "2025"}},
		{name: "range of dates", field: constrained("date", object{"minimum": "2024-01-01"}), good: []string{"2024-01-01"}, bad: []string{"2023-12-31"}},
		{name: "range of times", field: constrained("time", object{"maximum": "12:00:00"}), good: []string{"12:00:00"}, bad: []string{"12:00:01"}},
		{
			name: "range of datetimes", field: constrained("datetime", object{"minimum": "2024-01-01T00:00:00Z"}),
			good: []string{"2024-01-01T00:00:00Z", "2024-01-01T01:00:00+01:00"}, bad: []string{"2023-12-31T23:59:59Z", "2024-01-01T00:00:00+01:00"},
		},
		{
			name: "range of datetimes and no zone", field: constrained("datetime", object{"minimum": "2024-01-01T00:00:00Z"}),
			differs: []differing{{"zones", "", []string{"2024-01-01T00:00:00"}}, {"zones", "minimum", []string{"2023-12-31T23:59:59"}}},
		},
		{name: "range of months", field: constrained("yearmonth", object{"minimum": "2024-02"}), good: []string{"2024-02", "2025-01"}, bad: []string{"2024-01"}},
		{name: "length", field: constrained("string", object{"minLength": 2, "maxLength": 3}), good: []string{"ab", "äöü"}, bad: []string{"a", "abcd", "é"}},
		{name: "length of arrays", field: constrained("array", object{"minLength": 1, "maxLength": 2}), good: []string{"[1]", "[1, 2]"}, bad: []string{"[]", "[1, 2, 3]"}},
		{name: "length of objects", field: constrained("object", object{"minLength": 1}), good: []string{`{"a": 1}`}, bad: []string{"{}"}},
		{
			name: "pattern", field: constrained("string", object{"pattern": "[A-Z]{2}[0-9]+"}), good: []string{"AB1", "XY007"},
			bad: []string{"A1", "AB", "xAB1", "ab1", "AB1x"},
		},
		{
			name: "pattern of branches", field: constrained("string", object{"pattern": "a|b"}), good: []string{"a", "b"},
			bad: []string{"c"}, differs: []differing{{"pattern", "pattern", []string{"ax"}}},
		},
		{name: "enum of texts", field: constrained("string", object{"enum": []string{"ok", "fault"}}), good: []string{"ok", "fault"}, bad: []string{"OK", "ok ", "o"}},
		{name: "enum of integers", field: constrained("integer", object{"enum": []int{1, 2}}), good: []string{"1", "02"}, bad: []string{"3", "12"}},
		{name: "enum of numbers", field: constrained("number", object{"enum": []float64{1, 2.5}}), good: []string{"1", "1.0", "2.50"}, bad: []string{"2", "1.00001"}},
		{name: "enum of dates", field: constrained("date", object{"enum": []string{"2024-01-01"}}), good: []string{"2024-01-01"}, bad: []string{"2024-01-02"}},
		{name: "enum of booleans", field: constrained("boolean", object{"enum": []bool{true}}), good: []string{"true", "1"}, bad: []string{"false", "0"}},
	}
}

// samples are a file with all good cells, and one for each bad cell after a good one.
func (c cellCase) samples() []sample {
	descriptor := object{"schema": schema([]any{field("row", "integer", nil), c.field}, nil)}
	made := func(name, differs string, cells ...string) sample {
		text := "row,value\n"
		for i, cell := range cells {
			text += string(rune('1'+i%9)) + "," + quoted(cell) + "\n"
		}
		return sample{name: c.name + " " + name, descriptor: descriptor, data: []byte(text), differs: differs}
	}
	var all []sample
	if len(c.good) > 0 {
		all = append(all, made("good", "", c.good...))
	}
	for _, cell := range c.good {
		all = append(all, made("good "+cell, "", cell))
	}
	for _, cell := range c.bad {
		all = append(all, made("bad "+cell, "", append([]string{cell}, c.good...)...))
	}
	for _, d := range c.differs {
		for _, cell := range d.cells {
			s := made("differs "+cell, d.name, cell)
			if d.rule != "" {
				s.want = []string{d.rule + "@2:2"}
			}
			all = append(all, s)
		}
	}
	return all
}

// quoted writes a cell as RFC 4180 has it.
func quoted(cell string) string {
	if strings.ContainsAny(cell, "\",\n\r") {
		return `"` + strings.ReplaceAll(cell, `"`, `""`) + `"`
	}
	return cell
}
