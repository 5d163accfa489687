package pipeline

import (
	"slices"
	"testing"

	"github.com/meter-ml/meter-pipeline/internal/config"
)

// The name of an account is in many paths, which tools print and we use.
func TestAccountsAreNotMasked(t *testing.T) {
	project := config.Default(t.TempDir())
	project.Environments = map[string]config.Environment{"staging": {Secrets: []string{"REGISTRY_USERNAME", "REGISTRY_PASSWORD", "OTHER"}}}
	h := Host{Env: []string{"REGISTRY_USERNAME=runner", "SMTP_USERNAME=pipeline", "REGISTRY_PASSWORD=canary", "OTHER=one", "PATH=/bin"}}
	if got := h.Secrets(project); !slices.Equal(got, []string{"canary", "one"}) {
		t.Errorf("what is masked: %q", got)
	}
}
