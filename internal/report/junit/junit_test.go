package junit

import (
	"bytes"
	"encoding/xml"
	"strings"
	"testing"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/report"
	"github.com/meter-ml/meter-pipeline/internal/report/reporttest"
)

var update = reporttest.Update()

func render(t *testing.T, run *engine.Run) string {
	t.Helper()
	var b bytes.Buffer
	if err := Render(&b, report.New(run, reporttest.Plan())); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestRuns(t *testing.T) {
	run := reporttest.Run(t.TempDir())
	if err := reporttest.WriteLogs(run); err != nil {
		t.Fatal(err)
	}
	broken := reporttest.Passed("/run")
	broken.Problems = []string{"write results.sarif: no space left on device"}
	tests := []struct {
		name string
		run  *engine.Run
	}{
		{"run", run}, {"passed", reporttest.Passed("/run")}, {"interrupted", reporttest.Interrupted("/run")}, {"broken", broken},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := render(t, test.run)
			check(t, got, report.New(test.run, nil))
			reporttest.Golden(t, *update, test.name+".golden.xml", got)
		})
	}
}

// check reads the file as its readers do: totals must agree with the cases, and a case has one outcome at most.
func check(t *testing.T, doc string, r report.Report) {
	t.Helper()
	var s suites
	if err := xml.Unmarshal([]byte(doc), &s); err != nil {
		t.Fatalf("junit.xml is no XML: %v", err)
	}
	var tests, failures, errs, skipped int
	for _, suite := range s.Suites {
		var f, e, k int
		for _, c := range suite.Cases {
			n := 0
			for _, o := range []struct {
				o *outcome
				n *int
			}{{c.Failure, &f}, {c.Error, &e}, {c.Skipped, &k}} {
				if o.o == nil {
					continue
				}
				n++
				*o.n++
				if o.o.Message == "" {
					t.Errorf("%s/%s has an outcome without a reason", c.Class, c.Name)
				}
			}
			if n > 1 {
				t.Errorf("%s/%s has %d outcomes", c.Class, c.Name, n)
			}
		}
		if suite.Tests != len(suite.Cases) || suite.Failures != f || suite.Errors != e || suite.Skipped != k {
			t.Errorf("suite %s: totals do not agree with its cases", suite.Name)
		}
		tests, failures, errs, skipped = tests+len(suite.Cases), failures+f, errs+e, skipped+k
	}
	if s.Tests != tests || s.Failures != failures || s.Errors != errs || s.Skipped != skipped {
		t.Error("the totals of the file do not agree with its suites")
	}
	if passed := r.Run.Status == engine.StatusPassed; passed != (failures+errs == 0) && len(r.Run.Problems) == 0 {
		t.Errorf("run is %s, file has %d failures and %d errors", r.Run.Status, failures, errs)
	}
}

func TestManyFindings(t *testing.T) {
	run := reporttest.Many("/run")
	j := &run.Stages[0].Steps[2].Judgement
	for len(j.Findings) < maxFindings+7 {
		j.Findings = append(j.Findings, j.Findings[0])
	}
	if got := render(t, run); !strings.Contains(got, "… and 7 more: see report.html") || !strings.Contains(got, `message="507 findings"`) {
		t.Error("the file does not say how many findings it leaves out")
	}
}
