package contract

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/meter-ml/meter-pipeline/internal/strict"
)

// everything uses each part of a descriptor once.
const everything = `
name: readings
title: Readings
description: One row is an interval.
homepage: https://example.org
licenses: [{name: CC0-1.0, path: https://example.org/l, title: Zero}]
sources: [{title: Grid, path: https://example.org/s, email: a@example.org}]
type: table
profile: tabular-data-resource
path: data/readings.csv.gz
directoryVariable: METER_DATA_DIR
format: csv
mediatype: text/csv
encoding: UTF-8-sig
dialect:
  delimiter: ";"
  lineTerminator: "\n"
  quoteChar: "'"
  doubleQuote: false
  escapeChar: \
  commentChar: "#"
  skipInitialSpace: true
  header: false
schema:
  missingValues: ["", "-"]
  primaryKey: [meter, at]
  foreignKeys:
    - fields: meter
      reference: {resource: meters, fields: id}
  fields:
    - {name: meter, type: string, example: M1, constraints: {required: true, pattern: "M[0-9]+|X", minLength: 2, maxLength: 9}}
    - {name: at, type: datetime, format: "%d/%m/%Y %H:%M", constraints: {minimum: 1/2/2018 0:00, maximum: 01/02/2019 00:00}}
    - {name: kwh, type: number, unit: kWh, decimalChar: ",", groupChar: ".", bareNumber: false, constraints: {minimum: -1.50, maximum: "1.000,5"}}
    - {name: phase, type: integer, constraints: {enum: [1, 2, 3]}}
    - {name: on, type: boolean, trueValues: [ja], falseValues: [nein], constraints: {enum: [true]}}
    - {name: note}
quality:
  rows: {minimum: 10, maximum: 100}
  nulls: {kwh: 0.05}
  duplicates: 0
  shares: [{field: phase, value: 1, share: 0.5}]
  constant: [note]
  rules: [{name: positive, expression: kwh > 0, description: Energy.}]
  freshness: {field: at, within: 48h}
  interval: {time: at, by: meter, every: 15m, gaps: 0.01}
  drift: {baseline: data/b.json, psi: 0.3, ks: 0.2}
  leak: {target: kwh, exclude: [{field: phase, reason: It is a label.}], features: [], determination: 0.9}
`

func TestDecodeReadsEveryPart(t *testing.T) {
	content := strings.Replace(everything, ", exclude: [{field: phase, reason: It is a label.}]", "", 1)
	got, err := Decode("data/schemas/readings.yaml", []byte(content))
	if err != nil {
		t.Fatal(err)
	}
	plain := Field{Format: "default", DecimalChar: '.', BareNumber: true, MinLength: -1, MaxLength: -1}
	with := func(change func(*Field)) Field {
		f := plain
		change(&f)
		return f
	}
	want := &Contract{
		File: "data/schemas/readings.yaml", Name: "readings", Title: "Readings", Description: "One row is an interval.",
		Path: "data/readings.csv.gz", DirectoryVariable: "METER_DATA_DIR", Encoding: "utf-8-sig", Compression: "gz",
		Dialect: Dialect{Delimiter: ';', QuoteChar: '\'', EscapeChar: '\\', CommentChar: '#', SkipInitialSpace: true},
		Schema: Schema{
			MissingValues: []string{"", "-"}, PrimaryKey: []string{"meter", "at"},
			ForeignKeys: []ForeignKey{{Fields: []string{"meter"}, Resource: "meters", ReferenceFields: []string{"id"}, Line: 28}},
			Fields: []Field{
				with(func(f *Field) {
					f.Name, f.Type, f.Required, f.Line = "meter", TypeString, true, 31
					f.Pattern, f.MinLength, f.MaxLength = "M[0-9]+|X", 2, 9
				}),
				with(func(f *Field) {
					f.Name, f.Type, f.Format, f.Line = "at", TypeDatetime, "%d/%m/%Y %H:%M", 32
					f.Minimum, f.Maximum = "1/2/2018 0:00", "01/02/2019 00:00"
				}),
				with(func(f *Field) {
					f.Name, f.Type, f.Unit, f.Line = "kwh", TypeNumber, "kWh", 33
					f.DecimalChar, f.GroupChar, f.BareNumber = ',', '.', false
					f.Minimum, f.Maximum = "-1,50", "1.000,5"
				}),
				with(func(f *Field) { f.Name, f.Type, f.Line, f.Enum = "phase", TypeInteger, 34, []string{"1", "2", "3"} }),
				with(func(f *Field) {
					f.Name, f.Type, f.Line = "on", TypeBoolean, 35
					f.TrueValues, f.FalseValues, f.Enum = []string{"ja"}, []string{"nein"}, []string{"ja"}
				}),
				with(func(f *Field) { f.Name, f.Type, f.Line = "note", TypeAny, 36 }),
			},
		},
		Quality: Quality{
			MinRows: 10, MaxRows: 100, MaxNullShare: map[string]float64{"kwh": 0.05}, Line: 38,
			MaxShare: []Share{{Field: "phase", Value: "1", Share: 0.5, Line: 41}}, Constant: []string{"note"},
			Rules:     []Rule{{Name: "positive", Expression: "kwh > 0", Description: "Energy.", Line: 43}},
			Freshness: &Freshness{Field: "at", Within: 48 * time.Hour, Line: 44},
			Interval:  &Interval{Time: []string{"at"}, By: []string{"meter"}, Every: 15 * time.Minute, MaxGap: 0.01, Line: 45},
			Drift:     &Drift{Baseline: "data/b.json", Fields: []string{"kwh", "phase", "on"}, PSI: 0.3, KS: 0.2, Line: 46},
			Leak:      &Leak{Target: "kwh", Features: []string{"phase"}, Determination: 0.9, Line: 47},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// The least descriptor that constrains something shows the defaults.
func TestDefaults(t *testing.T) {
	got, err := Decode("x.json", []byte(`{"name": "x", "path": "x.csv", "schema": {"fields": [{"name": "a", "type": "number"}]}}`))
	if err != nil {
		t.Fatal(err)
	}
	if got.Dialect != DefaultDialect() || got.Encoding != "utf-8" || got.Compression != "" {
		t.Errorf("got %+v", got)
	}
	if diff := cmp.Diff([]string{""}, got.Schema.MissingValues); diff != "" {
		t.Errorf("missing values (-want +got):\n%s", diff)
	}
	q := got.Quality
	if q.MinRows != 1 || q.MaxRows != 0 || q.MaxDuplicateShare != -1 || q.Leak != nil || q.Interval != nil {
		t.Errorf("quality is %+v", q)
	}
}

func TestThresholdsHaveDefaults(t *testing.T) {
	got, err := Decode("x.yaml", []byte(`
name: x
path: x.csv
schema: {fields: [{name: a, type: number}, {name: b, type: integer}, {name: c, type: number}, {name: d, type: string}]}
quality:
  drift: {baseline: b.json}
  leak: {target: a, exclude: [{field: c, reason: The same in Wh.}]}
`))
	if err != nil {
		t.Fatal(err)
	}
	if d := got.Quality.Drift; d.PSI != 0.2 || d.KS != 0.1 || !cmp.Equal(d.Fields, []string{"a", "b", "c"}) {
		t.Errorf("drift is %+v", d)
	}
	if l := got.Quality.Leak; l.Determination != 0.99 || !cmp.Equal(l.Features, []string{"b"}) || l.Exclude[0].Reason != "The same in Wh." {
		t.Errorf("leak is %+v", l)
	}
}

func TestTabsSeparateATSV(t *testing.T) {
	got, err := Decode("x.yaml", []byte("{name: x, path: x.tsv, format: tsv, schema: {fields: [{name: a, type: year}]}}"))
	if err != nil {
		t.Fatal(err)
	}
	if got.Dialect.Delimiter != '\t' {
		t.Errorf("delimiter is %q", got.Dialect.Delimiter)
	}
}

func TestPatternMatchesTheWholeValue(t *testing.T) {
	expression, err := (&Field{Pattern: "a|b\n?"}).Regexp()
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]bool{"a": true, "b": true, "b\n": true, "ab": false, "xb": false, "a\n": false} {
		if expression.MatchString(text) != want {
			t.Errorf("%q: match is %t", text, !want)
		}
	}
}

// directory makes data/schemas with these files in a new root.
func directory(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	dir := filepath.Join(root, "data", "schemas")
	if err := os.MkdirAll(filepath.Join(dir, "baselines"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// minimal is a valid descriptor of that name, with more lines in its schema.
func minimal(name string, lines ...string) string {
	return "name: " + name + "\npath: x.csv\nschema:\n  fields: [{name: a, type: integer}, {name: b, type: string}]\n" + strings.Join(lines, "\n")
}

func TestLoadAll(t *testing.T) {
	root := directory(t, map[string]string{
		"b.yaml":    minimal("b", "  foreignKeys: [{fields: a, reference: {resource: a, fields: a}}]"),
		"a.yml":     minimal("a", "  foreignKeys: [{fields: b, reference: {resource: a, fields: a}}]", "  primaryKey: a"),
		"c.json":    `{"name": "c", "path": "x.csv", "schema": {"fields": [{"name": "a", "type": "year"}]}}`,
		"README.md": "no descriptor",
	})
	if _, err := LoadAll(root, "data/schemas"); err == nil || !strings.Contains(err.Error(), `compares string "b" with integer "a"`) {
		t.Errorf("error is %v", err)
	}
	if err := os.WriteFile(filepath.Join(root, "data/schemas/a.yml"), []byte(minimal("a")), 0o644); err != nil {
		t.Fatal(err)
	}
	contracts, err := LoadAll(root, "data/schemas")
	if err != nil {
		t.Fatal(err)
	}
	files := names(contracts, func(c *Contract) string { return c.File })
	if diff := cmp.Diff([]string{"data/schemas/a.yml", "data/schemas/b.yaml", "data/schemas/c.json"}, files); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestLoadAllReportsTheProblemsOfAll(t *testing.T) {
	for _, tc := range []struct {
		name  string
		files map[string]string
		want  []string
	}{
		{"two broken", map[string]string{"a.yaml": "", "b.yaml": "nam: x\n"}, []string{"data/schemas/a.yaml: it is empty", `data/schemas/b.yaml:1:1: unknown key "nam"`}},
		{"same name", map[string]string{"a.yaml": minimal("a"), "b.yaml": minimal("a")}, []string{`data/schemas/b.yaml:1: the name "a" is that of data/schemas/a.yaml, too`}},
		{"no such resource", map[string]string{"a.yaml": minimal("meters"), "b.yaml": minimal("b", "  foreignKeys:", "    - {fields: a, reference: {resource: meter, fields: a}}")}, []string{`data/schemas/b.yaml:6: the foreign key refers to "meter", which there is no contract of: did you mean "meters"?`}},
		{"no such field", map[string]string{"a.yaml": minimal("a"), "b.yaml": minimal("b", "  foreignKeys: [{fields: a, reference: {resource: a, fields: aa}}]")}, []string{`refers to "aa", which data/schemas/a.yaml has not: did you mean "a"?`}},
		{"a resource that is broken is not missed", map[string]string{"a.yaml": "", "b.yaml": minimal("b", "  foreignKeys: [{fields: a, reference: {resource: a, fields: aa}}]")}, []string{"it is empty"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := LoadAll(directory(t, tc.files), "data/schemas")
			problems, ok := errors.AsType[strict.Problems](err)
			if !ok || len(problems) != len(tc.want) {
				t.Fatalf("error = %v, want %d problems", err, len(tc.want))
			}
			for i, want := range tc.want {
				if !strings.Contains(problems[i].Error(), want) {
					t.Errorf("problem is\n%s\nwant it to hold\n%s", problems[i], want)
				}
			}
		})
	}
}

func TestLoadRefusesPaths(t *testing.T) {
	root := directory(t, nil)
	for path, want := range map[string]string{
		"../x.yaml":              "outside of the project",
		"/etc/passwd":            "outside of the project",
		"data/schemas":           "is a directory",
		"data/schemas/none.yaml": "no such file or directory",
	} {
		_, err := Load(root, path)
		if _, ok := errors.AsType[strict.Problems](err); !ok || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error is %v", path, err)
		}
	}
	if _, err := LoadAll(root, "nowhere"); err == nil || !strings.Contains(err.Error(), "make the directory") {
		t.Errorf("error is %v", err)
	}
}
