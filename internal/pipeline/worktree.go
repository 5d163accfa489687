package pipeline

import (
	"bytes"
	"context"
	"strings"

	"github.com/meter-ml/meter-pipeline/internal/engine"
)

// workTree is what git says of the project: all empty outside of a work tree.
type workTree struct {
	commit string
	branch string
	dirty  bool
}

// workTree asks git once. Without git, or outside of a work tree, a run is judged all the same and names no commit.
func (s *Session) workTree(ctx context.Context) workTree {
	out, err := s.Runner.Run(ctx, engine.Invocation{
		Program: "git", Dir: s.Host.Dir, Env: s.Host.Env,
		// Its own file-watching daemon would be taken for something that git left running.
		Args: []string{"--no-optional-locks", "-c", "core.fsmonitor=false", "status", "--porcelain=v2", "--branch", "--no-ahead-behind"},
	})
	if err != nil || out.ExitCode != 0 {
		return workTree{}
	}
	return parseStatus(out.Stdout)
}

// parseStatus reads `git status --porcelain=v2 --branch`.
func parseStatus(text []byte) workTree {
	var tree workTree
	for line := range bytes.Lines(text) {
		fields := strings.Fields(string(line))
		switch {
		case len(fields) == 3 && fields[0] == "#" && fields[1] == "branch.oid" && fields[2] != "(initial)":
			tree.commit = fields[2]
		case len(fields) == 3 && fields[0] == "#" && fields[1] == "branch.head" && fields[2] != "(detached)":
			tree.branch = fields[2]
		case len(fields) > 0 && fields[0] != "#":
			tree.dirty = true
		}
	}
	return tree
}
