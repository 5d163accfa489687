package engine_test

import (
	"testing"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/tool/tooltest"
)

// again is a step whose program is started once more when it ends with 1; what its first start left is not read twice.
func again() engine.Step {
	return linter(func(s *engine.Step) {
		c := s.Command
		first := *c
		c.Again = func(out engine.Output) *engine.Command {
			if out.ExitCode != 1 {
				return nil
			}
			second := first
			second.Args = []string{"--out=" + engine.ArtifactsDir + "/sub/again.json", "--again"}
			second.Reports = map[string]string{"again": "sub/again.json"}
			return &second
		}
		c.Parse = func(out engine.Output) (engine.Judgement, error) {
			if out.Again == nil {
				return judged, nil
			}
			if _, err := out.Again.Report("again"); err != nil {
				return engine.Judgement{}, err
			}
			return engine.Judgement{Judged: 2, Unit: "files"}, nil
		}
	})
}

func TestAgain(t *testing.T) {
	first := func(code int) tooltest.Stub {
		return tooltest.Stub{Program: "lint", Args: []string{"--cache"}, Files: report("ok"), Output: engine.Output{ExitCode: code}}
	}
	second := tooltest.Stub{Program: "lint", Args: []string{"--again"}, Files: map[string]string{"sub/again.json": "ok"}}
	t.Run("asked for", func(t *testing.T) {
		x := newTrial(t, with(first(1), second))
		x.execute(t.Context(), one(again())).want(0, "s:lint passed")
		if n := x.result("lint").Judgement.Judged; n != 2 {
			t.Errorf("judged %d", n)
		}
	})
	t.Run("not asked for", func(t *testing.T) {
		newTrial(t, with(first(0))).execute(t.Context(), one(again())).want(0, "s:lint passed")
	})
	t.Run("leaves no report", func(t *testing.T) {
		silent := second
		silent.Files = nil
		newTrial(t, with(first(1), silent)).execute(t.Context(), one(again())).want(3,
			"s:lint error (read again report: the program did not write it (exit code 0))")
	})
}

func TestReviewWarnsAndJudgesNothing(t *testing.T) {
	for name, review := range map[string]func(*engine.Run) []string{
		"stage unit is slow":              func(*engine.Run) []string { return []string{"stage unit\x1b[31m is slow"} },
		"look back at the run: panic: oh": func(*engine.Run) []string { panic("oh") },
	} {
		x := newTrial(t, with(tooltest.Stub{Program: "lint", Files: report("ok")}), func(o *engine.Options) { o.Review = review })
		x.execute(t.Context(), one(linter())).want(0, "s:lint passed")
		if got := x.run.Warnings; len(got) != 1 || got[0] != name {
			t.Errorf("warnings %q, want %q", got, name)
		}
	}
}
