package reporttest

import (
	"fmt"

	"github.com/meter-ml/meter-pipeline/internal/engine"
)

func black() engine.StepResult {
	s := step("quality", "black", "formatting", engine.StatusFailed, 400, 1900)
	s.CommandLine = "black --check --quiet src tests"
	s.Fix = "mage fix"
	help := "run mage fix, which reformats the file"
	s.Judgement = engine.Judgement{Judged: 58, Unit: "files", Findings: []engine.Finding{
		{
			Rule: "format", Path: "src/data/create_datasets.py", Line: 12, Message: "would be reformatted", Help: help,
			Frame: "features = {'hour':frame.index.hour,'weekday' : frame.index.weekday}", Fingerprint: "b1",
		},
		{Rule: "format", Path: "tests/unit/test_ingestion.py", Message: "would be reformatted", Help: help, Fingerprint: "b2"},
	}}
	return s
}

func isort() engine.StepResult {
	s := step("quality", "isort", "order of imports", engine.StatusPassed, 500, 700)
	s.CommandLine = "isort --check-only src tests"
	s.Fix = "mage fix"
	s.Cached = true
	s.Judgement = engine.Judgement{Judged: 58, Unit: "files"}
	return s
}

// flake8 has many findings: more than any reader wants at once.
func flake8(findings int) engine.StepResult {
	s := step("quality", "flake8", "style", engine.StatusFailed, 2300, 2600)
	s.CommandLine = "flake8 --format=default src tests"
	s.Judgement = engine.Judgement{Judged: 58, Unit: "files"}
	add := func(f engine.Finding) {
		f.Fingerprint = fmt.Sprintf("f%03d", len(s.Judgement.Findings))
		s.Judgement.Findings = append(s.Judgement.Findings, f)
	}
	add(engine.Finding{
		Rule: "F821", Path: "src/api/server.py", Line: 88, Column: 18, EndLine: 88, EndCol: 25,
		Message: "undefined name 'predict'", Frame: "        result = predict(meter, horizon=horizon)",
		Help:    "import the name, or correct its spelling",
		HelpURL: "https://www.flake8rules.com/rules/F821.html",
	})
	long := "src/features/a_directory_with_a_rather_long_name/and_another_one_inside_of_it/reactive_power_and_power_factor_features.py"
	for i := range 4 {
		add(engine.Finding{
			Rule: "E501", Path: long, Line: 31 + 7*i, Column: 101,
			Message: fmt.Sprintf("line too long (%d > 100 characters)", 118+i),
			Frame:   `	frame["reactive_share"] = frame["lagging_reactive_power_kvarh"] / (frame["usage_kwh"] + frame["lagging_reactive_power_kvarh"])`,
			Help:    "break the line, or run mage fix",
		})
	}
	add(engine.Finding{
		Rule: "W605", Path: "src/data/größen_und_電力.py", Line: 7, Column: 20, EndCol: 22,
		Message: `invalid escape sequence '\d'`, Frame: `単位 = re.compile("電力\d+ kWh")  # 👩‍🔬 測定`, Help: `write r"…", or \\d`,
	})
	add(engine.Finding{
		Rule: "E999", Path: "src/" + Hostile + ".py", Line: 1, Column: 1,
		Message: Hostile + "\nsecond line", Frame: "x = '" + Hostile + "'", Help: Hostile, HelpURL: "javascript:alert(1)",
	})
	for i := len(s.Judgement.Findings); i < findings; i++ {
		add(engine.Finding{
			Rule: "E302", Path: fmt.Sprintf("src/models/module_%02d.py", i/8), Line: 10 + i, Column: 1,
			Message: "expected 2 blank lines, found 1", Frame: fmt.Sprintf("def function_%d(meter):", i),
			Help: "run mage fix",
		})
	}
	return s
}

func pylint() engine.StepResult {
	s := step("quality", "pylint", "code", engine.StatusPassed, 500, 27000)
	s.CommandLine = "pylint --jobs=2 --output-format=json2 --recursive=y src"
	s.Judgement = engine.Judgement{
		Judged: 31, Unit: "modules",
		Metrics: []engine.Metric{{Name: "pylint_score", Value: 8.61, Threshold: 7, Direction: engine.DirectionAtLeast}},
		Findings: []engine.Finding{{
			Rule: "R0913", Severity: engine.SeverityLow, Path: "src/models/train.py", Line: 40, Column: 1,
			Message: "Too many arguments (8/5)", Frame: "def train(frame, target, seed, folds, depth, rate, rounds, out):",
			Help: "group what belongs together", HelpURL: "https://pylint.readthedocs.io/en/stable/user_guide/messages/refactor/too-many-arguments.html",
			Fingerprint: "p1",
		}},
	}
	return s
}

func bandit() engine.StepResult {
	s := step("security", "bandit", "source", engine.StatusFailed, 4900, 2100)
	s.CommandLine = "bandit --recursive --format json --output {artifacts}/bandit-report.json src"
	sql := func(line int) engine.Finding {
		return engine.Finding{
			Rule: "B608", Severity: engine.SeverityMedium, Path: "src/api/server.py", Line: line, Column: 13,
			EndLine: line, EndCol: 60, Message: "Possible SQL injection vector through string-based query construction.",
			Frame: `    query = "SELECT * FROM meters WHERE id = " + meter_id`,
			Help:  "pass the value as a bound parameter", HelpURL: "https://bandit.readthedocs.io/en/latest/plugins/b608_hardcoded_sql_expressions.html",
			Fingerprint: "same",
		}
	}
	s.Judgement = engine.Judgement{Judged: 4213, Unit: "lines of code", Findings: []engine.Finding{
		{
			Rule: "B101", Severity: engine.SeverityLow, Path: "src/data/sources.py", Line: 77, Column: 5,
			Message: "Use of assert detected. The enclosed code will be removed when compiling to optimised byte code.",
			Frame:   "    assert frame is not None", Fingerprint: "b101",
		},
		sql(41), sql(57),
		{
			Rule: "B602", Severity: engine.SeverityHigh, Path: "src/data/ingestion.py", Line: 19, Column: 5, EndLine: 22, EndCol: 6,
			Message: "subprocess call with shell=True identified, security issue.",
			Frame:   "    subprocess.run(f\"unzip {archive}\", shell=True, check=True)",
			Help:    "give the arguments as a list, without a shell", Fingerprint: "b602",
		},
	}}
	return s
}

func safety() engine.StepResult {
	s := step("security", "safety", "locked requirements", engine.StatusError, 5000, 9700)
	s.CommandLine = "safety check --file requirements/system.txt --save-json {artifacts}/safety-report.json"
	s.Reason = "the advisory database could not be reached, and no local one is configured: set security.safety.database in pipeline.yaml"
	return s
}

func secrets() engine.StepResult {
	s := step("security", "secrets", "tree and history", engine.StatusPassed, 7100, 1200)
	s.CommandLine = "gitleaks git --report-format json --report-path {artifacts}/secrets.json ."
	s.Judgement = engine.Judgement{
		Judged: 318, Unit: "commits",
		Notes:    []string{"gitleaks 8.28.0"},
		Warnings: []string{"this clone is shallow: older commits were not scanned"},
		Allowed: []engine.Allowed{{
			Finding: engine.Finding{Rule: "generic-api-key", Severity: engine.SeverityHigh, Path: "tests/data/key.txt", Line: 1, Message: "generic API key"},
			Reason:  "a made-up key that the tests look for", Expires: "2027-01-31",
		}},
	}
	return s
}

func pytest() engine.StepResult {
	s := step("unit", "pytest", "unit tests and coverage", engine.StatusFailed, 10000, 30900)
	s.CommandLine = "pytest tests/unit --cov --junitxml={artifacts}/pytest.xml -n 2"
	s.Judgement = engine.Judgement{
		Judged: 402, Unit: "tests",
		Findings: []engine.Finding{
			{
				Rule: "test-failed", Path: "tests/unit/test_features.py", Line: 64, Fingerprint: "t1",
				Message: "test_lag_uses_the_past_only: AssertionError: assert 42.0 == 41.0\n  where 42.0 = lag(frame, hours=1).iloc[3]\n  and   41.0 = expected.iloc[3]",
				Frame:   "    assert lag(frame, hours=1).iloc[3] == expected.iloc[3]", Help: "mend the code, or the test if it asks for the wrong thing",
			},
			{
				Rule: "test-failed", Path: "tests/unit/test_names.py", Line: 9, Fingerprint: "t2",
				Message: "test_name[" + Hostile + "]: ValueError: unreadable", Frame: "    parse(name)", Help: "mend the code, or the test if it asks for the wrong thing",
			},
		},
		Metrics: []engine.Metric{
			{Name: "coverage", Value: 74.125, Unit: "%", Threshold: 80, Direction: engine.DirectionAtLeast, Help: "test what is least covered first: artifacts/htmlcov/index.html"},
			{Name: "line_coverage", Value: 78.4, Unit: "%"},
			{Name: "branch_coverage", Value: 61.2, Unit: "%"},
		},
		Notes: []string{"PostgreSQL 15.8 of this machine, one database per worker"},
		Tables: []engine.Table{
			{Title: "Slowest tests", Columns: []string{"test", "seconds"}, Rows: [][]string{
				{"tests/unit/test_train.py::test_logistic_regression_learns_the_plants_load_types", "6.21"},
				{"tests/unit/test_api.py::test_batch_of_100", "2.08"},
				{"tests/unit/test_names.py::" + Hostile, "1.50"},
			}},
			{Title: "Least covered files", Columns: []string{"file", "covered", "lines missed"}, Rows: [][]string{
				{"src/models/registry.py", "31.0 %", "88"},
				{"src/data/sources.py", "55.4 %", "41"},
			}},
			{
				Title: "Durations", Columns: []string{"test", "median ms"},
				Rows: [][]string{{"prediction", "1.2"}, {"batch " + Hostile, "8.0"}, {"nothing measured", "0"}},
				Spreads: []engine.Spread{
					{Shares: []float64{0.1, 0.6, 0.25, 0, 0.05}, Baseline: []float64{0.2, 0.7, 0.1, 0, 0}, Low: "0.9", High: "3.1"},
					{Shares: []float64{0.5, 0.5}, Low: "7 " + Hostile, High: "9"},
					{},
				},
			},
			{Title: "Columns", Columns: []string{"column", "type"}, Rows: [][]string{{"units", "number"}}, Detail: true},
		},
	}
	return s
}

func contracts() engine.StepResult {
	s := step("data", "contracts", "data sets", engine.StatusSkipped, 0, 0)
	s.Log, s.Reason = "", "no data set is declared: name one under data: in pipeline.yaml"
	return s
}
