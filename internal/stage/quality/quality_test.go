package quality_test

import (
	"flag"
	"maps"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/stage/quality"
	"github.com/meter-ml/meter-pipeline/internal/stage/stagetest"
)

var update = flag.Bool("update", false, "run the real tools, and write recordings and golden files")

const (
	good     = "\"\"\"Adds.\"\"\"\n\nimport os\nimport sys\n\n\ndef add(left: int, right: int) -> int:\n    \"\"\"Return the sum.\"\"\"\n    return left + right + len(os.sep) + len(sys.argv)\n"
	bad      = "import sys\nimport os\ndef add( left,right ):\n  unused = 1\n  return left+right\n\n\n\n\nprint( add(1,2),os )\n"
	unparsed = "\"\"\"Does not parse.\"\"\"\n\n\ndef broken(:\n    pass\n"
	hostile  = "src/a b\n::error file=x::owned\x1b[31m.py"
)

func suite(step string, cases []stagetest.Case) stagetest.Suite {
	return stagetest.Suite{
		Stage: func(*testing.T, *config.Project) engine.Stage { return quality.New() },
		Step:  step, Cases: cases, Update: *update,
		Scrub: func(s string) string { return clock.ReplaceAllString(s, "MainProcess 1 ") },
	}
}

// clock is the time since the start in flake8's log.
var clock = regexp.MustCompile(`MainProcess +\d+ +`)

// common are the projects that every tool is shown. What is wrong with them is in their names.
func common() []stagetest.Case {
	paths := func(paths ...string) func(*config.Project) {
		return func(p *config.Project) { p.Quality.Paths, p.Quality.Pylint.Paths = paths, paths }
	}
	with := func(files map[string]string) map[string]string {
		all := map[string]string{"src/app/__init__.py": "\"\"\"The application.\"\"\"\n", "src/app/good.py": good}
		maps.Copy(all, files)
		return all
	}
	return []stagetest.Case{
		{Name: "clean", Live: true, Files: with(nil)},
		{Name: "findings", Live: true, Files: with(map[string]string{"src/app/bad.py": bad})},
		{Name: "syntax-error", Live: true, Files: with(map[string]string{"src/app/broken.py": unparsed})},
		{Name: "empty-folder", Live: true, Files: with(map[string]string{"empty/": ""}), Project: paths("empty")},
		{Name: "one-empty-folder", Files: with(map[string]string{"empty/": ""}), Project: paths("src", "empty")},
		{Name: "missing-path", Live: true, Files: with(nil), Project: paths("srcc")},
		{Name: "one-missing-path", Files: with(nil), Project: paths("src", "srcc")},
		{Name: "no-init", Live: true, Files: map[string]string{"src/deep/deeper/module.py": bad}},
		{Name: "byte-order-mark", Files: with(map[string]string{"src/app/bad.py": "\ufeff" + bad})},
		{Name: "crlf", Files: with(map[string]string{"src/app/bad.py": strings.ReplaceAll(bad, "\n", "\r\n")})},
		{Name: "latin-1", Live: true, Files: with(map[string]string{"src/app/latin.py": "\"\"\"Caf\xe9.\"\"\"\n\nimport sys\nimport os\n\nprint(os, sys)\n"})},
		{Name: "null-byte", Files: with(map[string]string{"src/app/null.py": "\"\"\"Null.\"\"\"\n\nTEXT = \"\x00\"\n"})},
		{Name: "hostile-name", Files: map[string]string{"src/good.py": good, hostile: bad}},
		{Name: "tool-is-missing", Live: true, Bare: true, Files: with(nil)},
		{Name: "tool-hangs", OnlyLive: true, Files: with(nil), Project: func(p *config.Project) {
			p.Run.Budgets = map[string]config.Duration{"quality": config.Duration(time.Millisecond)}
		}},
		{Name: "only-empty-files", Files: map[string]string{"src/app/__init__.py": ""}},
	}
}

// broken are ways in which a tool itself fails, made of what it wrote of the project with findings.
func broken(tool string) []stagetest.Case {
	tampered := func(name string, tamper func(*stagetest.Invocation)) stagetest.Case {
		return stagetest.Case{
			Name: name, From: "findings", Files: map[string]string{"src/app/good.py": good},
			Tamper: func(r *stagetest.Recording) { tamper(&r.Invocations[0]) },
		}
	}
	return []stagetest.Case{
		tampered("not-installed", func(i *stagetest.Invocation) {
			i.ExitCode, i.Stdout, i.Files = 1, "", nil
			i.Stderr = stagetest.Text("{venv}/bin/python: No module named " + tool + "\n")
		}),
		tampered("crashed", func(i *stagetest.Invocation) {
			i.ExitCode, i.Stdout, i.Files = 1, "", nil
			i.Stderr = "Traceback (most recent call last):\n  File \"<frozen runpy>\", line 198\nMemoryError: no room\n"
		}),
		tampered("silent", func(i *stagetest.Invocation) { i.ExitCode, i.Stdout, i.Stderr, i.Files = 0, "", "", nil }),
		tampered("killed", func(i *stagetest.Invocation) { i.Failure = tool + " was ended by signal 9" }),
		tampered("torn", func(i *stagetest.Invocation) {
			i.Stdout, i.Stderr = i.Stdout[:len(i.Stdout)/2], i.Stderr[:len(i.Stderr)/2]
			for name, content := range i.Files {
				i.Files[name] = content[:len(content)/2]
			}
		}),
		tampered("empty-report", func(i *stagetest.Invocation) {
			i.Stdout, i.Stderr = "", ""
			for name := range i.Files {
				i.Files[name] = ""
			}
		}),
		tampered("other-exit-code", func(i *stagetest.Invocation) { i.ExitCode = 42 }),
		tampered("exit-code-of-success", func(i *stagetest.Invocation) { i.ExitCode = 0 }),
	}
}
