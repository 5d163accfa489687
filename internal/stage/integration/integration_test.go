package integration_test

import (
	"flag"
	"maps"
	"regexp"
	"testing"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/stage/integration"
	"github.com/meter-ml/meter-pipeline/internal/stage/stagetest"
)

var update = flag.Bool("update", false, "run the real tools, and write recordings and golden files")

// harness reports what the stage reads, as a project's own would.
const harness = `
import pytest

class Down(Exception):
    pass

class Mismatch(AssertionError):
    def __init__(self, what, **parts):
        super().__init__(what)
        self.parts = parts

@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    if call.excinfo is not None:
        error = call.excinfo.value
        if isinstance(error, Down):
            item.user_properties.append(("part_down", str(error)))
        if isinstance(error, Mismatch):
            item.user_properties.extend(error.parts.items())
    return (yield)
`

func hop(tests string) map[string]string {
	return map[string]string{
		"pyproject.toml": "[tool.pytest.ini_options]\n", "hops/conftest.py": harness, "src/app.py": "",
		"hops/test_serve.py": "import os\nfrom pathlib import Path\nimport pytest\nfrom conftest import Down, Mismatch\n\n\n" + tests,
	}
}

func and(files map[string]string, name, content string) map[string]string {
	more := maps.Clone(files)
	more[name] = content
	return more
}

const passes = "def test_hop(record_property):\n    assert os.environ['METER_HOP_DIR'].endswith('/artifacts/integration')\n    assert os.environ['METER_CHAMPION_DIR'] == ''\n    assert os.environ['SETS'] == 'a b'\n    record_property('note', '3 predictions')\n"

func cases() []stagetest.Case {
	return []stagetest.Case{
		{Name: "passes", Live: true, Files: hop(passes)},
		{Name: "mismatch", Live: true, Files: hop(passes + "\n\ndef test_skew():\n    raise Mismatch('POST /predict differs', sent='{\"hour\": 5}', came='200 {\"kwh\": 2.5}', expected='2.0 within 1e-9')\n")},
		{Name: "mismatch-without-what-was-sent", Files: hop("def test_rows():\n    raise Mismatch('rows in the table', came='9', expected='10')\n")},
		{Name: "plain-assertion", Files: hop("def test_rows():\n    assert 9 == 10, 'rows'\n")},
		{Name: "part-down-in-a-test", Live: true, Files: hop(passes + "\n\ndef test_down():\n    raise Down('uvicorn did not come up; the end of its log: [Errno 98] in use')\n\n\ndef test_skew():\n    raise Mismatch('x', came='9', expected='10')\n")},
		{Name: "part-down-in-a-fixture", Files: hop("@pytest.fixture(scope='module')\ndef database():\n    raise Down('PostgreSQL does not answer: connection refused')\n\n\ndef test_one(database):\n    pass\n\n\ndef test_two(database):\n    pass\n")},
		{Name: "part-down-with-hostile-log", Files: hop("def test_down():\n    raise Down('log: \\x1b[31m::error::\\nx\\r' + 'y' * 9000)\n")},
		{Name: "broken-fixture", Files: hop("@pytest.fixture\ndef broken():\n    raise OSError('no')\n\n\ndef test_one(broken):\n    pass\n")},
		{Name: "import-error", Files: hop("import nonesuch\n")},
		{Name: "no-test", Files: hop("X = 1\n")},
		{Name: "only-skipped", Files: hop("@pytest.mark.skip(reason='moon')\ndef test_s():\n    pass\n")},
		{Name: "one-skipped", Files: hop(passes + "\n\n@pytest.mark.skip(reason='moon')\ndef test_s():\n    pass\n")},
		{Name: "left-by-a-test", Files: hop("def test_a():\n    os._exit(0)\n")},
		{Name: "missing-path", Files: hop(passes), Project: func(p *config.Project) { p.Integration.Hops[0].Tests = []string{"nowhere"} }},
		{Name: "settings-leave-one-out", Files: and(hop(passes+"\n\ndef test_b():\n    pass\n"), "pyproject.toml", "[tool.pytest.ini_options]\naddopts = ['-k', 'not test_b']\n")},
		{Name: "shell-chooses-other-tests", Live: true, Files: hop(passes + "\n\ndef test_b():\n    assert False, 'b'\n"), Env: []string{"PYTEST_ADDOPTS=-k test_hop"}},
		{Name: "variable-is-missing", Files: hop(passes), Project: func(p *config.Project) { p.Integration.Hops[0].Requires = []string{"REAL_DATA"} }},
		{
			Name: "torn-report", From: "passes", Files: hop(passes),
			Tamper: func(r *stagetest.Recording) {
				file := "artifacts/junit-integration-serve.xml"
				r.Invocations[0].Files[file] = r.Invocations[0].Files[file][:80]
			},
		},
		{
			Name: "report-without-the-failure", From: "mismatch", Files: hop(passes),
			Tamper: func(r *stagetest.Recording) { r.Invocations[0].ExitCode = 0 },
		},
	}
}

var host = regexp.MustCompile(`hostname="[^"]*"`)

func TestHop(t *testing.T) {
	all := cases()
	for i, c := range all {
		all[i].Project = func(p *config.Project) {
			p.Integration = config.Integration{
				Hops: []config.Hop{{Name: "serve", Judges: "predictions", Tests: []string{"hops"}}}, Env: map[string]string{"SETS": "a b"},
			}
			if c.Project != nil {
				c.Project(p)
			}
		}
	}
	stagetest.Suite{
		Stage: func(*testing.T, *config.Project) engine.Stage {
			return integration.New(integration.Options{Get: func(string) string { return "" }})
		},
		Step: "serve", Cases: all, Update: *update,
		Scrub: func(s string) string { return host.ReplaceAllString(s, `hostname="-"`) },
	}.Test(t)
}
