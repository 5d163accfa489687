package integration

import (
	"testing"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/stage/python"
	"github.com/meter-ml/meter-pipeline/internal/stage/stagetest"
)

func FuzzHop(f *testing.F) {
	h := hop{Hop: config.Hop{Name: "serve"}, project: &config.Project{}, tests: python.Tree{Root: "{root}", Files: []string{"hops/test_serve.py"}}}
	for _, seed := range stagetest.Seeds(f, "serve") {
		f.Add(seed.ExitCode, string(seed.Stdout), string(seed.Stderr), string(seed.Files["artifacts/"+h.report()]))
	}
	f.Fuzz(func(t *testing.T, code int, stdout, stderr, junit string) {
		j, err := h.parse(engine.Output{
			ExitCode: code, Stdout: []byte(stdout), Stderr: []byte(stderr), Root: "{root}", Reports: map[string][]byte{h.report(): []byte(junit)},
		})
		if err != nil {
			return
		}
		if j.Judged <= 0 {
			t.Errorf("judged %d without an error", j.Judged)
		}
		if (code == python.PytestPassed) == (len(j.Findings) > 0) || code != python.PytestPassed && code != python.PytestFailed {
			t.Errorf("exit code %d with %d findings", code, len(j.Findings))
		}
	})
}
