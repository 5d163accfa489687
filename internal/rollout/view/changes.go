package view

import (
	"fmt"
	"slices"

	"github.com/meter-ml/meter-pipeline/internal/plain"
	"github.com/meter-ml/meter-pipeline/internal/rollout"
	"github.com/meter-ml/meter-pipeline/internal/rollout/agent/wire"
	"github.com/meter-ml/meter-pipeline/internal/rollout/journal"
)

// Changes turns what comes from a watch into a line for each thing that changed. The zero Changes is ready.
type Changes struct {
	roll  string
	phase rollout.Phase
	kind  rollout.Kind
	step  int
	lead  string
}

// Of are the lines for an event; most have none.
func (c *Changes) Of(e wire.Event) []string {
	switch {
	case e.Status != nil:
		return c.status(*e.Status)
	case e.Entry != nil:
		return entry(*e.Entry)
	case e.Alert != nil:
		return []string{fmt.Sprintf("ALERT %s (%s): %s", e.Alert.Name, e.Alert.Severity, plain.Line(e.Alert.Summary))}
	default:
		return nil
	}
}

func (c *Changes) status(s wire.Status) []string {
	var lines []string
	if c.lead != "" && s.Lease.Holder != "" && s.Lease.Holder != c.lead {
		lines = append(lines, fmt.Sprintf("%s leads now, after %s", plain.Line(s.Lease.Holder), plain.Line(c.lead)))
	}
	if s.Lease.Holder != "" {
		c.lead = s.Lease.Holder
	}
	r := s.Roll
	if r == nil {
		return lines
	}
	if r.ID != c.roll || r.Kind != c.kind {
		lines = append(lines, fmt.Sprintf("%s: %s", r.ID, journey(*r)))
		c.phase, c.step = "", -1
	}
	if r.Phase != c.phase {
		lines = append(lines, fmt.Sprintf("%s: %s", r.Phase, doing(*r)))
	}
	if r.Phase == rollout.Smoked && r.Window != nil && (r.Step != c.step || c.phase != r.Phase) {
		lines = append(lines, fmt.Sprintf("weight %d %%: the window is open for %s", r.Window.Weight, duration(r.Window.Ends.Sub(r.Window.Began))))
		c.step = r.Step
	}
	c.roll, c.kind, c.phase = r.ID, r.Kind, r.Phase
	return lines
}

// entry shows what was decided and what failed; that something was begun or went well shows in what follows.
func entry(e wire.Entry) []string {
	message := plain.Line(e.Message)
	switch {
	case e.Kind == journal.Failed:
		return []string{fmt.Sprintf("%s failed: %s", e.Action, message)}
	case e.Kind == journal.Note && message != "" && !slices.Contains([]string{"take lease", "begin"}, e.Action):
		return []string{fmt.Sprintf("%s: %s", e.Action, message)}
	default:
		return nil
	}
}
