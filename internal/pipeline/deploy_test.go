package pipeline

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/rollout"
)

// Wrong usage is told at once, with what would be right, and without asking anybody.
func TestDeployUsage(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "pipeline.yaml"), []byte("environments:\n  staging: {}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name   string
		action Action
		want   string
	}{
		{"deploy to nowhere", Deploy(DeployRequest{Environment: "stagign"}), `there is no environment "stagign" in pipeline.yaml: did you mean "staging"?`},
		{"status of none", DeployStatus("", false), "no environment was named: write -env= with one of staging"},
		{"rollback of none", DeployRollback(DeployRequest{}), "no environment was named"},
		{"abort nowhere", DeployAsk("x", rollout.Abort, ""), `there is no environment "x"`},
		{"history of none", DeployHistory(HistoryRequest{}), "no environment was named"},
		{"watch of none", DeployWatch(""), "no environment was named"},
		{"down of none", DeployDown("", true), "no environment was named"},
		{"pipeline to an environment", Whole(WholeRequest{Environment: "staging"}), "to deploy to staging, `mage deploy:staging`"},
		{"rehearsal without its environments", Whole(WholeRequest{Environment: "local"}), `there is no environment "rehearsal-staging"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			// There is no program on this path, so nobody can be asked.
			err := Open(t.Context(), Host{Dir: dir, Env: []string{"PATH=" + t.TempDir(), "HOME=" + dir}, Out: os.Stdout, Err: os.Stderr, Now: time.Now}, tc.action)
			exit, ok := errors.AsType[*Exit](err)
			if !ok || exit.Code != engine.ExitUsage || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error is %v, want exit code 2 and %q", err, tc.want)
			}
		})
	}
}
