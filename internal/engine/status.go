package engine

// Status of a step, a stage or a run.
type Status string

// A gate passes only when what it names was run and judged. StatusError is for what could not be judged.
const (
	StatusPassed  Status = "passed"
	StatusFailed  Status = "failed"
	StatusError   Status = "error"
	StatusSkipped Status = "skipped" // always with a Reason
)

// Exit codes of the pipeline.
const (
	ExitPassed      = 0   // every gate passed
	ExitFailed      = 1   // a gate failed
	ExitUsage       = 2   // usage or configuration
	ExitError       = 3   // something could not be judged, a step's own timeout too
	ExitDeadline    = 124 // the whole run's deadline
	ExitInterrupted = 130 // SIGINT or SIGTERM
)
