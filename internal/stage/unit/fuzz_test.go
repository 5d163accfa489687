package unit

import (
	"testing"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/stage/python"
	"github.com/meter-ml/meter-pipeline/internal/stage/stagetest"
)

func FuzzPytest(f *testing.F) {
	for _, seed := range stagetest.Seeds(f, "pytest") {
		f.Add(seed.ExitCode, string(seed.Stdout), string(seed.Stderr), string(seed.Files["artifacts/"+junitReport]), string(seed.Files["artifacts/"+jsonReport]))
	}
	s := suite{
		project: &config.Project{Unit: config.Unit{Slowest: 3, LeastCover: 3, Coverage: config.Coverage{Minimum: 80}}},
		source:  python.Tree{Root: "{root}", Paths: []string{"src"}, Files: []string{"src/app/calc.py", "src/loose/tool.py"}},
	}
	f.Fuzz(func(t *testing.T, code int, stdout, stderr, junit, coverage string) {
		j, err := s.parse(engine.Output{ExitCode: code, Stdout: []byte(stdout), Stderr: []byte(stderr), Root: "{root}", Reports: map[string][]byte{
			junitReport: []byte(junit), jsonReport: []byte(coverage), xmlReport: []byte("x"), htmlReport: []byte("x"),
		}})
		if err != nil {
			return
		}
		if j.Judged <= 0 {
			t.Errorf("judged %d without an error", j.Judged)
		}
		if code != python.PytestPassed && len(j.Findings) == 0 || code != python.PytestPassed && code != python.PytestFailed {
			t.Errorf("exit code %d is green", code)
		}
		for _, m := range j.Metrics {
			if m.Value < 0 || m.Unit == "%" && m.Value > 100 {
				t.Errorf("metric %s is %v", m.Name, m.Value)
			}
		}
	})
}

func TestRanges(t *testing.T) {
	for want, lines := range map[string][]int{"only branches": nil, "3": {3}, "3-5, 9": {3, 4, 5, 9}} {
		if got := ranges(lines); got != want {
			t.Errorf("ranges(%v) = %q, want %q", lines, got, want)
		}
	}
}

func TestProgress(t *testing.T) {
	for line, want := range map[string]int{"....  [ 45%]": 45, ".. [100%]": 100, "[abc]": -1, "45%": -1, "x [900%]": 100} {
		done, total, ok := progress(line)
		if ok != (want >= 0) || ok && (done != want || total != 100) {
			t.Errorf("progress(%q) = %d, %d, %t", line, done, total, ok)
		}
	}
}
