package profile

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/meter-ml/meter-pipeline/internal/wholefile"
)

// version of a baseline file: one more whenever what a field means changes, or how values are put into buckets.
const version = 1

// remedy is what to do about a baseline that can't be used.
const remedy = "write it anew with mage data:baseline"

// A Baseline is a profile as a file.
type Baseline struct {
	Version int    `json:"version"`
	Data    string `json:"data"`           // name of the data set
	Made    string `json:"made,omitempty"` // when, as the caller says
	Profile
	// Digest is SHA-256 of the file without it, so that a hand that edits the numbers is seen.
	Digest string `json:"digest"`
}

// Encode returns the file's bytes: the same for the same profile, the columns in order of their names.
func (b Baseline) Encode() ([]byte, error) {
	b.Version = version
	b.Columns = slices.SortedFunc(slices.Values(b.Columns), func(x, y Summary) int { return strings.Compare(x.Name, y.Name) })
	digest, err := b.digest()
	if err != nil {
		return nil, err
	}
	b.Digest = digest
	content, err := json.MarshalIndent(b, "", " ")
	if err != nil {
		return nil, err
	}
	return append(oneLine(content), '\n'), nil
}

// oneLine writes each list of numbers in one line, which makes a baseline a tenth as long. No text can look like such
// a list, since it has no line ends.
func oneLine(content []byte) []byte {
	list := regexp.MustCompile(`\[\n[-+0-9.eE,\s]*\]`)
	return list.ReplaceAllFunc(content, func(b []byte) []byte {
		return bytes.ReplaceAll(bytes.Join(bytes.Fields(b), nil), []byte(","), []byte(", "))
	})
}

func (b Baseline) digest() (string, error) {
	b.Digest = ""
	content, err := json.Marshal(b)
	if err != nil {
		return "", fmt.Errorf("encode profile: %w", err)
	}
	sum := sha256.Sum256(content)
	return "sha256:" + hex.EncodeToString(sum[:]), nil
}

// Save writes the file, whole or not at all.
func (b Baseline) Save(path string) error {
	content, err := b.Encode()
	if err == nil {
		err = os.MkdirAll(filepath.Dir(path), 0o755)
	}
	if err == nil {
		err = wholefile.Write(path, content, 0o644)
	}
	if err != nil {
		return fmt.Errorf("write baseline %s: %w", path, err)
	}
	return nil
}

// Load reads a baseline strictly. A file that is not there is fs.ErrNotExist.
func Load(path string) (*Baseline, error) {
	content, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("read baseline: %w: %s", err, remedy)
	case err != nil:
		return nil, fmt.Errorf("read baseline: %w", err)
	}
	b, err := decode(content)
	if err != nil {
		return nil, fmt.Errorf("read baseline %s: %w: %s", path, err, remedy)
	}
	return b, nil
}

func decode(content []byte) (*Baseline, error) {
	var head struct {
		Version int `json:"version"`
	}
	var syntax *json.SyntaxError
	err := json.Unmarshal(content, &head)
	switch {
	case errors.As(err, &syntax) && syntax.Offset >= int64(len(bytes.TrimSpace(content))):
		return nil, errors.New("it is truncated")
	case err != nil:
		return nil, fmt.Errorf("it is not JSON of a baseline (%w)", err)
	case head.Version != version:
		return nil, fmt.Errorf("it has version %d, not %d", head.Version, version)
	}
	var b Baseline
	decoder := json.NewDecoder(bytes.NewReader(content))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&b); err != nil {
		return nil, errors.New(strings.TrimPrefix(err.Error(), "json: "))
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows its end")
	}
	if digest, err := b.digest(); err != nil || digest != b.Digest {
		return nil, errors.New("it was edited: its digest does not fit its content")
	}
	return &b, b.check()
}

// check demands what Compare relies on; a digest alone does not say that a file makes sense.
func (b *Baseline) check() error {
	seen := map[string]bool{}
	for i := range b.Columns {
		c := &b.Columns[i]
		if seen[c.Name] {
			return fmt.Errorf("it has column %q twice", c.Name)
		}
		seen[c.Name] = true
		if !c.sound() {
			return fmt.Errorf("its numbers of column %q contradict each other", c.Name)
		}
	}
	return nil
}

func (s *Summary) sound() bool {
	present := s.Count > s.Infinite
	numbers, texts, steps := present, present, present
	switch s.Kind {
	case Text:
		numbers, steps = false, false
	case Time:
		texts, steps = false, false
	case Number, Boolean:
		texts = false
	default:
		return false
	}
	if numbers != (s.Numbers != nil) || texts != (s.Texts != nil) || steps != (s.Distribution != nil) {
		return false
	}
	if min(s.Count, s.Nulls, s.Infinite, s.Count-s.Infinite) < 0 {
		return false
	}
	return !steps || s.Distribution.sound(s.finite())
}

// sound reports whether it is a distribution of n values.
func (t *Distribution) sound(n int64) bool {
	if len(t.Upper) != len(t.Count) {
		return false
	}
	for i, count := range t.Count {
		if count < 0 || (i > 0 && t.Upper[i] <= t.Upper[i-1]) {
			return false
		}
		n -= count
	}
	return n == 0
}
