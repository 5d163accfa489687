package dataset

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/meter-ml/meter-pipeline/internal/dataset/contract"
)

// A dialect-free contract of these columns, with what else a case needs.
func descriptor(rest string) string {
	return "name: test\npath: test.csv\n" + rest
}

const twoColumns = `
schema:
  fields:
    - {name: id, type: integer}
    - {name: text, type: string}
`

func decode(t testing.TB, text string) *contract.Contract {
	t.Helper()
	c, err := contract.Decode("data/schemas/test.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func write(t testing.TB, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "test.csv")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// lines of findings as a person would note them: rule, column, row, line, value, message.
func lines(r *Result) []string {
	list := []string{}
	for _, f := range r.Findings {
		where := ""
		if f.Row > 0 {
			where = fmt.Sprintf(" row %d", f.Row)
			if f.Line != f.Row {
				where += fmt.Sprintf(" line %d", f.Line)
			}
		}
		if f.Field > 0 {
			where += fmt.Sprintf(" field %d", f.Field)
		}
		if f.Column != "" {
			where = " " + f.Column + where
		}
		list = append(list, f.Rule+where+": "+f.Message)
	}
	return list
}

var now = time.Date(2025, 6, 1, 12, 0, 0, 0, time.UTC)

type example struct {
	name     string
	contract string
	good     string
	bad      string
	want     []string
}

func TestRules(t *testing.T) {
	for _, e := range examples() {
		t.Run(e.name, func(t *testing.T) {
			c := decode(t, descriptor(e.contract))
			judge := func(content string) []string {
				r, err := Validate(t.Context(), c, write(t, content), Options{Now: now, Root: t.TempDir(), Open: openCustomers(t)})
				if err != nil {
					t.Fatal(err)
				}
				for _, f := range r.Findings {
					if f.Help == "" {
						t.Errorf("%s has no help", f.Rule)
					}
				}
				return lines(r)
			}
			if diff := cmp.Diff([]string{}, judge(e.good)); e.good != "" && diff != "" {
				t.Errorf("good twin (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(e.want, judge(e.bad)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// openCustomers is the other data set that foreign keys of the examples refer to.
func openCustomers(t *testing.T) func(string) (*contract.Contract, string, error) {
	return func(name string) (*contract.Contract, string, error) {
		if name != "customers" {
			return nil, "", fmt.Errorf("there is no %s", name)
		}
		return decode(t, "name: customers\npath: c.csv\nschema:\n  primaryKey: id\n  fields:\n    - {name: id, type: number}\n    - {name: town, type: string}\n"),
			write(t, "id,town\n1.0,Bonn\n2,Köln\n3,Bonn\n"), nil
	}
}

func examples() []example {
	one := func(field string) string {
		return "schema:\n  fields:\n    - {name: id, type: integer}\n    - " + field + "\n"
	}
	return []example{
		{
			"missing label", twoColumns, "id,text\n1,a\n2,b\n", "id\n1\n2\n",
			[]string{`missing-label text row 1 field 2: the header has no column "text"`},
		},
		{
			"extra label", twoColumns, "", "id,text,more\n1,a,x\n2,b,y\n",
			[]string{`extra-label row 1 field 3: column 3, "more", is not in the contract`},
		},
		{
			"incorrect label", twoColumns, " id , text\n1,a\n2,b\n", "text,id\n1,1\n2,2\n",
			[]string{
				`incorrect-label id row 1 field 1: column 1 is labelled "text", the contract calls it "id"`,
				`incorrect-label text row 1 field 2: column 2 is labelled "id", the contract calls it "text"`,
			},
		},
		{
			"duplicate label", twoColumns, "", "id,id\n1,1\n2,2\n",
			[]string{`duplicate-label text row 1 field 2: column 2 has the label of column 1, "id"`},
		},
		{
			"blank label", twoColumns, "", "id, \n1,1\n2,2\n",
			[]string{`blank-label text row 1 field 2: column 2 has no label, the contract calls it "text"`},
		},
		{
			"missing cell", twoColumns, "id,text\n1,a\n2,\n3,c\n", "id,text\n1,a\n2\n3,c\n",
			[]string{"missing-cell text row 3 field 2: the row ends before this cell"},
		},
		{
			"extra cell", twoColumns, "", "id,text\n1,a,,\n2,b\n",
			[]string{"extra-cell row 2 field 3: the row has a cell more than there are columns", "extra-cell row 2 field 4: the row has a cell more than there are columns"},
		},
		{
			"blank row", twoColumns + "  primaryKey: id\n", "", "id,text\n1,a\n\n,\n2,b\n",
			[]string{"blank-row row 3: the row has no value", "blank-row row 4: the row has no value"},
		},
		{
			"type", twoColumns, "id,text\n-1,a\n2,b\n", "id,text\n1.5,a\n2,b\nx\x1b[31m\x00,c\n",
			[]string{
				`type-error id row 2 field 1: "1.5" is no integer`,
				"nul row 4 field 1: a NUL byte: write the file as text, in the encoding of its contract",
				`type-error id row 4 field 1: "x\x1b[31m\x00" is no integer`,
			},
		},
		{
			"required", one("{name: v, type: number, constraints: {required: true}}"), "id,v\n1,1\n2,2\n", "id,v\n1,1\n2,\n3\n4,2\n",
			[]string{
				"required v row 3 field 2: has no value, and the field is required",
				"missing-cell v row 4 field 2: the row ends before this cell",
				"required v row 4 field 2: has no value, and the field is required",
			},
		},
		{
			"minimum and maximum", one("{name: v, type: number, constraints: {minimum: 0.1, maximum: 5}}"),
			"id,v\n1,0.1\n2,5\n3,5.00\n4,0.10000000000000000001\n",
			"id,v\n1,0.09\n2,5.01\n3,5.0000000000000000001\n4,0.0999999999999999999999\n5,NaN\n6,1e400\n7,1\n8,2\n",
			[]string{
				`minimum v row 2 field 2: "0.09" is less than the minimum 0.1`,
				`maximum v row 3 field 2: "5.01" is more than the maximum 5`,
				`maximum v row 4 field 2: "5.0000000000000000001" is more than the maximum 5`,
				`minimum v row 5 field 2: "0.0999999999999999999999" is less than the minimum 0.1`,
				`maximum v row 6 field 2: "NaN" is more than the maximum 5`,
				`minimum v row 6 field 2: "NaN" is less than the minimum 0.1`,
				`maximum v row 7 field 2: "1e400" is more than the maximum 5`,
			},
		},
		{
			"bounds of dates", one("{name: d, type: date, constraints: {minimum: 2020-01-01, maximum: 2020-12-31}}"),
			"id,d\n1,2020-01-01\n2,2020-12-31\n", "id,d\n1,2019-12-31\n2,2021-01-01\n3,2020-06-31\n4,2020-06-30\n",
			[]string{
				`minimum d row 2 field 2: "2019-12-31" is less than the minimum 2020-01-01`,
				`maximum d row 3 field 2: "2021-01-01" is more than the maximum 2020-12-31`,
				`type-error d row 4 field 2: "2020-06-31" is no date`,
			},
		},
		{
			"length", one("{name: s, type: string, constraints: {minLength: 2, maxLength: 3}}"), "id,s\n1,äöü\n2,日本\n", "id,s\n1,a\n2,äöüß\n3,日\n",
			[]string{
				`minLength s row 2 field 2: "a" has length 1, at least 2 is asked for`,
				`maxLength s row 3 field 2: "äöüß" has length 4, at most 3 is asked for`,
				`minLength s row 4 field 2: "日" has length 1, at least 2 is asked for`,
			},
		},
		{
			"pattern", one(`{name: s, type: string, constraints: {pattern: "a|b+"}}`), "id,s\n1,a\n2,bb\n", "id,s\n1,ab\n2,b\n3,xb\n",
			[]string{
				`pattern s row 2 field 2: "ab" does not match the pattern a|b+`,
				`pattern s row 4 field 2: "xb" does not match the pattern a|b+`,
			},
		},
		{
			"enum", one("{name: v, type: number, constraints: {enum: [1, 2.5]}}"), "id,v\n1,1.0\n2,2.50\n", "id,v\n1,1\n2,3\n3,2.5\n",
			[]string{`enum v row 3 field 2: "3" is none of 1, 2.5`},
		},
		{
			"unique", one("{name: v, type: number, constraints: {unique: true}}"), "id,v\n1,1\n2,\n3,\n4,2\n", "id,v\n1,1\n2,2\n3,1.0\n4,01\n5,-2\n",
			[]string{
				`unique v row 4 field 2: "1.0" is the value of row 2, too`,
				`unique v row 5 field 2: "01" is the value of row 4, too`,
			},
		},
		{
			"primary key",
			"schema:\n  primaryKey: [m, t]\n  fields:\n    - {name: m, type: string}\n    - {name: t, type: datetime}\n",
			"m,t\na,2020-01-01T00:00:00Z\nb,2020-01-01T00:00:00Z\na,2020-01-01T00:00:00\na,2020-01-01T00:00:00.0000001Z\na,2020-01-01T00:00:01Z\n",
			"m,t\na,2020-01-01T00:00:00Z\nb,2020-01-01T00:00:00Z\n,2020-01-01T00:00:00Z\na,2020-01-01T01:00:00+01:00\nb,x\nb,x\n",
			[]string{
				"primary-key m, t row 4 field 1: m has no value, and it is part of the primary key",
				`primary-key m, t row 5: "a, 2020-01-01T01:00:00+01:00" is the key of row 2, too`,
				`type-error t row 6 field 2: "x" is no datetime`,
				`type-error t row 7 field 2: "x" is no datetime`,
			},
		},
		{
			"foreign key",
			"schema:\n  foreignKeys:\n    - {fields: id, reference: {resource: customers, fields: id}}\n  fields:\n    - {name: id, type: number}\n    - {name: v, type: number}\n",
			"id,v\n1,1\n2.00,2\n,3\n", "id,v\n1,1\n4,2\nx,3\n",
			[]string{
				`foreign-key id row 3 field 1: "4" is not among id of customers`,
				`type-error id row 4 field 1: "x" is no number`,
			},
		},
		{
			"foreign key to itself",
			"schema:\n  foreignKeys:\n    - {fields: parent, reference: {fields: id}}\n  fields:\n    - {name: id, type: integer}\n    - {name: parent, type: integer}\n",
			"id,parent\n1,\n2,1\n3,2\n", "id,parent\n1,\n2,1\n3,4\n",
			[]string{`foreign-key parent row 4 field 2: "4" is not among id`},
		},
		{
			"duplicates", twoColumns + "quality:\n  duplicates: 0.2\n", "id,text\n1,a\n2,b\n3,c\n4,d\n\"1\",a\n",
			"id,text\n1,a\n2,b\n\"1\",\"a\"\n1,a\n",
			[]string{
				"duplicates row 4: the row equals row 2 in every cell",
				"duplicates row 5: the row equals row 4 in every cell",
			},
		},
		{
			"duplicates beside a primary key", "schema:\n  primaryKey: id\n  fields:\n    - {name: id, type: integer}\n    - {name: text, type: string}\nquality:\n  duplicates: 0\n", "",
			"id,text\n1,a\n2,b\n1,a\nx,a\nx,a\n01,b\n",
			[]string{
				"duplicates row 4: the row equals row 2 in every cell",
				`primary-key id row 4 field 1: "1" is the key of row 2, too`,
				`type-error id row 5 field 1: "x" is no integer`,
				"duplicates row 6: the row equals row 5 in every cell",
				`type-error id row 6 field 1: "x" is no integer`,
				`primary-key id row 7 field 1: "01" is the key of row 4, too`,
			},
		},
		{
			"rows", twoColumns + "quality:\n  rows: {minimum: 2, maximum: 3}\n", "id,text\n1,a\n2,b\n", "id,text\n1,a\n",
			[]string{"rows: the file has 1 rows, at least 2 are asked for"},
		},
		{
			"too many rows", twoColumns + "quality:\n  rows: {maximum: 2}\n", "", "id,text\n1,a\n2,b\n3,c\n",
			[]string{"rows: the file has 3 rows, at most 2 are asked for"},
		},
		{
			"nulls", twoColumns + "quality:\n  nulls: {text: 0.25}\n", "id,text\n1,a\n2,b\n3,\n4,c\n", "id,text\n1,a\n2,\n3,\n4,c\n",
			[]string{"nulls text row 3 field 2: 2 of 4 values are missing (50 %), at most 25 % may be; this is the first row"},
		},
		{
			"constant", twoColumns + "quality:\n  constant: [id]\n", "id,text\n1,a\n1,b\n", "id,text\n1,a\n1,a\n",
			[]string{"constant text field 2: all values are the same"},
		},
		{
			"no value at all", twoColumns, "", "id,text\n1,\n2,\n",
			[]string{"constant text field 2: no row has a value"},
		},
		{
			"share", twoColumns + "quality:\n  shares:\n    - {field: id, value: 0, share: 0.5}\n", "id,text\n0,a\n00,b\n1,c\n2,d\n", "id,text\n0,a\n1,b\n-0,c\n",
			[]string{`share id field 1: 66.67 % of the values are "0", at most 50 % may be`},
		},
		{
			"rule", twoColumns + "quality:\n  rules:\n    - {name: short, expression: \"length(text) <= id\"}\n", "id,text\n1,a\n2,bb\n,ccc\n", "id,text\n1,a\n2,bbb\nx,c\n",
			[]string{
				"rule short row 3: id=2, text=bbb breaks length(text) <= id",
				`type-error id row 4 field 1: "x" is no integer`,
			},
		},
		{
			"rule that judges nothing", twoColumns + "quality:\n  rules:\n    - {name: short, expression: \"length(text) <= id\"}\n  constant: [id]\n", "", "id,text\n,a\n,b\n",
			[]string{"rule short: no row has all the values that the rule reads, so that it judged nothing"},
		},
		{
			"freshness", one("{name: d, type: date}") + "quality:\n  freshness: {field: d, within: 48h}\n", "id,d\n1,2025-05-31\n2,2025-05-30\n", "id,d\n1,2025-05-29\n2,2025-05-30\n",
			[]string{"freshness d row 3 field 2: the latest value, 2025-05-30T00:00:00Z, is 60h0m0s old, at most 48h0m0s is allowed"},
		},
		{
			"interval and gaps", one("{name: t, type: datetime}") + "quality:\n  interval: {time: t, by: id, every: 15m}\n",
			"id,t\n1,2025-01-01T00:00:00Z\n2,2025-01-01T00:05:00Z\n1,2025-01-01T00:30:00Z\n1,2025-01-01T00:15:00Z\n2,2025-01-01T01:20:00+01:00\n",
			"id,t\n1,2025-01-01T00:00:00Z\n1,2025-01-01T00:16:00Z\n1,2025-01-01T00:30:00Z\n2,2025-01-01T00:00:00Z\n2,2025-01-01T00:45:00Z\n2,2025-01-01T01:15:00Z\n",
			[]string{
				"interval t row 3 field 2: id 1: the instant is not a whole number of intervals of 15m0s from the others",
				"gaps t row 6 field 2: id 2: the 2 instants from 2025-01-01T00:15:00 to 2025-01-01T00:30:00 are absent before this row; 33.33 % of all are absent, at most 0 % may be",
				"gaps t row 7 field 2: id 2: the instant 2025-01-01T01:00:00 is absent before this row; 33.33 % of all are absent, at most 0 % may be",
			},
		},
		{
			"allowed gaps", "schema:\n  fields:\n    - {name: d, type: date}\n    - {name: t, type: time}\nquality:\n  interval: {time: [d, t], every: 12h, gaps: 0.25}\n",
			"d,t\n2025-01-01,00:00:00\n2025-01-01,12:00:00\n2025-01-02,12:00:00\n", "d,t\n2025-01-01,00:00:00\n2025-01-02,00:00:00\n2025-01-02,12:00:00\n2025-01-03,12:00:00\n",
			[]string{
				"gaps d, t row 3: the instant 2025-01-01T12:00:00 is absent before this row; 33.33 % of all are absent, at most 25 % may be",
				"gaps d, t row 5: the instant 2025-01-03T00:00:00 is absent before this row; 33.33 % of all are absent, at most 25 % may be",
			},
		},
		{
			"drift without baseline", twoColumns + "quality:\n  drift: {baseline: none.json}\n", "", "id,text\n1,a\n2,b\n",
			[]string{"drift: there is no baseline none.json to compare with"},
		},
		{"empty", twoColumns, "", "", []string{"empty: the file is empty"}},
		{"header only", twoColumns, "", "id,text\n", []string{"rows: the file has 0 rows, at least 1 are asked for"}},
		{
			"comments", "dialect: {commentChar: \"#\"}" + twoColumns, "# made by hand\nid,text\n1,a\n# more\n2,b\n", "# made by hand\nid,txt\n1,a\n# more\nx,b\n",
			[]string{
				`incorrect-label text row 2 field 2: column 2 is labelled "txt", the contract calls it "text"`,
				`type-error id row 5 field 1: "x" is no integer`,
			},
		},
		{
			"lines", twoColumns, "id,text\n1,\"a\nb\"\n2,b\n", "id,text\n1,\"a\nb\"\nx,b\n",
			[]string{`type-error id row 3 line 4 field 1: "x" is no integer`},
		},
	}
}
