package strict

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// sample has a key of each type that the files that we read have; the other cases are in package config.
type sample struct {
	Name     string             `yaml:"name"`
	Longest  *int               `yaml:"maxLength"`
	Minimum  *Scalar            `yaml:"minimum"`
	Enum     []Scalar           `yaml:"enum"`
	Key      Names              `yaml:"primaryKey"`
	Shares   map[string]float64 `yaml:"shares"`
	Within   Duration           `yaml:"within"`
	Children []sample           `yaml:"children"`
	Internal int                `yaml:"-"`
}

func TestDecodeKeepsValuesAsTheyAreWritten(t *testing.T) {
	var got sample
	doc, err := Decode("x.yaml", []byte(`{"name": "a", "maxLength": 0, "minimum": 0.10, "enum": [1, 1.50, "01", true, -.inf],
		"primaryKey": "a", "shares": {"a.b": 1}, "within": "90s", "children": [{"primaryKey": ["a", "b"]}]}`), &got)
	if err != nil {
		t.Fatal(err)
	}
	zero, number := 0, func(text string) Scalar { return Scalar{text, true} }
	minimum := number("0.10")
	want := sample{
		Name: "a", Longest: &zero, Minimum: &minimum, Enum: []Scalar{number("1"), number("1.50"), {Text: "01"}, number("true"), number("-.inf")},
		Key: Names{"a"}, Shares: map[string]float64{"a.b": 1}, Within: Duration(90 * time.Second),
		Children: []sample{{Key: Names{"a", "b"}}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if !doc.Written("shares.a.b") || doc.Written("children[0].name") {
		t.Error("what is written is not known")
	}
	if line := doc.Line("children[0].enum[3]"); line != 2 {
		t.Errorf("a value that is not written is at line %d, that of the key above it is 2", line)
	}
}

func TestDecodeRefuses(t *testing.T) {
	for _, tc := range []struct{ name, content, want string }{
		{"unknown key", "maxlength: 3\n", `x.yaml:1:1: unknown key "maxlength" in x.yaml: did you mean "maxLength"?`},
		{"unknown key in a list", "children:\n  - nmae: a\n", `x.yaml:2:5: unknown key "nmae" in children[0]: did you mean "name"?`},
		{"list for a scalar", "minimum: [1]\n", "minimum is a list, not a single value: write one number or text"},
		{"null in a list", "enum: [1, null]\n", "enum[1] has no value"},
		{"number for a name", "primaryKey: 1\n", "primaryKey is 1, not a list"},
		{"text for a share", "shares: {a: half}\n", `x.yaml:1:13: shares.a is the text "half", not a number`},
		{"internal key", "Internal: 1\n", "unknown key"},
		{"brackets without end", strings.Repeat("[", 1000), "x.yaml:1: it is nested more than 500 deep: close the brackets"},
		{"dashes without end", strings.Repeat("- ", 1000), "nested more than 500 deep"},
		{"long line", "\nname: " + strings.Repeat("a", 1<<15), "x.yaml:2: the line has 32774 bytes: break it"},
		{"too large", strings.Repeat("name: a\n", 1<<15+1), "x.yaml: it has 262152 bytes: more than 256 KiB is not read"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := Decode("x.yaml", []byte(tc.content), &sample{})
			if _, ok := errors.AsType[Problems](err); !ok {
				t.Fatalf("error = %v, want Problems", err)
			}
			if !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error is\n%s\nwant it to hold\n%s", err, tc.want)
			}
		})
	}
}

func TestEmpty(t *testing.T) {
	for content, want := range map[string]bool{"": true, "# nothing\n": true, "---\n": true, "name: a\n": false} {
		doc, err := Decode("x.yaml", []byte(content), &sample{})
		if err != nil {
			t.Fatal(err)
		}
		if doc.Empty() != want {
			t.Errorf("%q: empty is %t", content, doc.Empty())
		}
	}
}

func TestReportFindsThePlaceAndSorts(t *testing.T) {
	doc, err := Decode("x.yaml", []byte("name: a\nchildren:\n  - name: b\n"), &sample{})
	if err != nil {
		t.Fatal(err)
	}
	doc.Report("children[0].minimum", "it lacks a minimum", "")
	doc.Report("name", "it is short", "write more")
	want := "x.yaml:1:7: it is short: write more\nx.yaml:3:9: it lacks a minimum"
	if got := doc.Err().Error(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
