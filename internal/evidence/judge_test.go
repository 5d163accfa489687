package evidence

import (
	"testing"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
)

func TestVerdicts(t *testing.T) {
	for _, a := range []attack{
		{"a missing stage", func(w *world) { w.drop("integration") }, "integration: found none about the image", func(w *world) {
			w.drop("integration")
			delete(w.policy.Stages, "integration")
		}},
		{"a missing step", replaceStage("quality", func(s *engine.StageResult) { s.Steps = s.Steps[:1] }), "quality:pylint: found a run without this step", func(w *world) {
			w.drop("quality")
			w.judge(w.key, only("quality", func(s *engine.StageResult) { s.Steps = s.Steps[1:] }))
			policy("quality", func(s *config.EvidenceStage) { s.Steps = []string{"pylint"} })(w)
		}},
		{"a failed stage", replaceStage("unit", fails), "unit: found the verdict failed", unchanged},
		{"a stage that could not be judged", replaceStage("unit", func(s *engine.StageResult) {
			s.Status, s.Steps[0].Status, s.Steps[0].Reason = engine.StatusError, engine.StatusError, "pytest was killed"
		}), "unit:pytest: found error (pytest was killed)", unchanged},
		{"a skipped step", replaceStage("quality", func(s *engine.StageResult) {
			s.Steps[1].Status, s.Steps[1].Reason = engine.StatusSkipped, "left out by -without"
		}), "quality:pylint: found skipped (left out by -without)", replaceStage("quality", func(s *engine.StageResult) {
			s.Steps = append(s.Steps, engine.StepResult{Name: "mypy", Status: engine.StatusSkipped, Reason: "nobody asks for it"})
		})},
		{"a step that judged nothing", replaceStage("unit", func(s *engine.StageResult) { s.Steps[0].Judgement.Judged = 0 }), "unit:pytest: found 0 tests judged", replaceStage("unit", func(s *engine.StageResult) { s.Steps[0].Judgement.Judged = 1 })},
		{"a failed step that nobody requires", replaceStage("quality", func(s *engine.StageResult) {
			extra := step("mypy", 1, "files")
			extra.Status = engine.StatusFailed
			s.Steps = append(s.Steps, extra)
		}), "quality:mypy: found failed", replaceStage("quality", func(s *engine.StageResult) { s.Steps = append(s.Steps, step("mypy", 1, "files")) })},
		{"pylint 7.9", replaceStage("quality", metric("pylint_score", 7.9)), "quality:pylint: found pylint_score 7.9; expected at least 8", replaceStage("quality", metric("pylint_score", 8))},
		{"one failed test inside a passed statement", replaceStage("unit", metric("tests_failed", 1)), "tests_failed 1 tests", unchanged},
		{"no test", replaceStage("unit", metric("tests_passed", 0)), "tests_passed 0 tests; expected at least 1", replaceStage("unit", metric("tests_passed", 1))},
		{"a skipped test", replaceStage("unit", metric("tests_skipped", 1)), "tests_skipped 1 tests; expected at most 0", unchanged},
		{"green only on the second try", replaceStage("unit", metric("tests_flaky", 1)), "tests_flaky 1 tests; expected at most 0", unchanged},
		{"a test in quarantine that fails", replaceStage("unit", metric("tests_quarantined", 1)), "tests_quarantined 1 tests; expected at most 0", unchanged},
		{"coverage below its own threshold", replaceStage("unit", metric("coverage", 79.9)), "coverage 79.9; expected at least 80", replaceStage("unit", metric("coverage", 80))},
		{"coverage below its own threshold, of which the policy says nothing", func(w *world) {
			policy("unit", func(s *config.EvidenceStage) { delete(s.Minimum, "coverage") })(w)
			replaceStage("unit", metric("coverage", 79.9))(w)
		}, "coverage 79.9; expected at least 80", policy("unit", func(s *config.EvidenceStage) { delete(s.Minimum, "coverage") })},
		{"one failed test, of which the policy says nothing", func(w *world) {
			policy("unit", func(s *config.EvidenceStage) { s.Maximum = nil })(w)
			replaceStage("unit", metric("tests_failed", 1))(w)
		}, "tests_failed 1 tests; expected no failed test", policy("unit", func(s *config.EvidenceStage) { s.Maximum = nil })},
		{"benchmark missed", replaceStage("benchmark", metric("p95", 1001)), "p95 1001 ms; expected at most 1000", replaceStage("benchmark", metric("p95", 1000))},
		{"a metric that is not there", replaceStage("unit", func(s *engine.StageResult) { s.Steps[0].Judgement.Metrics = s.Steps[0].Judgement.Metrics[:3] }), "no metric coverage", unchanged},
		{"a metric of another step", policy("benchmark", func(s *config.EvidenceStage) { s.Maximum = map[string]float64{"api.p95": 100} }), "benchmark:api: found no metric p95", unchanged},
		{"a metric twice, the bad one last", replaceStage("unit", func(s *engine.StageResult) {
			s.Steps[0].Judgement.Metrics = append(s.Steps[0].Judgement.Metrics, atLeast("coverage", 12, 0))
		}), "coverage 12; expected at least 80", replaceStage("unit", func(s *engine.StageResult) {
			s.Steps[0].Judgement.Metrics = append(s.Steps[0].Judgement.Metrics, atLeast("coverage", 92, 0))
		})},
		{"a finding that the step let pass", replaceStage("security", func(s *engine.StageResult) {
			s.Steps[0].Judgement.Findings = []engine.Finding{{Rule: "B608", Severity: engine.SeverityLow}}
		}), "security:bandit: found 1 findings of severity low", replaceStage("security", func(s *engine.StageResult) {
			s.Steps[0].Judgement.Findings = []engine.Finding{{Rule: "B608", Severity: engine.SeverityInfo}}
		})},
		{"a finding of no severity", replaceStage("security", func(s *engine.StageResult) { s.Steps[0].Judgement.Findings = []engine.Finding{{Rule: "B608"}} }), "1 findings", unchanged},
		{"a warning", replaceStage("unit", func(s *engine.StageResult) {
			s.Steps[0].Judgement.Warnings = []string{"the project's own settings of pytest left out 3 tests"}
		}), "left out 3 tests", func(w *world) {
			replaceStage("unit", func(s *engine.StageResult) { s.Steps[0].Judgement.Warnings = []string{"x"} })(w)
			policy("unit", func(s *config.EvidenceStage) { s.Warnings = true })(w)
		}},
	} {
		t.Run(a.name, a.run)
	}
}

func TestScansAndBills(t *testing.T) {
	vulnerable := func(severity engine.Severity) func(*world) {
		return func(w *world) {
			w.drop("security")
			w.drop("security-safety")
			w.judge(w.key, only("security", func(s *engine.StageResult) {
				s.Steps[1].Judgement.Findings = []engine.Finding{{Rule: "CVE-2026-0001", Severity: severity}}
			}))
		}
	}
	for _, a := range []attack{
		{"no scan", func(w *world) { w.drop("security-safety") }, "security:safety scan: found none about the source tree", func(w *world) {
			w.drop("security-safety")
			w.policy.Scans = nil
		}},
		{"a known vulnerability", vulnerable(engine.SeverityHigh), "the vulnerability CVE-2026-0001", vulnerable(engine.SeverityInfo)},
		{"one of no severity", vulnerable(engine.SeverityNone), "the vulnerability CVE-2026-0001", unchanged},
		{"one on another scale", func(w *world) {
			vulnerable(engine.SeverityInfo)(w)
			swap("security-safety", `"method":"meterPipeline","score":"info"`, `"method":"cvss","score":"info"`)(w)
		}, "the vulnerability CVE-2026-0001", vulnerable(engine.SeverityInfo)},
		{"one that was taken out of the list", func(w *world) {
			vulnerable(engine.SeverityInfo)(w)
			swap("security-safety", `{"id":"CVE-2026-0001","severity":[{"method":"meterPipeline","score":"info"}]}`, ``)(w)
		}, "0 vulnerabilities, where the step counted 1 findings", unchanged},
		{"an old database", swap("security-safety", "2026-11-27T00:00:00Z", "2026-10-27T00:00:00Z"), "a database of 2026-10-27", swap("security-safety", "2026-11-27T00:00:00Z", "2026-10-30T00:00:00Z")},
		{"a database of the future", swap("security-safety", "2026-11-27T00:00:00Z", "2027-10-27T00:00:00Z"), "a database of 2027-10-27", unchanged},
		{"a database of no date", swap("security-safety", `"lastUpdate":"2026-11-27T00:00:00Z"`, ``), "a database of an unknown date", unchanged},
		{"no bill of materials", func(w *world) { w.drop("sbom-model_api") }, "bill of materials: found none that counts", func(w *world) {
			w.drop("sbom-model_api")
			w.policy.SBOM = false
		}},
		{"another image's bill", func(w *world) {
			w.drop("sbom-model_api")
			w.list(w.key, other)
		}, "it is of another image", func(w *world) { w.list(w.key, other) }},
		{"an empty bill", swap("sbom-model_api", `{"name":"numpy","type":"library","version":"2.3.1"}`, ``), "it lists no component", unchanged},
		{"a bill in another format", swap("sbom-model_api", "CycloneDX", "SPDX"), "not CycloneDX", unchanged},
	} {
		t.Run(a.name, a.run)
	}
}
