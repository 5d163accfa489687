// Package gather puts together what the jobs of one CI run found out, from the report.json of each, so that the channels
// are told once, and of the whole.
//
// Reports come from other machines. They are read within limits, and what they say is foreign text like a tool's output.
package gather

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/engine"
)

const (
	reportName    = "report.json"
	mostEntries   = 20_000
	mostReports   = 200
	longestReport = 64 << 20 // bytes
	schema        = 1
)

// Reports reads every report.json below a directory, sorted by when the runs began. Two of the same run
// are one. The directory of each becomes the run's.
func Reports(ctx context.Context, dir string) ([]*engine.Run, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open reports: %w", err)
	}
	defer func() { _ = root.Close() }()
	runs := map[string]*engine.Run{}
	entries := 0
	err = fs.WalkDir(root.FS(), ".", func(name string, entry fs.DirEntry, err error) error {
		entries++
		switch {
		case err != nil:
			return err
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case entries > mostEntries || len(runs) > mostReports:
			return errors.New("it holds too much: name a directory with the reports of one run of CI")
		case entry.Name() != reportName || !entry.Type().IsRegular():
			return nil
		}
		run, err := read(root, name)
		if err != nil {
			return fmt.Errorf("read %q: %w", name, err)
		}
		run.Dir = filepath.Join(dir, filepath.FromSlash(path.Dir(name)))
		runs[run.ID] = run
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("gather reports: %w", err)
	}
	return slices.SortedFunc(maps.Values(runs), func(a, b *engine.Run) int {
		return cmp.Or(a.Started.Compare(b.Started), cmp.Compare(a.ID, b.ID))
	}), nil
}

func read(root *os.Root, name string) (*engine.Run, error) {
	file, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	content, err := io.ReadAll(io.LimitReader(file, longestReport))
	if err := errors.Join(err, file.Close()); err != nil {
		return nil, err
	}
	var doc runDoc
	if err := json.Unmarshal(content, &doc); err != nil {
		return nil, fmt.Errorf("it is no report: %w", err)
	}
	return doc.run()
}

// Whole makes one run of several, and of what CI says of their jobs: it passed only if all of them did.
func Whole(runs []*engine.Run, jobs Jobs) (*engine.Run, error) {
	if len(runs) == 0 && len(jobs) == 0 {
		return nil, fmt.Errorf("gather reports: there is no %s below the directory, so nothing is known that could be told", reportName)
	}
	whole := &engine.Run{Target: "pipeline"}
	if len(runs) > 0 {
		first := runs[0]
		whole.ID, whole.Commit, whole.Branch, whole.Started, whole.Dirty = first.ID, first.Commit, first.Branch, first.Started, first.Dirty
	}
	end := whole.Started
	status := engine.StatusSkipped
	for _, run := range runs {
		if run.Commit != whole.Commit {
			return nil, fmt.Errorf("gather reports: they are about several commits, %.10s and %.10s: name the directory of one run of CI", whole.Commit, run.Commit)
		}
		if run.Started.Before(whole.Started) {
			whole.Started = run.Started
		}
		if at := run.Started.Add(run.Duration); at.After(end) {
			end = at
		}
		for _, stage := range run.Stages {
			whole.Stages = put(whole.Stages, stage)
		}
		whole.Problems = append(whole.Problems, run.Problems...)
		whole.Dirty = whole.Dirty || run.Dirty
		whole.Interrupted = whole.Interrupted || run.Interrupted
		// What is wrong with a run beside its stages stays wrong, though they be run again.
		if own := stagesStatus(run.Stages); worse(own, run.Status) != own {
			status = worse(status, run.Status)
		}
	}
	status = worse(status, stagesStatus(whole.Stages))
	problems, jobStatus := jobs.problems(whole.Stages)
	whole.Problems = append(whole.Problems, problems...)
	whole.Duration = max(end.Sub(whole.Started), 0)
	whole.Status = worse(status, jobStatus)
	return whole, nil
}

func stagesStatus(stages []engine.StageResult) engine.Status {
	status := engine.StatusSkipped
	for _, stage := range stages {
		status = worse(status, stage.Status)
	}
	return status
}

// put adds a stage. One that is there already was run again, or without some steps: a step counts as it was last judged.
func put(stages []engine.StageResult, stage engine.StageResult) []engine.StageResult {
	at := slices.IndexFunc(stages, func(s engine.StageResult) bool { return s.Name == stage.Name })
	if at < 0 {
		return append(stages, stage)
	}
	old := &stages[at]
	for _, step := range stage.Steps {
		i := slices.IndexFunc(old.Steps, func(s engine.StepResult) bool { return s.Name == step.Name })
		switch {
		case i < 0:
			old.Steps = append(old.Steps, step)
		case step.Status != engine.StatusSkipped:
			old.Steps[i] = step
		}
	}
	old.Duration += stage.Duration
	old.Status = engine.StatusSkipped
	for _, step := range old.Steps {
		old.Status = worse(old.Status, step.Status)
	}
	return stages
}

// worse of two: what could not be judged weighs more than what failed. What is of no known status was not judged.
func worse(a, b engine.Status) engine.Status {
	rank := func(s engine.Status) int {
		if i := slices.Index([]engine.Status{engine.StatusSkipped, engine.StatusPassed, engine.StatusFailed}, s); i >= 0 {
			return i
		}
		return 3
	}
	if rank(a) >= rank(b) {
		return known(a)
	}
	return known(b)
}

func known(s engine.Status) engine.Status {
	switch s {
	case engine.StatusPassed, engine.StatusFailed, engine.StatusSkipped:
		return s
	default:
		return engine.StatusError
	}
}

func seconds(s float64) time.Duration {
	const longest = 1e6 // more is nonsense
	if s < 0 || s > longest {
		return 0
	}
	return time.Duration(s * float64(time.Second))
}
