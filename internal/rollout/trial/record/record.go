// Package record keeps what the trials of deploys have shown, and on which tree: docs/results/deploys.json, and
// deploys.md for people. The trials take too long for every push, so that somebody has to say when what they have shown
// is of a tree that is no more.
package record

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/filelock"
	"github.com/meter-ml/meter-pipeline/internal/wholefile"
)

// File is where the record is, below the root of the repository; Page is what people read.
const (
	File = "docs/results/deploys.json"
	Page = "docs/results/deploys.md"
)

const schema = 1

// A Record is what all trials have shown, each when it last ran.
type Record struct {
	Schema int     `json:"schema"`
	Trials []Trial `json:"trials"`
}

// A Trial is one of them.
type Trial struct {
	Part    string    `json:"part"` // of what is to be shown: shift, bad, kill, fault, refuse, secret
	Name    string    `json:"name"`
	Tree    string    `json:"tree"` // that it ran on: see Tree
	Machine Machine   `json:"machine"`
	Began   time.Time `json:"began"`
	Seconds float64   `json:"seconds"`
	Outcome string    `json:"outcome"`           // what was seen, in a line
	Problem string    `json:"problem,omitempty"` // why it did not pass; empty if it did
	Figures []Figure  `json:"figures,omitempty"`
	Events  []Event   `json:"events,omitempty"` // the audit log beside the requests that failed
}

// A Machine is where a trial ran.
type Machine struct {
	Cores   int    `json:"cores"`
	Go      string `json:"go"`
	Engine  string `json:"engine"`
	Compose string `json:"compose"`
	Proxy   string `json:"proxy"`
}

// A Figure is a number that was measured.
type Figure struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit,omitempty"`
}

// An Event is something on the time line of a trial.
type Event struct {
	At   float64 `json:"at"` // seconds from its beginning
	What string  `json:"what"`
}

// Figure returns a number by its name; false if it was not measured.
func (t Trial) Figure(name string) (Figure, bool) {
	n := slices.IndexFunc(t.Figures, func(f Figure) bool { return f.Name == name })
	if n < 0 {
		return Figure{}, false
	}
	return t.Figures[n], true
}

// Read reads the record of a repository; an empty one if there is none.
func Read(root string) (Record, error) {
	r := Record{Schema: schema}
	content, err := os.ReadFile(filepath.Join(root, File))
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	if err != nil {
		return r, fmt.Errorf("read record of the trials: %w", err)
	}
	decoder := json.NewDecoder(bytes.NewReader(content))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&r); err != nil {
		return r, fmt.Errorf("read record of the trials: %s: %w", File, err)
	}
	if r.Schema != schema {
		return r, fmt.Errorf("read record of the trials: %s has schema %d, not %d", File, r.Schema, schema)
	}
	return r, nil
}

// Put takes a trial in, in place of what it showed before.
func (r *Record) Put(t Trial) {
	same := func(o Trial) bool { return o.Part == t.Part && o.Name == t.Name }
	if n := slices.IndexFunc(r.Trials, same); n >= 0 {
		r.Trials[n] = t
		return
	}
	r.Trials = append(r.Trials, t)
}

// Keep drops trials that are no more, and brings the others into their order. A name is part and name with a slash.
func (r *Record) Keep(names []string) {
	at := func(t Trial) int { return slices.Index(names, t.Part+"/"+t.Name) }
	r.Trials = slices.DeleteFunc(r.Trials, func(t Trial) bool { return at(t) < 0 })
	slices.SortStableFunc(r.Trials, func(a, b Trial) int { return cmp.Compare(at(a), at(b)) })
}

// Write writes both files.
func (r *Record) Write(root string) error {
	if err := r.Save(filepath.Join(root, File)); err != nil {
		return err
	}
	if err := wholefile.Write(filepath.Join(root, Page), []byte(r.page()), 0o644); err != nil {
		return fmt.Errorf("write record of the trials: %w", err)
	}
	return nil
}

// Update changes the record of a repository. Several trials may do so at the same time.
func Update(ctx context.Context, root string, change func(*Record)) (err error) {
	lock, err := os.OpenFile(filepath.Join(os.TempDir(), "meter-trials.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("update record of the trials: %w", err)
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	if err := filelock.Take(ctx, lock); err != nil {
		return fmt.Errorf("update record of the trials: %w", err)
	}
	kept, err := Read(root)
	if err != nil {
		return err
	}
	change(&kept)
	return kept.Write(root)
}

// Save writes the raw record to a file.
func (r *Record) Save(path string) error {
	r.Schema = schema
	content, err := json.MarshalIndent(r, "", "  ")
	if err == nil {
		err = wholefile.Write(path, append(content, '\n'), 0o644)
	}
	if err != nil {
		return fmt.Errorf("write record of the trials: %w", err)
	}
	return nil
}

// Stale says what a record does not show of a tree; empty if all of its trials passed on it.
func (r *Record) Stale(tree string) string {
	var old, failed []string
	for _, t := range r.Trials {
		name := t.Part + "/" + t.Name
		if t.Problem != "" {
			failed = append(failed, name)
		} else if t.Tree != tree {
			old = append(old, name)
		}
	}
	var words []string
	switch {
	case len(r.Trials) == 0:
		words = append(words, "no trial of deploys has run")
	case len(old) == len(r.Trials):
		words = append(words, fmt.Sprintf("all %d trials of deploys ran on another tree than this", len(old)))
	case len(old) > 0:
		words = append(words, fmt.Sprintf("%d of %d trials of deploys ran on another tree than this: %s", len(old), len(r.Trials), strings.Join(old, ", ")))
	}
	if len(failed) > 0 {
		words = append(words, fmt.Sprintf("%d did not pass: %s", len(failed), strings.Join(failed, ", ")))
	}
	return strings.Join(words, "; ")
}

// judged are what a deploy is made of, and what it does: files and directories below the root. What only tests it, or
// shows it, is left out.
func judged() []string {
	return []string{"docker", "internal/rollout", "internal/stage/deploy", "internal/stage/staging", "internal/stage/production", "scripts/smoke.py", "src/api"}
}

func leftOut(path string, d fs.DirEntry) bool {
	name := d.Name()
	if d.IsDir() {
		return name == "testdata" || name == "__pycache__" || path == "internal/rollout/trial" || path == "internal/rollout/rollouttest" ||
			path == "internal/rollout/judge/simulate"
	}
	return strings.HasSuffix(name, "_test.go") || strings.HasPrefix(name, ".")
}

// Tree is a hash of all that the trials are about: of names, contents and which files are executable.
func Tree(root string) (string, error) {
	sum := sha256.New()
	for _, top := range judged() {
		err := filepath.WalkDir(filepath.Join(root, filepath.FromSlash(top)), func(at string, d fs.DirEntry, err error) error {
			if err != nil {
				if errors.Is(err, fs.ErrNotExist) && at == filepath.Join(root, filepath.FromSlash(top)) {
					return nil // it will change the hash when it comes
				}
				return err
			}
			path, err := filepath.Rel(root, at)
			if err != nil {
				return err
			}
			path = filepath.ToSlash(path)
			if leftOut(path, d) {
				if d.IsDir() {
					return fs.SkipDir
				}
				return nil
			}
			if d.IsDir() {
				return nil
			}
			return add(sum, at, path, d)
		})
		if err != nil {
			return "", fmt.Errorf("hash the tree of the trials: %w", err)
		}
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

func add(sum io.Writer, at, path string, d fs.DirEntry) error {
	info, err := d.Info()
	if err != nil {
		return err
	}
	content, err := os.ReadFile(at)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(sum, "%s\x00%t\x00%x\n", path, info.Mode()&0o111 != 0, sha256.Sum256(content))
	return err
}
