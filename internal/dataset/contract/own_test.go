package contract_test

import (
	"path/filepath"
	"slices"
	"testing"

	"github.com/meter-ml/meter-pipeline/internal/dataset/cell"
	"github.com/meter-ml/meter-pipeline/internal/dataset/contract"
	"github.com/meter-ml/meter-pipeline/internal/dataset/rule"
)

// The repository's own contracts are the examples that people start from: all load, and what the packages above make of
// them compiles.
func TestOwnContracts(t *testing.T) {
	contracts, err := contract.LoadAll(filepath.Join("..", "..", ".."), "data/schemas")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, c := range contracts {
		found = append(found, c.Name)
		if c.File != "data/schemas/"+c.Name+".yaml" {
			t.Errorf("%s holds the contract of %s", c.File, c.Name)
		}
		fields := make([]rule.Field, len(c.Schema.Fields))
		for i, f := range c.Schema.Fields {
			if _, err := cell.Compile(f, c.Schema.MissingValues); err != nil {
				t.Errorf("%s: field %q: %v", c.File, f.Name, err)
			}
			fields[i] = rule.Field{Name: f.Name, Kind: kind(f.Type)}
		}
		for _, r := range c.Quality.Rules {
			if _, err := rule.Compile(r.Expression, fields); err != nil {
				t.Errorf("%s: rule %q: %v", c.File, r.Name, err)
			}
		}
	}
	if want := []string{"customers", "features", "household", "readings", "steel", "vic"}; !slices.Equal(found, want) {
		t.Errorf("contracts of %q, want %q", found, want)
	}
}

func kind(t contract.Type) rule.Kind {
	switch t {
	case contract.TypeNumber, contract.TypeInteger:
		return rule.Number
	case contract.TypeDate, contract.TypeTime, contract.TypeDatetime:
		return rule.Time
	default:
		return rule.Text
	}
}

// What a descriptor's minimum, maximum or enum may say, a cell may say too: the two readers of values agree.
func TestValuesOfDescriptorsAreThoseOfCells(t *testing.T) {
	for _, tc := range []struct {
		format string
		kind   contract.Type
		texts  []string
	}{
		{"default", contract.TypeNumber, []string{"1", "-1.5", "+.5", "5.", "1e3", "1E-3", "", "x", "1,5", "--1", "1e", "0x1", "1_000", "."}},
		{"default", contract.TypeInteger, []string{"1", "-1", "+007", "1.0", "", "x", "1e3", "99999999999999999999999999"}},
		{"default", contract.TypeYear, []string{"2018", "0001", "18", "20180", "-018", "x"}},
		{"default", contract.TypeYearMonth, []string{"2018-01", "2018-13", "2018", "2018-1-1"}},
		{"default", contract.TypeDate, []string{"2018-01-31", "2018-02-30", "2018-01", "31/01/2018", "2016-02-29", "2100-02-29"}},
		{"default", contract.TypeTime, []string{"23:59:59", "24:00:01", "23:59", "23:59:60", "x"}},
		{"default", contract.TypeDatetime, []string{"2018-01-31T23:59:59", "2018-01-31T23:59:59Z", "2018-01-31T23:59:59.25+01:00", "2018-01-31", "2018-02-30T00:00:00"}},
		{"%d/%m/%Y", contract.TypeDate, []string{"1/2/2018", "01/02/2018", "30/02/2018", "1/2/18", "1/13/2018"}},
		{"%d %b %y", contract.TypeDate, []string{"1 Feb 18", "1 feb 70", "1 February 18", "31 Jun 18"}},
		{"%A %d %B %Y", contract.TypeDate, []string{"Monday 1 January 2018", "Mon 1 January 2018"}},
		{"%Y-%j", contract.TypeDate, []string{"2018-365", "2018-366", "2016-366", "2018-0"}},
		{"%I:%M %p", contract.TypeTime, []string{"12:30 AM", "1:05 pm", "13:00 PM", "0:30 AM"}},
		{"%Y-%m-%dT%H:%M%z", contract.TypeDatetime, []string{"2018-01-31T23:59+01:00", "2018-01-31T23:59Z", "2018-01-31T23:59+0100", "2018-01-31T23:59"}},
		{"%d/%m/%Y %H:%M:%S.%f", contract.TypeDatetime, []string{"1/2/2018 0:00:00.5", "1/2/2018 24:00:00.5", "1/2/2018 0:00:60.0"}},
	} {
		for _, text := range tc.texts {
			descriptor := `{"name": "x", "path": "x.csv", "schema": {"fields": [{"name": "a", "type": "` + string(tc.kind) +
				`", "format": "` + tc.format + `", "constraints": {"enum": ["` + text + `"]}}]}}`
			_, err := contract.Decode("x.json", []byte(descriptor))
			parser, compileErr := cell.Compile(contract.Field{Type: tc.kind, Format: tc.format, DecimalChar: '.', BareNumber: true}, nil)
			if compileErr != nil {
				t.Fatal(compileErr)
			}
			if inCell := parser.Valid([]byte(text)); inCell != (err == nil) {
				t.Errorf("%s %q %q: valid in a cell %t, in a descriptor: %v", tc.kind, tc.format, text, inCell, err)
			}
		}
	}
}
