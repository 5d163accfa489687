package strict

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

// A Problem is one thing that is wrong with a file that a user wrote.
type Problem struct {
	File    string // as a person would name it: pipeline.yaml, data/schemas/readings.yaml
	Line    int    // from 1; 0 if the problem has no place
	Column  int    // from 1; 0 if unknown
	Message string
	Remedy  string // what to do, without a full stop; may be empty
}

// Error gives file, line, column, message and remedy in one line.
func (p Problem) Error() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d", p.Line)
		if p.Column > 0 {
			fmt.Fprintf(&b, ":%d", p.Column)
		}
	}
	b.WriteString(": " + p.Message)
	if p.Remedy != "" {
		b.WriteString(": " + p.Remedy)
	}
	return b.String()
}

// Problems are all that is wrong with a file, in the order of its lines. The pipeline exits with 2 on them.
type Problems []Problem

// Error gives a line a problem.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.Error()
	}
	return strings.Join(lines, "\n")
}

// Err returns the problems as an error, nil if there are none.
func (ps Problems) Err() error {
	if len(ps) == 0 {
		return nil
	}
	return ps
}

// Reason is an I/O error without the path, which a problem names already.
func Reason(err error) string {
	if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
		return pathErr.Err.Error()
	}
	return err.Error()
}
