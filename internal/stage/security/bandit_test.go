package security_test

import (
	"maps"
	"strings"
	"testing"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/stage/stagetest"
)

const (
	sound  = "\"\"\"Adds.\"\"\"\n\n\ndef add(left, right):\n    \"\"\"Return the sum.\"\"\"\n    return left + right\n"
	unsafe = "\"\"\"Unsafe.\"\"\"\n\nimport pickle\nimport subprocess\n\n\ndef load(path):\n    with open(path, \"rb\") as file:\n        return pickle.load(file)\n\n\ndef run(name):\n    return subprocess.call(\"ls \" + name, shell=True)\n"
)

func banditSuite() stagetest.Suite {
	with := func(files map[string]string) map[string]string {
		all := map[string]string{"src/app/__init__.py": "", "src/app/sound.py": sound}
		maps.Copy(all, files)
		return all
	}
	paths := func(paths ...string) func(*config.Project) {
		return func(p *config.Project) { p.Security.Bandit.Paths = paths }
	}
	torn := func(report string) func(*stagetest.Recording) {
		return func(r *stagetest.Recording) {
			r.Invocations[0].Files["artifacts/bandit-report.json"] = stagetest.Text(report)
		}
	}
	unsafeFiles := with(map[string]string{"src/app/unsafe.py": unsafe})
	return suite("bandit", []stagetest.Case{
		{Name: "clean", Live: true, Files: with(nil)},
		{Name: "findings", Live: true, Files: unsafeFiles},
		{
			Name: "only-high-fails", Files: with(map[string]string{"src/app/a.py": "\"\"\"Low.\"\"\"\n\nimport subprocess\n"}),
			Project: func(p *config.Project) { p.Security.Bandit.Severity = "high" },
		},
		{
			Name: "only-high-confidence", Files: unsafeFiles,
			Project: func(p *config.Project) { p.Security.Bandit.Confidence = "high" },
		},
		{Name: "syntax-error", Live: true, Files: with(map[string]string{"src/app/broken.py": "def broken(:\n    pass\n"})},
		{Name: "empty-folder", Live: true, Files: with(map[string]string{"empty/": ""}), Project: paths("empty")},
		{Name: "missing-path", Live: true, Files: with(nil), Project: paths("srcc")},
		{Name: "one-missing-path", Files: with(nil), Project: paths("src", "srcc")},
		{Name: "no-init", Live: true, Files: map[string]string{"src/deep/deeper/unsafe.py": unsafe}},
		{Name: "tool-is-missing", Live: true, Bare: true, Files: with(nil)},
		{Name: "only-empty-files", Live: true, Files: map[string]string{"src/app/__init__.py": ""}},
		{Name: "byte-order-mark", Files: with(map[string]string{"src/app/unsafe.py": "\ufeff" + unsafe})},
		{Name: "crlf", Files: with(map[string]string{"src/app/unsafe.py": strings.ReplaceAll(unsafe, "\n", "\r\n")})},
		{Name: "latin-1", Files: with(map[string]string{"src/app/latin.py": "\"\"\"Caf\xe9.\"\"\"\n"})},
		{Name: "null-byte", Files: with(map[string]string{"src/app/null.py": "TEXT = \"\x00\"\n"})},
		{Name: "hostile-name", Files: map[string]string{"src/a b\n::error file=x::owned\x1b[31m.py": unsafe}},
		{Name: "silenced", Live: true, Files: with(map[string]string{"src/app/unsafe.py": strings.NewReplacer(
			"import pickle\n", "import pickle  # nosec\n", "shell=True)\n", "shell=True)  # nosec B602, B000\n").Replace(unsafe)})},
		{Name: "password", Files: with(map[string]string{"src/app/a.py": "password = 'hunter2'\n"})},
		{Name: "settings-exclude-all", Live: true, Files: map[string]string{"src/unsafe.py": unsafe, "pyproject.toml": "[tool.bandit]\nexclude_dirs = ['src']\n"}},
		{
			Name: "settings-exclude-part-of-a-name", Live: true,
			Files: map[string]string{"src/sound.py": sound, "src/latests.py": unsafe, "pyproject.toml": "[tool.bandit]\nexclude_dirs = ['tests']\n"},
		},
		{
			Name:  "settings-exclude-a-folder",
			Files: map[string]string{"src/sound.py": sound, "src/tests/test_a.py": unsafe, "pyproject.toml": "[tool.bandit]\nexclude_dirs = [\n  'tests',\n]\n"},
		},
		{Name: "settings-of-the-project", Files: map[string]string{"src/unsafe.py": unsafe, "pyproject.toml": "[tool.bandit]\nskips = ['B403', 'B404']\n"}},
		{Name: "ini-of-the-project", Files: map[string]string{"src/unsafe.py": unsafe, ".bandit": "[bandit]\nskips = B301\n"}},
		{Name: "unreadable-settings", Files: map[string]string{"src/unsafe.py": unsafe, "pyproject.toml": "[tool.bandit]\nskips = 'B403\n"}},
		{Name: "unknown-test", Files: map[string]string{"src/unsafe.py": unsafe, "pyproject.toml": "[tool.bandit]\nskips = ['B999']\n"}},
		{Name: "allowed", Live: true, Files: unsafeFiles, Project: allow("bandit", "B602", "2026-11-24")},
		{Name: "allowed-until-today", Files: unsafeFiles, Project: allow("bandit", "B602", "2026-11-23")},
		{Name: "allowed-in-vain", Files: unsafeFiles, Project: allow("bandit", "B999", "2026-11-24")},
		{Name: "allowed-elsewhere", Files: unsafeFiles, Project: func(p *config.Project) {
			allow("bandit", "B602", "2026-11-24")(p)
			p.Security.Allow[0].Path = "src/app/sound.py"
		}},
		{Name: "truncated-json", From: "findings", Files: unsafeFiles, Tamper: torn(`{"errors": [], "metr`)},
		{Name: "empty-json", From: "findings", Files: unsafeFiles, Tamper: torn("")},
		{Name: "json-without-errors", From: "findings", Files: unsafeFiles, Tamper: torn(`{"metrics": {"_totals": {"loc": 1}, "src/a.py": {"loc": 1}}, "results": []}`)},
		{Name: "no-report", From: "findings", Files: unsafeFiles, Tamper: func(r *stagetest.Recording) {
			r.Invocations[0].Files, r.Invocations[0].ExitCode = nil, 0
		}},
		{Name: "not-installed", From: "findings", Files: unsafeFiles, Tamper: func(r *stagetest.Recording) {
			r.Invocations[0].Files, r.Invocations[0].ExitCode = nil, 1
			r.Invocations[0].Stderr = "{venv}/bin/python: No module named bandit\n"
		}},
	})
}

func TestBandit(t *testing.T) { banditSuite().Test(t) }
