package worktree

import (
	"context"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/plain"
)

// Subject is the first line of what the commit's author wrote about it; empty if there is none or git won't say.
func Subject(ctx context.Context, runner engine.Runner, dir string, env []string, commit string) string {
	if !objectName.MatchString(commit) {
		return ""
	}
	subject, err := asker{runner, dir, env}.ask(ctx, "show", "--no-patch", "--no-show-signature", "--format=%s", commit)
	if err != nil {
		return ""
	}
	return plain.Line(subject)
}
