package engine

import "time"

// EventKind says what happened.
type EventKind string

// Kinds of events, in the order in which a run sends them.
const (
	EventRunStarted   EventKind = "run_started"   // Plan: every stage and step that will run; Run: what is known by then
	EventProvisioning EventKind = "provisioning"  // Text says what is being made; Step is the need
	EventProvisioned  EventKind = "provisioned"   // Text says what was found or made
	EventStepStarted  EventKind = "step_started"  // Expected may be set
	EventOutput       EventKind = "output"        // Text is one line of the tool's output
	EventProgress     EventKind = "progress"      // Done, Total, Text
	EventPanel        EventKind = "panel"         // Text is several lines that stand below the step for as long as it runs
	EventStepFinished EventKind = "step_finished" // Result
	EventStageDone    EventKind = "stage_done"    // StageResult
	EventMessage      EventKind = "message"       // Text for the person: "stopping, press Ctrl-C again to kill"
	EventRunFinished  EventKind = "run_finished"  // Run
)

// An Event is one thing that happened in a run. Fields that its kind does not name are zero.
type Event struct {
	Kind        EventKind
	Time        time.Time
	Stage       string
	Step        string
	Text        string
	Done        int
	Total       int
	Expected    time.Duration // from the history; 0 if unknown
	Plan        []PlannedStage
	Result      *StepResult
	StageResult *StageResult
	Run         *Run
}

// PlannedStage and its steps are what is known before anything ran.
type PlannedStage struct {
	Name  string
	Steps []Step
}

// A Reporter renders a run. Calls do not overlap, and come in order. A reporter must not block for long: what it
// writes to disk it writes at EventRunFinished. An error of a reporter is shown, and makes a passed run an error,
// since a report that is missing would be taken for a run that never was. Put those that write files first and those
// that speak to a person last: at EventRunFinished a later one sees what went wrong with an earlier one.
type Reporter interface {
	Event(Event) error
}
