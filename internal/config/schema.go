package config

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/agnivade/levenshtein"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// A position is where a value stands in the file.
type position struct{ line, column int }

// checker compares a parsed file with the Go type that it is to fill: unknown keys and wrong types, each with its
// place. It also notes where every value stands, for what validate finds wrong later.
type checker struct {
	problems Problems
	places   map[string]position // by path: quality.pylint.jobs, security.allow[0].reason
}

func (c *checker) report(at ast.Node, message, remedy string) {
	pos := placeOf(at.GetToken())
	c.problems = append(c.problems, Problem{
		File: FileName, Line: pos.line, Column: pos.column, Message: message, Remedy: remedy,
	})
}

func placeOf(tk *token.Token) position {
	if tk == nil || tk.Position == nil {
		return position{}
	}
	return position{tk.Position.Line, tk.Position.Column}
}

// check compares node with type t. The path names the value in messages.
func (c *checker) check(node ast.Node, t reflect.Type, path string) {
	if path != "" {
		c.places[path] = placeOf(node.GetToken())
	}
	switch node.(type) {
	case *ast.AnchorNode, *ast.AliasNode, *ast.TagNode, *ast.MergeKeyNode:
		c.report(node, fmt.Sprintf("%s uses an anchor, an alias or a tag", path), "write the value out")
		return
	case *ast.NullNode:
		c.report(node, path+" has no value", "give it one, or remove the line to get the default")
		return
	}
	if t == reflect.TypeFor[Duration]() {
		c.checkDuration(node, path)
		return
	}
	switch t.Kind() {
	case reflect.Struct:
		c.checkStruct(node, t, path)
	case reflect.Map:
		c.checkMap(node, t, path)
	case reflect.Slice:
		c.checkSlice(node, t, path)
	default:
		c.checkScalar(node, t, path)
	}
}

func (c *checker) checkStruct(node ast.Node, t reflect.Type, path string) {
	values, ok := mapping(node)
	if !ok {
		c.report(node, fmt.Sprintf("%s is %s, not a mapping", orRoot(path), kindOf(node)), "write `key: value` lines under it")
		return
	}
	fields := fieldTypes(t)
	for _, value := range values {
		key := keyText(value.Key)
		field, ok := fields[key]
		if !ok {
			c.report(value.Key, fmt.Sprintf("unknown key %q in %s", key, orRoot(path)), suggest(key, slices.Sorted(maps.Keys(fields))))
			continue
		}
		c.check(value.Value, field, join(path, key))
	}
}

func (c *checker) checkMap(node ast.Node, t reflect.Type, path string) {
	values, ok := mapping(node)
	if !ok {
		c.report(node, fmt.Sprintf("%s is %s, not a mapping", path, kindOf(node)), "write `name: value` lines under it")
		return
	}
	for _, value := range values {
		c.check(value.Value, t.Elem(), join(path, keyText(value.Key)))
	}
}

func (c *checker) checkSlice(node ast.Node, t reflect.Type, path string) {
	sequence, ok := node.(*ast.SequenceNode)
	if !ok {
		c.report(node, fmt.Sprintf("%s is %s, not a list", path, kindOf(node)), "write it as [a, b] or as lines that begin with `- `")
		return
	}
	for i, value := range sequence.Values {
		c.check(value, t.Elem(), fmt.Sprintf("%s[%d]", path, i))
	}
}

func (c *checker) checkScalar(node ast.Node, t reflect.Type, path string) {
	var ok bool
	var want, remedy string
	switch t.Kind() {
	case reflect.String:
		switch node.(type) {
		case *ast.StringNode, *ast.LiteralNode:
			ok = true
		}
		want, remedy = "a text", fmt.Sprintf("put it in quotes: %q", node.String())
	case reflect.Bool:
		_, ok = node.(*ast.BoolNode)
		want, remedy = "true or false", "write true or false, without quotes"
	case reflect.Int:
		_, ok = node.(*ast.IntegerNode)
		want, remedy = "a whole number", "write digits only, without quotes"
	case reflect.Float64:
		switch node.(type) {
		case *ast.IntegerNode, *ast.FloatNode:
			ok = true
		}
		want, remedy = "a number", "write it without quotes: 80 or 7.5"
	default: // no key of Project has another type
		want, remedy = "readable", "report this as an error of the pipeline"
	}
	if !ok {
		c.report(node, fmt.Sprintf("%s is %s, not %s", path, kindOf(node), want), remedy)
	}
}

func (c *checker) checkDuration(node ast.Node, path string) {
	text, ok := node.(*ast.StringNode)
	if ok {
		if _, err := time.ParseDuration(text.Value); err == nil {
			return
		}
	}
	c.report(node, fmt.Sprintf("%s is %s, not a duration", path, kindOf(node)), "write a number with a unit: 90s, 10m, 720h")
}

// mapping returns a node's entries; a mapping of one entry is a node of another type.
func mapping(node ast.Node) ([]*ast.MappingValueNode, bool) {
	switch m := node.(type) {
	case *ast.MappingNode:
		return m.Values, true
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{m}, true
	default:
		return nil, false
	}
}

func keyText(key ast.MapKeyNode) string {
	text := key.String()
	if unquoted, err := strconv.Unquote(text); err == nil {
		return unquoted
	}
	return strings.Trim(text, "'")
}

// fieldTypes lists a struct's keys in the file, with their types.
func fieldTypes(t reflect.Type) map[string]reflect.Type {
	fields := make(map[string]reflect.Type, t.NumField())
	for i := range t.NumField() {
		if key := t.Field(i).Tag.Get("yaml"); key != "-" {
			fields[key] = t.Field(i).Type
		}
	}
	return fields
}

func kindOf(node ast.Node) string {
	switch n := node.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		return "a mapping"
	case *ast.SequenceNode:
		return "a list"
	case *ast.StringNode:
		return fmt.Sprintf("the text %q", n.Value)
	case *ast.LiteralNode:
		return "a text of several lines"
	default:
		return node.String()
	}
}

// suggest names the nearest of the valid words, or all of them if none is near.
func suggest(word string, valid []string) string {
	nearest, distance := "", len(word)/2+1
	for _, v := range valid {
		if len(word) > 3 && strings.HasPrefix(v, strings.ToLower(word)) {
			return fmt.Sprintf("did you mean %q?", v)
		}
		if d := levenshtein.ComputeDistance(strings.ToLower(word), v); d < distance {
			nearest, distance = v, d
		}
	}
	if nearest != "" {
		return fmt.Sprintf("did you mean %q?", nearest)
	}
	return "valid here: " + strings.Join(valid, ", ")
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func orRoot(path string) string {
	if path == "" {
		return FileName
	}
	return path
}
