package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/rollout"
	"github.com/meter-ml/meter-pipeline/internal/rollout/agent/wire"
)

// fresh is how old a status may be.
const fresh = 3 * whileIdle

func (c *call) status(context.Context) error {
	s, err := readStatus(c.layout)
	if err != nil {
		return err
	}
	if c.json {
		content, err := json.Marshal(s)
		if err != nil {
			return fmt.Errorf("write status: %w", err)
		}
		return c.print("%s", content)
	}
	return c.print("%s", strings.TrimRight(tellStatus(s, c.Now()), "\n"))
}

func tellStatus(s wire.Status, now time.Time) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s", s.Environment, s.Activity)
	if age := now.Sub(s.Written); age > fresh {
		fmt.Fprintf(&b, "; NO AGENT LEADS: this is %s old", age.Round(time.Second))
	}
	fmt.Fprintf(&b, "\nleads: %s (epoch %d, %s)\n", s.Lease.Holder, s.Lease.Epoch, s.Version)
	if s.Trouble != "" {
		fmt.Fprintf(&b, "trouble: %s\n", s.Trouble)
	}
	if s.Current != nil {
		fmt.Fprintf(&b, "serves: %s in %s, %s\n", s.Current.Release, s.Current.Slot, s.Current.Digest)
	}
	if s.Roll != nil {
		b.WriteString(tellRoll(*s.Roll))
	}
	for _, slot := range []rollout.Slot{rollout.Blue, rollout.Green} {
		b.WriteString(tellSlot(slot, s.Slots[slot]))
	}
	for _, name := range slices.Sorted(maps.Keys(s.Services)) {
		fmt.Fprintf(&b, "%s: %s\n", name, health(s.Services[name].Healthy, s.Services[name].Reason))
	}
	for _, id := range s.Waiting {
		fmt.Fprintf(&b, "waits: order %s\n", id)
	}
	if last := s.Last; last != nil {
		fmt.Fprintf(&b, "last: %s (%s) ended %s with %s", last.ID, last.Kind, last.Ended.Format(time.RFC3339), orNothing(last.Target))
		if last.Kind == rollout.Recovery {
			fmt.Fprintf(&b, ": %s", last.Reason)
		}
		b.WriteString("\n")
	}
	for _, a := range s.Alerts {
		fmt.Fprintf(&b, "alert: %s %s: %s\n", a.Time.Format(time.RFC3339), a.Name, a.Summary)
	}
	return b.String()
}

func tellRoll(r wire.Roll) string {
	var b strings.Builder
	fmt.Fprintf(&b, "under way: %s (%s) from %s to %s, by %s: %s\n", r.ID, r.Kind, orNothing(r.From), orNothing(r.Target), r.Actor, r.Reason)
	fmt.Fprintf(&b, "phase: %s since %s", r.Phase, r.Since.Format(time.RFC3339))
	if r.Doing != "" {
		fmt.Fprintf(&b, ", doing %s", r.Doing)
	}
	if r.Paused {
		b.WriteString(", PAUSED")
	}
	b.WriteString("\n")
	if w := r.Window; w != nil {
		fmt.Fprintf(&b, "window: %d %% until %s, at most until %s; %d synthetic requests\n",
			w.Weight, w.Ends.Format(time.TimeOnly), w.Deadline.Format(time.TimeOnly), w.Synthetic)
	}
	if d := r.Decision; d != nil {
		fmt.Fprintf(&b, "judge: %s\n", d.Text)
	}
	return b.String()
}

func tellSlot(name rollout.Slot, s wire.Slot) string {
	if s.Release == "" {
		return fmt.Sprintf("%s: empty, weight %d\n", name, s.Weight)
	}
	text := fmt.Sprintf("%s: %s, %s, weight %d, %d open", name, s.Release, health(s.Healthy, s.Reason), s.Weight, s.Sessions)
	if t := s.Traffic; t != nil {
		text += fmt.Sprintf(", %.1f requests/s, %.2g %% errors, p50 %.3g ms, p95 %.3g ms, p99 %.3g ms",
			t.Rate, 100*t.Failing, 1000*t.P50, 1000*t.P95, 1000*t.P99)
	}
	return text + "\n"
}

func health(healthy bool, reason string) string {
	if healthy {
		return "healthy"
	}
	return "NOT HEALTHY (" + reason + ")"
}

// tell is a deployment in a line for people.
func tell(d wire.Deployment) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s  %-8s  %-8s  %s", d.Began.Format(time.RFC3339), d.Roll, d.Kind, d.Release)
	if d.From != "" {
		fmt.Fprintf(&b, " (from %s)", d.From)
	}
	switch {
	case d.Ended.IsZero():
		b.WriteString("  UNDER WAY")
	case d.State == wire.RolledBack:
		fmt.Fprintf(&b, "  ROLLED BACK after %.0f s: %s", d.Seconds, d.Failure)
	default:
		fmt.Fprintf(&b, "  done in %.0f s", d.Seconds)
	}
	fmt.Fprintf(&b, "  by %s: %s", d.Actor, d.Reason)
	if d.BrokeGlass {
		b.WriteString("  [BROKE THE GLASS]")
	}
	if d.Takeovers > 0 {
		fmt.Fprintf(&b, "  [%d takeovers]", d.Takeovers)
	}
	var phases []string
	for _, p := range d.Phases {
		phases = append(phases, fmt.Sprintf("%s %.1f s", p.Phase, p.Seconds))
	}
	if len(phases) > 0 {
		fmt.Fprintf(&b, "\n    %s", strings.Join(phases, " · "))
	}
	return b.String()
}
