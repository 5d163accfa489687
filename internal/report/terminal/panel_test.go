package terminal

import (
	"bytes"
	"strings"
	"testing"

	"github.com/meter-ml/meter-pipeline/internal/engine"
)

func TestPanelIsDrawnInPlaceOnAScreenOnly(t *testing.T) {
	screen := newEmulator(60)
	opts := Options{Err: Stream{W: screen, TTY: true}, Out: Stream{W: screen, TTY: true}, OneScreen: true, Size: func() (int, int) { return 60, 24 }}
	panel := NewPanel(opts)
	panel.Draw([]string{"weight 5 %", "judge: looks on"})
	panel.Say("5 % passed")
	panel.Draw([]string{"weight 25 %", "judge: looks on", strings.Repeat("long ", 30)})
	panel.Say("evil \x1b[2J text")
	if err := panel.Close(); err != nil {
		t.Fatal(err)
	}
	got := screen.String()
	for _, want := range []string{"5 % passed\n", "weight 25 %\njudge: looks on\nlong long"} {
		if !strings.Contains(got, want) {
			t.Errorf("the screen does not show %q:\n%s", want, got)
		}
	}
	if strings.Contains(got, "weight 5 %") {
		t.Errorf("the panel was not replaced:\n%s", got)
	}

	var pipe bytes.Buffer
	log := NewPanel(Options{Err: Stream{W: &pipe}, Out: Stream{W: &pipe}})
	log.Draw([]string{"weight 5 %"})
	log.Say("5 % passed")
	log.Draw([]string{"weight 25 %"})
	if pipe.String() != "5 % passed\n" {
		t.Errorf("a log has %q", pipe.String())
	}
}

func TestAStepsPanelStandsBelowIt(t *testing.T) {
	screen := newEmulator(60)
	opts := Options{Err: Stream{W: screen, TTY: true}, Out: Stream{W: screen, TTY: true}, OneScreen: true, Size: func() (int, int) { return 60, 24 }}
	term := New(opts)
	for _, e := range []engine.Event{
		{Kind: engine.EventRunStarted, Plan: []engine.PlannedStage{{Name: "staging", Steps: []engine.Step{{Name: "deploy"}}}}},
		{Kind: engine.EventStepStarted, Stage: "staging", Step: "deploy"},
		{Kind: engine.EventPanel, Stage: "staging", Step: "deploy", Text: "blue 95 %\ngreen 5 %"},
	} {
		if err := term.Event(e); err != nil {
			t.Fatal(err)
		}
	}
	term.tick()
	if got := screen.String(); !strings.Contains(got, "    blue 95 %\n    green 5 %") {
		t.Errorf("the screen shows\n%s", got)
	}
	if err := term.Event(engine.Event{Kind: engine.EventStepFinished, Stage: "staging", Step: "deploy", Result: &engine.StepResult{Status: engine.StatusPassed}}); err != nil {
		t.Fatal(err)
	}
	if got := screen.String(); strings.Contains(got, "green") {
		t.Errorf("the panel outlives its step:\n%s", got)
	}
	if err := term.Close(); err != nil {
		t.Fatal(err)
	}
}
