// Package github speaks to GitHub Actions: each step's log in a group, a few annotations beside the code, and the page of
// the job's summary.
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
	Output  string          // the file that GITHUB_OUTPUT names: later steps read the run's ID there; may be empty
	Logs    bool            // each step's log is shown once it is over; not where Inner streams it
	Masks   []string        // values that the runner is to mask in whatever anybody prints
	// Changed reports whether a line is one that the change under judgement has touched; nil: that is not known, and Why
	// says why.
	Changed func(path string, line int) bool
	Why     string
}

// A Reporter stands around another one.
type Reporter struct {
	opts    Options
	dir     string // of the run
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
		return errors.Join(g.begin(e), g.opts.Inner.Event(e))
	case engine.EventStageDone:
		return errors.Join(g.opts.Inner.Event(e), g.logs(e.StageResult))
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
	var b bytes.Buffer
	for _, a := range choose(r, g.opts) {
		b.WriteString(a.command())
	}
	return errors.Join(g.command(b.String()), g.opts.Inner.Event(e), g.resume(), g.summary(r))
}

// begin says what the runner must know before anything else is printed, and switches commands off.
func (g *Reporter) begin(e engine.Event) error {
	var masks bytes.Buffer
	for _, secret := range g.opts.Masks {
		fmt.Fprintf(&masks, "::add-mask::%s\n", data(secret))
	}
	err := g.command(masks.String())
	if e.Run == nil {
		return err
	}
	g.dir = e.Run.Dir
	if g.opts.Output == "" {
		return err
	}
	return errors.Join(err, appendTo(g.opts.Output, []byte("run="+e.Run.ID+"\n"), "output of the step"))
}

// command has the runner obey what is given, and nothing else: commands are switched on and off again in one write, so that
// no line of anybody else comes between.
func (g *Reporter) command(text string) error {
	var word [16]byte
	if _, err := io.ReadFull(g.opts.Random, word[:]); err != nil {
		return fmt.Errorf("guard workflow commands: %w", err)
	}
	before := ""
	if g.stopped != "" {
		before = "::" + g.stopped + "::\n"
	}
	g.stopped = "end-" + hex.EncodeToString(word[:])
	_, err := io.WriteString(g.opts.Out, before+text+"::stop-commands::"+g.stopped+"\n")
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

// longestSummary is what a step may write for the job's summary: a byte more, and all of it is dropped unsaid.
const longestSummary = 1 << 20

// summary adds the page to the job's summary.
func (g *Reporter) summary(r report.Report) error {
	if g.opts.Summary == "" {
		return nil
	}
	var b bytes.Buffer
	if err := markdown.Render(&b, r); err != nil {
		return fmt.Errorf("render job summary: %w", err)
	}
	if info, err := os.Stat(g.opts.Summary); err == nil && info.Size()+int64(b.Len()) > longestSummary {
		b.Reset()
		fmt.Fprintf(&b, "\n## %s\n\nThere is no room for the rest: see `report.html` in the artifacts.\n", markdown.Inline(r.Verdict()))
	}
	return appendTo(g.opts.Summary, b.Bytes(), "job summary")
}

// appendTo adds to a file that the runner reads when the step is over.
func appendTo(path string, content []byte, what string) error {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("write %s: %w", what, err)
	}
	_, err = f.Write(content)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", what, err)
	}
	return nil
}
