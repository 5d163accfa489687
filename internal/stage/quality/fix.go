package quality

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/stage/python"
)

// Fixed says what Fix did.
type Fixed struct {
	Looked  int      // files that were looked at
	Changed []string // those whose content is another one now, in the order of their names
}

// A Run starts a program in the project's root, with the project's Python environment first on PATH: Scope.Run.
type Run func(context.Context, engine.Invocation) (engine.Output, error)

// Fix runs isort and then black in place: black has the last word on the layout, and leaves isort's order alone. Both
// are asked first what they would do. If either can't read a file, or its own settings, nothing is changed at all.
// What was changed is found by comparing the files, so it holds when Fix ends with an error, too.
func Fix(ctx context.Context, p *config.Project, run Run) (Fixed, error) {
	tree := python.Look(p.Root, "quality.paths", p.Quality.Paths)
	if tree.Problem != nil {
		return Fixed{}, tree.Problem
	}
	fixed := Fixed{Looked: len(tree.Files)}
	needed, err := wanted(ctx, p, tree, run)
	if err != nil {
		return fixed, fmt.Errorf("nothing was changed: %w", err)
	}
	if !needed {
		return fixed, nil
	}
	before, err := sums(tree)
	if err != nil {
		return fixed, err
	}
	fixErr := rewrite(ctx, p, run)
	after, err := sums(tree)
	for _, file := range tree.Files {
		if before[file] != after[file] {
			fixed.Changed = append(fixed.Changed, file)
		}
	}
	return fixed, errors.Join(fixErr, err)
}

// wanted asks both tools whether there is anything to change, and so whether they can read everything.
func wanted(ctx context.Context, p *config.Project, tree python.Tree, run Run) (bool, error) {
	checks := []struct {
		args  []string
		parse func(python.Tree, engine.Output) (engine.Judgement, error)
	}{{isortArgs(p), parseIsort}, {blackArgs(p), parseBlack}}
	findings := 0
	for _, check := range checks {
		out, err := run(ctx, engine.Invocation{Program: python.Program, Args: check.args})
		if err != nil {
			return false, err
		}
		out.Root = p.Root
		j, err := check.parse(tree, out)
		if err != nil {
			return false, err
		}
		findings += len(j.Findings)
	}
	return findings > 0, nil
}

func rewrite(ctx context.Context, p *config.Project, run Run) error {
	for _, args := range [][]string{
		python.Module("isort", "--atomic", "--"),
		python.Module("black", "--no-color", "--"),
	} {
		out, err := run(ctx, engine.Invocation{Program: python.Program, Args: append(args, p.Quality.Paths...)})
		if err != nil {
			return err
		}
		if out.ExitCode != 0 {
			return python.Failure(args[4], out)
		}
	}
	return nil
}

func sums(tree python.Tree) (map[string][sha256.Size]byte, error) {
	all := make(map[string][sha256.Size]byte, len(tree.Files))
	for _, file := range tree.Files {
		content, err := os.ReadFile(filepath.Join(tree.Root, filepath.FromSlash(file)))
		if err != nil {
			return all, fmt.Errorf("compare files: %w", err)
		}
		all[file] = sha256.Sum256(content)
	}
	return all, nil
}

type fixStage struct{}

// NewFix returns Fix as a stage, for `mage fix`: it has its environment made, and says what changed as a table.
func NewFix() engine.Stage { return fixStage{} }

func (fixStage) Name() string { return "fix" }

func (fixStage) Steps(p *config.Project) ([]engine.Step, error) {
	return []engine.Step{{
		Name: "source", Judges: "layout and imports, in place", Rerun: "mage fix",
		Needs: []engine.Need{engine.NeedPython}, Timeout: p.Run.Budgets[name].Std(), Inputs: inputs(p.Quality.Paths),
		Func: func(ctx context.Context, scope engine.Scope) (engine.Judgement, error) {
			fixed, err := Fix(ctx, p, scope.Run)
			j := engine.Judgement{Judged: fixed.Looked, Unit: "files"}
			if len(fixed.Changed) > 0 {
				table := engine.Table{Title: "changed files", Columns: []string{"file"}}
				for _, file := range fixed.Changed {
					table.Rows = append(table.Rows, []string{file})
				}
				j.Tables = append(j.Tables, table)
				said := fmt.Sprintf("changed %s: %s", python.Count(len(fixed.Changed), "file"), python.List(fixed.Changed, 10))
				j.Notes = append(j.Notes, said)
				if err != nil { // an error has nothing but warnings beside it
					j.Warnings = append(j.Warnings, said)
				}
			} else if err == nil {
				j.Notes = append(j.Notes, "nothing to change")
			}
			return j, err
		},
	}}, nil
}
