package worktree

import (
	"context"
	"strings"

	"github.com/meter-ml/meter-pipeline/internal/engine"
)

// epochVariable is what programs take for the time, so that they make the same of the same twice.
const epochVariable = "SOURCE_DATE_EPOCH"

// WithEpoch adds the time of the commit to an environment, as https://reproducible-builds.org/specs/source-date-epoch/
// has it. What somebody has set already stays, and without a commit there is no time.
func WithEpoch(ctx context.Context, runner engine.Runner, dir string, env []string, state State) []string {
	for _, entry := range env {
		if strings.HasPrefix(entry, epochVariable+"=") {
			return env
		}
	}
	if state.Commit == "" {
		return env
	}
	seconds, err := asker{runner, dir, env}.ask(ctx, "show", "--no-patch", "--no-show-signature", "--format=%ct", state.Commit)
	if err != nil {
		return env
	}
	return append(env[:len(env):len(env)], epochVariable+"="+seconds)
}
