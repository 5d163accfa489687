package config

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// maxFileSize bounds pipeline.yaml; the commented one has about 5 KB.
const maxFileSize = 1 << 20

// Load reads pipeline.yaml in root over the defaults. Without that file it returns the defaults. What is wrong with
// the file comes back as Problems.
func Load(root string) (*Project, error) {
	project := Default(root)
	content, err := os.ReadFile(filepath.Join(root, FileName))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		content = nil
	case err != nil:
		return nil, Problems{{File: FileName, Message: "read: " + reason(err), Remedy: "make it a readable file, or remove it to get the defaults"}}
	}
	if err := decode(content, project); err != nil {
		return nil, err
	}
	return project, nil
}

// decode fills project in from the file's content, and validates it.
func decode(content []byte, project *Project) error {
	body, err := parse(content)
	if err != nil {
		return err
	}
	check := &checker{places: map[string]position{}}
	if body != nil {
		check.check(body, reflect.TypeFor[Project](), "")
		if len(check.problems) > 0 {
			return check.problems
		}
		if err := yaml.NodeToValue(body, project, yaml.Strict()); err != nil {
			return syntaxProblem(err)
		}
	}
	project.complete()
	for i := range project.Security.Allow {
		project.Security.Allow[i].Line = check.places[fmt.Sprintf("security.allow[%d]", i)].line
	}
	return validate(project, check.places).err()
}

// parse returns the body of the one document in content, nil if it holds nothing.
func parse(content []byte) (ast.Node, error) {
	if len(content) > maxFileSize {
		return nil, Problems{{File: FileName, Message: fmt.Sprintf("it has %d bytes", len(content)), Remedy: "more than 1 MiB is not read"}}
	}
	content = bytes.TrimPrefix(content, []byte("\xef\xbb\xbf"))
	if line, ok := invalidText(content); !ok {
		return nil, Problems{{File: FileName, Line: line, Message: "it is not UTF-8 text", Remedy: "save it as UTF-8"}}
	}
	// A carriage return alone is no line end to the parser, but CRLF is one to people.
	content = bytes.ReplaceAll(content, []byte("\r\n"), []byte("\n"))
	file, err := parser.ParseBytes(content, 0)
	if err != nil {
		return nil, syntaxProblem(err)
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
			pos := placeOf(doc.Body.GetToken())
			return nil, Problems{{File: FileName, Line: pos.line, Message: "a second document begins", Remedy: "keep one, without `---` lines"}}
		}
		body = doc.Body
	}
	return body, nil
}

// invalidText returns the first line that is not UTF-8 or holds a NUL byte.
func invalidText(content []byte) (line int, ok bool) {
	for i, text := range bytes.Split(content, []byte("\n")) {
		if !utf8.Valid(text) || bytes.IndexByte(text, 0) >= 0 {
			return i + 1, false
		}
	}
	return 0, true
}

// syntaxProblem turns an error of the YAML library into a problem with its place.
func syntaxProblem(err error) error {
	problem := Problem{File: FileName, Message: err.Error(), Remedy: "check the indentation and the quotes around it"}
	if yamlErr, ok := errors.AsType[yaml.Error](err); ok {
		pos := placeOf(yamlErr.GetToken())
		problem.Line, problem.Column, problem.Message = pos.line, pos.column, yamlErr.GetMessage()
	}
	problem.Message, _, _ = strings.Cut(problem.Message, "\n")
	return Problems{problem}
}

// reason is an I/O error without the path, which the problem names already.
func reason(err error) string {
	if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
		return pathErr.Err.Error()
	}
	return err.Error()
}

// UnmarshalYAML reads a duration as Go writes it. The checker has already refused anything else.
func (d *Duration) UnmarshalYAML(unmarshal func(any) error) error {
	var text string
	if err := unmarshal(&text); err != nil {
		return err
	}
	std, err := time.ParseDuration(text)
	*d = Duration(std)
	return err
}
