package deploy

import (
	"fmt"
	"strings"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/rollout"
	"github.com/meter-ml/meter-pipeline/internal/rollout/agent/wire"
)

// refused says who is in the way.
func (d deployer) refused(s wire.Status, err error) engine.Finding {
	message := err.Error()
	if r := s.Roll; r != nil {
		message = fmt.Sprintf("%s is under way to %s, begun by %s at %s: %s", r.ID, r.Target, r.Actor, r.Began.UTC().Format("15:04:05"), r.Reason)
	}
	return engine.Finding{
		Rule: "refused", Severity: engine.SeverityHigh, Message: message,
		Help: fmt.Sprintf("look on with `mage deploy:status -env=%s`; deploy again once it is over, or end it with `mage deploy:abort -env=%s`", d.Environment, d.Environment),
	}
}

// outcome is what became of the order.
func (d deployer) outcome(j engine.Judgement, revision rollout.Revision, result wire.Result, seen watched) engine.Judgement {
	j.Metrics = append(j.Metrics, engine.Metric{Name: "duration", Value: result.Ended.Sub(seen.began).Seconds(), Unit: "s"})
	requests, failed := seen.counts()
	j.Metrics = append(j.Metrics,
		engine.Metric{Name: "canary_requests", Value: float64(requests), Unit: "requests"},
		engine.Metric{Name: "canary_failed", Value: float64(failed), Unit: "requests"},
	)
	for _, a := range seen.alerts {
		j.Warnings = append(j.Warnings, fmt.Sprintf("alert %s: %s", a.Name, a.Summary))
	}
	switch {
	case result.State == wire.Succeeded && result.Target == revision.Release:
		j.Notes = append(j.Notes, fmt.Sprintf("%s serves on %s: http://%s:%d", revision.Release, d.Environment, d.to.Publish, d.to.Ports.Proxy))
		return j
	case result.State == wire.Refused:
		j.Findings = append(j.Findings, d.refused(seen.status, fmt.Errorf("refused: %s", result.Reason)))
		return j
	}
	message := fmt.Sprintf("%s was rolled back: %s", revision.Release, result.Reason)
	if t := seen.turned; t != nil {
		message += fmt.Sprintf(" (after the phase %s", t.Phase)
		if t.Phase == rollout.Smoked && t.Window != nil {
			message += fmt.Sprintf(", at %d %%", t.Window.Weight)
		}
		message += ")"
	}
	if seen.decision != nil {
		message += "; the judge's last look: " + seen.decision.Text
	}
	serves := "nothing serves, as before"
	if result.Target != "" {
		serves = result.Target + " serves again"
	}
	j.Findings = append(j.Findings, engine.Finding{
		Rule: "rolled-back", Severity: engine.SeverityCritical, Message: message,
		Help: fmt.Sprintf("%s; what happened, step by step: `mage deploy:history -env=%s -v`", strings.TrimSpace(serves), d.Environment),
	})
	return j
}

// counts are the requests that the new release got while it was judged, and those of them that failed.
func (w watched) counts() (requests, failed int64) {
	if w.decision == nil {
		return 0, 0
	}
	if e := w.decision.Errors; e != nil {
		return e.Release.Requests, e.Release.Errors
	}
	return w.decision.Guard.Requests, w.decision.Guard.Errors
}
