package strict

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
)

// checker compares a parsed file with the Go type that it is to fill: unknown keys and wrong types, each with its
// place. It also notes where every value stands, for what is found wrong later.
type checker struct{ doc *Document }

func (c checker) report(at ast.Node, message, remedy string) {
	c.doc.report(placeOf(at.GetToken()), message, remedy)
}

// value compares node with type t. The path names the value in messages.
func (c checker) value(node ast.Node, t reflect.Type, path string) {
	if path != "" {
		c.doc.places[path] = placeOf(node.GetToken())
	}
	switch node.(type) {
	case *ast.AnchorNode, *ast.AliasNode, *ast.TagNode, *ast.MergeKeyNode:
		c.report(node, fmt.Sprintf("%s uses an anchor, an alias or a tag", path), "write the value out")
		return
	case *ast.NullNode:
		c.report(node, path+" has no value", "give it one, or remove the line to get the default")
		return
	}
	if t.Kind() == reflect.Pointer { // a value whose absence means something else than its zero
		t = t.Elem()
	}
	switch t {
	case reflect.TypeFor[Duration]():
		c.duration(node, path)
		return
	case reflect.TypeFor[Scalar]():
		c.scalar(node, path)
		return
	case reflect.TypeFor[Names]():
		if _, ok := node.(*ast.StringNode); ok {
			return
		}
	}
	switch t.Kind() {
	case reflect.Struct:
		c.structure(node, t, path)
	case reflect.Map:
		c.mapping(node, t, path)
	case reflect.Slice:
		c.list(node, t, path)
	default:
		c.basic(node, t, path)
	}
}

func (c checker) structure(node ast.Node, t reflect.Type, path string) {
	values, ok := entries(node)
	if !ok {
		c.report(node, fmt.Sprintf("%s is %s, not a mapping", c.orRoot(path), kindOf(node)), "write `key: value` lines under it")
		return
	}
	fields := Keys(t)
	for _, value := range values {
		key := keyText(value.Key)
		field, ok := fields[key]
		if !ok {
			c.report(value.Key, fmt.Sprintf("unknown key %q in %s", key, c.orRoot(path)), Suggest(key, slices.Sorted(maps.Keys(fields))))
			continue
		}
		c.value(value.Value, field, Join(path, key))
	}
}

func (c checker) mapping(node ast.Node, t reflect.Type, path string) {
	values, ok := entries(node)
	if !ok {
		c.report(node, fmt.Sprintf("%s is %s, not a mapping", path, kindOf(node)), "write `name: value` lines under it")
		return
	}
	for _, value := range values {
		c.value(value.Value, t.Elem(), Join(path, keyText(value.Key)))
	}
}

func (c checker) list(node ast.Node, t reflect.Type, path string) {
	sequence, ok := node.(*ast.SequenceNode)
	if !ok {
		c.report(node, fmt.Sprintf("%s is %s, not a list", path, kindOf(node)), "write it as [a, b] or as lines that begin with `- `")
		return
	}
	for i, value := range sequence.Values {
		c.value(value, t.Elem(), fmt.Sprintf("%s[%d]", path, i))
	}
}

func (c checker) basic(node ast.Node, t reflect.Type, path string) {
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
	case reflect.Int, reflect.Int64:
		_, ok = node.(*ast.IntegerNode)
		want, remedy = "a whole number", "write digits only, without quotes"
	case reflect.Float64:
		switch node.(type) {
		case *ast.IntegerNode, *ast.FloatNode:
			ok = true
		}
		want, remedy = "a number", "write it without quotes: 80 or 7.5"
	default: // no file that we read has a key of another type
		want, remedy = "readable", "report this as an error of the pipeline"
	}
	if !ok {
		c.report(node, fmt.Sprintf("%s is %s, not %s", path, kindOf(node), want), remedy)
	}
}

func (c checker) scalar(node ast.Node, path string) {
	if _, ok := scalarOf(node); !ok {
		c.report(node, fmt.Sprintf("%s is %s, not a single value", path, kindOf(node)), "write one number or text")
	}
}

func (c checker) duration(node ast.Node, path string) {
	text, ok := node.(*ast.StringNode)
	if ok {
		if _, err := time.ParseDuration(text.Value); err == nil {
			return
		}
	}
	c.report(node, fmt.Sprintf("%s is %s, not a duration", path, kindOf(node)), "write a number with a unit: 90s, 10m, 720h")
}

func (c checker) orRoot(path string) string {
	if path == "" {
		return c.doc.File
	}
	return path
}

// entries returns a mapping's; a mapping of one entry is a node of another type.
func entries(node ast.Node) ([]*ast.MappingValueNode, bool) {
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

// Keys lists the keys of a struct in a file, with their types.
func Keys(t reflect.Type) map[string]reflect.Type {
	fields := make(map[string]reflect.Type, t.NumField())
	for i := range t.NumField() {
		if key := t.Field(i).Tag.Get("yaml"); key != "-" {
			fields[key] = t.Field(i).Type
		}
	}
	return fields
}

// Join is the path of a key below a path.
func Join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
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
