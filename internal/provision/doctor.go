package provision

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/plain"
)

// checkLimit bounds each look of the doctor's: a server that hangs must not hang the doctor.
const checkLimit = 8 * time.Second

// State says how a need stands.
type State string

// States of a need.
const (
	StateOK       State = "ok"
	StateWarning  State = "warning"  // it works, and somebody should look
	StateSetup    State = "setup"    // not there yet: `mage setup`, or the first run, makes it
	StateMissing  State = "missing"  // a person has to do something
	StateOptional State = "optional" // not there, and nothing needs it yet
)

// A Row is what the doctor found out about one need.
type Row struct {
	Need    string
	State   State
	Version string
	Where   string
	Note    string // what is to be said of it
	Remedy  string // what to do, if anything
}

// Healthy reports whether a run can have all that it needs, with nothing to do for a person but wait.
func Healthy(rows []Row) bool {
	for _, row := range rows {
		if row.State == StateMissing {
			return false
		}
	}
	return true
}

// Doctor looks at every need, in the order in which they build on each other. It makes and changes nothing.
func (p *Provisioner) Doctor(ctx context.Context) []Row {
	uv := newShared[uvTool]()
	find := func(ctx context.Context) (uvTool, error) {
		return uv.get(ctx, func(ctx context.Context) (uvTool, error) {
			tool, reasons := p.findUV(ctx)
			if tool.path == "" {
				return tool, fmt.Errorf("%v", reasons)
			}
			return tool, nil
		})
	}
	checks := []func(context.Context) []Row{
		p.checkGo,
		p.checkGit,
		func(ctx context.Context) []Row { tool, _ := find(ctx); return []Row{p.rowUV(tool)} },
		func(ctx context.Context) []Row { tool, _ := find(ctx); return p.checkPython(ctx, tool) },
		func(context.Context) []Row { return p.checkEnvironments() },
		p.checkPostgres,
		func(context.Context) []Row { return []Row{p.checkGitleaks()} },
		func(context.Context) []Row { return p.checkDisk() },
		p.checkContainers,
	}
	found := make([][]Row, len(checks))
	var all sync.WaitGroup
	for i, check := range checks {
		all.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, checkLimit)
			defer cancel()
			found[i] = check(ctx)
		})
	}
	all.Wait()
	var rows []Row
	for _, some := range found {
		for _, row := range some { // programs and servers have their say in it
			row.Version, row.Where, row.Note = plain.Line(row.Version), plain.Line(row.Where), plain.Line(row.Note)
			rows = append(rows, row)
		}
	}
	return rows
}

// ask runs a program for one line of its output.
func (p *Provisioner) ask(ctx context.Context, program string, args ...string) (string, error) {
	out, err := p.run(ctx, engine.Invocation{Program: program, Args: args, Env: p.pythonFree().list()})
	if err != nil {
		return "", err
	}
	return firstLine(string(out.Stdout)), nil
}
