package agent

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/rollout"
	"github.com/meter-ml/meter-pipeline/internal/rollout/agent/wire"
	"github.com/meter-ml/meter-pipeline/internal/rollout/journal"
	"github.com/meter-ml/meter-pipeline/internal/rollout/judge"
)

// A chronicle is what the audit log amounts to: deployments, and what is worth an alert. The history, the metrics and
// the alerts come from it, so all of them survive the agent.
type chronicle struct {
	deployments []*deployment
	refused     int
	takeovers   int
	entries     uint64
	epoch       uint64

	leader   string          // who took the lease and has not given it back
	open     *deployment     // under way
	intent   journal.Entry   // the last
	decision *judge.Decision // the last of the roll-out under way
}

// A deployment knows more than what is told of it.
type deployment struct {
	wire.Deployment
	slot      rollout.Slot // of the target
	last      time.Time    // when the last phase ended
	weight    int          // that the target has
	recovered time.Time    // when a failed one had all traffic where it came from
}

// see takes an entry in, and returns the alerts that it is worth.
func (c *chronicle) see(e journal.Entry) []wire.Alert {
	c.entries, c.epoch = e.Sequence, max(c.epoch, e.Epoch)
	if e.Kind == journal.Intent {
		c.intent = e
	}
	switch e.Action {
	case "take lease":
		return c.take(e)
	case "give back lease":
		c.leader = ""
	case "begin":
		c.begin(e)
	case "refuse":
		c.refused++
	case "mend weights":
		if e.Kind == journal.Done {
			return []wire.Alert{alert(e, wire.Warning, "WeightsMended", fmt.Sprintf("-%d", e.Sequence), "the proxy had lost its weights; they are set again")}
		}
	}
	if c.open == nil {
		return nil
	}
	return c.follow(c.open, e)
}

func (c *chronicle) take(e journal.Entry) (alerts []wire.Alert) {
	if c.leader != "" {
		c.takeovers++
		alerts = append(alerts, alert(e, wire.Warning, "AgentLost", fmt.Sprintf("-%d", e.Epoch),
			fmt.Sprintf("%s ended without giving its lease back, and %s has taken over with epoch %d", c.leader, e.Actor, e.Epoch)))
		if c.open != nil {
			c.open.Takeovers++
		}
	}
	c.leader = e.Actor
	return alerts
}

// begin may come twice for one roll-out: whoever was killed right behind it begins again.
func (c *chronicle) begin(e journal.Entry) {
	var roll rollout.Roll
	if err := json.Unmarshal(e.Detail, &roll); err != nil {
		return
	}
	d := &deployment{last: e.Time, Deployment: wire.Deployment{
		Roll: roll.ID, Order: roll.Order, Kind: roll.Kind, Actor: roll.Actor, Reason: roll.Reason,
		Commit: roll.Committed, Began: e.Time,
	}}
	if roll.Target != nil {
		d.Release, d.slot = roll.Target.Release, roll.Target.Slot
	}
	if roll.From != nil {
		d.From = roll.From.Release
	}
	c.decision = nil
	if n := len(c.deployments); c.open != nil && c.open.Roll == d.Roll && n > 0 {
		c.deployments[n-1] = d
	} else {
		c.deployments = append(c.deployments, d)
	}
	c.open = d
}

// follow takes in what happens in a deployment.
func (c *chronicle) follow(d *deployment, e journal.Entry) []wire.Alert {
	switch e.Action {
	case "gate":
		return d.gate(e)
	case "judge":
		var decision judge.Decision
		if json.Unmarshal(e.Detail, &decision) == nil {
			c.decision = &decision
		}
	case "pull", "migrate", "start", "verify", "stop":
		if e.Kind == journal.Done {
			d.phase(e.Action, e.Time)
		}
	case "smoke":
		if e.Kind != journal.Intent {
			d.phase(e.Action, e.Time)
		}
	case "replace":
		if e.Kind == journal.Intent {
			d.leave(e.Time)
		}
	case "weights":
		if e.Kind == journal.Done {
			d.weigh(c.intent, e.Time)
		}
	case "roll back":
		return c.turn(d, e)
	case "recover again":
		return []wire.Alert{alert(e, wire.Critical, "RecoveryFails", "-"+d.Roll, fmt.Sprintf("%s can't be brought back yet: %s", d.From, e.Message))}
	case "done":
		c.end(d, e)
	}
	return nil
}

func (d *deployment) gate(e journal.Entry) []wire.Alert {
	d.Gate = e.Message
	d.phase("gate", e.Time)
	var gate wire.Gate
	if json.Unmarshal(e.Detail, &gate) != nil || gate.BreakGlass == "" {
		return nil
	}
	d.BrokeGlass = true
	return []wire.Alert{alert(e, wire.Critical, "BreakGlass", "-"+d.Roll, fmt.Sprintf("%s rolls %s out without evidence: %s", d.Actor, d.Release, gate.BreakGlass))}
}

func (c *chronicle) turn(d *deployment, e journal.Entry) []wire.Alert {
	d.leave(e.Time)
	d.Failure, d.Failed = e.Message, e.Time
	where := d.From
	if where == "" {
		where = "nothing"
	}
	alerts := []wire.Alert{alert(e, wire.Critical, "RolledBack", "-"+d.Roll, fmt.Sprintf("%s goes back to %s: %s", d.Release, where, e.Message))}
	if c.decision != nil && c.decision.Inconclusive {
		alerts = append(alerts, alert(e, wire.Warning, "Inconclusive", "-"+d.Roll,
			fmt.Sprintf("%s could not be judged at %d %%: %s", d.Release, c.decision.Weight, c.decision.String())))
	}
	return alerts
}

func (c *chronicle) end(d *deployment, e journal.Entry) {
	d.Ended, d.Seconds, d.State = e.Time, e.Time.Sub(d.Began).Seconds(), wire.Succeeded
	if !d.Failed.IsZero() {
		d.State = wire.RolledBack
	}
	c.open = nil
}

// phase says that a phase has ended.
func (d *deployment) phase(name string, at time.Time) {
	d.Phases = append(d.Phases, wire.PhaseTime{Phase: name, Seconds: at.Sub(d.last).Seconds()})
	d.last = at
}

// leave ends the time at a weight, if the target has one.
func (d *deployment) leave(at time.Time) {
	if d.weight > 0 {
		d.phase(fmt.Sprintf("%d %%", d.weight), at)
	}
	d.weight = 0
}

// weigh reads the new weights from the intent. What takes a weight from a lost slot has none there.
func (d *deployment) weigh(intent journal.Entry, at time.Time) {
	var weights rollout.Weights
	if intent.Action != "weights" || json.Unmarshal(intent.Detail, &weights) != nil {
		return
	}
	most := max(weights[rollout.Blue], weights[rollout.Green])
	if !d.Failed.IsZero() {
		if most == 100 && d.recovered.IsZero() {
			d.recovered = at
			d.phase("back", at)
		}
		return
	}
	d.leave(at)
	d.weight = weights[d.slot]
}

// alert is one that an entry is worth. Its ID is made of the entry alone, so that it is raised once, whoever reads it.
func alert(e journal.Entry, severity wire.Severity, name, key, summary string) wire.Alert {
	return wire.Alert{ID: name + key, Time: e.Time, Severity: severity, Name: name, Summary: summary, Release: e.Release}
}
