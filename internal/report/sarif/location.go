package sarif

import (
	"crypto/sha256"
	"fmt"
	"net/url"
	"path"
	"strings"
	"unicode/utf8"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/report"
)

// anchor is where a finding about no file is shown. One result without a location makes code scanning refuse the
// whole file, and what the pipeline does is configured here.
const anchor = "pipeline.yaml"

func locationOf(r report.Report, f engine.Finding, step engine.StepResult) location {
	name := f.Path
	var about []logical
	if name == "" {
		name = inputFile(r.Inputs(step))
		about = []logical{{Name: step.Stage + "/" + step.Name}}
	}
	loc := location{
		Physical: physical{Artifact: artifact{URI: uri(name), BaseID: "%SRCROOT%"}, Region: regionOf(f)},
		Logical:  about,
	}
	if f.Frame != "" && f.Line > 0 {
		snippet := text(f.Frame)
		loc.Physical.Context = &region{StartLine: f.Line, Snippet: &snippet}
	}
	return loc
}

// inputFile is the file that a step was planned to read, if it is one: a lock file, say.
func inputFile(inputs []string) string {
	if len(inputs) == 1 && path.Ext(inputs[0]) != "" {
		return inputs[0]
	}
	return anchor
}

// uri escapes a path; a colon in its first part would otherwise be read as a scheme.
func uri(name string) string {
	u := url.URL{Path: name}
	return u.String()
}

// regionOf gives all four numbers: what is not known becomes the whole line, or the first character of the file.
func regionOf(f engine.Finding) region {
	width := utf8.RuneCountInString(f.Frame)
	reg := region{StartLine: max(f.Line, 1), StartColumn: max(f.Column, 1), EndLine: f.EndLine, EndColumn: f.EndCol}
	if f.Column <= 0 {
		reg.StartColumn = 1 + width - utf8.RuneCountInString(strings.TrimLeft(f.Frame, " \t"))
	}
	if reg.EndLine < reg.StartLine {
		reg.EndLine, reg.EndColumn = reg.StartLine, 0
	}
	if reg.EndColumn > 0 && (reg.EndLine > reg.StartLine || reg.EndColumn > reg.StartColumn) {
		return reg
	}
	reg.EndColumn = reg.StartColumn + 1
	if reg.EndLine == reg.StartLine && width+1 > reg.StartColumn {
		reg.EndColumn = width + 1
	}
	return reg
}

// fingerprint is the engine's; a run that was not made by it gets one that is as stable against moved lines.
func fingerprint(f engine.Finding) string {
	if f.Fingerprint != "" {
		return f.Fingerprint
	}
	sum := sha256.Sum256([]byte(strings.Join([]string{f.Rule, f.Path, f.Frame, f.Message}, "\x00")))
	return fmt.Sprintf("%x", sum[:8])
}
