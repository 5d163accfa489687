package history

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// Records is all that a history holds, each run and each deploy once, the oldest first.
type Records struct {
	Runs     []Run
	Deploys  []Deploy
	Warnings []string // what could not be read, in sentences for a person
}

// line is any line of the file.
type line struct {
	Run

	Deploy *Deploy `json:"deploy"`
}

// Read reads all of it. A file that does not exist holds nothing.
func Read(path string) (Records, error) {
	content, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Records{}, fmt.Errorf("read history: %w", err)
	}
	r := parseAll(content)
	for i, warning := range r.Warnings {
		r.Warnings[i] = fmt.Sprintf("history %s: %s", filepath.Base(path), warning)
	}
	return r, nil
}

func parseAll(content []byte) Records {
	var r Records
	unreadable, newer := 0, 0
	seen := map[string]bool{}
	first := func(id string) bool {
		again := seen[id]
		seen[id] = true
		return !again
	}
	for raw := range bytes.Lines(content) {
		var l line
		switch err := json.Unmarshal(raw, &l); {
		case len(bytes.TrimSpace(raw)) == 0:
		case err != nil && raw[len(raw)-1] != '\n':
			r.Warnings = append(r.Warnings, "its last line is torn, since a run was killed as it was written: that run is missing")
		case err != nil || l.Schema < 1 || l.Deploy == nil && l.Run.Run == "" || l.Deploy != nil && l.Deploy.check() != nil:
			unreadable++
		case l.Schema > schema:
			newer++
		case l.Deploy != nil:
			if first("deploy " + l.Deploy.Environment + " " + l.Deploy.Release) {
				r.Deploys = append(r.Deploys, *l.Deploy)
			}
		case first("run " + l.Run.Run):
			r.Runs = append(r.Runs, l.Run)
		}
	}
	if unreadable > 0 {
		r.Warnings = append(r.Warnings, fmt.Sprintf("%d of its lines can't be read, and are missing", unreadable))
	}
	if newer > 0 {
		r.Warnings = append(r.Warnings, fmt.Sprintf("%d of its lines were written by a newer version of the pipeline, and are missing", newer))
	}
	slices.SortStableFunc(r.Runs, func(a, b Run) int { return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.Run, b.Run)) })
	slices.SortStableFunc(r.Deploys, func(a, b Deploy) int { return a.Finished.Compare(b.Finished) })
	return r
}

// Recent reads the newest runs, as many as fit into that many bytes of the file.
func Recent(path string, bytesOfFile int64) (Records, error) {
	content, whole, err := tail(path, bytesOfFile)
	if err != nil {
		return Records{}, fmt.Errorf("read history: %w", err)
	}
	if !whole {
		_, content, _ = bytes.Cut(content, []byte("\n")) // most likely cut in two
	}
	return parseAll(content), nil
}
