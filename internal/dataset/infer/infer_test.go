package infer_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/dataset"
	"github.com/meter-ml/meter-pipeline/internal/dataset/contract"
	"github.com/meter-ml/meter-pipeline/internal/dataset/infer"
)

// inferred is the contract of a file, which must load and which the file must meet.
func inferred(t *testing.T, path string) (*contract.Contract, string) {
	t.Helper()
	text, err := infer.Infer(context.Background(), path, infer.Options{})
	if err != nil {
		t.Fatal(err)
	}
	c, err := contract.Decode("new.yaml", []byte(text))
	if err != nil {
		t.Fatalf("what is written does not load: %v\n%s", err, text)
	}
	result, err := dataset.Validate(context.Background(), c, path, dataset.Options{Now: time.Unix(1.8e9, 0), Scratch: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range result.Findings {
		t.Errorf("the file breaks its own contract: %+v", f)
	}
	return c, text
}

func write(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "My data.v2.csv")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// rows repeats a line; %d and %02d are the number of the row.
func rows(header, line string, n int) string {
	var b strings.Builder
	b.WriteString(header)
	for i := range n {
		b.WriteString(strings.ReplaceAll(strings.ReplaceAll(line, "%02d", fmt.Sprintf("%02d", i)), "%d", fmt.Sprint(i)))
	}
	return b.String()
}

func TestInfer(t *testing.T) {
	packed := func(s string) string {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		_, _ = w.Write([]byte(s))
		_ = w.Close()
		return b.String()
	}
	wide := func(s string) string {
		out := "\xff\xfe"
		for _, c := range []byte(s) {
			out += string([]byte{c, 0})
		}
		return out
	}
	tests := []struct {
		name, content string
		want          []string
	}{
		{"semicolons and the end of line", rows("id;a,b\r\n", "%d;1.5\r\n", 9), []string{`delimiter: ";"`, `lineTerminator: "\r\n"`, `name: "a,b"`, "primaryKey: [id]"}},
		{"tabs", rows("id\tx\n", "%d\t1,5\n", 9), []string{`delimiter: "\t"`, "type: string"}},
		{"bars", rows("id|x\n", "%d|1\n", 9), []string{`delimiter: "|"`}},
		{"delimiters in quotes", rows("a,b\n", "\"1;2;3, \"\"x\"\"\ny\",%d\n", 9), []string{`delimiter: ","`, "primaryKey: [b]"}},
		{"byte-order mark", "\xef\xbb\xbf" + rows("id\n", "%d\n", 9), []string{"encoding: utf-8-sig", "name: id\n"}},
		{"utf-16", wide(rows("id,x\n", "%d,2\n", 9)), []string{"encoding: utf-16", "name: id\n"}},
		{"latin", rows("id,name\n", "%d,caf\xe9\n", 9), []string{"encoding: iso-8859-1", "# review: it is not UTF-8; every byte"}},
		{"windows", rows("id,price\n", "%d,5\x80\n", 9), []string{"encoding: windows-1252"}},
		{"gzip", packed(rows("id\n", "%d\n", 9)), []string{"compression: gz", "encoding: utf-8\n"}},
		{"no header", rows("", "%d,2.5\n", 9), []string{"header: false", "name: field1\n", "the first row looks like values"}},
		{"missing values", "id,x,word\n1,NA,NA\n2,?,b\n3,1.5,c\n4,,d\n", []string{`missingValues: ["", "?", "NA"]`, "type: number", "x: 1\n"}},
		{"NA is a text", rows("id,land\n", "%d,NA\n%d,DE\n", 40), []string{"enum: [DE, NA]"}},
		{"integers", rows("x\n", "%d\n", 11), []string{"type: integer", "minimum: 0", "maximum: 15", "the values are 0 to 10"}},
		{"integers and a number at the end", rows("x\n", "%d\n", 11) + "1e3\n", []string{"type: number"}},
		{"below zero", "x\n-20.5\n-10\n", []string{"minimum: -30", "maximum: 0"}},
		{"across zero", "x\n-2\n10\n", []string{"minimum: -10", "maximum: 20"}},
		{"labels of digits", "id,x\n007,1\n012,2\n", []string{"type: string"}},
		{"truth", rows("id,x\n", "%d,yes\n", 5) + "5,no\n", []string{"type: boolean", `trueValues: ["yes"]`, `falseValues: ["no"]`}},
		{"zero and one", "x\n0\n1\n1\n", []string{"type: integer"}},
		{"days first", "d,x\n01/02/2024,1\n13/02/2024,1\n14/02/2024,1\n", []string{"type: date", `format: "%d/%m/%Y"`, "primaryKey: [d]", "constant: [x]"}},
		{"months first", "d\n01/02/2024\n02/13/2024\n", []string{`format: "%m/%d/%Y"`}},
		{"either first", "d\n01/02/2024\n02/02/2024\n", []string{`format: "%d/%m/%Y"`, `# review: "%m/%d/%Y" fits every cell as well`}},
		{"dots", "d\n31.12.2024 23:45\n", []string{"type: datetime", `format: "%d.%m.%Y %H:%M"`}},
		{"with a zone", "d\n2024-12-31T23:45:00Z\n2024-12-31T23:45:01Z\n", []string{"type: datetime"}},
		{"a time", "d\n23:45:00\n01:02:03\n", []string{"type: time"}},
		{"a wrong date at the end", "d,x\n2024-01-01,1\n2024-02-30,2\n", []string{"type: string"}},
		{"an interval", rows("t\n", "2024-01-01T00:%02d:00Z\n", 60), []string{"every: 1m", "time: [t]", "gaps: 0\n"}},
		{"an interval with a gap", rows("t\n", "2024-01-01T00:%02d:00Z\n", 59) + "2024-01-01T01:09:00Z\n", []string{"every: 1m", "gaps: 0.2899"}},
		{"series", rows("m,t\n", "a,2024-01-01T%02d:00:00Z\nb,2024-01-01T%02d:00:00Z\n", 24), []string{"primaryKey: [m, t]", "by: [m]", "every: 1h", "enum: [a, b]"}},
		{"no key", "x,y\n1,2\n1,2\n", []string{"no column, and no pair with a time, tells each row from the others"}},
		{"an empty column", "x,y\n1,\n2,\n", []string{"# review: it has no value at all.", `constant: ["y"]`}},
		{"names that mean something", "yes,a: b,\"x\"\"y\",\u00e9\n1,2,3,4\n2,3,4,5\n", []string{`name: "yes"`, `name: "a: b"`, `name: "x\"y"`, "name: \"é\""}},
		{"one value", "x\n5\n", []string{"type: integer", "maximum: 8"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, text := inferred(t, write(t, tt.content))
			for _, want := range append(tt.want, "name: my-data\n") {
				if !strings.Contains(text, want) {
					t.Errorf("%q is not in\n%s", want, text)
				}
			}
		})
	}
}

func TestRealFiles(t *testing.T) {
	root := filepath.Join("..", "..", "..")
	sample, text := inferred(t, filepath.Join(root, "data", "sample_readings.csv"))
	if len(sample.Schema.PrimaryKey) != 2 || sample.Quality.Interval == nil || sample.Quality.Interval.Every != time.Hour {
		t.Errorf("%s", text)
	}
	directory := os.Getenv("METER_DATA_DIR")
	if directory == "" {
		t.Skip("METER_DATA_DIR is not set: the real data sets are not part of the repository")
	}
	for name, every := range map[string]time.Duration{
		"household_power": time.Minute, "steel_industry": 15 * time.Minute, "vic_electricity": 30 * time.Minute,
	} {
		c, text := inferred(t, filepath.Join(directory, name+".csv"))
		if c.Quality.Interval == nil || c.Quality.Interval.Every != every || len(c.Schema.PrimaryKey) == 0 {
			t.Errorf("%s:\n%s", name, text)
		}
	}
}

func TestNoTable(t *testing.T) {
	directory := t.TempDir()
	for _, tt := range []struct{ path, want string }{
		{filepath.Join(directory, "none.csv"), "no such file"},
		{directory, "directory"},
		{write(t, ""), "it has no rows of data"},
		{write(t, "a,b\n"), "it has no rows of data"},
		{write(t, "\x1f\x8bbroken"), "infer a contract"},
	} {
		if _, err := infer.Infer(context.Background(), tt.path, infer.Options{}); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", filepath.Base(tt.path), err, tt.want)
		}
	}
}

func TestOptions(t *testing.T) {
	text, err := infer.Infer(context.Background(), write(t, "x\n1\n2\n"), infer.Options{Name: "mine", Path: "data/my data.csv", DirectoryVariable: "METER_DATA_DIR"})
	if err != nil {
		t.Fatal(err)
	}
	c, err := contract.Decode("new.yaml", []byte(text))
	if err != nil || c.Name != "mine" || c.Path != "data/my data.csv" || c.DirectoryVariable != "METER_DATA_DIR" {
		t.Errorf("%+v, %v", c, err)
	}
}
