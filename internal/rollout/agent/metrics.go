package agent

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/rollout"
	"github.com/meter-ml/meter-pipeline/internal/rollout/agent/wire"
)

// metricsMode lets the collector read, which is another user's.
const metricsMode = fs.FileMode(0o644)

// writeMetrics writes metrics.prom, in Prometheus' text format. What is of deployments comes from the audit log, so it
// survives the agent; the counts of requests begin anew with each that takes over, which Prometheus expects of counters.
func (l *leader) writeMetrics(ctx context.Context) error {
	if err := l.held.Check(ctx); err != nil {
		return err
	}
	s, totals := l.board.seen(l.Now())
	e := exposition{environment: l.Environment}
	l.mu.Lock()
	e.deployments(l.chronicle)
	e.single("meter_deploy_audit_entries_total", "counter", "Entries of the audit log.", float64(l.chronicle.entries))
	e.single("meter_deploy_agent_takeovers_total", "counter", "Agents that ended without giving their lease back.", float64(l.chronicle.takeovers))
	l.mu.Unlock()
	e.target(s)
	e.traffic(s, totals)
	e.alerts(l.alerts.counts())
	if err := l.whole(l.layout.Metrics(), e.out.Bytes(), metricsMode); err != nil {
		return fmt.Errorf("write metrics: %w", err)
	}
	return nil
}

// An exposition is a text for Prometheus: https://prometheus.io/docs/instrumenting/exposition_formats/.
type exposition struct {
	environment string
	out         bytes.Buffer
}

// family begins one. All its samples have to follow.
func (e *exposition) family(name, kind, help string) {
	fmt.Fprintf(&e.out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind)
}

// sample adds one; labels are names and values in turn.
func (e *exposition) sample(name string, value float64, labels ...string) {
	escape := strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)
	fmt.Fprintf(&e.out, `%s{environment="%s"`, name, escape.Replace(e.environment))
	for i := 0; i+1 < len(labels); i += 2 {
		fmt.Fprintf(&e.out, `,%s="%s"`, labels[i], escape.Replace(labels[i+1]))
	}
	fmt.Fprintf(&e.out, "} %v\n", value)
}

func (e *exposition) single(name, kind, help string, value float64) {
	e.family(name, kind, help)
	e.sample(name, value)
}

// outcomes are all that a deployment by order can have, so that each has a sample from the beginning.
func outcomes() [][2]string {
	var all [][2]string
	for _, kind := range []rollout.Kind{rollout.Forward, rollout.Back} {
		for _, state := range []wire.State{wire.Succeeded, wire.RolledBack} {
			all = append(all, [2]string{string(kind), string(state)})
		}
	}
	return all
}

func (e *exposition) deployments(c *chronicle) {
	took := newHistogram(30, 60, 120, 300, 600, 1200, 1800, 3600)
	lead := newHistogram(600, 3600, 14400, 86400, 259200, 604800, 2592000)
	back := newHistogram(0.5, 1, 2, 5, 10, 30, 60, 300)
	counts := map[[2]string]int{}
	var success, failure time.Time
	for _, d := range c.deployments {
		if d.Ended.IsZero() {
			continue
		}
		counts[[2]string{string(d.Kind), string(d.State)}]++
		took.add(d.Seconds)
		switch {
		case d.State == wire.RolledBack:
			failure = d.Ended
			if !d.recovered.IsZero() {
				back.add(d.recovered.Sub(d.Failed).Seconds())
			}
		case d.Kind == rollout.Forward:
			success = d.Ended
			if !d.Commit.IsZero() {
				lead.add(d.Ended.Sub(d.Commit).Seconds())
			}
		}
	}
	e.family("meter_deploy_rollouts_total", "counter", "Roll-outs that ended, by kind and result.")
	for _, o := range outcomes() {
		e.sample("meter_deploy_rollouts_total", float64(counts[o]), "kind", o[0], "result", strings.ReplaceAll(o[1], " ", "_"))
	}
	e.single("meter_deploy_refused_total", "counter", "Orders that were refused before anything was changed.", float64(c.refused))
	e.histogram("meter_deploy_duration_seconds", "From the order of a roll-out to its end.", took)
	e.histogram("meter_deploy_lead_time_seconds", "From the commit of a release until it is done.", lead)
	e.histogram("meter_deploy_recovery_seconds", "From the decision to roll back until the release before has all traffic.", back)
	e.single("meter_deploy_last_success_timestamp_seconds", "gauge", "When a release was done last; 0: never.", stamp(success))
	e.single("meter_deploy_last_failure_timestamp_seconds", "gauge", "When a roll-out had gone back last; 0: never.", stamp(failure))
}

func stamp(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}

func (e *exposition) target(s wire.Status) {
	e.family("meter_deploy_release_info", "gauge", "The release that was done last.")
	if c := s.Current; c != nil {
		e.sample("meter_deploy_release_info", 1, "release", c.Release, "digest", c.Digest, "slot", string(c.Slot))
	}
	rolling := 0.0
	if s.Roll != nil {
		rolling = 1
	}
	e.single("meter_deploy_in_progress", "gauge", "1 while a roll-out is under way.", rolling)
	e.single("meter_deploy_lease_epoch", "gauge", "Epoch of the agent that leads.", float64(s.Lease.Epoch))
	e.single("meter_deploy_status_timestamp_seconds", "gauge", "When the leading agent wrote this.", stamp(s.Written))
	blind := 0.0
	if s.Trouble != "" {
		blind = 1
	}
	e.single("meter_deploy_target_unobserved", "gauge", "1 while the agent can't see or do anything on the target.", blind)
	e.family("meter_deploy_service_healthy", "gauge", "1 if what runs once is healthy.")
	for _, name := range slices.Sorted(maps.Keys(s.Services)) {
		e.sample("meter_deploy_service_healthy", truth(s.Services[name].Healthy), "service", name)
	}
	e.slots(s, "meter_deploy_slot_healthy", "1 if what runs in a slot is healthy.", func(seen wire.Slot) (float64, bool) { return truth(seen.Healthy), true })
	e.slots(s, "meter_deploy_weight_ratio", "Share of the traffic that a slot gets.", func(seen wire.Slot) (float64, bool) { return float64(seen.Weight) / 100, true })
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// slots adds a sample for each slot in which something runs.
func (e *exposition) slots(s wire.Status, name, help string, value func(wire.Slot) (float64, bool), labels ...string) {
	if help != "" {
		e.family(name, "gauge", help)
	}
	for _, slot := range []rollout.Slot{rollout.Blue, rollout.Green} {
		seen := s.Slots[slot]
		if v, ok := value(seen); ok && seen.Release != "" {
			e.sample(name, v, append([]string{"slot", string(slot), "release", seen.Release}, labels...)...)
		}
	}
}

func (e *exposition) traffic(s wire.Status, totals map[string]total) {
	e.family("meter_deploy_requests_total", "counter", "Requests of a release, since this agent leads.")
	for _, release := range slices.Sorted(maps.Keys(totals)) {
		e.sample("meter_deploy_requests_total", float64(totals[release].requests), "release", release)
	}
	e.family("meter_deploy_request_errors_total", "counter", "Requests of a release that failed, since this agent leads.")
	for _, release := range slices.Sorted(maps.Keys(totals)) {
		e.sample("meter_deploy_request_errors_total", float64(totals[release].errors), "release", release)
	}
	of := func(value func(*wire.Traffic) float64) func(wire.Slot) (float64, bool) {
		return func(seen wire.Slot) (float64, bool) {
			if seen.Traffic == nil || seen.Traffic.Requests == 0 {
				return 0, false
			}
			return value(seen.Traffic), true
		}
	}
	e.slots(s, "meter_deploy_error_ratio", "Share of the requests of the last seconds that failed.", of(func(t *wire.Traffic) float64 { return t.Failing }))
	const latency = "meter_deploy_latency_seconds"
	e.family(latency, "gauge", "Percentiles of the time that the requests of the last seconds took.")
	e.slots(s, latency, "", of(func(t *wire.Traffic) float64 { return t.P50 }), "percentile", "50")
	e.slots(s, latency, "", of(func(t *wire.Traffic) float64 { return t.P95 }), "percentile", "95")
	e.slots(s, latency, "", of(func(t *wire.Traffic) float64 { return t.P99 }), "percentile", "99")
}

func (e *exposition) alerts(counts map[[2]string]int) {
	e.family("meter_deploy_alerts_total", "counter", "Alerts that were raised, as far as alerts.jsonl goes back.")
	keys := slices.SortedFunc(maps.Keys(counts), func(a, b [2]string) int { return slices.Compare(a[:], b[:]) })
	for _, key := range keys {
		e.sample("meter_deploy_alerts_total", float64(counts[key]), "name", key[0], "severity", key[1])
	}
}

// A histogram counts values up to each bound.
type histogram struct {
	bounds []float64
	counts []int
	sum    float64
	all    int
}

func newHistogram(bounds ...float64) *histogram {
	return &histogram{bounds: bounds, counts: make([]int, len(bounds))}
}

func (h *histogram) add(v float64) {
	for i, bound := range h.bounds {
		if v <= bound {
			h.counts[i]++
		}
	}
	h.sum += v
	h.all++
}

func (e *exposition) histogram(name, help string, h *histogram) {
	e.family(name, "histogram", help)
	for i, bound := range h.bounds {
		e.sample(name+"_bucket", float64(h.counts[i]), "le", fmt.Sprint(bound))
	}
	e.sample(name+"_bucket", float64(h.all), "le", "+Inf")
	e.sample(name+"_sum", h.sum)
	e.sample(name+"_count", float64(h.all))
}
