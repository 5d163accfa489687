package view_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/meter-ml/meter-pipeline/internal/rollout"
	"github.com/meter-ml/meter-pipeline/internal/rollout/agent/wire"
	"github.com/meter-ml/meter-pipeline/internal/rollout/journal"
	"github.com/meter-ml/meter-pipeline/internal/rollout/judge"
	"github.com/meter-ml/meter-pipeline/internal/rollout/view"
)

var update = flag.Bool("update", false, "write the golden files again")

var now = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name+".golden.txt")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("(-want +got), renew it with -update:\n%s", diff)
	}
}

func slots() map[rollout.Slot]wire.Slot {
	return map[rollout.Slot]wire.Slot{
		rollout.Blue: {
			Release: "v1.4.0", Digest: "sha256:b", Healthy: true, Weight: 75, Sessions: 3,
			Traffic: &wire.Traffic{Requests: 481, Rate: 48.1, P50: 0.0031, P95: 0.0062, P99: 0.0094},
		},
		rollout.Green: {
			Release: "v1.5.0", Digest: "sha256:c", Healthy: true, Weight: 25, Sessions: 1,
			Traffic: &wire.Traffic{Requests: 160, Errors: 2, Rate: 16, Failing: 0.0125, P50: 0.0033, P95: 0.0071, P99: 0.0102},
		},
	}
}

func shifting() wire.Status {
	return wire.Status{
		Schema: wire.Schema, Written: now.Add(-time.Second), Environment: "production", Lease: wire.Lease{Holder: "agent-1", Epoch: 4},
		Current: &rollout.Revision{Release: "v1.4.0", Slot: rollout.Blue}, Slots: slots(),
		Services: map[string]wire.Service{"mlflow": {Healthy: true}, "airflow-api": {Reason: "starting"}},
		Roll: &wire.Roll{
			ID: "roll-12", Kind: rollout.Forward, Actor: "ada@laptop", Began: now.Add(-63 * time.Second), Target: "v1.5.0", From: "v1.4.0",
			Slot: rollout.Green, Phase: rollout.Smoked, Step: 1, Weights: []int{5, 25, 50, 100},
			Window: &wire.Window{Weight: 25, Began: now.Add(-40 * time.Second), Ends: now.Add(20 * time.Second), Deadline: now.Add(80 * time.Second), Synthetic: 31},
			Decision: &wire.Decision{Decision: judge.Decision{
				Look: 3, Verdict: judge.Hold, Guard: judge.GuardTest{Requests: 160, Errors: 2}, Waits: []string{"31 more requests of green", "the window's end"},
				Errors: &judge.ErrorTest{Window: judge.Counts{Requests: 160, Errors: 2, BlueRequests: 481}},
			}},
		},
	}
}

func TestPanel(t *testing.T) {
	with := func(change func(*wire.Status)) wire.Status {
		s := shifting()
		change(&s)
		return s
	}
	var b strings.Builder
	for _, tc := range []struct {
		name   string
		status wire.Status
	}{
		{"nothing yet", wire.Status{Environment: "staging", Written: now}},
		{"idle", with(func(s *wire.Status) { s.Roll = nil })},
		{"shifting", shifting()},
		{"paused", with(func(s *wire.Status) { s.Roll.Paused = true })},
		{"starting", with(func(s *wire.Status) {
			s.Roll.Phase, s.Roll.Window, s.Roll.Decision = rollout.Migrated, nil, nil
			s.Slots[rollout.Green] = wire.Slot{Release: "v1.5.0", Digest: "sha256:c", Reason: "it does not answer yet", Restarts: 2}
		})},
		{"going back", with(func(s *wire.Status) {
			s.Roll.Kind, s.Roll.Target, s.Roll.From = rollout.Recovery, "v1.4.0", "v1.5.0"
			s.Roll.Decision.Verdict, s.Roll.Decision.Reason = judge.Fail, "green fails 30 % of its requests, blue 0 %"
		})},
		{"no agent leads", with(func(s *wire.Status) { s.Written = now.Add(-5 * time.Minute) })},
		{"blind", with(func(s *wire.Status) { s.Trouble, s.Slots = "the engine does not answer", nil })},
		{"hostile", with(func(s *wire.Status) { s.Trouble = "a\x1b[2Jb\nc" })},
	} {
		fmt.Fprintf(&b, "== %s\n%s\n\n", tc.name, strings.Join(view.Panel(tc.status, now), "\n"))
	}
	if strings.ContainsRune(b.String(), '\x1b') {
		t.Error("an escape sequence got through")
	}
	golden(t, "panel", b.String())
}

func TestChanges(t *testing.T) {
	phase := func(p rollout.Phase, step int, window bool) wire.Event {
		s := shifting()
		s.Roll.Phase, s.Roll.Step = p, step
		if !window {
			s.Roll.Window = nil
		}
		if s.Roll.Window != nil {
			s.Roll.Window.Weight = s.Roll.Weights[step]
		}
		return wire.Event{Status: &s}
	}
	back := shifting()
	back.Roll.Kind, back.Roll.Target, back.Roll.From, back.Roll.Phase, back.Roll.Window = rollout.Recovery, "v1.4.0", "v1.5.0", rollout.Begun, nil
	back.Lease.Holder = "agent-2"
	events := []wire.Event{
		phase(rollout.Begun, 0, false), phase(rollout.Begun, 0, false), phase(rollout.Up, 0, false),
		{Entry: &wire.Entry{Sequence: 4, Kind: journal.Intent, Action: "weights"}},
		phase(rollout.Smoked, 0, true), phase(rollout.Smoked, 0, true),
		{Entry: &wire.Entry{Sequence: 5, Kind: journal.Note, Action: "judge", Message: "5 % at 60s of 60s, look 9: pass"}},
		phase(rollout.Smoked, 1, true),
		{Entry: &wire.Entry{Sequence: 6, Kind: journal.Failed, Action: "smoke", Message: "answer 3\nis wrong"}},
		{Alert: &wire.Alert{Name: "RolledBack", Severity: wire.Critical, Summary: "v1.5.0 was rolled back"}},
		{Status: &back},
		{Result: &wire.Result{State: wire.RolledBack}},
	}
	var changes view.Changes
	var b strings.Builder
	for _, e := range events {
		for _, line := range changes.Of(e) {
			b.WriteString(line + "\n")
		}
	}
	golden(t, "changes", b.String())
}
