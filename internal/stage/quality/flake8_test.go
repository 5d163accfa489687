package quality_test

import (
	"testing"

	"github.com/meter-ml/meter-pipeline/internal/stage/stagetest"
)

func flake8Suite() stagetest.Suite {
	return suite("flake8", append(append(common(), broken("flake8")...), []stagetest.Case{
		{
			Name: "settings-exclude-all", Live: true,
			Files: map[string]string{"src/bad.py": bad, ".flake8": "[flake8]\nexclude = src\n"},
		},
		{
			Name:  "settings-exclude-one",
			Files: map[string]string{"src/good.py": good, "src/bad.py": bad, ".flake8": "[flake8]\nextend-exclude = bad.py\n"},
		},
		{
			Name: "settings-hide-the-result", Live: true,
			Files: map[string]string{
				"src/bad.py": bad,
				".flake8":    "[flake8]\nexit-zero = true\nshow-source = true\nstatistics = true\ncount = true\nformat = pylint\n",
			},
		},
		{
			Name:  "settings-keep-quiet",
			Files: map[string]string{"src/bad.py": bad, ".flake8": "[flake8]\nexit-zero = true\nquiet = 2\n"},
		},
		{
			Name:  "settings-write-elsewhere",
			Files: map[string]string{"src/bad.py": bad, ".flake8": "[flake8]\nexit-zero = true\noutput-file = elsewhere.txt\n"},
		},
		{
			Name: "unreadable-settings", Live: true,
			Files: map[string]string{"src/good.py": good, ".flake8": "[flake8\nmax-line-length = 100\n"},
		},
		{
			Name:  "unknown-plug-in",
			Files: map[string]string{"src/good.py": good, ".flake8": "[flake8]\nrequire-plugins = flake8-nonesuch\n"},
		},
		{
			Name:  "wrong-setting",
			Files: map[string]string{"src/good.py": good, ".flake8": "[flake8]\nmax-line-length = long\n"},
		},
	}...))
}

func TestFlake8(t *testing.T) { flake8Suite().Test(t) }
