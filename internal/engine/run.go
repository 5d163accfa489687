package engine

import "time"

// A Run is the whole record of one start of the pipeline: what the reports are made from.
type Run struct {
	ID       string // sorts by time: 20261123-142501-3f9c
	Target   string // "check", "quality:black"
	Root     string
	Dir      string // the run directory, absolute
	Started  time.Time
	Duration time.Duration
	Status   Status
	ExitCode int
	Stages   []StageResult
	Commit   string // empty outside of a git work tree
	Branch   string
	Dirty    bool
	Origin   Origin
	Limit    int // slots of the scheduler
	// Interrupted and DeadlineExceeded say why a run ended early.
	Interrupted      bool
	DeadlineExceeded bool
	// Problems are errors of the run itself, such as a report that could not be written. Each makes it an error.
	Problems []string
	// Warnings ask for somebody's attention and change no verdict, such as a stage that keeps exceeding its budget.
	Warnings []string
}

// An Origin says whose work was judged and where. It is only recorded: nothing of it is proven. Each may be empty.
type Origin struct {
	Author  string // of the commit
	Branch  string // that CI says it is for, where the work tree has none checked out
	By      string // the account that started the run
	Builder string // the kind of machine, as evidence names it
	URL     string // of the run's page
}

// A StageResult sums up the steps of one stage.
type StageResult struct {
	Name     string
	Status   Status
	Cached   bool
	Duration time.Duration // from the first step's start to the last one's end
	Steps    []StepResult
}

// A StepResult says what became of one step.
type StepResult struct {
	Stage       string
	Name        string
	Judges      string
	Status      Status
	Cached      bool
	Reason      string // why it was skipped, or why it could not be judged
	Started     time.Time
	Duration    time.Duration
	Judgement   Judgement
	CommandLine string // as a person could type it; empty for a Func
	Log         string // relative to the run directory; empty if nothing was written
	Rerun       string
	Fix         string
}
