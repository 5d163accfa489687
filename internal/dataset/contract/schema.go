package contract

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/meter-ml/meter-pipeline/internal/strict"
)

// Field returns the field of that name, nil if there is none.
func (s *Schema) Field(name string) *Field {
	for i := range s.Fields {
		if s.Fields[i].Name == name {
			return &s.Fields[i]
		}
	}
	return nil
}

func (b *builder) schema(s *schema) {
	to := &b.c.Schema
	to.MissingValues = []string{""}
	set(&to.MissingValues, s.MissingValues)
	b.distinct("schema.missingValues", to.MissingValues)
	if len(s.Fields) == 0 {
		b.Report("schema.fields", "the data set has no fields", "list its columns under schema.fields, in the file's order")
	}
	for i := range s.Fields {
		key := fmt.Sprintf("schema.fields[%d]", i)
		name := s.Fields[i].Name
		switch {
		case strings.TrimSpace(name) == "":
			b.Report(key+".name", key+" has no name", "give it the one in the header")
		case strings.ContainsFunc(name, hidden):
			b.Report(key+".name", fmt.Sprintf("the field's name %q holds a character that can't be seen", name), "remove it; if it is a byte-order mark, the encoding is utf-8-sig")
		case utf8.RuneCountInString(name) > longestName:
			b.Report(key+".name", fmt.Sprintf("the field's name has more than %d characters", longestName), "shorten it")
		case to.Field(name) != nil:
			// The standard's first version allowed it; a key or a rule could not tell which one is meant.
			b.Report(key+".name", fmt.Sprintf("two fields have the name %q", name), "give each its own")
		}
		to.Fields = append(to.Fields, b.field(key, &s.Fields[i]))
	}
	to.PrimaryKey = s.PrimaryKey
	b.fields("schema.primaryKey", s.PrimaryKey)
	for i := range s.ForeignKeys {
		b.foreignKey(fmt.Sprintf("schema.foreignKeys[%d]", i), &s.ForeignKeys[i])
	}
}

func (b *builder) foreignKey(key string, k *foreignKey) {
	to := ForeignKey{Fields: k.Fields, Resource: k.Reference.Resource, ReferenceFields: k.Reference.Fields, Line: b.Line(key)}
	if to.Resource == b.c.Name {
		to.Resource = ""
	}
	b.fields(key+".fields", k.Fields)
	if len(k.Fields) == 0 {
		b.Report(key, key+" has no fields", "name those that refer to the other data set")
	}
	if len(k.Fields) != len(k.Reference.Fields) {
		b.Report(key+".reference", fmt.Sprintf("%d fields refer to %d", len(k.Fields), len(k.Reference.Fields)), "name as many under reference.fields as under fields, in the same order")
		return
	}
	b.distinct(key+".reference.fields", k.Reference.Fields)
	if to.Resource == "" {
		b.fields(key+".reference.fields", k.Reference.Fields)
		if slices.Equal(k.Fields, k.Reference.Fields) {
			b.Report(key, key+" refers to itself", "name the other data set under reference.resource")
		}
	}
	b.c.Schema.ForeignKeys = append(b.c.Schema.ForeignKeys, to)
}

// fields reports names that are no field's, or stand twice.
func (b *builder) fields(key string, list []string) {
	for i, name := range list {
		b.known(element(key, i, b), name)
	}
	b.distinct(key, list)
}

// element is the path of a list's item; a single name may stand without the list.
func element(key string, i int, b *builder) string {
	if at := fmt.Sprintf("%s[%d]", key, i); b.Written(at) {
		return at
	}
	return key
}

// known returns the field of that name, or reports that there is none.
func (b *builder) known(key, name string) *Field {
	found := b.c.Schema.Field(name)
	if found == nil {
		b.Report(key, fmt.Sprintf("there is no field %q", name), strict.Suggest(name, names(b.c.Schema.Fields, func(f Field) string { return f.Name })))
	}
	return found
}

func (b *builder) distinct(key string, list []string) {
	for i, value := range list {
		if slices.Contains(list[:i], value) {
			b.Report(element(key, i, b), fmt.Sprintf("%q stands twice", value), "remove one")
		}
	}
}
