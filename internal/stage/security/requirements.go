package security

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/stage/python"
)

// A pin is one exact version in a requirements file.
type pin struct {
	name    string // canonical
	version string
	path    string
	line    int
	of      string // what holds it, if it is no line of a file: "model_api (opt/venv/… in layer 3)"
}

func (p pin) String() string { return p.name + " " + p.version }

// locked is what requirements files say.
type locked struct {
	pins  []pin
	loose []engine.Finding // lines that name no exact version, which safety passes over
	files []string
}

// readRequirements reads the files, and those that they include, by the format of pip's requirements files.
func readRequirements(root string, files []string) (locked, error) {
	var all locked
	for _, file := range files {
		if err := all.read(root, path.Clean(file)); err != nil {
			return all, err
		}
	}
	if len(all.pins) == 0 && len(all.loose) == 0 {
		return all, fmt.Errorf("%s name no package: correct security.safety.requirements in pipeline.yaml", python.List(files, 3))
	}
	return all, nil
}

func (l *locked) read(root, file string) error {
	if slices.Contains(l.files, file) {
		return nil
	}
	l.files = append(l.files, file)
	if !filepath.IsLocal(filepath.FromSlash(file)) {
		return fmt.Errorf("%s is outside of the project: name the requirements that lie in it", file)
	}
	content, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(file)))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there are no requirements %s: lock them, or correct security.safety.requirements in pipeline.yaml", file)
	}
	if err != nil {
		return fmt.Errorf("read requirements: %w", err)
	}
	pins, loose, includes := parseRequirements(file, string(content))
	l.pins, l.loose = append(l.pins, pins...), append(l.loose, loose...)
	for _, include := range includes {
		if err := l.read(root, path.Join(path.Dir(file), include)); err != nil {
			return err
		}
	}
	return nil
}

var (
	exact   = regexp.MustCompile(`^([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*(?:\[[^\]]*\])?\s*===?\s*([A-Za-z0-9][A-Za-z0-9.!+_-]*)$`)
	include = regexp.MustCompile(`^(?:-r|--requirement)(?:\s+|=)?\s*(\S.*)$`)
	comment = regexp.MustCompile(`(^|\s)#.*$`)
	// option is a line that is about how to install, not what.
	option = regexp.MustCompile(`^--?[A-Za-z]`)
	hash   = regexp.MustCompile(`\s--[a-z-]+(?:=|\s).*$`)
)

// parseRequirements returns the pins of one file, findings for what is none, and the files that it includes. A
// constraint (-c) installs nothing.
func parseRequirements(file, content string) (pins []pin, loose []engine.Finding, includes []string) {
	lines := strings.Split(strings.TrimPrefix(content, "\ufeff"), "\n")
	for i := 0; i < len(lines); i++ {
		first := i + 1
		text := strings.TrimRight(lines[i], "\r")
		for strings.HasSuffix(text, "\\") && i+1 < len(lines) {
			i++
			text = text[:len(text)-1] + " " + strings.TrimRight(lines[i], "\r")
		}
		text = strings.TrimSpace(comment.ReplaceAllString(strings.TrimSuffix(text, "\\"), ""))
		if m := include.FindStringSubmatch(text); m != nil {
			includes = append(includes, strings.TrimSpace(m[1]))
			continue
		}
		editable := strings.HasPrefix(text, "-e") || strings.HasPrefix(text, "--editable")
		if text == "" || option.MatchString(text) && !editable {
			continue
		}
		text = strings.TrimSpace(hash.ReplaceAllString(text, ""))
		requirement, _, _ := strings.Cut(text, ";")
		if m := exact.FindStringSubmatch(strings.TrimSpace(requirement)); m != nil && !editable {
			pins = append(pins, pin{name: canonical(m[1]), version: m[2], path: file, line: first})
			continue
		}
		loose = append(loose, engine.Finding{
			Rule: "unpinned", Severity: engine.SeverityHigh, Path: file, Line: first,
			Message: fmt.Sprintf("%s names no exact version, so nobody can say whether it is vulnerable", python.Shorten(text, 100)),
			Help:    "lock the requirements, so that each line is name==version with its hashes",
		})
	}
	return pins, loose, includes
}

// merged writes each pin once, as the file that safety is shown. Of the same package in two files it would otherwise
// report one version only, and its own parser leaves out lines that it does not understand.
func (l locked) merged() []byte {
	lines := make([]string, 0, len(l.pins))
	for _, p := range l.pins {
		lines = append(lines, p.name+"=="+p.version+"\n")
	}
	slices.Sort(lines)
	return []byte(strings.Join(slices.Compact(lines), ""))
}

// places returns what a finding about a version is told of: each thing that holds it, and the first line that pins it,
// with how many other lines do.
func (l locked) places(name, version string) []place {
	var places []place
	lines := -1
	for _, p := range l.pins {
		if p.name != name || p.version != version {
			continue
		}
		if p.of == "" && lines >= 0 {
			places[lines].others++
			continue
		}
		if p.of == "" {
			lines = len(places)
		}
		places = append(places, place{pin: p})
	}
	if len(places) == 0 {
		return []place{{}} // the tool names a version that nobody gave it; that it says so is kept
	}
	return places
}

type place struct {
	pin
	others int
}
