// Package terminal is what a person sees while a run goes on and when it has ended.
//
// On a screen: a calm live view of what is running, one line for each stage that ends, and at the end what failed,
// with the line of code, the remedy and the command that runs just that; the verdict is the last line. Off a screen
// the same in plain lines. The result goes to the standard output, everything else to the standard error.
package terminal

import (
	"cmp"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/report"
)

const (
	redraw    = 100 * time.Millisecond
	heartbeat = 30 * time.Second // of silence, off a screen
	mostHeld  = 32 << 10         // bytes of streamed output that may wait for the next drawing
)

// A Terminal renders a run for a person. It is an engine.Reporter.
type Terminal struct {
	opts     Options
	outPaint palette
	errPaint palette
	glyphs   glyphs

	mu      sync.Mutex // the ticker draws beside the events
	screen  screen
	stop    chan struct{}
	stopped sync.WaitGroup

	begun, ended     bool
	target           string
	started          time.Time
	spoke            time.Time // when something was written to the standard error last
	plan             []engine.PlannedStage
	running          map[string]*task
	held             strings.Builder // streamed output, until the next drawing
	labels           int             // columns of the widest stage/step
	stages           int             // columns of the widest stage
	steps            int
	finished         int
	failures, errors int
}

// New returns a reporter for a person. Close it, so that a run which never ends leaves a clean screen.
func New(opts Options) *Terminal {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	opts.Findings = cmp.Or(opts.Findings, 10)
	t := &Terminal{
		opts:     opts,
		outPaint: newPalette(opts.Out),
		errPaint: newPalette(opts.Err),
		glyphs:   newGlyphs(opts.ASCII),
		running:  map[string]*task{},
	}
	t.screen = screen{out: opts.Out, err: opts.Err, oneScreen: opts.OneScreen, columns: func() int { c, _ := t.size(); return c }}
	return t
}

// Event implements engine.Reporter.
func (t *Terminal) Event(e engine.Event) error {
	t.mu.Lock()
	err := t.handle(e)
	t.mu.Unlock()
	if e.Kind == engine.EventRunFinished {
		t.stopTicker()
	}
	return err
}

// Close takes the live view off the screen. It may be called at any time, also more than once.
func (t *Terminal) Close() error {
	t.mu.Lock()
	t.ended = true
	t.flush()
	err := t.screen.failed
	t.mu.Unlock()
	t.stopTicker()
	return err
}

func (t *Terminal) handle(e engine.Event) error {
	switch e.Kind {
	case engine.EventRunStarted:
		t.begin(e)
	case engine.EventProvisioning:
		t.provisioning(e)
	case engine.EventProvisioned:
		delete(t.running, "need "+e.Step)
		t.message(fmt.Sprintf("%s: %s", report.Line(e.Step), cmp.Or(report.Line(e.Text), "ready")))
	case engine.EventStepStarted:
		t.provided(e)
		t.running[stepID(e)] = &task{name: report.Line(e.Stage + "/" + e.Step), started: e.Time, expected: e.Expected}
		t.draw()
	case engine.EventProgress:
		if k := t.running[stepID(e)]; k != nil { // drawn by the ticker
			k.done, k.total, k.text = e.Done, e.Total, report.Line(e.Text)
		}
	case engine.EventPanel:
		if k := t.running[stepID(e)]; k != nil { // drawn by the ticker
			k.panel = strings.Split(e.Text, "\n")
		}
	case engine.EventOutput:
		t.output(e)
	case engine.EventStepFinished:
		delete(t.running, stepID(e))
		if e.Result != nil {
			t.count(e.Result.Status)
			if e.Result.Status == engine.StatusError {
				t.provided(e)
			}
		}
		t.draw()
	case engine.EventStageDone:
		if e.StageResult != nil {
			t.result(t.stageLines(*e.StageResult))
		}
	case engine.EventMessage:
		t.message(report.Line(e.Text))
	case engine.EventRunFinished:
		t.finish(e)
	}
	return t.screen.failed
}

func stepID(e engine.Event) string { return e.Stage + "/" + e.Step }

// begin says at once that something happens: on a screen by the view, else by a line.
func (t *Terminal) begin(e engine.Event) {
	t.begun, t.started, t.plan = true, e.Time, e.Plan
	t.target = "run"
	limit := 0
	if e.Run != nil {
		t.target, limit = cmp.Or(report.Line(e.Run.Target), t.target), e.Run.Limit
	}
	for _, stage := range e.Plan {
		t.stages = max(t.stages, width(stage.Name))
		t.steps += len(stage.Steps)
		for _, step := range stage.Steps {
			t.labels = max(t.labels, width(stage.Name+"/"+step.Name))
		}
	}
	if t.opts.Err.TTY {
		t.draw()
	} else {
		line := fmt.Sprintf("%s: %s in %s", t.target, report.Count(t.steps, "steps"), report.Count(len(e.Plan), "stages"))
		if limit > 0 {
			line += fmt.Sprintf(", %d at a time", limit)
		}
		t.message(line)
	}
	t.startTicker()
}

func (t *Terminal) provisioning(e engine.Event) {
	id := "need " + e.Step
	k := t.running[id]
	if k == nil {
		k = &task{name: report.Line(e.Step), started: e.Time}
		t.running[id] = k
	}
	text := report.Line(e.Text)
	if !t.opts.Err.TTY && text != "" && text != k.text {
		t.message(k.name + ": " + text)
	}
	k.text = cmp.Or(text, "getting ready")
	t.draw()
}

// provided ends the lines of a step's needs: it has them, or could not get them. A need that is made for several steps
// says only once that it is there.
func (t *Terminal) provided(e engine.Event) {
	for _, stage := range t.plan {
		for _, step := range stage.Steps {
			if stage.Name != e.Stage || step.Name != e.Step {
				continue
			}
			for _, need := range step.Needs {
				delete(t.running, "need "+string(need))
			}
		}
	}
}

// output streams a line of a tool, marked with where it comes from. A line is written whole or not at all.
func (t *Terminal) output(e engine.Event) {
	if !t.opts.Verbose {
		return
	}
	label := pad(report.Line(e.Stage+"/"+e.Step), t.labels)
	for _, line := range strings.Split(report.Text(e.Text), "\n") {
		t.held.WriteString(t.errPaint.faint(label+" "+t.glyphs.bar) + " " + strings.ReplaceAll(line, "\t", "    ") + "\n")
	}
	if !t.opts.Err.TTY || t.held.Len() > mostHeld {
		t.draw()
	}
}

// message writes a line for the person, and no part of the result.
func (t *Terminal) message(line string) {
	columns := 0
	if t.opts.Err.TTY {
		columns, _ = t.size()
	}
	for _, line := range wrap([]span{{t.errPaint.faint, line}}, "", "  ", min(columns, measure)) {
		t.held.WriteString(line + "\n")
	}
	t.draw()
}

// result writes whole lines of the result.
func (t *Terminal) result(text string) {
	t.flush()
	t.screen.permanent(true, text, t.view(t.opts.Now()))
}

// draw brings the screen up to date.
func (t *Terminal) draw() { t.flush() }

func (t *Terminal) flush() {
	text := t.held.String()
	t.held.Reset()
	if text != "" {
		t.spoke = t.opts.Now()
	}
	if text == "" && !t.opts.Err.TTY {
		return
	}
	t.screen.permanent(false, text, t.view(t.opts.Now()))
}

func (t *Terminal) finish(e engine.Event) {
	t.ended = true
	t.flush()
	if e.Run == nil {
		return
	}
	r := report.New(e.Run, t.plan)
	t.screen.permanent(true, t.closing(r), nil)
	if !t.opts.Out.TTY && t.opts.Err.TTY { // who sent the result to a file still wants to know how it went
		t.screen.permanent(false, t.verdict(r, t.errPaint), nil)
	}
}

func (t *Terminal) size() (columns, rows int) {
	if t.opts.Size != nil {
		columns, rows = t.opts.Size()
	}
	if columns <= 0 || rows <= 0 {
		return 80, 24
	}
	return max(columns, 20), max(rows, 5)
}

func (t *Terminal) startTicker() {
	if t.stop != nil {
		return
	}
	t.stop = make(chan struct{})
	stop := t.stop
	t.stopped.Go(func() {
		ticker := time.NewTicker(redraw)
		defer ticker.Stop()
		for {
			select {
			case <-stop:
				return
			case <-ticker.C:
				t.tick()
			}
		}
	})
}

func (t *Terminal) tick() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended {
		return
	}
	if now := t.opts.Now(); !t.opts.Err.TTY && now.Sub(t.spoke) >= heartbeat {
		t.spoke = now
		t.held.WriteString(t.stillRunning(now))
	}
	t.flush()
}

func (t *Terminal) stopTicker() {
	t.mu.Lock()
	stop := t.stop
	t.stop = nil
	t.mu.Unlock()
	if stop != nil {
		close(stop)
		t.stopped.Wait()
	}
}
