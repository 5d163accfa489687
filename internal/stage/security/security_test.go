package security_test

import (
	"context"
	"flag"
	"os"
	"testing"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/provision"
	"github.com/meter-ml/meter-pipeline/internal/stage/security"
	"github.com/meter-ml/meter-pipeline/internal/stage/stagetest"
)

var update = flag.Bool("update", false, "run the real tools, and write recordings and golden files")

func today() time.Time { return time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC) }

func suite(step string, cases []stagetest.Case) stagetest.Suite {
	return stagetest.Suite{
		Stage:   func(*testing.T, *config.Project) engine.Stage { return security.New(today()) },
		Step:    step,
		Cases:   cases,
		Update:  *update,
		Provide: provide,
	}
}

// provide builds the scanner from this repository's own module, as a run does.
func provide(t *testing.T, runner engine.Runner, need engine.Need) engine.Provision {
	t.Helper()
	provisioner, err := provision.New(provision.Options{
		Project: config.Default(stagetest.Repository(t)), Runner: runner, Env: os.Environ(),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.WithoutCancel(t.Context())
	t.Cleanup(func() {
		if err := provisioner.Close(ctx); err != nil {
			t.Errorf("close provisioner: %v", err)
		}
	})
	provided, err := provisioner.Provide(t.Context(), need, func(line string) { t.Log(line) })
	if err != nil {
		t.Fatal(err)
	}
	return provided
}

// allow is one entry of the list, on line 7 of pipeline.yaml.
func allow(tool, rule, expires string) func(*config.Project) {
	return func(p *config.Project) {
		p.Security.Allow = []config.Allow{{Tool: tool, Rule: rule, Reason: "known, and harmless here", Expires: expires, Line: 7}}
	}
}
