package report

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/meter-ml/meter-pipeline/internal/engine"
)

// A Render writes a report of a finished run.
type Render func(io.Writer, Report) error

// ToFile returns a reporter that writes one file when the run has ended, whole or not at all.
func ToFile(path string, render Render) engine.Reporter {
	return &fileReporter{path: path, render: render}
}

type fileReporter struct {
	path   string
	render Render
	plan   []engine.PlannedStage
}

func (f *fileReporter) Event(e engine.Event) error {
	switch e.Kind {
	case engine.EventRunStarted:
		f.plan = e.Plan
	case engine.EventRunFinished:
		var b bytes.Buffer
		if err := f.render(&b, New(e.Run, f.plan)); err != nil {
			return fmt.Errorf("render %s: %w", filepath.Base(f.path), err)
		}
		return replace(f.path, b.Bytes())
	default: // a file says how it ended
	}
	return nil
}

// replace writes a file beside its place and then renames it, so that nobody reads half a report.
func replace(path string, content []byte) (err error) {
	dir, name := filepath.Split(path)
	if err := os.MkdirAll(filepath.Clean(dir), 0o750); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	tmp, err := os.CreateTemp(dir, "."+name+"-*")
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("write %s: %w", name, errors.Join(err, os.Remove(tmp.Name())))
		}
	}()
	_, err = tmp.Write(content)
	err = errors.Join(err, tmp.Chmod(0o644), tmp.Close())
	if err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}

// tailBytes bounds what is read of a log for its last lines.
const tailBytes = 64 << 10

// LogTail returns the last lines of a step's log, plain, and whether there were more. A log that can't be read has
// no lines: the step's own reason says more than an error about its log.
func (r Report) LogTail(step engine.StepResult, lines int) (tail []string, more bool) {
	if step.Log == "" || r.Run.Dir == "" {
		return nil, false
	}
	b, cut, err := readTail(filepath.Join(r.Run.Dir, filepath.FromSlash(step.Log)))
	if err != nil {
		return nil, false
	}
	text := strings.TrimRight(Text(string(b)), "\n \t")
	if text == "" {
		return nil, false
	}
	all := strings.Split(text, "\n")
	if cut && len(all) > 1 {
		all = all[1:] // the first is the end of a line
	}
	if len(all) > lines {
		return all[len(all)-lines:], true
	}
	return all, cut
}

func readTail(path string) (b []byte, cut bool, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, false, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return nil, false, err
	}
	if cut = info.Size() > tailBytes; cut {
		if _, err := f.Seek(-tailBytes, io.SeekEnd); err != nil {
			return nil, false, err
		}
	}
	b, err = io.ReadAll(io.LimitReader(f, tailBytes))
	return b, cut, err
}
