package terminal

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/report"
)

const (
	wideBar, narrowBar = 20, 10
	longWork           = 2 * time.Second // expected for longer than this, a step has a bar
	mostRunning        = 12              // lines; more are counted
)

// A task is what goes on: a step, or something that is being made ready.
type task struct {
	name        string
	started     time.Time
	expected    time.Duration
	done, total int
	text        string
	panel       []string // lines below it
}

// view is what the live view shows now, cut to the screen.
func (t *Terminal) view(now time.Time) []string {
	if !t.opts.Err.TTY || !t.begun || t.ended {
		return nil
	}
	columns, rows := t.size()
	lines := []string{"", t.header(now, columns-1)}
	tasks := t.tasks()
	room := max(1, min(mostRunning, rows-4))
	hidden := 0
	if len(tasks) > room {
		hidden = len(tasks) - room
		tasks = tasks[:room]
	}
	names := 0
	for _, task := range tasks {
		names = max(names, width(task.name))
	}
	names = min(names, columns/2)
	for _, task := range tasks {
		lines = append(lines, t.taskLine(task, now, names, columns-1))
		for _, line := range task.panel {
			if len(lines) < rows-2 {
				lines = append(lines, fit("    "+report.Line(line), columns-1, t.glyphs.ellipsis))
			}
		}
	}
	if hidden > 0 {
		lines = append(lines, t.errPaint.faint(fit(fmt.Sprintf("  and %d more", hidden), columns-1, t.glyphs.ellipsis)))
	}
	return lines
}

// tasks are what goes on, the oldest first, so that no line changes its place while it is read.
func (t *Terminal) tasks() []*task {
	tasks := make([]*task, 0, len(t.running))
	for _, task := range t.running {
		tasks = append(tasks, task)
	}
	slices.SortFunc(tasks, func(a, b *task) int {
		return cmp.Or(a.started.Compare(b.started), cmp.Compare(a.name, b.name))
	})
	return tasks
}

// header sums the run up: check · 3 of 9 steps · 1 failed · 14 s.
func (t *Terminal) header(now time.Time, columns int) string {
	p, dot := t.errPaint, " "+t.glyphs.dot+" "
	spans := []span{{p.bold, t.target}, {p.faint, dot}, {nil, fmt.Sprintf("%d of %s", t.finished, report.Count(t.steps, "steps"))}}
	if t.failures > 0 {
		spans = append(spans, span{p.faint, dot}, span{p.red, fmt.Sprintf("%d failed", t.failures)})
	}
	if t.errors > 0 {
		spans = append(spans, span{p.faint, dot}, span{p.magenta, fmt.Sprintf("%d not judged", t.errors)})
	}
	spans = append(spans, span{p.faint, dot}, span{nil, elapsed(now.Sub(t.started))})
	return t.cut(spans, columns)
}

// taskLine is one task: name, time, and a bar if there is something to measure by.
func (t *Terminal) taskLine(k *task, now time.Time, names, columns int) string {
	p := t.errPaint
	took := now.Sub(k.started)
	spans := []span{{nil, "  " + pad(fit(k.name, names, t.glyphs.ellipsis), names) + "  " + padLeft(elapsed(took), 5)}}
	text, part := progress(k, took)
	used := width(spans[0].text) + 2
	bar := 0
	switch room := columns - used - width(text) - 2; {
	case part < 0:
	case room >= wideBar:
		bar = wideBar
	case room >= narrowBar:
		bar = narrowBar
	}
	if bar > 0 {
		full := min(bar, int(part*float64(bar)))
		spans = append(spans, span{nil, "  "}, span{p.cyan, strings.Repeat(t.glyphs.full, full)}, span{p.faint, strings.Repeat(t.glyphs.empty, bar-full)})
	}
	if text != "" {
		spans = append(spans, span{nil, "  "}, span{p.faint, text})
	}
	return t.cut(spans, columns)
}

// progress says how far a task is, and which part of its bar is full; below zero it has none.
func progress(k *task, took time.Duration) (text string, part float64) {
	switch {
	case k.total > 0:
		text = fmt.Sprintf("%d of %d", k.done, k.total)
		if k.text != "" {
			text += " " + k.text
		}
		return text, float64(k.done) / float64(k.total)
	case k.text != "":
		return k.text, -1
	case k.expected < longWork:
		return "", -1
	case took > k.expected+k.expected/10+time.Second:
		return "usually " + elapsed(k.expected), 1
	}
	return "about " + elapsed(k.expected), min(1, float64(took)/float64(k.expected))
}

// elapsed is in whole seconds: a number that runs draws the eye to it.
func elapsed(d time.Duration) string {
	d = max(d, 0)
	if d < time.Minute {
		return fmt.Sprintf("%d s", int(d.Seconds()))
	}
	return report.Duration(d.Truncate(time.Second))
}

// cut paints spans, up to a number of columns.
func (t *Terminal) cut(spans []span, columns int) string {
	var b strings.Builder
	for _, s := range spans {
		text := fit(s.text, columns, t.glyphs.ellipsis)
		columns -= width(text)
		b.WriteString(styled(s.style, text))
		if text != s.text {
			break
		}
	}
	return b.String()
}

// stillRunning is what a log gets now and then instead of the live view, so that silence is not taken for a hang.
func (t *Terminal) stillRunning(now time.Time) string {
	var parts []string
	for _, task := range t.tasks() {
		part := task.name + " " + elapsed(now.Sub(task.started))
		if text, _ := progress(task, now.Sub(task.started)); text != "" {
			part += " (" + text + ")"
		}
		parts = append(parts, part)
	}
	if len(parts) == 0 {
		return ""
	}
	return "still running: " + strings.Join(parts, ", ") + "\n"
}

// count keeps the numbers of the header.
func (t *Terminal) count(status engine.Status) {
	t.finished++
	switch status {
	case engine.StatusPassed, engine.StatusSkipped:
	case engine.StatusFailed:
		t.failures++
	default:
		t.errors++
	}
}
