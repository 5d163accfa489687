package config

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestEvidenceIsRead(t *testing.T) {
	p, err := Load(project(t, `
evidence:
  policies:
    production:
      max_age: 48h
      stages:
        unit: {subject: tree, steps: [pytest], minimum: {pytest.coverage: 80}}
`))
	if err != nil {
		t.Fatal(err)
	}
	policy := p.Evidence.Policies["production"]
	if policy.MaxAge.Std() != 48*time.Hour || policy.Stages["unit"].Minimum["pytest.coverage"] != 80 {
		t.Errorf("%+v", policy)
	}
}

func TestEvidenceRefuses(t *testing.T) {
	unit := "evidence:\n  policies:\n    production:\n      max_age: 1h\n      stages:\n        unit: "
	for _, tc := range []struct{ name, yaml, want string }{
		{"no stages", "evidence:\n  policies:\n    production:\n      max_age: 1h\n", "pipeline.yaml:4:14: evidence.policies.production requires no stage, so every image would meet it"},
		{"empty stages", "evidence:\n  policies:\n    production:\n      max_age: 1h\n      stages: {}\n", "pipeline.yaml:5:15: evidence.policies.production requires no stage"},
		{"no age", "evidence: {policies: {production: {stages: {unit: {subject: tree, steps: [pytest]}}}}}\n", "evidence.policies.production.max_age is 0s"},
		{"no steps", unit + "{subject: tree}\n", "pipeline.yaml:6:15: evidence.policies.production.stages.unit requires no step"},
		{"empty steps", unit + "{subject: tree, steps: []}\n", "pipeline.yaml:6:38: evidence.policies.production.stages.unit requires no step"},
		{"no subject", unit + "{steps: [pytest]}\n", `subject is ""`},
		{"unknown subject", unit + "{subject: commit, steps: [pytest]}\n", `subject is "commit": valid here: tree, image`},
		{"unknown stage", "evidence: {policies: {production: {max_age: 1h, stages: {units: {subject: tree, steps: [pytest]}}}}}\n", `names the stage "units", which there is not: did you mean "unit"?`},
		{"no step's name", unit + "{subject: tree, steps: [PyTest]}\n", `steps[0] is "PyTest", which no step is called`},
		{"step twice", unit + "{subject: tree, steps: [pytest, pytest]}\n", "which there is already"},
		{"metric of no required step", unit + "{subject: tree, steps: [pytest], minimum: {pylint.score: 8}}\n", `about the step "pylint", which is not required`},
		{"no metric's name", unit + "{subject: tree, steps: [pytest], minimum: {\"a b\": 8}}\n", `names the metric "a b"`},
		{"not a number", unit + "{subject: tree, steps: [pytest], minimum: {coverage: .nan}}\n", "is .nan, not a number"},
		{"text for a number", unit + "{subject: tree, steps: [pytest], minimum: {coverage: \"80\"}}\n", "not a number"},
		{"nothing can meet both", unit + "{subject: tree, steps: [pytest], minimum: {coverage: 80}, maximum: {coverage: 70}}\n", "is below its minimum"},
		{"severity", unit + "{subject: tree, steps: [pytest], clean: hihg}\n", `did you mean "high"?`},
		{"unknown key", unit + "{subject: tree, step: [pytest]}\n", `unknown key "step" in evidence.policies.production.stages.unit: did you mean "steps"?`},
		{"builder", "evidence: {policies: {p: {max_age: 1h, builders: [{id: github}], stages: {unit: {subject: tree, steps: [pytest]}}}}}\n", `builders[0].id is "github"`},
		{"builder's key", "evidence: {policies: {p: {max_age: 1h, builders: [{id: \"https://x\", keys: [abc]}], stages: {unit: {subject: tree, steps: [pytest]}}}}}\n", "keys[0] is no key's identity"},
		{"scan", "evidence: {policies: {p: {max_age: 1h, scans: [{stage: security, step: safety, subject: tree, clean: low}], stages: {unit: {subject: tree, steps: [pytest]}}}}}\n", "max_database_age is 0s"},
		{"scan without a severity", "evidence: {policies: {p: {max_age: 1h, scans: [{stage: security, step: safety, subject: tree, max_database_age: 1h}], stages: {unit: {subject: tree, steps: [pytest]}}}}}\n", `clean is ""`},
		{"policy's name", "evidence: {policies: {\"Prod!\": {max_age: 1h, stages: {unit: {subject: tree, steps: [pytest]}}}}}\n", "no name for a policy"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := Load(project(t, tc.yaml))
			if _, ok := errors.AsType[Problems](err); !ok {
				t.Fatalf("error = %v, want Problems", err)
			}
			if !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error is\n%s\nwant it to hold\n%s", err, tc.want)
			}
		})
	}
}

func TestKeysAreSecrets(t *testing.T) {
	for name, want := range map[string]bool{"EVIDENCE_KEY": true, "EVIDENCE_PASSWORD": true, "EVIDENCE_PUBLIC_KEY": false} {
		if got := (&Project{}).IsSecret(name); got != want {
			t.Errorf("%s is a secret: %t", name, got)
		}
	}
}
