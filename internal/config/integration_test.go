package config

import (
	"strings"
	"testing"
)

func TestIntegration(t *testing.T) {
	p, err := Load(project(t, `
python: {apart: {airflow: {requirements: src, directory: .venv-airflow}}}
integration:
  hops:
    - {name: ingest, tests: [src], needs: [python, "postgres:system"]}
    - {name: dags, tests: [src], needs: ["python:airflow", postgres, mlflow], after: [ingest], requires: [METER_DATA_DIR]}
  env: {SETS: a b}
model:
  after: [ingest]
  gates: {regression: {minimum_gain: 40, maximum_loss: 0, minimum: {r2: -1}}}
`))
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Integration.Hops) != 2 || p.Model.Champion != ".pipeline/champion" || p.Model.Gates["regression"].MinimumGain != 40 {
		t.Errorf("%+v %+v", p.Integration, p.Model)
	}
}

func TestIntegrationRefuses(t *testing.T) {
	hop := func(more string) string { return "integration: {hops: [{name: a, tests: [src]" + more + "}]}" }
	for _, tc := range []struct{ name, yaml, want string }{
		{"bad name", "integration: {hops: [{name: A b, tests: [src]}]}", `integration.hops[0].name is "A b"`},
		{"name of its own", "integration: {hops: [{name: quality, tests: [src]}]}", `is "quality", which there is already`},
		{"name twice", "integration: {hops: [{name: a, tests: [src]}, {name: a, tests: [src]}]}", `integration.hops[1].name is "a", which there is already`},
		{"no tests", "integration: {hops: [{name: a}]}", "integration.hops[0] has no tests"},
		{"tests that are not there", "integration: {hops: [{name: a, tests: [nowhere]}]}", "nowhere"},
		{"unknown need", hop(", needs: [pythn]"), `integration.hops[0].needs[0] is "pythn", which can't be provided`},
		{"unknown environment", hop(`, needs: ["python:spark"]`), "which can't be provided: choose of python, postgres, mlflow"},
		{"label", hop(`, needs: ["postgres:A b"]`), "which can't be provided"},
		{"after itself", hop(", after: [a]"), `comes after "a", which is no earlier hop`},
		{"variable", hop(", requires: [a b]"), `"a b" is no name for a variable`},
		{"variable of all", "integration: {env: {a b: x}}", `"a b" is no name for a variable`},
		{"model after nothing", "model: {after: [load], gates: {x: {minimum_gain: 1}}}", `model.after names "load", which is no hop`},
		{"model without a gate", "integration: {hops: [{name: a, tests: [src]}]}\nmodel: {after: [a]}", "model.gates is empty"},
		{"gain", "model: {gates: {regression: {minimum_gain: 0}}}", "model.gates.regression.minimum_gain is 0, a threshold that nothing can miss"},
		{"loss", "model: {gates: {regression: {minimum_gain: 1, maximum_loss: -1}}}", "model.gates.regression.maximum_loss is -1"},
		{"minimum", "model: {gates: {regression: {minimum_gain: 1, minimum: {r2: .nan}}}}", "model.gates.regression.minimum.r2 is .nan"},
		{"champion outside", "model: {champion: ../x}", "outside of the project"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := Load(project(t, tc.yaml)); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}
