// Package history remembers runs: one line of JSON for each, appended to .pipeline/history.jsonl.
//
// It stands beside the reports, under package pipeline: a run is appended to it when it is over, and the next run is
// scheduled, and its remaining time told, by what it knows.
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
	"runtime"
	"slices"
	"syscall"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/engine"
)

const (
	schema  = 1
	samples = 10      // how many runs of a step count for what is expected
	longest = 1e6     // seconds that a step can have taken; more is nonsense
	window  = 4 << 20 // bytes of the file, from its end, that are read: some thousand runs
)

// entry is one line: a run. Fields may be added; a change of what one means is a new schema.
type entry struct {
	Schema  int         `json:"schema"`
	Run     string      `json:"run"`
	Time    time.Time   `json:"time"` // of the start
	Target  string      `json:"target"`
	Commit  string      `json:"commit,omitempty"`
	Dirty   bool        `json:"dirty,omitempty"`
	Cores   int         `json:"cores"`
	Slots   int         `json:"slots"`
	Status  string      `json:"status"`
	Exit    int         `json:"exit_code"`
	Seconds float64     `json:"seconds"`
	Steps   []stepEntry `json:"steps"`
}

type stepEntry struct {
	Stage   string  `json:"stage"`
	Step    string  `json:"step"`
	Status  string  `json:"status"`
	Cached  bool    `json:"cached"`
	Seconds float64 `json:"seconds"`
}

// judged reports whether its duration says how long the step takes: it ran to its end.
func (s stepEntry) judged() bool {
	return !s.Cached && (s.Status == string(engine.StatusPassed) || s.Status == string(engine.StatusFailed))
}

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
		var e entry
		switch err := json.Unmarshal(line, &e); {
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

func (h *History) learn(e entry) {
	for _, s := range e.Steps {
		if s.judged() && s.Seconds >= 0 && s.Seconds < longest {
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

// Append adds a run to the file, as one line in one write. A torn line that an earlier run left is cut off first.
func (h *History) Append(run *engine.Run) error {
	line, err := json.Marshal(record(run))
	if err != nil {
		return fmt.Errorf("append to history: %w", err)
	}
	if err := appendLine(h.path, append(line, '\n')); err != nil {
		return fmt.Errorf("append to history: %w: check that the disk has room and that you may write there", err)
	}
	return nil
}

func record(run *engine.Run) entry {
	e := entry{
		Schema: schema, Run: run.ID, Time: run.Started.UTC(), Target: run.Target, Commit: run.Commit, Dirty: run.Dirty,
		Cores: runtime.NumCPU(), Slots: run.Limit, Status: string(run.Status), Exit: run.ExitCode,
		Seconds: seconds(run.Duration), Steps: []stepEntry{},
	}
	for _, stage := range run.Stages {
		for _, s := range stage.Steps {
			e.Steps = append(e.Steps, stepEntry{
				Stage: stage.Name, Step: s.Name, Status: string(s.Status), Cached: s.Cached, Seconds: seconds(s.Duration),
			})
		}
	}
	return e
}

// seconds to the millisecond: more is noise in a file that people read.
func seconds(d time.Duration) float64 {
	return float64(d.Round(time.Millisecond).Milliseconds()) / 1000
}

// appendLine holds a lock meanwhile, since another run's line that is just being written must not look torn.
func appendLine(path string, line []byte) (err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX); err != nil {
		return fmt.Errorf("lock %s: %w", path, err)
	}
	if err := mend(file); err != nil {
		return err
	}
	_, err = file.Write(line)
	return err
}

// mend cuts off what stands behind the last line end, unless it is whole, or longer than any line: then it only lacks
// its end.
func mend(file *os.File) error {
	info, err := file.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return err
	}
	from := max(info.Size()-window, 0)
	b, err := io.ReadAll(io.NewSectionReader(file, from, window))
	if err != nil || len(b) == 0 || b[len(b)-1] == '\n' {
		return err
	}
	if at := bytes.LastIndexByte(b, '\n'); (at >= 0 || from == 0) && !json.Valid(b[at+1:]) {
		return file.Truncate(from + int64(at) + 1)
	}
	_, err = file.Write([]byte("\n"))
	return err
}
