// Package history remembers runs and deploys: one line of JSON for each, appended to .pipeline/history.jsonl.
//
// It stands beside the reports, under package pipeline: a run is appended to it when it is over, and the next run is
// scheduled, and its remaining time told, by what it knows (Open, in this file, which is read before each run and so
// looks at no more than it needs). Dashboard and maintenance reports read all of it (Read). Runs of other machines come
// in by their report.json (ImportDir, ImportZip).
package history

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

const (
	schema  = 1
	samples = 10      // how many runs of a step count for what is expected
	longest = 1e6     // seconds that a step can have taken; more is nonsense
	window  = 4 << 20 // bytes of the file, from its end, that are read before a run: some hundred whole runs
)

// A History is what was read from the file, and where to append to.
type History struct {
	path     string
	warnings []string
	took     map[[2]string][]time.Duration // by stage and step, the newest last
}

// Open reads the history. A file that does not exist is an empty history; lines that can't be read are left out, and
// Warnings tells of them.
func Open(path string) (*History, error) {
	b, whole, err := tail(path, window)
	if err != nil {
		return nil, fmt.Errorf("read history: %w", err)
	}
	h := &History{path: path}
	h.parse(b, whole)
	return h, nil
}

// tail reads the end of a file, and whether that is all of it.
func tail(path string, limit int64) (b []byte, whole bool, err error) {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, true, nil
	}
	if err != nil {
		return nil, false, err
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil {
		return nil, false, err
	}
	from := max(info.Size()-limit, 0)
	b, err = io.ReadAll(io.NewSectionReader(file, from, limit))
	return b, from == 0, err
}

func (h *History) parse(b []byte, whole bool) {
	h.took = map[[2]string][]time.Duration{}
	if !whole {
		_, b, _ = bytes.Cut(b, []byte("\n")) // most likely cut in two
	}
	unreadable, newer := 0, 0
	for line := range bytes.Lines(b) {
		var e lean
		switch err := json.Unmarshal(foremost(line), &e); {
		case len(bytes.TrimSpace(line)) == 0:
		case err != nil && line[len(line)-1] != '\n':
			h.warn("its last line is torn, since a run was killed as it was written: that run is forgotten")
		case err != nil || e.Schema < 1:
			unreadable++
		case e.Schema > schema:
			newer++
		default:
			h.learn(e)
		}
	}
	if unreadable > 0 {
		h.warn(fmt.Sprintf("%d of its lines can't be read, and do not count: remove them, or the file, to be rid of this warning", unreadable))
	}
	if newer > 0 {
		h.warn(fmt.Sprintf("%d of its lines were written by a newer version of the pipeline, and do not count", newer))
	}
}

func (h *History) warn(text string) {
	h.warnings = append(h.warnings, fmt.Sprintf("history %s: %s", filepath.Base(h.path), text))
}

func (h *History) learn(e lean) {
	for _, s := range e.Steps {
		if s.Judged() && s.Seconds >= 0 && s.Seconds < longest {
			key := [2]string{s.Stage, s.Step}
			h.took[key] = append(h.took[key], time.Duration(s.Seconds*float64(time.Second)))
		}
	}
}

// Warnings says what could not be read, in sentences for a person.
func (h *History) Warnings() []string { return h.warnings }

// Expected is how long a step is likely to take: the median of its last ten judged runs, 0 if there is none.
func (h *History) Expected(stage, step string) time.Duration {
	all := h.took[[2]string{stage, step}]
	last := slices.Sorted(slices.Values(all[max(0, len(all)-samples):]))
	n := len(last)
	switch {
	case n == 0:
		return 0
	case n%2 == 1:
		return last[n/2]
	default:
		return last[n/2-1] + (last[n/2]-last[n/2-1])/2
	}
}
