// Package view shows a roll-out to a person: a panel of what is true now, and a line for each thing that changed.
//
// It is pure: what the agent told becomes text, with the time given. Who has a screen draws the panel in place; a log gets
// the lines alone. It stands above package wire and knows neither terminal nor target.
package view

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/meter-ml/meter-pipeline/internal/plain"
	"github.com/meter-ml/meter-pipeline/internal/rollout"
	"github.com/meter-ml/meter-pipeline/internal/rollout/agent/wire"
	"github.com/meter-ml/meter-pipeline/internal/rollout/judge"
)

// stale is how old a status may be before it is no longer taken for the truth.
const stale = 20 * time.Second

// Panel is what is true now, in a few lines of plain text.
func Panel(s wire.Status, now time.Time) []string {
	lines := []string{head(s, now)}
	if old := now.Sub(s.Written); old > stale {
		lines = append(lines, fmt.Sprintf("nothing was heard for %s: no agent leads, and what follows may be over", duration(old)))
	}
	if s.Trouble != "" {
		lines = append(lines, "trouble: "+plain.Line(s.Trouble))
	}
	lines = append(lines, slots(s)...)
	if s.Roll != nil {
		lines = append(lines, judging(*s.Roll, now)...)
	}
	return append(lines, services(s)...)
}

// head says what goes where, or what serves.
func head(s wire.Status, now time.Time) string {
	r := s.Roll
	switch {
	case r == nil && s.Current == nil:
		return s.Environment + ": nothing serves"
	case r == nil:
		return fmt.Sprintf("%s: %s serves, from %s", s.Environment, s.Current.Release, s.Current.Slot)
	}
	return fmt.Sprintf("%s: %s, %s, for %s: %s", s.Environment, r.ID, journey(*r), duration(now.Sub(r.Began)), doing(*r))
}

// journey is from where to where.
func journey(r wire.Roll) string {
	target, from := cmp.Or(r.Target, "nothing"), cmp.Or(r.From, "nothing")
	switch r.Kind {
	case rollout.Recovery:
		return fmt.Sprintf("back from %s to %s", from, target)
	case rollout.Back:
		return fmt.Sprintf("by hand from %s back to %s", from, target)
	default:
		return fmt.Sprintf("%s after %s", target, from)
	}
}

// doing is the phase, in words.
func doing(r wire.Roll) string {
	words := map[rollout.Phase]string{
		rollout.Begun: "its evidence is looked at", rollout.Gated: "images are pulled", rollout.Pulled: "the database is migrated",
		rollout.Migrated: "it is started", rollout.Up: "it becomes healthy", rollout.Ready: "it is asked for known answers",
		rollout.Smoked: "traffic is shifted", rollout.Shifted: "what runs beside it is replaced", rollout.Replaced: "the other is drained",
		rollout.Drained: "it is done", rollout.Done: "it is done",
	}
	text := words[r.Phase]
	if text == "" {
		text = string(r.Phase)
	}
	if r.Paused {
		text += ", paused"
	}
	return text
}

// slots is a table of both sides.
func slots(s wire.Status) []string {
	rows := [][]string{{"slot", "release", "weight", "req/s", "errors", "p50", "p95", "p99", "open", "state"}}
	for _, slot := range []rollout.Slot{rollout.Blue, rollout.Green} {
		seen, ok := s.Slots[slot]
		if !ok || seen.Release == "" && seen.Digest == "" {
			rows = append(rows, []string{string(slot), "-", "", "", "", "", "", "", "", "empty"})
			continue
		}
		row := []string{string(slot), plain.Line(seen.Release), fmt.Sprintf("%d %%", seen.Weight)}
		if t := seen.Traffic; t == nil {
			row = append(row, "?", "?", "?", "?", "?")
		} else {
			row = append(row, fmt.Sprintf("%.1f", t.Rate), fmt.Sprintf("%.2f %%", 100*t.Failing), milliseconds(t.P50), milliseconds(t.P95), milliseconds(t.P99))
		}
		rows = append(rows, append(row, fmt.Sprint(seen.Sessions), state(seen)))
	}
	return table(rows)
}

func state(s wire.Slot) string {
	text := "healthy"
	if !s.Healthy {
		text = "not healthy: " + cmp.Or(plain.Line(s.Reason), "no reason given")
	}
	if s.Restarts > 0 {
		text += fmt.Sprintf(", %d restarts", s.Restarts)
	}
	return text
}

func milliseconds(seconds float64) string { return fmt.Sprintf("%.3g ms", 1000*seconds) }

// judging is where the weights are, and what the judge thinks and waits for.
func judging(r wire.Roll, now time.Time) []string {
	if len(r.Weights) == 0 || r.Phase != rollout.Smoked {
		return nil
	}
	var steps []string
	for i, weight := range r.Weights {
		text := fmt.Sprintf("%d %%", weight)
		switch {
		case i < r.Step:
			text += " passed"
		case i == r.Step:
			text = "[" + text + "]"
		}
		steps = append(steps, text)
	}
	line := "weights: " + strings.Join(steps, ", ")
	if w := r.Window; w != nil {
		line += fmt.Sprintf("; the window ends in %s, at the latest in %s", duration(w.Ends.Sub(now)), duration(w.Deadline.Sub(now)))
		if w.Synthetic > 0 {
			line += fmt.Sprintf("; %d known requests were added", w.Synthetic)
		}
	}
	lines := []string{line}
	if d := r.Decision; d != nil {
		lines = append(lines, "judge: "+verdict(d.Decision))
		if len(d.Waits) > 0 {
			lines = append(lines, "waits for: "+plain.Line(strings.Join(d.Waits, ", ")))
		}
	}
	return lines
}

func verdict(d judge.Decision) string {
	text := map[judge.Verdict]string{judge.Hold: "looks on", judge.Pass: "passed", judge.Fail: "rolls back"}[d.Verdict]
	text += fmt.Sprintf(" (look %d): green fails %d of %d", d.Look, d.Guard.Errors, d.Guard.Requests)
	if e := d.Errors; e != nil {
		text += fmt.Sprintf(", blue %d of %d", e.Window.BlueErrors, e.Window.BlueRequests)
	}
	if d.Reason != "" {
		text += ": " + plain.Line(d.Reason)
	}
	if d.Missing != "" {
		text += "; no figures: " + plain.Line(d.Missing)
	}
	return text
}

// services are those that run once: only what is not well has a line.
func services(s wire.Status) []string {
	well := 0
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(s.Services)) {
		if service := s.Services[name]; !service.Healthy {
			lines = append(lines, fmt.Sprintf("%s is not healthy: %s", name, cmp.Or(plain.Line(service.Reason), "no reason given")))
			continue
		}
		well++
	}
	if len(s.Services) > 0 {
		lines = append(lines, fmt.Sprintf("services beside it: %d of %d healthy", well, len(s.Services)))
	}
	return lines
}

// table sets columns below each other.
func table(rows [][]string) []string {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	lines := make([]string, len(rows))
	for n, row := range rows {
		var b strings.Builder
		for i, cell := range row {
			b.WriteString(cell + strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)+2))
		}
		lines[n] = strings.TrimRight(b.String(), " ")
	}
	return lines
}

// duration is in whole seconds: a number that runs draws the eye to it.
func duration(d time.Duration) string { return max(d, 0).Truncate(time.Second).String() }
