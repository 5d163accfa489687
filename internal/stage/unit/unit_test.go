package unit_test

import (
	"flag"
	"maps"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/stage/stagetest"
	"github.com/meter-ml/meter-pipeline/internal/stage/unit"
)

var update = flag.Bool("update", false, "run the real tools, and write recordings and golden files")

const (
	settings = "[tool.pytest.ini_options]\npythonpath = ['src']\n"
	calc     = "\"\"\"Counts.\"\"\"\n\n\ndef double(x):\n    \"\"\"Double.\"\"\"\n    if x is None:\n        return 0\n    return 2 * x\n"
	good     = "from app.calc import double\n\n\ndef test_double():\n    assert double(2) == 4\n\n\ndef test_none():\n    assert double(None) == 0\n"
	half     = "from app.calc import double\n\n\ndef test_double():\n    assert double(2) == 4\n"
	wrong    = good + "\n\nclass TestWrong:\n    def test_sum(self):\n        assert double(2) == 5, \"::error::twice\\nas much\"\n"
)

// project is the code and its settings, with more files, of which those with no content are left out.
func project(more map[string]string) map[string]string {
	files := map[string]string{
		"pyproject.toml": settings, "src/app/__init__.py": "", "src/app/calc.py": calc, "tests/unit/test_calc.py": good,
	}
	maps.Copy(files, more)
	maps.DeleteFunc(files, func(_, content string) bool { return content == "-" })
	return files
}

func file(name, content string) map[string]string { return project(map[string]string{name: content}) }

// addopts has the project's own settings add options.
func addopts(options string) map[string]string {
	return file("pyproject.toml", settings+"addopts = ["+options+"]\n")
}

func cases() []stagetest.Case {
	workers := func(n int) func(*config.Project) { return func(p *config.Project) { p.Unit.Workers = n } }
	return []stagetest.Case{
		{Name: "passes", Live: true, Files: project(nil)},
		{Name: "passes-with-two-workers", Live: true, Files: project(nil), Project: workers(2)},
		{Name: "assertion", Live: true, Files: file("tests/unit/test_calc.py", wrong)},
		{Name: "raised-in-the-source", Files: file("tests/unit/test_more.py", "from app.calc import double\n\n\ndef test_list():\n    double({})\n")},
		{Name: "broken-fixture", Files: file("tests/unit/test_more.py", "import pytest\n\n\n@pytest.fixture\ndef broken():\n    raise OSError('no database')\n\n\ndef test_b(broken):\n    pass\n")},
		{Name: "below-the-floor", Live: true, Files: file("src/app/more.py", strings.Repeat("print('x')\n", 40))},
		{Name: "branches-count", Files: file("tests/unit/test_calc.py", half), Project: func(p *config.Project) { p.Unit.Coverage.Minimum = 85 }},
		{Name: "no-test", Live: true, Files: file("tests/unit/test_calc.py", "X = 1\n")},
		{Name: "empty-folder", Live: true, Files: project(map[string]string{"tests/unit/": "", "tests/unit/test_calc.py": "-"})},
		{Name: "missing-path", Files: project(nil), Project: func(p *config.Project) { p.Tests.Unit = []string{"tests/unitt"} }},
		{Name: "missing-source", Files: project(nil), Project: func(p *config.Project) { p.Unit.Coverage.Source = []string{"srcc"} }},
		{Name: "only-skipped", Live: true, Files: file("tests/unit/test_calc.py", "import pytest\nfrom app.calc import double\n\n\n@pytest.mark.skip(reason='moon')\ndef test_s():\n    double(1)\n")},
		{Name: "skipped-and-expected", Files: file("tests/unit/test_more.py", "import pytest\n\n\n@pytest.mark.skip(reason='moon')\ndef test_s():\n    pass\n\n\n@pytest.mark.xfail(reason='known')\ndef test_x():\n    assert False\n\n\n@pytest.mark.xfail(strict=True)\ndef test_y():\n    pass\n")},
		{Name: "settings-leave-one-out", Live: true, Files: addopts("'-k', 'not test_none'")},
		{Name: "settings-leave-all-out", Live: true, Files: addopts("'-k', 'nonesuch'")},
		{Name: "settings-only-collect", Live: true, Files: addopts("'--collect-only'")},
		{Name: "settings-that-are-none", Files: addopts("'--nonesuch'")},
		{Name: "settings-unreadable", Files: file("pyproject.toml", "[tool.pytest.ini_options\n")},
		{Name: "import-error", Live: true, Files: file("tests/unit/test_more.py", "import nonesuch\n")},
		{Name: "import-error-passed-over", Live: true, Files: project(map[string]string{
			"pyproject.toml": settings + "addopts = ['--continue-on-collection-errors']\n", "tests/unit/test_more.py": "import nonesuch\n",
		})},
		{Name: "import-error-with-two-workers", Files: file("tests/unit/test_more.py", "import nonesuch\n"), Project: workers(2)},
		{Name: "syntax-error", Live: true, Files: file("tests/unit/test_more.py", "def test_x(:\n    pass\n")},
		{Name: "syntax-error-in-the-source", Files: file("src/app/calc.py", "def double(:\n    pass\n")},
		{Name: "syntax-error-in-untested-source", Live: true, Files: file("src/app/other.py", "def double(:\n    pass\n")},
		{Name: "broken-conftest", Files: file("tests/unit/conftest.py", "raise RuntimeError('no')\n")},
		{Name: "broken-plug-in", Files: file("tests/unit/conftest.py", "def pytest_collection_modifyitems():\n    raise RuntimeError('no')\n")},
		{Name: "ended-by-a-test", Live: true, Files: file("tests/unit/test_a.py", "import pytest\n\n\ndef test_a():\n    pytest.exit('enough', returncode=0)\n")},
		{Name: "left-by-a-test", Live: true, Files: file("tests/unit/test_a.py", "import os\n\n\ndef test_a():\n    os._exit(0)\n")},
		{Name: "crashed-worker", Live: true, Files: file("tests/unit/test_a.py", "import os\n\n\ndef test_a():\n    os.abort()\n"), Project: workers(2)},
		{
			Name: "test-that-hangs", Live: true, Files: file("tests/unit/test_a.py", "import time\n\n\ndef test_a():\n    time.sleep(600)\n"),
			Project: func(p *config.Project) { p.Unit.TestTimeout = config.Duration(time.Second) },
		},
		{Name: "floor-of-the-project", Live: true, Files: project(map[string]string{"src/app/more.py": "print('x')\n", ".coveragerc": "[report]\nfail_under = 99\n"})},
		{Name: "no-coverage-data", Live: true, Files: file(".coveragerc", "[run]\nomit = *\n")},
		{Name: "no-statement", Live: true, Files: project(map[string]string{"src/app/calc.py": "-", "tests/unit/test_calc.py": "def test_nothing():\n    pass\n"})},
		{Name: "nothing-reached", Live: true, Files: file("tests/unit/test_calc.py", "def test_nothing():\n    pass\n")},
		{Name: "branches-switched-off", Files: file(".coveragerc", "[run]\nbranch = false\n")},
		{
			Name: "data-of-an-earlier-run", Live: true, Files: project(map[string]string{
				"pyproject.toml": settings + "addopts = ['--cov-append']\n", "tests/unit/test_calc.py": half + "\n\ndef test_reads(request):\n    import os\n    assert not os.path.exists('.coverage.new')\n",
			}),
			Prepare: earlier,
		},
		{Name: "file-that-coverage-does-not-see", Live: true, Files: project(map[string]string{"src/loose/tool.py": "def never():\n    return 1\n", "src/app/deep/tool.py": "X = 1\n"})},
		{Name: "file-that-coverage-is-told-to-see", Files: project(map[string]string{"src/loose/tool.py": "def never():\n    return 1\n", ".coveragerc": "[report]\ninclude_namespace_packages = True\n"})},
		{Name: "no-init", Live: true, Files: project(map[string]string{"src/app/__init__.py": "-"})},
		{Name: "shell-chooses-other-tests", Live: true, Files: file("tests/unit/test_calc.py", wrong), Env: []string{"PYTEST_ADDOPTS=-k test_none"}},
		{
			Name: "shell-leaves-assertions-out", Live: true, Env: []string{"PYTHONOPTIMIZE=1"}, Project: workers(2),
			Files: file("tests/unit/test_opt.py", "def test_debug():\n    assert __debug__\n"),
		},
		{Name: "hostile-names", Files: file("tests/unit/test_a b\n::error file=x::owned.py", "import pytest\n\n\n@pytest.mark.parametrize('x', ['a\\nb', '\\x1b[31m', '::stop-commands::', \"it's\"])\ndef test_x(x):\n    assert not x, x\n")},
		{Name: "byte-order-mark", Files: file("tests/unit/test_calc.py", "\ufeff"+wrong)},
		{Name: "crlf", Files: file("tests/unit/test_calc.py", strings.ReplaceAll(wrong, "\n", "\r\n"))},
		{Name: "latin-1", Files: file("tests/unit/test_calc.py", "# caf\xe9\n"+good)},
		{Name: "null-byte", Files: file("tests/unit/test_calc.py", good+"X = '\x00'\n")},
		{Name: "tool-is-missing", Live: true, Bare: true, Files: project(nil)},
		{Name: "tool-hangs", OnlyLive: true, Files: file("tests/unit/conftest.py", "import time\n\ntime.sleep(600)\n"), Project: func(p *config.Project) {
			p.Run.Budgets = map[string]config.Duration{"unit": config.Duration(2 * time.Second)}
		}},
		{
			Name: "slowest", Files: file("tests/unit/test_slow.py", "import time\n\n\ndef test_slow():\n    time.sleep(0.2)\n"),
			Project: func(p *config.Project) { p.Unit.Slowest = 1 },
		},
		{Name: "flaky", Live: true, Files: file("tests/unit/test_flaky.py", flaky+steady), Project: rerun},
		{Name: "flaky-with-two-workers", Live: true, Files: file("tests/unit/test_flaky.py", flaky), Project: func(p *config.Project) { rerun(p); p.Unit.Workers = 2 }},
		{Name: "flaky-without-a-second-try", Files: file("tests/unit/test_flaky.py", flaky)},
		{Name: "fails-both-times", Live: true, Files: file("tests/unit/test_calc.py", wrong), Project: rerun},
		{Name: "flaky-and-broken", Files: project(map[string]string{"tests/unit/test_flaky.py": flaky, "tests/unit/test_calc.py": wrong}), Project: rerun},
		{Name: "flaky-and-below-the-floor", Files: project(map[string]string{"tests/unit/test_flaky.py": flaky, "src/app/more.py": "print('x')\n", ".coveragerc": "[report]\nfail_under = 99\n"}), Project: rerun},
		{Name: "skips-the-second-time", Files: file("tests/unit/test_flaky.py", strings.Replace(flaky, "    assert", "    if seen:\n        pytest.skip('enough')\n    assert", 1)), Project: rerun},
		{Name: "names-that-pytest-can-not-find-again", Live: true, Files: file("tests/unit/test_odd.py", "import pytest\n\n\n@pytest.mark.parametrize('x', ['\x1b[31m'])\ndef test_x(x):\n    assert not x\n"), Project: rerun},
		{Name: "too-many-to-be-flaky", Files: file("tests/unit/test_many.py", "import pytest\n\n\n@pytest.mark.parametrize('x', range(21))\ndef test_x(x):\n    assert x < 0\n"), Project: rerun},
		{Name: "quarantined", Live: true, Files: file("tests/unit/test_calc.py", wrong), Project: quarantine("tests/unit/test_calc.py::TestWrong::test_sum", "2026-12-31")},
		{Name: "quarantined-parameters", Files: file("tests/unit/test_more.py", "import pytest\n\n\n@pytest.mark.parametrize('x', [1, 2])\ndef test_x(x):\n    assert x == 1\n"), Project: quarantine("tests/unit/test_more.py::test_x", "2026-12-31")},
		{Name: "quarantine-over", Live: true, Files: file("tests/unit/test_calc.py", wrong), Project: quarantine("tests/unit/test_calc.py::TestWrong::test_sum", "2026-11-28")},
		{Name: "quarantine-of-another", Files: file("tests/unit/test_calc.py", wrong), Project: quarantine("tests/unit/test_calc.py::test_gone", "2026-12-31")},
		{Name: "breaks-again-in-teardown", Files: file("tests/unit/test_more.py", "import pytest\n\n\n@pytest.fixture\ndef bad():\n    yield\n    raise OSError('teardown')\n\n\ndef test_b(bad):\n    assert False\n")},
	}
}

// flaky passes from its second run on.
const flaky = "import os\n\nimport pytest\n\n\ndef test_flaky():\n    seen = os.path.exists('.seen')\n    open('.seen', 'w').close()\n    assert seen, 'the moon is full'\n"

// steady is a second test, which need not run again.
const steady = "\n\ndef test_steady():\n    assert not os.path.exists('.ran')\n    open('.ran', 'w').close()\n"

var today = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)

func rerun(p *config.Project) { p.Unit.Rerun = 1 }

func quarantine(test, until string) func(*config.Project) {
	return func(p *config.Project) {
		p.Unit.Rerun = 1 // which what is in quarantine does not get
		p.Unit.Quarantine = []config.Quarantine{{Test: test, Owner: "ada", Reason: "it is wrong", Expires: until}}
	}
}

// earlier leaves the data of a run that reached everything, where coverage would look for them.
func earlier(_ *testing.T, _ string, run stagetest.Run) {
	run("sh", "-c", "printf 'not even a database' > .coverage")
}

// tampered are made of what the tests that pass left behind: nothing of it may pass.
func tampered() []stagetest.Case {
	one := func(name string, tamper func(*stagetest.Invocation)) stagetest.Case {
		return stagetest.Case{Name: name, From: "passes", Files: project(nil), Tamper: func(r *stagetest.Recording) { tamper(&r.Invocations[0]) }}
	}
	report := func(name, file string, change func(string) string) stagetest.Case {
		return one(name, func(i *stagetest.Invocation) {
			file = "artifacts/" + file
			i.Files[file] = stagetest.Text(change(string(i.Files[file])))
		})
	}
	empty := func(string) string { return "" }
	torn := func(s string) string { return s[:len(s)/2] }
	gone := func(name, file string) stagetest.Case {
		return one(name, func(i *stagetest.Invocation) { delete(i.Files, "artifacts/"+file) })
	}
	code := func(name string, code int) stagetest.Case {
		return one(name, func(i *stagetest.Invocation) { i.ExitCode = code })
	}
	return []stagetest.Case{
		gone("no-junit", "junit-pytest.xml"), report("empty-junit", "junit-pytest.xml", empty), report("torn-junit", "junit-pytest.xml", torn),
		report("junit-that-does-not-add-up", "junit-pytest.xml", func(s string) string { return strings.Replace(s, `tests="2"`, `tests="9"`, 1) }),
		report("junit-without-tests", "junit-pytest.xml", func(string) string { return `<testsuites><testsuite tests="0"></testsuite></testsuites>` }),
		gone("no-coverage", "coverage.json"), report("empty-coverage", "coverage.json", empty), report("torn-coverage", "coverage.json", torn),
		report("other-coverage", "coverage.json", func(string) string { return "{}" }),
		report("coverage-of-lines-only", "coverage.json", func(s string) string {
			return strings.Replace(s, `"branch_coverage": true`, `"branch_coverage": false`, 1)
		}),
		gone("no-coverage-xml", "coverage.xml"), gone("no-coverage-html", "htmlcov/index.html"),
		code("failed-without-a-failure", 1), code("interrupted", 2), code("broke-down", 3), code("usage", 4), code("exit-code-of-no-tests", 5), code("other-exit-code", 77),
		one("not-installed", func(i *stagetest.Invocation) {
			i.ExitCode, i.Stdout, i.Files, i.Stderr = 1, "", nil, "{venv}/bin/python: No module named pytest\n"
		}),
		one("killed", func(i *stagetest.Invocation) { i.Failure = "pytest was ended by signal 9" }),
	}
}

var (
	host    = regexp.MustCompile(`hostname="[^"]*"`)
	seconds = regexp.MustCompile(`(?m)( \| )\d+\.\d\d$`)
	worker  = regexp.MustCompile(`gw\d`)
)

func scrub(s string) string {
	s = host.ReplaceAllString(s, `hostname="-"`)
	return worker.ReplaceAllString(seconds.ReplaceAllString(s, "$1-"), "gw0")
}

func suite() stagetest.Suite {
	all := append(cases(), tampered()...)
	for i := range all {
		change := all[i].Project
		all[i].Project = func(p *config.Project) {
			p.Unit.Workers, p.Unit.Slowest = 1, 0
			if change != nil {
				change(p)
			}
		}
	}
	return stagetest.Suite{
		Stage: func(*testing.T, *config.Project) engine.Stage { return unit.New(unit.Options{Now: today}) },
		Step:  "pytest", Cases: all, Update: *update,
		Scrub: scrub,
	}
}

func TestPytest(t *testing.T) { suite().Test(t) }
