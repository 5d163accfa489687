package data

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/dataset"
	"github.com/meter-ml/meter-pipeline/internal/dataset/contract"
	"github.com/meter-ml/meter-pipeline/internal/engine"
)

// judgement of one data set.
type judgement struct {
	set     set
	all     *sets
	book    *book
	now     time.Time
	project *config.Project
	whole   bool // the step has all cores, whatever the file's size
}

func (g judgement) judge(ctx context.Context, scope engine.Scope) (engine.Judgement, error) {
	result, err := g.validate(ctx, scope)
	if err != nil {
		return engine.Judgement{}, err
	}
	if err := g.book.enter(scope.Artifacts, g.set, result); err != nil {
		return engine.Judgement{}, err
	}
	return g.judged(result), nil
}

// validate makes the file, if need be, and judges it.
func (g judgement) validate(ctx context.Context, scope engine.Scope) (*dataset.Result, error) {
	file, err := g.file(ctx, scope)
	if err != nil {
		return nil, err
	}
	workers := 1
	if info, err := os.Stat(file); g.whole || err == nil && info.Size() >= large {
		workers = g.all.cores
	}
	result, err := dataset.Validate(ctx, g.set.contract, file, dataset.Options{
		Root: g.project.Root, Workers: workers, Memory: int64(g.project.Data.Memory) << 20, Keep: g.project.Data.Findings,
		Scratch: scope.Scratch, Now: g.now, Open: g.open,
		Progress: func(done, total int64) {
			scope.Progress(int(done>>20), int(total>>20), fmt.Sprintf("%d of %d MiB", done>>20, total>>20))
		},
	})
	if err != nil {
		return nil, fmt.Errorf("judge %s: %w", g.set.shown, err)
	}
	return result, nil
}

// file is where the data are; what a command makes lies in the step's own directory, and is gone after it.
func (g judgement) file(ctx context.Context, scope engine.Scope) (string, error) {
	if !g.set.made() {
		return g.set.path, nil
	}
	file := filepath.Join(scope.Scratch, filepath.Base(g.set.contract.Path))
	args := slices.Clone(g.set.command)
	for i := range args {
		args[i] = strings.ReplaceAll(args[i], config.FilePlaceholder, file)
	}
	scope.Log("$ %s", strings.Join(args, " "))
	out, err := scope.Run(ctx, engine.Invocation{Program: args[0], Args: args[1:], Env: environment(scope.Env, g.set.env)})
	if err != nil {
		return "", fmt.Errorf("make %s: %w", g.set.contract.Name, err)
	}
	if out.ExitCode != 0 {
		return "", fmt.Errorf("make %s: exit code %d: the log has what it said", g.set.contract.Name, out.ExitCode)
	}
	return file, nil
}

// environment is the step's, with what the command wants besides, as KEY=value.
func environment(step, own map[string]string) []string {
	all := maps.Clone(step)
	maps.Copy(all, own)
	var list []string
	for _, key := range slices.Sorted(maps.Keys(all)) {
		list = append(list, key+"="+all[key])
	}
	return list
}

// open finds the data set that a foreign key names.
func (g judgement) open(resource string) (*contract.Contract, string, error) {
	other, ok := g.all.byName(resource)
	switch {
	case !ok:
		return nil, "", fmt.Errorf("no contract has the name %q", resource)
	case other.skip != "":
		return nil, "", fmt.Errorf("%s can't be read: %s", resource, other.skip)
	case other.made():
		return nil, "", fmt.Errorf("%s is made by a command: a foreign key must name a file", resource)
	}
	return other.contract, other.path, nil
}

// judged turns a result into what the engine and the reports know.
func (g judgement) judged(r *dataset.Result) engine.Judgement {
	j := engine.Judgement{
		Judged: int(r.Rows), Unit: "rows",
		Metrics: []engine.Metric{
			{Name: "rows", Value: float64(r.Rows), Unit: "rows"},
			{Name: "columns", Value: float64(len(g.set.contract.Schema.Fields)), Unit: "columns"},
			{Name: "findings", Value: float64(r.Total()), Unit: "findings"},
		},
		Notes: r.Notes,
	}
	for _, f := range r.Findings {
		j.Findings = append(j.Findings, g.finding(f))
	}
	if len(j.Findings) > 0 {
		j.Judged = max(j.Judged, 1) // an empty file was judged, and found wanting
	}
	for _, table := range []engine.Table{g.counts(r), measures(r), g.columns(r)} {
		if len(table.Rows) > 0 {
			j.Tables = append(j.Tables, table)
		}
	}
	return j
}

// finding places a finding in the file as an editor counts, and in the message as a spreadsheet does.
func (g judgement) finding(f dataset.Finding) engine.Finding {
	var place []string
	if f.Row > 0 {
		place = append(place, fmt.Sprintf("row %d", f.Row))
	}
	if f.Column != "" {
		place = append(place, f.Column)
	}
	message := f.Message
	if len(place) > 0 {
		message = strings.Join(place, ", ") + ": " + message
	}
	out := engine.Finding{Rule: f.Rule, Path: g.set.shown, Line: int(f.Line), Message: message, Help: f.Help}
	if g.set.made() { // there is no such file to look into
		out.Path, out.Line = g.set.contract.File, 0
	}
	return out
}

// counts says of which rules more was found than is shown.
func (g judgement) counts(r *dataset.Result) engine.Table {
	t := engine.Table{Title: "More was found than is shown", Columns: []string{"rule and column", "found", "shown"}}
	shown := map[[2]string]int{}
	for _, f := range r.Findings {
		shown[[2]string{f.Rule, f.Column}]++
	}
	for _, c := range r.Counts {
		if c.Total <= int64(shown[[2]string{c.Rule, c.Column}]) {
			continue
		}
		t.Rows = append(t.Rows, []string{
			strings.TrimSuffix(c.Rule+" "+c.Column, " "), fmt.Sprint(c.Total), fmt.Sprint(shown[[2]string{c.Rule, c.Column}]),
		})
	}
	return t
}

// measures are what the rules of the quality block measured, met or not.
func measures(r *dataset.Result) engine.Table {
	t := engine.Table{Title: "Quality measures", Columns: []string{"measure", "value", "limit"}, Detail: true}
	for _, m := range r.Measures {
		sign := "at most"
		if m.Least {
			sign = "at least"
		}
		t.Rows = append(t.Rows, []string{strings.TrimSuffix(m.Name+" "+m.Column, " "), short(m.Value), sign + " " + short(m.Limit)})
	}
	return t
}

func short(v float64) string { return fmt.Sprintf("%.6g", v) }
