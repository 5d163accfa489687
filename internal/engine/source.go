package engine

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/meter-ml/meter-pipeline/internal/plain"
)

const (
	longestSource = 8 << 20 // bytes of a file that is still read for its frames
	longestFrame  = 512     // bytes of a line that are shown
)

// sources fills in what a finding's place in the source says: the frame and the fingerprint.
type sources struct {
	root  string
	files map[string][][]byte
}

// complete puts findings in the order of their places, and fills in what the parser left empty.
func (s *sources) complete(n *node, findings []Finding) {
	for i := range findings {
		f := &findings[i]
		f.Stage, f.Step = n.stageName, n.step.Name
		f.Path = s.relative(f.Path)
	}
	slices.SortStableFunc(findings, func(a, b Finding) int {
		return cmp.Or(strings.Compare(a.Path, b.Path), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	seen := map[string]int{}
	for i := range findings {
		f := &findings[i]
		line := s.line(f.Path, f.Line)
		if f.Frame == "" {
			f.Frame = cut(plain.Text(line), longestFrame)
		}
		if n.step.HideFrames {
			f.Frame, line = "", ""
		}
		if f.Fingerprint == "" {
			f.Fingerprint = fingerprint(*f, line, seen)
		}
	}
}

// fingerprint is made of the step, the rule, the path and the line's text; a number tells equal ones apart. The message stands in
// where there is no line.
func fingerprint(f Finding, line string, seen map[string]int) string {
	text := strings.TrimSpace(line)
	if text == "" {
		text = f.Message
	}
	sum := sha256.Sum256([]byte(strings.Join([]string{f.Step, f.Rule, f.Path, text}, "\x00")))
	key := hex.EncodeToString(sum[:8])
	seen[key]++
	return fmt.Sprintf("%s:%d", key, seen[key])
}

// relative returns the slash-separated path below the root; one that is elsewhere stays as it is.
func (s *sources) relative(path string) string {
	if path == "" {
		return ""
	}
	if filepath.IsAbs(path) {
		rel, err := filepath.Rel(s.root, path)
		if err != nil || !filepath.IsLocal(rel) {
			return filepath.ToSlash(path)
		}
		path = rel
	}
	return filepath.ToSlash(filepath.Clean(path))
}

func (s *sources) line(path string, number int) string {
	if path == "" || number < 1 || !filepath.IsLocal(filepath.FromSlash(path)) {
		return ""
	}
	lines, ok := s.files[path]
	if !ok {
		lines = s.read(path)
		s.files[path] = lines
	}
	if number > len(lines) {
		return ""
	}
	return string(bytes.TrimRight(lines[number-1], "\r"))
}

// read does not follow a link out of the project: a report must not show what is not the project's.
func (s *sources) read(path string) [][]byte {
	root, err := os.OpenRoot(s.root)
	if err != nil {
		return nil
	}
	defer func() { _ = root.Close() }()
	info, err := root.Stat(filepath.FromSlash(path))
	if err != nil || !info.Mode().IsRegular() || info.Size() > longestSource {
		return nil
	}
	file, err := root.Open(filepath.FromSlash(path))
	if err != nil {
		return nil
	}
	defer func() { _ = file.Close() }()
	b, err := io.ReadAll(io.LimitReader(file, longestSource))
	if err != nil {
		return nil
	}
	return bytes.Split(b, []byte("\n"))
}

// cut shortens s to at most n bytes, at the border of a character.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}
