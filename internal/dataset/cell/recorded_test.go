package cell

import (
	"encoding/json"
	"flag"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/meter-ml/meter-pipeline/internal/dataset/contract"
)

var update = flag.Bool("update", false, "write what is refused here and accepted by frictionless into testdata")

// A recording is what frictionless 5.21 says of cells of one field, and which of the accepted ones are refused here.
type recording struct {
	Field struct {
		Type        string `json:"type"`
		Format      string `json:"format,omitempty"`
		DecimalChar string `json:"decimalChar,omitempty"`
		GroupChar   string `json:"groupChar,omitempty"`
		BareNumber  *bool  `json:"bareNumber,omitempty"`
	} `json:"field"`
	Accepted []string `json:"accepted"`
	Rejected []string `json:"rejected"`
	Stricter []string `json:"stricter"`
}

func (r *recording) parser(t *testing.T) *Parser {
	t.Helper()
	f := field(contract.Type(r.Field.Type), r.Field.Format)
	if r.Field.DecimalChar != "" {
		f.DecimalChar = r.Field.DecimalChar[0]
	}
	if r.Field.GroupChar != "" {
		f.GroupChar = r.Field.GroupChar[0]
	}
	if r.Field.BareNumber != nil {
		f.BareNumber = *r.Field.BareNumber
	}
	return compile(t, f)
}

func field(typ contract.Type, format string) contract.Field {
	return contract.Field{
		Name: "x", Type: typ, Format: format, DecimalChar: '.', BareNumber: true,
		TrueValues: []string{"true", "True", "TRUE", "1"}, FalseValues: []string{"false", "False", "FALSE", "0"},
	}
}

func compile(t testing.TB, f contract.Field) *Parser {
	t.Helper()
	p, err := Compile(f, []string{""})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// The recorded verdicts hold in both directions; where we are stricter is listed cell by cell, and nowhere are we
// looser.
func TestVerdictsOfFrictionless(t *testing.T) {
	const file = "testdata/frictionless.json"
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var all []recording
	if err := json.Unmarshal(data, &all); err != nil {
		t.Fatal(err)
	}
	for i := range all {
		r := &all[i]
		p := r.parser(t)
		accepts := func(s string) bool { return p.Missing([]byte(s)) || p.Valid([]byte(s)) }
		var stricter []string
		for _, s := range r.Accepted {
			if !accepts(s) {
				stricter = append(stricter, s)
			}
		}
		for _, s := range r.Rejected {
			if accepts(s) {
				t.Errorf("%+v: %q is accepted, frictionless refuses it", r.Field, s)
			}
		}
		if !*update && !slices.Equal(stricter, r.Stricter) {
			t.Errorf("%+v: stricter than frictionless on %q, recorded are %q", r.Field, stricter, r.Stricter)
		}
		r.Stricter = stricter
	}
	if *update {
		var lines []string
		for _, r := range all {
			line, err := json.Marshal(r)
			if err != nil {
				t.Fatal(err)
			}
			lines = append(lines, string(line))
		}
		text := "[\n" + strings.Join(lines, ",\n") + "\n]\n"
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
