package quality_test

import (
	"strings"
	"testing"

	"github.com/meter-ml/meter-pipeline/internal/stage/stagetest"
)

func pylintSuite() stagetest.Suite {
	return suite("pylint", append(append(common(), broken("pylint")...), []stagetest.Case{
		{
			Name: "settings-exclude-all", Live: true,
			Files: map[string]string{"src/bad.py": bad, "pyproject.toml": "[tool.pylint.main]\nignore-paths = ['src']\n"},
		},
		{
			Name: "skip-file-comment", Live: true,
			Files: map[string]string{"src/good.py": good, "src/bad.py": "# pylint: skip-file\n" + bad},
		},
		{
			Name:  "only-skipped-files",
			Files: map[string]string{"src/bad.py": "# pylint: skip-file\n" + bad},
		},
		{
			Name: "settings-hide-the-result", Live: true,
			Files: map[string]string{
				"src/bad.py":     bad,
				"pyproject.toml": "[tool.pylint.main]\nexit-zero = true\nscore = false\noutput-format = 'colorized'\nrecursive = false\npersistent = true\n",
			},
		},
		{
			Name: "settings-of-the-project",
			Files: map[string]string{
				"src/bad.py":     bad,
				"pyproject.toml": "[tool.pylint.main]\ndisable = ['all']\nenable = ['unused-variable']\n",
			},
		},
		{
			Name: "settings-of-a-person", Live: true, Env: []string{"PYLINTRC={root}/home/pylintrc"},
			Files: map[string]string{"src/bad.py": bad, "home/pylintrc": "[MAIN]\ndisable=all\nenable=unused-variable\n"},
		},
		{
			Name:  "evaluation-that-fails",
			Files: map[string]string{"src/bad.py": bad, "pyproject.toml": "[tool.pylint.main]\nevaluation = '1 / 0'\n"},
		},
		{
			Name: "unreadable-settings", Live: true,
			Files: map[string]string{"src/good.py": good, "pyproject.toml": "[tool.pylint.main\n"},
		},
		{
			Name:  "unknown-setting",
			Files: map[string]string{"src/good.py": good, "pyproject.toml": "[tool.pylint.main]\njobz = 3\n"},
		},
		{
			Name:  "unknown-plug-in",
			Files: map[string]string{"src/good.py": good, "pyproject.toml": "[tool.pylint.main]\nload-plugins = ['nonesuch']\n"},
		},
		{
			Name:  "two-modules-of-one-name",
			Files: map[string]string{"src/a/same.py": good, "src/b/same.py": bad},
		},
		{
			// The recursion limit of Python itself: pylint says astroid-error, a fatal one.
			Name:  "too-deep-to-judge",
			Files: map[string]string{"src/good.py": good, "src/deep.py": "\"\"\"Deep.\"\"\"\n\nX = " + strings.Repeat("1 + ", 5000) + "1\n"},
		},
		{
			Name: "truncated-json", From: "findings", Files: map[string]string{"src/app/good.py": good},
			Tamper: func(r *stagetest.Recording) {
				r.Invocations[0].Files["artifacts/pylint.json"] = r.Invocations[0].Files["artifacts/pylint.json"][:200]
			},
		},
		{
			Name: "json-without-statistics", From: "findings", Files: map[string]string{"src/app/good.py": good},
			Tamper: func(r *stagetest.Recording) {
				r.Invocations[0].Files["artifacts/pylint.json"] = `{"messages": []}`
			},
		},
		{
			Name: "fatal-bit-only", From: "clean", Files: map[string]string{"src/app/good.py": good},
			Tamper: func(r *stagetest.Recording) { r.Invocations[0].ExitCode |= 1 },
		},
		{
			Name: "usage-bit", From: "clean", Files: map[string]string{"src/app/good.py": good},
			Tamper: func(r *stagetest.Recording) { r.Invocations[0].ExitCode |= 32 },
		},
	}...))
}

func TestPylint(t *testing.T) { pylintSuite().Test(t) }
