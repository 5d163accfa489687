package difftest

import (
	"fmt"
	"strings"
	"unicode/utf16"
)

// fileSamples are about what is between the cells: rows, headers, keys, quotes, line ends, encodings, dialects.
func fileSamples() []sample {
	var all []sample
	for _, list := range [][]sample{rowSamples(), headerSamples(), keySamples(), quoteSamples(), formSamples(), dialectSamples(), missingSamples(), foreignSamples()} {
		all = append(all, list...)
	}
	return all
}

// plain has three columns of three types.
func plain(more object) object {
	fields := []any{field("id", "integer", nil), field("name", "string", nil), field("value", "number", nil)}
	return object{"schema": schema(fields, more)}
}

// strictly requires all of them.
func strictly(more object) object {
	required := object{"constraints": object{"required": true}}
	fields := []any{field("id", "integer", required), field("name", "string", required), field("value", "number", required)}
	return object{"schema": schema(fields, more)}
}

func with(descriptor object, key string, value any) object {
	made := object{key: value}
	for k, v := range descriptor {
		if k != key {
			made[k] = v
		}
	}
	return made
}

func rowSamples() []sample {
	var all []sample
	for _, kind := range []struct {
		name       string
		descriptor object
	}{{"", plain(nil)}, {"required ", strictly(nil)}} {
		for _, c := range []struct{ name, data string }{
			{"good", "id,name,value\n1,a,0.5\n2,b,1.5\n"},
			{"no newline at the end", "id,name,value\n1,a,0.5\n2,b,1.5"},
			{"bad cell in the last line without newline", "id,name,value\n1,a,0.5\n2,b,x"},
			{"cell too many", "id,name,value\n1,a,0.5,z\n2,b,1.5\n"},
			{"empty cell too many", "id,name,value\n1,a,0.5,\n2,b,1.5\n"},
			{"two cells too many in the last row", "id,name,value\n1,a,0.5\n2,b,1.5,z,z\n"},
			{"cell too few", "id,name,value\n1,a\n2,b,1.5\n"},
			{"two cells too few", "id,name,value\n1,a,0.5\n2\n"},
			{"ragged both ways", "id,name,value\n1\n2,b,1.5,z\n3,c\n4,d,2.5\n"},
			{"empty cells", "id,name,value\n1,,\n,b,1.5\n"},
			{"two wrong cells in a row", "id,name,value\n1,a,0.5\nx,b,y\n"},
			{"wrong cells in many rows", "id,name,value\nx,a,0.5\n2,b,y\nz,c,1\n4,d,w\n"},
			{"row of delimiters", "id,name,value\n1,a,0.5\n,,\n2,b,1.5\n"},
			{"row of too many delimiters", "id,name,value\n1,a,0.5\n,,,\n"},
			{"row of too few delimiters", "id,name,value\n1,a,0.5\n,\n"},
			{"blank line", "id,name,value\n1,a,0.5\n\n2,b,1.5\n"},
			{"blank lines at the end", "id,name,value\n1,a,0.5\n\n\n"},
			{"line of spaces", "id,name,value\n1,a,0.5\n  \n2,b,1.5\n"},
			{"two lines in a cell", "id,name,value\n1,\"a\nb\",0.5\nx,b,1.5\n"},
			{"cell of quotes", "id,name,value\n1,\"\"\"\",0.5\n2,\"a \"\"b\"\"\",1.5\n"},
			{"empty quoted cell", "id,name,value\n1,\"\",0.5\n\"\",b,1.5\n"},
			{"everything quoted", "\"id\",\"name\",\"value\"\n\"1\",\"a\",\"0.5\"\n"},
		} {
			all = append(all, sample{name: "row, " + kind.name + c.name, descriptor: kind.descriptor, data: []byte(c.data)})
		}
	}
	single := object{"schema": schema([]any{field("id", "integer", nil)}, nil)}
	all = append(all,
		sample{name: "row, one column", descriptor: single, data: []byte("id\n1\n2\n")},
		sample{name: "row, one column, blank line", descriptor: single, data: []byte("id\n1\n\n2\n")},
		sample{name: "row, one column, empty quoted cell", descriptor: single, data: []byte("id\n1\n\"\"\n2\n")},
		sample{name: "row, header only", descriptor: plain(nil), data: []byte("id,name,value\n"), differs: "no rows", want: []string{"rows@0:0"}},
		sample{name: "row, empty file", descriptor: plain(nil), data: nil},
	)
	many := "id,name,value\n"
	for n := range 300 {
		many += fmt.Sprintf("%d,%c,%d.5\n", n, 'a'+n%26, n)
	}
	return append(all,
		sample{name: "row, many", descriptor: plain(nil), data: []byte(many)},
		sample{name: "row, many and a bad one", descriptor: plain(nil), data: []byte(many + "x,y,z\n")},
	)
}

func headerSamples() []sample {
	var all []sample
	for _, c := range []struct {
		name, header, differs string // in the file whose rows are as the contract has them
		want                  []string
	}{
		{name: "good", header: "id,name,value"},
		{name: "spaces around labels", header: " id ,name, value"},
		{name: "quoted labels", header: `"id","name","value"`},
		{name: "capital letter", header: "Id,name,value"},
		{name: "two labels exchanged", header: "name,id,value"},
		{name: "other label", header: "id,name,price"},
		{name: "label too many", header: "id,name,value,more", differs: "extra columns", want: []string{"extra-label@1:4", "type-error@3:3"}},
		{name: "two labels too many", header: "id,name,value,more,and more", differs: "extra columns", want: []string{"extra-label@1:4", "extra-label@1:5", "type-error@3:3"}},
		{name: "empty label too many", header: "id,name,value,", differs: "extra columns", want: []string{"extra-label@1:4", "type-error@3:3"}},
		{name: "label too few", header: "id,name"},
		{name: "two labels too few", header: "id"},
		{name: "blank label", header: "id,,value"},
		{name: "blank label of spaces", header: "id,  ,value"},
		{name: "label twice", header: "id,name,name"},
		{name: "label twice in front", header: "id,id,value"},
		{name: "other delimiter", header: "id;name;value"},
		{name: "all others", header: "a,b,c"},
		{name: "data for a header", header: "1,a,0.5"},
	} {
		width := strings.Count(c.header, ",") + 1
		row := strings.Join([]string{"1", "a", "0.5", "x", "y"}[:width], ",")
		all = append(all,
			sample{name: "header, " + c.name, descriptor: plain(nil), data: []byte(c.header + "\n" + row + "\n")},
			sample{name: "header, " + c.name + ", and a bad row", descriptor: plain(nil), data: []byte(c.header + "\n" + row + "\nx" + row[1:] + "\n")},
			sample{name: "header, " + c.name + ", and whole rows", descriptor: strictly(nil), data: []byte(c.header + "\n1,a,0.5\n2,b,x\n"), differs: c.differs, want: c.want},
		)
	}
	headless := with(plain(nil), "dialect", object{"header": false})
	return append(all, []sample{
		{name: "header, none", descriptor: headless, data: []byte("1,a,0.5\n2,b,1.5\n")},
		{name: "header, none, and a bad row", descriptor: headless, data: []byte("1,a,0.5\nx,b,1.5\n")},
		{name: "header, none, bad first row", descriptor: headless, data: []byte("id,name,value\n1,a,0.5\n")},
		{name: "header, none, ragged", descriptor: headless, data: []byte("1,a\n2,b,1.5,z\n")},
		{
			name: "header, blank line before", descriptor: plain(nil), data: []byte("\nid,name,value\n1,a,0.5\n"), differs: "blank header",
			want: []string{"missing-label@1:1", "missing-label@1:2", "missing-label@1:3", "type-error@2:1", "type-error@2:3"},
		},
		{
			name: "header, blank line for one", descriptor: plain(nil), data: []byte("\n1,a,0.5\n"), differs: "blank header",
			want: []string{"missing-label@1:1", "missing-label@1:2", "missing-label@1:3"},
		},
	}...)
}

func keySamples() []sample {
	key := func(names ...string) object { return plain(object{"primaryKey": names}) }
	unique := object{"constraints": object{"unique": true}}
	one := func(kind string, more object) object {
		return object{"schema": schema([]any{field("key", kind, more), field("n", "integer", nil)}, nil)}
	}
	zoned := one("datetime", unique)
	return []sample{
		{name: "key, good", descriptor: key("id"), data: []byte("id,name,value\n1,a,0.5\n2,a,0.5\n")},
		{name: "key, twice", descriptor: key("id"), data: []byte("id,name,value\n1,a,0.5\n2,b,1.5\n1,c,2.5\n")},
		{name: "key, three times", descriptor: key("id"), data: []byte("id,name,value\n1,a,0.5\n1,b,1.5\n1,c,2.5\n")},
		{name: "key, written differently", descriptor: key("id"), data: []byte("id,name,value\n1,a,0.5\n01,b,1.5\n+1,c,2.5\n")},
		{name: "key of two, good", descriptor: key("id", "name"), data: []byte("id,name,value\n1,a,0.5\n1,b,0.5\n2,a,0.5\n")},
		{name: "key of two, twice", descriptor: key("id", "name"), data: []byte("id,name,value\n1,a,0.5\n1,b,0.5\n1,a,1.5\n")},
		{name: "key of two, not the same when joined", descriptor: key("id", "name"), data: []byte("id,name,value\n1,11,0.5\n11,1,0.5\n")},
		{name: "key of numbers, written differently", descriptor: key("value"), data: []byte("id,name,value\n1,a,1.5\n2,b,1.50\n3,c,15e-1\n")},
		{name: "key of long numbers, nearly the same", descriptor: key("value"), data: []byte("id,name,value\n1,a,0.1000000000000000000001\n2,b,0.1\n")},
		{name: "key with a bad cell", descriptor: key("id", "name"), data: []byte("id,name,value\nx,a,0.5\ny,a,0.5\n1,a,1.5\n"), differs: "wrong key", want: []string{"type-error@2:1", "type-error@3:1"}},
		{name: "key missing", descriptor: key("id"), data: []byte("id,name,value\n1,a,0.5\n,b,1.5\n")},
		{name: "key missing twice", descriptor: key("id"), data: []byte("id,name,value\n,a,0.5\n,b,1.5\n")},
		{
			name: "key of two, one missing", descriptor: key("id", "name"), data: []byte("id,name,value\n1,,0.5\n,a,1.5\n"),
			differs: "partial key", want: []string{"primary-key@2:0", "primary-key@3:0"},
		},
		{name: "unique, good", descriptor: one("integer", unique), data: []byte("key,n\n1,1\n2,1\n")},
		{name: "unique, twice", descriptor: one("integer", unique), data: []byte("key,n\n1,1\n2,1\n1,2\n")},
		{name: "unique, three times", descriptor: one("integer", unique), data: []byte("key,n\n1,1\n1,1\n1,2\n")},
		{name: "unique, missing", descriptor: one("integer", unique), data: []byte("key,n\n1,1\n,1\n,2\n")},
		{name: "unique texts, case", descriptor: one("string", unique), data: []byte("key,n\na,1\nA,1\n")},
		{name: "unique texts, space", descriptor: one("string", unique), data: []byte("key,n\na,1\na ,1\n")},
		{name: "unique texts, quoted", descriptor: one("string", unique), data: []byte("key,n\na,1\n\"a\",1\n")},
		{name: "unique numbers, written differently", descriptor: one("number", unique), data: []byte("key,n\n1,1\n1.0,1\n0,1\n-0,1\n")},
		{name: "unique booleans", descriptor: one("boolean", unique), data: []byte("key,n\ntrue,1\n1,1\nfalse,1\n")},
		{name: "unique dates", descriptor: one("date", unique), data: []byte("key,n\n2024-01-01,1\n2024-01-02,1\n2024-01-01,1\n")},
		{name: "unique instants", descriptor: zoned, data: []byte("key,n\n2024-01-01T00:00:00Z,1\n2024-01-01T01:00:00+01:00,1\n")},
		{name: "unique instants, different", descriptor: zoned, data: []byte("key,n\n2024-01-01T00:00:00Z,1\n2024-01-01T00:00:00+01:00,1\n")},
		{name: "unique bad cells", descriptor: one("integer", unique), data: []byte("key,n\nx,1\nx,1\n")},
	}
}

// quoteSamples are what Go's own reader decides about: frictionless reads with Python's, which takes anything.
func quoteSamples() []sample {
	bad := func(name, data string, want ...string) sample {
		return sample{name: "quote, " + name, descriptor: plain(nil), data: []byte(data), differs: "quotes", want: want}
	}
	return []sample{
		bad("bare", "id,name,value\n1,a\"b,0.5\n", "quote@2:2"),
		bad("bare at the end", "id,name,value\n1,a\",0.5\n", "quote@2:2"),
		bad("text after it", "id,name,value\n1,\"a\"b,0.5\n", "quote@2:2"),
		bad("space after it", "id,name,value\n1,\"a\" ,0.5\n", "quote@2:2"),
		bad("space before it", "id,name,value\n1, \"a\",0.5\n", "quote@2:2"),
		bad("not closed", "id,name,value\n1,a,0.5\n2,\"b,1.5\n", "missing-cell@3:3", "quote@3:2"),
		bad("in the header", "id,na\"me,value\n1,a,0.5\n", "incorrect-label@1:2", "quote@1:2"),
	}
}

func formSamples() []sample {
	utf8Text, latinText := "id,name,value\n1,ü,0.5\n", "id,name,value\n1,\xfc,0.5\n"
	latin := with(plain(nil), "encoding", "iso-8859-1")
	western := with(plain(nil), "encoding", "windows-1252")
	marked := with(plain(nil), "encoding", "utf-8-sig")
	wide := with(plain(nil), "encoding", "utf-16")
	units := func(text string) []byte {
		bytes := []byte{0xff, 0xfe}
		for _, unit := range utf16.Encode([]rune(text)) {
			bytes = append(bytes, byte(unit), byte(unit>>8))
		}
		return bytes
	}
	length := object{"schema": schema([]any{field("id", "integer", nil), field("name", "string", object{"constraints": object{"maxLength": 3}})}, nil)}
	return []sample{
		{name: "form, \\r\\n", descriptor: plain(nil), data: []byte("id,name,value\r\n1,a,0.5\r\n2,b,x\r\n")},
		{name: "form, \\r\\n and \\n", descriptor: plain(nil), data: []byte("id,name,value\r\n1,a,0.5\n2,b,x\r\n")},
		{name: "form, \\r\\n and no end", descriptor: plain(nil), data: []byte("id,name,value\r\n1,a,0.5\r\n2,b,1.5")},
		{name: "form, blank line of \\r\\n", descriptor: plain(nil), data: []byte("id,name,value\r\n\r\n1,a,0.5\r\n")},
		{name: "form, \\r only", descriptor: plain(nil), data: []byte("id,name,value\r1,a,0.5\r"), differs: "line ends", want: []string{"extra-label@1:4", "extra-label@1:5", "incorrect-label@1:3", "line-end@1:0", "line-end@1:0", "rows@0:0"}},
		{name: "form, \\r in a cell", descriptor: plain(nil), data: []byte("id,name,value\n1,a\rb,0.5\n"), differs: "line ends", want: []string{"line-end@2:0"}},
		{name: "form, \\r\\n in a quoted cell", descriptor: length, data: []byte("id,name\r\n1,\"a\r\nb\"\r\n2,\"abcd\"\r\n"), differs: "line ends in cells", want: []string{"maxLength@3:2"}},
		{name: "form, NUL", descriptor: plain(nil), data: []byte("id,name,value\n1,a\x00b,0.5\n"), differs: "NUL", want: []string{"nul@2:2"}},
		{name: "form, utf-8", descriptor: plain(nil), data: []byte(utf8Text)},
		{name: "form, not utf-8", descriptor: plain(nil), data: []byte(latinText), differs: "encoding", want: []string{"encoding@2:2"}},
		{name: "form, surrogate in utf-8", descriptor: plain(nil), data: []byte("id,name,value\n1,\xed\xa0\x80,0.5\n"), differs: "encoding", want: []string{"encoding@2:2"}},
		{name: "form, iso-8859-1", descriptor: latin, data: []byte(latinText)},
		{name: "form, iso-8859-1, bad cell", descriptor: latin, data: []byte("id,name,value\n\xfc,a,0.5\n")},
		{name: "form, utf-8 as iso-8859-1", descriptor: latin, data: []byte(utf8Text)},
		{name: "form, windows-1252", descriptor: western, data: []byte("id,name,value\n1,\x80,0.5\n")},
		{name: "form, not windows-1252", descriptor: western, data: []byte("id,name,value\n1,\x81,0.5\n"), differs: "encoding", want: []string{"encoding@2:2"}},
		{name: "form, utf-16", descriptor: wide, data: units(utf8Text)},
		{name: "form, utf-16, bad cell", descriptor: wide, data: units("id,name,value\n1,ü,x\n")},
		{name: "form, byte-order mark", descriptor: marked, data: []byte("\xef\xbb\xbf" + utf8Text)},
		{name: "form, byte-order mark, bad cell", descriptor: marked, data: []byte("\xef\xbb\xbfid,name,value\nx,a,0.5\n")},
		{name: "form, byte-order mark declared and absent", descriptor: marked, data: []byte(utf8Text)},
		{name: "form, byte-order mark not declared", descriptor: plain(nil), data: []byte("\xef\xbb\xbf" + utf8Text), differs: "byte-order mark", want: []string{"byte-order-mark@1:0"}},
	}
}

func dialectSamples() []sample {
	dialect := func(more object) object { return with(plain(nil), "dialect", more) }
	skip := object{"skipInitialSpace": true}
	return []sample{
		{name: "dialect, semicolon", descriptor: dialect(object{"delimiter": ";"}), data: []byte("id;name;value\n1;a,b;0.5\n")},
		{name: "dialect, semicolon, bad", descriptor: dialect(object{"delimiter": ";"}), data: []byte("id;name;value\n1;a;0,5\n")},
		{name: "dialect, semicolon, but commas", descriptor: dialect(object{"delimiter": ";"}), data: []byte("id,name,value\n1,a,0.5\n")},
		{name: "dialect, tab", descriptor: dialect(object{"delimiter": "\t"}), data: []byte("id\tname\tvalue\n1\ta b\t0.5\n")},
		{name: "dialect, bar", descriptor: dialect(object{"delimiter": "|"}), data: []byte("id|name|value\n1|a|x\n")},
		{name: "dialect, single quotes", descriptor: dialect(object{"quoteChar": "'"}), data: []byte("id,name,value\n1,'a,''b',0.5\n2,\"c\",x\n")},
		{name: "dialect, no quotes", descriptor: dialect(object{"quoteChar": ""}), data: []byte("id,name,value\n1,\"a,0.5\n2,b\"\",x\n"), differs: "no quote character", want: []string{"type-error@3:3"}},
		{name: "dialect, escape", descriptor: dialect(object{"escapeChar": "\\", "doubleQuote": false}), data: []byte("id,name,value\n1,\"a\\\"b\",0.5\n2,a\\,b,1.5\n")},
		{name: "dialect, escape, bad", descriptor: dialect(object{"escapeChar": "\\", "doubleQuote": false}), data: []byte("id,name,value\n1,a\\,b,x\n")},
		{name: "dialect, comments", descriptor: dialect(object{"commentChar": "#"}), data: []byte("# made by hand\nid,name,value\n# more\n1,a,0.5\n"), differs: "comment before the header"},
		{name: "dialect, comments after the header", descriptor: dialect(object{"commentChar": "#"}), data: []byte("id,name,value\n# more\n1,a,0.5\n")},
		{name: "dialect, comments and a bad row", descriptor: dialect(object{"commentChar": "#"}), data: []byte("id,name,value\n# more, of it\nx,a,0.5\n")},
		{name: "dialect, comments in a cell", descriptor: dialect(object{"commentChar": "#"}), data: []byte("id,name,value\n1,#a,0.5\n2,b,#\n")},
		{name: "dialect, spaces skipped", descriptor: dialect(skip), data: []byte("id, name, value\n1, a, 0.5\n2, \"b, c\", 1.5\n")},
		{name: "dialect, spaces skipped, bad", descriptor: dialect(skip), data: []byte("id, name, value\n1, a, x\n")},
		{name: "dialect, spaces kept", descriptor: dialect(nil), data: []byte("id,name,value\n1, a, 0.5\n2, b, x\n")},
	}
}

func missingSamples() []sample {
	words := plain(object{"missingValues": []string{"", "NA", "-"}})
	none := plain(object{"missingValues": []string{}})
	required := strictly(object{"missingValues": []string{"NA"}})
	return []sample{
		{name: "missing, words", descriptor: words, data: []byte("id,name,value\nNA,-,\n1,NA,-\n2,b,0.5\n")},
		{name: "missing, another word", descriptor: words, data: []byte("id,name,value\n1,a,na\nn/a,b,0.5\n")},
		{name: "missing, row of words", descriptor: words, data: []byte("id,name,value\n1,a,0.5\nNA,,-\n")},
		{name: "missing, word with a space", descriptor: words, data: []byte("id,name,value\n1,a, NA\n")},
		{name: "missing, quoted word", descriptor: words, data: []byte("id,name,value\n1,a,\"NA\"\n")},
		{name: "missing, nothing is", descriptor: none, data: []byte("id,name,value\n1,,0.5\n2,b,1.5\n")},
		{name: "missing, nothing is, empty number", descriptor: none, data: []byte("id,name,value\n1,a,\n,b,1.5\n")},
		{name: "missing, required", descriptor: required, data: []byte("id,name,value\nNA,a,0.5\n1,NA,1.5\n2,b,NA\n")},
		{name: "missing, required, empty text is a text", descriptor: required, data: []byte("id,name,value\n1,,0.5\n")},
	}
}

func foreignSamples() []sample {
	refer := func(resource string, fields, to any) object {
		return plain(object{"foreignKeys": []any{object{"fields": fields, "reference": object{"resource": resource, "fields": to}}}})
	}
	others := []sample{{name: "people", descriptor: plain(nil), data: []byte("id,name,value\n1,a,0.5\n2,b,1.5\n")}}
	return []sample{
		{name: "foreign, good", descriptor: refer("people", []string{"name"}, []string{"name"}), others: others, data: []byte("id,name,value\n7,a,0.5\n8,b,0.5\n9,a,0.5\n")},
		{name: "foreign, unknown", descriptor: refer("people", []string{"name"}, []string{"name"}), others: others, data: []byte("id,name,value\n7,a,0.5\n8,z,0.5\n")},
		{name: "foreign, missing", descriptor: refer("people", []string{"name"}, []string{"name"}), others: others, data: []byte("id,name,value\n7,,0.5\n8,b,0.5\n")},
		{name: "foreign, numbers", descriptor: refer("people", []string{"id"}, []string{"id"}), others: others, data: []byte("id,name,value\n01,a,0.5\n3,b,0.5\n")},
		{name: "foreign, two fields", descriptor: refer("people", []string{"id", "name"}, []string{"id", "name"}), others: others, data: []byte("id,name,value\n1,a,0.5\n1,b,0.5\n")},
		{name: "foreign, itself", descriptor: refer("", []string{"value"}, []string{"id"}), data: []byte("id,name,value\n1,a,2\n2,b,1\n")},
		{name: "foreign, itself, unknown", descriptor: refer("", []string{"value"}, []string{"id"}), data: []byte("id,name,value\n1,a,2\n2,b,3\n")},
	}
}
