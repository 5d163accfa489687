package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"time"
)

// Options says how a plan is run. Root, Dir, ID and Runner are needed, and a Provider if any step has needs.
type Options struct {
	Target string // what was asked for: "check", "quality:black"
	Root   string // absolute; the project's root
	Dir    string // absolute; the run directory, made here: .pipeline/runs/<id>
	ID     string // from NewRunID
	Commit string // of the work tree, with Branch and Dirty; only recorded
	Branch string
	Dirty  bool
	Origin Origin

	Limit    int           // slots; 0 is one per core
	FailFast bool          // after the first step that did not pass, start no other
	Deadline time.Duration // for the whole run; 0 is none
	Grace    time.Duration // how long a cancelled step may take to end before it is given up; 0 is 3 s

	Runner    Runner
	Provider  Provider
	Reporters []Reporter
	Expected  func(stage, step string) time.Duration // from the history; nil or 0 is unknown
	Review    func(*Run) []string                    // the warnings about a run that is over, before it is reported; may be nil
	Env       []string                               // the base environment, KEY=value, with the PATH to look programs up
	Secrets   []string                               // values that nothing may show
	Now       func() time.Time                       // nil is time.Now
}

// NewRunID returns a name for a run that sorts by time and that two runs at once don't share: 20261123-142501-3f9c.
func NewRunID(now time.Time, random io.Reader) (string, error) {
	var b [4]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return "", fmt.Errorf("name run: %w", err)
	}
	return fmt.Sprintf("%s-%x", now.UTC().Format("20060102-150405"), b), nil
}

// Execute runs a plan and returns its record. A cancelled ctx is an interrupt, unless its deadline passed. The error
// is for what the record can't hold: nothing could be started, with no Run then, or a report could not be written,
// with a Run whose exit code says so.
func Execute(ctx context.Context, plan Plan, opts Options) (*Run, error) {
	opts, err := opts.complete()
	if err != nil {
		return nil, err
	}
	g, err := newGraph(plan.Stages)
	if err != nil {
		return nil, err
	}
	dir, err := makeRunDir(opts.Dir)
	if err != nil {
		return nil, err
	}
	x := newExecution(g, plan, opts, dir)
	return x.run(ctx)
}

func (o Options) complete() (Options, error) {
	switch {
	case o.Runner == nil:
		return o, errors.New("start run: no runner is given")
	case !filepath.IsAbs(o.Root) || !filepath.IsAbs(o.Dir):
		return o, fmt.Errorf("start run: root %q and run directory %q must be absolute", o.Root, o.Dir)
	case o.ID == "":
		return o, errors.New("start run: no run ID is given")
	}
	if info, err := os.Stat(o.Root); err != nil || !info.IsDir() {
		return o, fmt.Errorf("start run: project root %s is no directory", o.Root)
	}
	if o.Limit <= 0 {
		o.Limit = runtime.GOMAXPROCS(0)
	}
	if o.Grace <= 0 {
		o.Grace = 3 * time.Second
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o, nil
}
