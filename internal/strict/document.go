// Package strict reads YAML (and so JSON) that a person wrote into Go structs, and takes nothing on trust: a key that
// the struct has not, a value of another type, a second document, an alias or a broken encoding is a Problem with its
// file, line, column and what to do. It stands at the bottom of the import graph; pipeline.yaml and the data
// contracts are read through it.
package strict

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// Limits of a file that a person wrote; the commented pipeline.yaml has about 5 KB, a contract of 5,000 columns 180 KB.
// The parser's time grows with the square of the nesting, of what stands on one line and of the keys of one mapping:
// a megabyte of brackets would take minutes.
const (
	maxSize  = 256 << 10
	maxLine  = 32 << 10
	maxDepth = 500
)

// A Document is a decoded file: it knows where each value stands, and collects what is found wrong with them.
type Document struct {
	File string // as problems name it

	empty    bool
	places   map[string]position // by path: quality.pylint.jobs, security.allow[0].reason
	problems Problems
}

// A position is where a value stands in the file.
type position struct{ line, column int }

// Decode fills the struct that into points to from the content of a file. Keys are the names in the yaml tags; values
// that the content does not give stay as they are. Everything wrong comes back as Problems. Content without a value
// (nothing, or comments only) is no error: see Empty.
func Decode(file string, content []byte, into any) (*Document, error) {
	d := &Document{File: file, places: map[string]position{}}
	body, err := d.parse(content)
	if err != nil {
		return nil, err
	}
	if body == nil {
		d.empty = true
		return d, nil
	}
	check := checker{d}
	check.value(body, reflect.TypeOf(into).Elem(), "")
	if err := d.Err(); err != nil {
		return nil, err
	}
	if err := yaml.NodeToValue(body, into, yaml.Strict()); err != nil {
		return nil, d.syntax(err)
	}
	return d, nil
}

// Empty reports whether the file holds no value at all.
func (d *Document) Empty() bool { return d.empty }

// Written reports whether the file itself gives the value of that path, as opposed to a default.
func (d *Document) Written(path string) bool {
	_, ok := d.places[path]
	return ok
}

// Line is where the value of that path stands, or else the nearest key above it; 0 if the file gives neither.
func (d *Document) Line(path string) int { return d.place(path).line }

// Report notes a problem at the value of that path, or else at the nearest key above it.
func (d *Document) Report(path, message, remedy string) {
	d.report(d.place(path), message, remedy)
}

// Err returns what was reported, in the order of the file's lines; nil if there was nothing.
func (d *Document) Err() error {
	slices.SortStableFunc(d.problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return d.problems.Err()
}

func (d *Document) place(path string) position {
	pos, ok := d.places[path]
	for at := path; !ok && at != ""; pos, ok = d.places[at] {
		at = at[:max(strings.LastIndexByte(at, '.'), strings.LastIndexByte(at, '['), 0)]
	}
	return pos
}

func (d *Document) report(at position, message, remedy string) {
	d.problems = append(d.problems, Problem{File: d.File, Line: at.line, Column: at.column, Message: message, Remedy: remedy})
}

// parse returns the body of the one document in content, nil if it holds nothing.
func (d *Document) parse(content []byte) (ast.Node, error) {
	if len(content) > maxSize {
		return nil, Problems{{File: d.File, Message: fmt.Sprintf("it has %d bytes", len(content)), Remedy: "more than 256 KiB is not read"}}
	}
	content = bytes.TrimPrefix(content, []byte("\xef\xbb\xbf"))
	if line, ok := InvalidText(content); !ok {
		return nil, Problems{{File: d.File, Line: line, Message: "it is not UTF-8 text", Remedy: "save it as UTF-8"}}
	}
	// A carriage return alone is no line end to the parser, but CRLF is one to people.
	content = bytes.ReplaceAll(content, []byte("\r\n"), []byte("\n"))
	if line, message, remedy := tooMuch(content); line > 0 {
		return nil, Problems{{File: d.File, Line: line, Message: message, Remedy: remedy}}
	}
	file, err := parser.ParseBytes(content, 0)
	if err != nil {
		return nil, d.syntax(err)
	}
	var body ast.Node
	for _, doc := range file.Docs {
		if doc.Body == nil {
			continue
		}
		if _, ok := doc.Body.(*ast.CommentGroupNode); ok {
			continue
		}
		if body != nil {
			return nil, Problems{{File: d.File, Line: placeOf(doc.Body.GetToken()).line, Message: "a second document begins", Remedy: "keep one, without `---` lines"}}
		}
		body = doc.Body
	}
	return body, nil
}

// syntax turns an error of the YAML library into a problem with its place.
func (d *Document) syntax(err error) error {
	problem := Problem{File: d.File, Message: err.Error(), Remedy: "check the indentation and the quotes around it"}
	if yamlErr, ok := errors.AsType[yaml.Error](err); ok {
		pos := placeOf(yamlErr.GetToken())
		problem.Line, problem.Column, problem.Message = pos.line, pos.column, yamlErr.GetMessage()
	}
	problem.Message, _, _ = strings.Cut(problem.Message, "\n")
	return Problems{problem}
}

func placeOf(tk *token.Token) position {
	if tk == nil || tk.Position == nil {
		return position{}
	}
	return position{tk.Position.Line, tk.Position.Column}
}

// InvalidText returns the first line that is not UTF-8 or holds a NUL byte.
func InvalidText(content []byte) (line int, ok bool) {
	for i, text := range bytes.Split(content, []byte("\n")) {
		if !utf8.Valid(text) || bytes.IndexByte(text, 0) >= 0 {
			return i + 1, false
		}
	}
	return 0, true
}

// tooMuch returns the first line that is longer or nested deeper than anybody writes, 0 if none is. It counts brackets
// and the marks and spaces before a line's text without reading them, so it errs on the side of too much; the bound
// leaves room for that.
func tooMuch(content []byte) (line int, message, remedy string) {
	open := 0
	for i, text := range bytes.Split(content, []byte("\n")) {
		if len(text) > maxLine {
			return i + 1, fmt.Sprintf("the line has %d bytes", len(text)), "break it: more than 32 KiB is not read"
		}
		deepest := len(text) - len(bytes.TrimLeft(text, " -?"))
		for _, c := range text {
			switch c {
			case '[', '{':
				open++
			case ']', '}':
				open = max(open-1, 0)
			}
			deepest = max(deepest, open)
		}
		if deepest > maxDepth {
			return i + 1, fmt.Sprintf("it is nested more than %d deep", maxDepth), "close the brackets"
		}
	}
	return 0, "", ""
}
