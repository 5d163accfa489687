package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/meter-ml/meter-pipeline/internal/plain"
)

const (
	longestReport = 256 << 20 // bytes of a report file that is still read
	longestQuote  = 300       // bytes of a program's own words in a reason
)

// command runs a step's program and has its output judged.
func (w *worker) command(ctx context.Context, place place) (Judgement, error) {
	out, err := w.start(ctx, place)
	if err != nil {
		return Judgement{}, err
	}
	if again := w.node.step.Command.Again; again != nil {
		if place.command = again(out); place.command != nil {
			second, err := w.start(ctx, place)
			if err != nil {
				return Judgement{}, err
			}
			out.Again = &second
		}
	}
	return w.node.step.Command.Parse(out)
}

// start runs the place's command, and reads what it left behind.
func (w *worker) start(ctx context.Context, place place) (Output, error) {
	c := place.command
	w.log.note("$ %s", place.commandLine())
	artifacts, err := os.OpenRoot(place.artifacts)
	if err != nil {
		return Output{}, fmt.Errorf("open artifacts directory: %w", err)
	}
	defer func() { _ = artifacts.Close() }()
	if err := prepareReports(artifacts, c.Reports); err != nil {
		return Output{}, err
	}
	out, err := w.x.opts.Runner.Run(ctx, w.invocation(place))
	if err != nil {
		return Output{}, err
	}
	w.log.note("# exit code %d", out.ExitCode)
	out.Root = place.root
	out.Stdout, out.Stderr = w.mask.Bytes(out.Stdout), w.mask.Bytes(out.Stderr)
	if out.Reports, err = readReports(artifacts, c.Reports, w.mask); err != nil {
		return Output{}, err
	}
	return out, nil
}

func (w *worker) invocation(place place) Invocation {
	i := place.invocation()
	i.Secrets = w.secrets(w.node.provision.provisions)
	progress := w.node.step.Command.Progress
	i.Line = func(line string) {
		w.log.line(line)
		if progress == nil {
			return
		}
		// It is called in a goroutine of the runner's, where a panic would end the process.
		err := contained(func() error {
			if done, total, ok := progress(line); ok {
				w.log.event(Event{Kind: EventProgress, Done: done, Total: total})
			}
			return nil
		})
		if err != nil {
			progress = nil
			w.log.note("# read progress: %v", err)
		}
	}
	return i
}

// scope is what a step's function may use.
func (w *worker) scope(place place) Scope {
	env := map[string]string{}
	for _, entry := range place.env {
		key, value, _ := strings.Cut(entry, "=")
		env[key] = value
	}
	return Scope{
		Root: place.root, Artifacts: place.artifacts, Scratch: place.scratch, Env: env,
		Run: func(ctx context.Context, i Invocation) (Output, error) {
			if i.Dir == "" {
				i.Dir = place.root
			}
			if i.Env == nil {
				i.Env = place.env
			}
			if i.Line == nil {
				i.Line = w.log.line
			}
			i.Secrets = append(i.Secrets, w.secrets(w.node.provision.provisions)...)
			out, err := w.x.opts.Runner.Run(ctx, i)
			out.Root = place.root
			return out, err
		},
		Progress: func(done, total int, what string) {
			w.log.event(Event{Kind: EventProgress, Done: done, Total: total, Text: what})
		},
		Log: func(format string, args ...any) { w.log.line(fmt.Sprintf(format, args...)) },
		Say: func(format string, args ...any) {
			text := fmt.Sprintf(format, args...)
			w.log.note("%s", text)
			w.log.event(Event{Kind: EventMessage, Text: text})
		},
		Panel: func(lines []string) { w.log.lines(lines) },
	}
}

// prepareReports removes what an earlier program may have left, so that nobody reads it for this one's.
func prepareReports(artifacts *os.Root, reports map[string]string) error {
	for name, path := range reports {
		path = filepath.FromSlash(path)
		if err := artifacts.RemoveAll(path); err != nil {
			return fmt.Errorf("remove earlier %s report: %w", name, err)
		}
		if dir := filepath.Dir(path); dir != "." {
			if err := artifacts.MkdirAll(dir, 0o755); err != nil {
				return fmt.Errorf("make directory of %s report: %w", name, err)
			}
		}
	}
	return nil
}

// readReports reads what the program wrote. A report is kept, so secrets are taken out of the file, too.
func readReports(artifacts *os.Root, reports map[string]string, mask *plain.Mask) (map[string][]byte, error) {
	read := map[string][]byte{}
	for name, path := range reports {
		path = filepath.FromSlash(path)
		b, err := readReport(artifacts, path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read %s report: %w", name, err)
		}
		masked := mask.Bytes(b)
		if !bytes.Equal(masked, b) {
			if err := artifacts.WriteFile(path, masked, 0o644); err != nil {
				return nil, fmt.Errorf("take secrets out of %s report: %w", name, err)
			}
		}
		read[name] = masked
	}
	return read, nil
}

func readReport(artifacts *os.Root, path string) ([]byte, error) {
	info, err := artifacts.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("it is no regular file")
	}
	if info.Size() > longestReport {
		return nil, fmt.Errorf("it has %d bytes, more than %d", info.Size(), longestReport)
	}
	file, err := artifacts.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	return io.ReadAll(io.LimitReader(file, longestReport))
}

// lastWords is the last line that the program wrote to stderr: where it crashed, that mostly says why. An error that a
// parser makes of what it did read needs none.
func (o Output) lastWords() string {
	lines := strings.Split(strings.TrimSpace(plain.Text(string(o.Stderr[max(0, len(o.Stderr)-4096):]))), "\n")
	last := strings.TrimSpace(lines[len(lines)-1])
	if last == "" {
		return ""
	}
	return "; the program's last words: " + cut(last, longestQuote)
}
