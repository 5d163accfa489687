package quality_test

import (
	"testing"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/stage/quality"
	"github.com/meter-ml/meter-pipeline/internal/stage/stagetest"
)

func TestFix(t *testing.T) {
	s := suite("source", []stagetest.Case{
		{Name: "changes", Live: true, Files: map[string]string{"src/good.py": good, "src/bad.py": bad, "pyproject.toml": "[tool.isort]\nprofile = 'black'\n"}},
		{Name: "nothing-to-change", Live: true, Files: map[string]string{"src/good.py": good}},
		{Name: "syntax-error", Live: true, Files: map[string]string{"src/bad.py": bad, "src/broken.py": unparsed}},
		{
			Name: "missing-path", Files: map[string]string{"src/bad.py": bad},
			Project: func(p *config.Project) { p.Quality.Paths = []string{"srcc"} },
		},
		{
			Name: "black-fails-half-way", From: "changes", Files: map[string]string{"src/good.py": good, "src/bad.py": bad},
			Tamper: func(r *stagetest.Recording) {
				black := &r.Invocations[len(r.Invocations)-1]
				black.ExitCode, black.Stderr = 123, "error: cannot format src/bad.py: INTERNAL ERROR\n"
			},
		},
	})
	s.Stage = func(*testing.T, *config.Project) engine.Stage { return quality.NewFix() }
	s.Test(t)
}
