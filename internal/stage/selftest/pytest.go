package selftest

import (
	"fmt"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/stage/python"
)

// Python judges the system that the pipeline builds. In CI a skipped test is a finding.
type Python struct{ CI bool }

// Name of the stage.
func (Python) Name() string { return "python" }

// Steps of the stage: in a new clone, where no history says how long they take, the first that fits is started first.
func (s Python) Steps(p *config.Project) ([]engine.Step, error) {
	return []engine.Step{
		pytestStep("dags", "the DAGs, in Airflow's environment", "python:airflow", "airflow_dags", s.CI), // the longest on one core
		typesStep(p),
		pytestStep("tests", "everything under tests/", engine.NeedPython, "tests", s.CI),
	}, nil
}

// pytestStep runs all tests below a directory in one environment.
func pytestStep(name, judges string, environment engine.Need, dir string, ci bool) engine.Step {
	report := "junit-" + name + ".xml"
	args := []string{dir, "-q", "-o", "junit_family=xunit1", "--junit-xml=" + engine.ArtifactsDir + "/" + report}
	slots := 1
	if environment == engine.NeedPython {
		// The hops there run one after another, on parts that the integration stage provides.
		args, slots = append(args, "-n", "auto", "--ignore=tests/system"), 2
	}
	return engine.Step{
		Name: name, Judges: judges, Timeout: timeout, Slots: slots,
		Needs: []engine.Need{environment, engine.NeedPostgres}, Rerun: "mage test",
		Inputs: []string{"src", "tests", "airflow_dags", "data", "scripts", "pyproject.toml", "requirements"},
		Command: &engine.Command{
			Program: python.Program, Args: python.Module("pytest", args...),
			Reports: map[string]string{"junit": report},
			Parse:   func(out engine.Output) (engine.Judgement, error) { return parsePytest(out, ci) },
		},
	}
}

// parsePytest reads the JUnit report. Exit codes: 0 all passed, 1 some failed; every other one is a failure to judge.
func parsePytest(out engine.Output, ci bool) (engine.Judgement, error) {
	if out.ExitCode > 1 {
		return engine.Judgement{}, python.Failure("pytest", out)
	}
	report, err := out.Report("junit")
	if err != nil {
		return engine.Judgement{}, err
	}
	tests, err := python.Tests(report)
	if err != nil {
		return engine.Judgement{}, err
	}
	j := python.JudgeTests(tests, 5)
	if out.ExitCode == 1 && len(j.Findings) == 0 {
		return engine.Judgement{}, fmt.Errorf("pytest: %w", python.ErrDisagrees)
	}
	if ci { // where nothing may be skipped
		for _, t := range tests {
			if t.Outcome == python.Skipped {
				j.Findings = append(j.Findings, t.Finding())
			}
		}
	}
	return j, nil
}
