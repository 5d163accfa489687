// Package worktree asks git what the project's tree is: its commit, branch and tags, and whether it differs from them.
//
// It stands beside the engine, and starts git through the engine's Runner only. What a run is about, which tags an
// image gets and which tree a piece of evidence speaks of are all read here, once.
package worktree

import (
	"bytes"
	"context"
	"strings"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/plain"
)

// A State is what git says of the project: all empty outside of a work tree.
type State struct {
	Commit string // 40 or 64 hexadecimal digits; empty before the first commit
	Branch string // empty on a detached HEAD
	Dirty  bool   // files that git tracks or does not ignore differ from the commit
}

// Look asks git once. Without git, or outside of a work tree, the state is empty: a run is judged all the same and names
// no commit.
func Look(ctx context.Context, runner engine.Runner, dir string, env []string) State {
	out, err := runner.Run(ctx, engine.Invocation{
		Program: "git", Dir: dir, Env: env,
		// Its own file-watching daemon would be taken for something that git left running.
		Args: []string{"--no-optional-locks", "-c", "core.fsmonitor=false", "status", "--porcelain=v2", "--branch", "--no-ahead-behind"},
	})
	if err != nil || out.ExitCode != 0 {
		return State{}
	}
	return parseStatus(out.Stdout)
}

// parseStatus reads `git status --porcelain=v2 --branch`. A branch's name may hold any space but the plain one.
func parseStatus(text []byte) State {
	var state State
	for line := range bytes.Lines(text) {
		line := strings.TrimSuffix(string(line), "\n")
		if commit, ok := strings.CutPrefix(line, "# branch.oid "); ok && commit != "(initial)" {
			state.Commit = commit
		}
		if branch, ok := strings.CutPrefix(line, "# branch.head "); ok && branch != "(detached)" {
			state.Branch = branch
		}
		if line != "" && !strings.HasPrefix(line, "#") {
			state.Dirty = true
		}
	}
	return state
}

// Author is who wrote the commit, by name; empty if there is none or git won't say.
func Author(ctx context.Context, runner engine.Runner, dir string, env []string, state State) string {
	if state.Commit == "" {
		return ""
	}
	name, err := asker{runner, dir, env}.ask(ctx, "show", "--no-patch", "--no-show-signature", "--format=%aN", state.Commit)
	if err != nil {
		return ""
	}
	return plain.Line(name)
}
