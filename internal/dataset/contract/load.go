package contract

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/meter-ml/meter-pipeline/internal/strict"
)

// Load reads the descriptor at that slash-separated path below root. What is wrong with it comes back as
// strict.Problems. Whether a foreign key's other data set exists is for LoadAll to see.
func Load(root, path string) (*Contract, error) {
	if !filepath.IsLocal(filepath.FromSlash(path)) {
		return nil, strict.Problems{{File: path, Message: "it is outside of the project", Remedy: "name a path relative to the project's root, without `..`"}}
	}
	content, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(path)))
	if err != nil {
		return nil, strict.Problems{{File: path, Message: "read: " + strict.Reason(err), Remedy: "name a readable descriptor"}}
	}
	return Decode(path, content)
}

// Decode reads the content of a descriptor. The file's name tells JSON from YAML, and is what problems call it.
func Decode(file string, content []byte) (*Contract, error) {
	if strings.EqualFold(path.Ext(file), ".json") {
		var err error
		if content, err = fromJSON(file, content); err != nil {
			return nil, err
		}
	}
	var d descriptor
	doc, err := strict.Decode(file, content, &d)
	if err != nil {
		return nil, err
	}
	if doc.Empty() {
		return nil, strict.Problems{{File: file, Message: "it is empty", Remedy: "describe a data set: see docs/data-contracts.md"}}
	}
	b := builder{Document: doc, c: &Contract{File: file}}
	b.resource(&d)
	b.dialect(&d.Dialect, d.Format)
	b.schema(&d.Schema)
	b.quality(&d.Quality)
	if err := b.Err(); err != nil {
		return nil, err
	}
	if !constrains(b.c) {
		return nil, strict.Problems{{
			File: file, Line: 1, Message: "it constrains nothing: every file with these columns passes",
			Remedy: "give a field another type than string or any, or a constraint, or add a primaryKey or a quality block",
		}}
	}
	return b.c, nil
}

// LoadAll reads every descriptor (*.yaml, *.yml, *.json) in a directory below root, in the order of their names. One
// that is wrong does not hide another: the Problems are those of all.
func LoadAll(root, dir string) ([]*Contract, error) {
	entries, err := os.ReadDir(filepath.Join(root, filepath.FromSlash(dir)))
	if err != nil {
		return nil, strict.Problems{{File: dir, Message: "read: " + strict.Reason(err), Remedy: "make the directory, with a descriptor for each data set"}}
	}
	var contracts []*Contract
	var problems strict.Problems
	for _, entry := range entries {
		if entry.IsDir() || !isDescriptor(entry.Name()) {
			continue
		}
		c, err := Load(root, path.Join(dir, entry.Name()))
		if found, ok := errors.AsType[strict.Problems](err); ok {
			problems = append(problems, found...)
			continue
		}
		contracts = append(contracts, c)
	}
	problems = append(problems, together(contracts, len(problems) == 0)...)
	if err := problems.Err(); err != nil {
		return nil, err
	}
	return contracts, nil
}

func isDescriptor(name string) bool {
	return slices.Contains([]string{".yaml", ".yml", ".json"}, strings.ToLower(path.Ext(name)))
}

// together finds what is wrong between contracts. A data set that is referred to can be missed only if all are read.
func together(contracts []*Contract, all bool) strict.Problems {
	var problems strict.Problems
	byName := map[string]*Contract{}
	for _, c := range contracts {
		if first, ok := byName[c.Name]; ok {
			problems = append(problems, strict.Problem{File: c.File, Line: 1, Message: fmt.Sprintf("the name %q is that of %s, too", c.Name, first.File), Remedy: "give each data set a name of its own"})
			continue
		}
		byName[c.Name] = c
	}
	for _, c := range contracts {
		for _, key := range c.Schema.ForeignKeys {
			other, ok := byName[cmp.Or(key.Resource, c.Name)]
			if !ok && !all {
				continue
			}
			problem := strict.Problem{File: c.File, Line: key.Line}
			if problem.Message, problem.Remedy = mismatch(c, key, other); problem.Message == "" {
				continue
			}
			if !ok {
				problem.Remedy = strict.Suggest(key.Resource, names(contracts, func(c *Contract) string { return c.Name }))
			}
			problems = append(problems, problem)
		}
	}
	return problems
}

// mismatch says why a foreign key can't refer to other.
func mismatch(c *Contract, key ForeignKey, other *Contract) (message, remedy string) {
	if other == nil {
		return fmt.Sprintf("the foreign key refers to %q, which there is no contract of", key.Resource), ""
	}
	for i, name := range key.ReferenceFields {
		here, there := c.Schema.Field(key.Fields[i]), other.Schema.Field(name)
		switch {
		case there == nil:
			return fmt.Sprintf("the foreign key refers to %q, which %s has not", name, other.File),
				strict.Suggest(name, names(other.Schema.Fields, func(f Field) string { return f.Name }))
		case here.Type != there.Type:
			return fmt.Sprintf("the foreign key compares %s %q with %s %q of %s", here.Type, here.Name, there.Type, name, other.File),
				"give both the same type"
		}
	}
	return "", ""
}

// names lists what name gives for each item.
func names[T any](items []T, name func(T) string) []string {
	list := make([]string, len(items))
	for i, item := range items {
		list[i] = name(item)
	}
	return list
}
