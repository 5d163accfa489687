// Package github speaks to GitHub Actions: a few annotations beside the code, and the page of the job's summary.
//
// The runner reads commands from everything that a step prints, also from the middle of a line. So while anything else
// speaks on that output, commands are switched off by a random word that nobody can guess: this reporter stands around
// the one for a person, and lets through only what it wrote itself.
package github

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/report"
	"github.com/meter-ml/meter-pipeline/internal/report/markdown"
)

// Options say where to speak.
type Options struct {
	Enabled bool            // GITHUB_ACTIONS is true; else only Inner speaks
	Out     io.Writer       // the standard output. Inner must write its messages there too: two pipes have no order
	Summary string          // the file that GITHUB_STEP_SUMMARY names; may be empty
	Random  io.Reader       // crypto/rand.Reader
	Inner   engine.Reporter // the reporter for a person
}

// A Reporter stands around another one.
type Reporter struct {
	opts    Options
	plan    []engine.PlannedStage
	stopped string // the word that switches commands on again; empty while they are on
}

// New returns a reporter that annotates, and guards what Inner writes.
func New(opts Options) *Reporter { return &Reporter{opts: opts} }

// Event implements engine.Reporter.
func (g *Reporter) Event(e engine.Event) error {
	if !g.opts.Enabled {
		return g.opts.Inner.Event(e)
	}
	switch e.Kind {
	case engine.EventRunStarted:
		g.plan = e.Plan
		return errors.Join(g.stop(), g.opts.Inner.Event(e))
	case engine.EventRunFinished:
		return g.finish(e)
	default:
		return g.opts.Inner.Event(e)
	}
}

// Close switches commands on again if the run never ended.
func (g *Reporter) Close() error { return g.resume() }

// finish annotates before the person's reporter has the last word, so that the verdict stays the last line.
func (g *Reporter) finish(e engine.Event) error {
	r := report.New(e.Run, g.plan)
	errs := []error{g.resume()}
	var b bytes.Buffer
	for _, a := range choose(r) {
		b.WriteString(a.command())
	}
	_, err := g.opts.Out.Write(b.Bytes())
	errs = append(errs, err, g.stop(), g.opts.Inner.Event(e), g.resume(), g.summary(r))
	return errors.Join(errs...)
}

// stop switches commands off.
func (g *Reporter) stop() error {
	if g.stopped != "" {
		return nil
	}
	var word [16]byte
	if _, err := io.ReadFull(g.opts.Random, word[:]); err != nil {
		return fmt.Errorf("guard workflow commands: %w", err)
	}
	g.stopped = "end-" + hex.EncodeToString(word[:])
	_, err := fmt.Fprintf(g.opts.Out, "::stop-commands::%s\n", g.stopped)
	return err
}

func (g *Reporter) resume() error {
	if g.stopped == "" {
		return nil
	}
	_, err := fmt.Fprintf(g.opts.Out, "::%s::\n", g.stopped)
	g.stopped = ""
	return err
}

// summary adds the page to the job's summary.
func (g *Reporter) summary(r report.Report) (err error) {
	if g.opts.Summary == "" {
		return nil
	}
	f, err := os.OpenFile(g.opts.Summary, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("write job summary: %w", err)
	}
	defer func() {
		if closed := f.Close(); err == nil && closed != nil {
			err = fmt.Errorf("write job summary: %w", closed)
		}
	}()
	var b bytes.Buffer
	if err := markdown.Render(&b, r); err != nil {
		return fmt.Errorf("render job summary: %w", err)
	}
	if _, err := f.Write(b.Bytes()); err != nil {
		return fmt.Errorf("write job summary: %w", err)
	}
	return nil
}
