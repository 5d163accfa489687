package quality_test

import (
	"testing"

	"github.com/meter-ml/meter-pipeline/internal/stage/stagetest"
)

func isortSuite() stagetest.Suite {
	return suite("isort", append(append(common(), broken("isort")...), []stagetest.Case{
		{
			Name: "settings-exclude-all", Live: true,
			Files: map[string]string{"src/bad.py": bad, "pyproject.toml": "[tool.isort]\nskip = ['src']\n"},
		},
		{
			Name:  "skip-file-comment",
			Files: map[string]string{"src/good.py": good, "src/bad.py": "# isort: skip_file\n" + bad},
		},
		{
			Name: "settings-of-the-project",
			Files: map[string]string{
				"src/a.py":       "import sys\nimport os\n\nprint(os, sys)\n",
				"pyproject.toml": "[tool.isort]\nprofile = 'black'\nquiet = true\n",
			},
		},
		{
			Name:  "unknown-setting",
			Files: map[string]string{"src/good.py": good, "pyproject.toml": "[tool.isort]\nline_lenght = 3\n"},
		},
		{
			Name:  "unreadable-settings",
			Files: map[string]string{"src/good.py": good, "pyproject.toml": "[tool.isort\n"},
		},
	}...))
}

func TestIsort(t *testing.T) { isortSuite().Test(t) }
