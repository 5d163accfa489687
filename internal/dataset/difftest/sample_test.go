package difftest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/meter-ml/meter-pipeline/internal/dataset/contract"
)

// object of JSON.
type object = map[string]any

// A sample is one file and its contract.
type sample struct {
	name       string
	descriptor object // without name, path and what every one has
	data       []byte
	others     []sample // what foreign keys refer to: descriptor and data, by name

	// differs names the known difference that the sample shows, and want what we find then: "rule@row:field".
	differs string
	want    []string
}

// An entry is one finding in the form that both sides have in common. Field is 0 where it is about more than one.
type entry struct {
	rule  string
	row   int64
	field int
	cell  string

	message string // ours only
}

func (e entry) String() string { return fmt.Sprintf("%s@%d:%d", e.rule, e.row, e.field) }

// compareEntries leaves the cell out: both sides shorten it differently.
func compareEntries(a, b entry) int {
	return cmp.Or(cmp.Compare(a.row, b.row), cmp.Compare(a.field, b.field), strings.Compare(a.rule, b.rule))
}

func texts(entries []entry) []string {
	var all []string
	for _, e := range entries {
		all = append(all, e.String())
	}
	return all
}

// apart returns what only one of the sides has.
func apart(ours, theirs []entry) (onlyOurs, onlyTheirs []entry) {
	slices.SortFunc(ours, compareEntries)
	slices.SortFunc(theirs, compareEntries)
	for len(ours) > 0 && len(theirs) > 0 {
		switch order := compareEntries(ours[0], theirs[0]); {
		case order < 0:
			onlyOurs, ours = append(onlyOurs, ours[0]), ours[1:]
		case order > 0:
			onlyTheirs, theirs = append(onlyTheirs, theirs[0]), theirs[1:]
		default:
			ours, theirs = ours[1:], theirs[1:]
		}
	}
	return append(onlyOurs, ours...), append(onlyTheirs, theirs...)
}

// schema of fields, with what else a schema may have.
func schema(fields []any, more object) object {
	made := object{"fields": fields}
	for key, value := range more {
		made[key] = value
	}
	return made
}

// field of a type, and what else it may have.
func field(name, kind string, more object) object {
	made := object{"name": name, "type": kind}
	for key, value := range more {
		made[key] = value
	}
	return made
}

// complete writes out what the standard has defaults for: frictionless would guess it from the file.
func (s sample) complete(path string) object {
	made := object{"name": "sample", "type": "table", "path": path, "scheme": "file", "format": "csv", "encoding": "utf-8"}
	dialect := object{"delimiter": ",", "quoteChar": `"`, "doubleQuote": true, "header": true, "skipInitialSpace": false}
	for key, value := range s.descriptor {
		if key == "dialect" {
			for option, chosen := range value.(object) {
				dialect[option] = chosen
			}
			continue
		}
		made[key] = value
	}
	made["dialect"] = dialect
	made["quality"] = object{"constant": s.names()} // frictionless leaves it alone, and our side minds no constant column
	return made
}

// names of the fields.
func (s sample) names() []string {
	var names []string
	for _, f := range s.descriptor["schema"].(object)["fields"].([]any) {
		names = append(names, f.(object)["name"].(string))
	}
	return names
}

// contract reads the descriptor as the pipeline does.
func (s sample) contract() (*contract.Contract, error) {
	made := s.complete("sample.csv")
	delete(made, "scheme")
	content, err := json.Marshal(made)
	if err != nil {
		return nil, err
	}
	c, err := contract.Decode("sample.json", content)
	if err != nil {
		return nil, fmt.Errorf("%w\n%s", err, content)
	}
	return c, nil
}
