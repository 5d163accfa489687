package quality

import (
	"testing"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/stage/python"
	"github.com/meter-ml/meter-pipeline/internal/stage/stagetest"
)

// fuzz holds what must be true whatever a tool writes: a parser does not panic, and a judgement without an error has
// looked at something. Green is what nothing speaks against, so exit codes other than 0 need a finding or a metric.
func fuzz(f *testing.F, step, report string, parse func(python.Tree, engine.Output) (engine.Judgement, error)) {
	for _, seed := range stagetest.Seeds(f, step) {
		f.Add(seed.ExitCode, string(seed.Stdout), string(seed.Stderr), string(seed.Files["artifacts/"+report+".json"]))
	}
	f.Fuzz(func(t *testing.T, code int, stdout, stderr, content string) {
		out := engine.Output{
			ExitCode: code, Stdout: []byte(stdout), Stderr: []byte(stderr), Root: "{root}",
			Reports: map[string][]byte{report: []byte(content)},
		}
		j, err := parse(python.Tree{Root: "{root}", Files: []string{"src/a.py"}}, out)
		if err != nil {
			return
		}
		if j.Judged <= 0 {
			t.Errorf("judged %d without an error", j.Judged)
		}
		if code != 0 && len(j.Findings) == 0 && len(j.Metrics) == 0 {
			t.Errorf("exit code %d is green", code)
		}
		for _, finding := range j.Findings {
			if finding.Rule == "" || finding.Message == "" || finding.Line < 0 {
				t.Errorf("finding without rule, message or line: %+v", finding)
			}
		}
	})
}

func FuzzBlack(f *testing.F)  { fuzz(f, "black", "none", parseBlack) }
func FuzzIsort(f *testing.F)  { fuzz(f, "isort", "none", parseIsort) }
func FuzzFlake8(f *testing.F) { fuzz(f, "flake8", "none", parseFlake8) }

func FuzzPylint(f *testing.F) {
	fuzz(f, "pylint", pylintReport, func(tree python.Tree, out engine.Output) (engine.Judgement, error) {
		return parsePylint(tree, 7, out)
	})
}
