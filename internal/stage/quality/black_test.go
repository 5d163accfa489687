package quality_test

import (
	"testing"

	"github.com/meter-ml/meter-pipeline/internal/stage/stagetest"
)

func blackSuite() stagetest.Suite {
	return suite("black", append(append(common(), broken("black")...), []stagetest.Case{
		{
			Name: "settings-exclude-all", Live: true,
			Files: map[string]string{"src/bad.py": bad, "pyproject.toml": "[tool.black]\nexclude = 'src'\n"},
		},
		{
			Name:  "settings-exclude-one",
			Files: map[string]string{"src/good.py": good, "src/bad.py": bad, "pyproject.toml": "[tool.black]\nextend-exclude = 'bad'\n"},
		},
		{
			Name:  "settings-of-the-project",
			Files: map[string]string{"src/a.py": "X = 'single'\n", "pyproject.toml": "[tool.black]\nskip-string-normalization = true\nquiet = true\ncolor = true\n"},
		},
		{
			Name:  "other-version-required",
			Files: map[string]string{"src/good.py": good, "pyproject.toml": "[tool.black]\nrequired-version = '1'\n"},
		},
		{
			Name:  "unknown-setting",
			Files: map[string]string{"src/good.py": good, "pyproject.toml": "[tool.black]\nline-lenght = 3\n"},
		},
		{
			Name: "settings-of-a-person", Live: true, Env: []string{"XDG_CONFIG_HOME={root}/home"},
			Files: map[string]string{"src/bad.py": bad, "home/black": "[tool.black]\nextend-exclude = 'bad'\n"},
		},
		{
			Name:  "path-is-a-link",
			Files: map[string]string{"lib/good.py": good, "lib/bad.py": bad},
			Links: map[string]string{"src": "lib"},
		},
	}...))
}

func TestBlack(t *testing.T) { blackSuite().Test(t) }
