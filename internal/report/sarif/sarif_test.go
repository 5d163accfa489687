package sarif

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/report"
	"github.com/meter-ml/meter-pipeline/internal/report/reporttest"
)

var update = reporttest.Update()

func render(t *testing.T, run *engine.Run) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := Render(&b, report.New(run, reporttest.Plan())); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// The schema is the one that the standard publishes.
func validate(t *testing.T, doc []byte) error {
	t.Helper()
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	schema, err := c.Compile("testdata/sarif-schema-2.1.0.json")
	if err != nil {
		t.Fatal(err)
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(doc))
	if err != nil {
		t.Fatal(err)
	}
	return schema.Validate(v)
}

func TestRuns(t *testing.T) {
	tests := []struct {
		name string
		run  *engine.Run
	}{
		{"run", reporttest.Run("/run")},
		{"passed", reporttest.Passed("/run")},
		{"interrupted", reporttest.Interrupted("/run")},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := render(t, test.run)
			if err := validate(t, got); err != nil {
				t.Errorf("results.sarif does not follow the schema: %v", err)
			}
			reporttest.Golden(t, *update, test.name+".golden.sarif", string(got))
		})
	}
}

func TestSchemaRefuses(t *testing.T) {
	doc := string(render(t, reporttest.Run("/run")))
	for _, change := range [][2]string{
		{`"level": "error"`, `"level": "bad"`}, {`"startLine": 12`, `"startLine": 0`}, {`"ruleId"`, `"rule_id"`}, {`"version": "2.1.0"`, `"version": "2.2"`},
	} {
		if !strings.Contains(doc, change[0]) {
			t.Fatalf("the report has no %s", change[0])
		}
		if validate(t, []byte(strings.Replace(doc, change[0], change[1], 1))) == nil {
			t.Errorf("the schema accepts %s", change[1])
		}
	}
}

// What code scanning asks for beyond the schema.
func TestCodeScanning(t *testing.T) {
	run := reporttest.Run("/run")
	steps := &run.Stages[1].Steps
	for i := range 30 {
		(*steps) = append(*steps, engine.StepResult{Stage: "security", Name: fmt.Sprintf("clean-%02d", i), Status: engine.StatusPassed})
	}
	flake8 := &run.Stages[0].Steps[2].Judgement
	for len(flake8.Findings) < maxResults+100 {
		flake8.Findings = append(flake8.Findings, flake8.Findings[0])
	}
	flake8.Findings[3].Path = ""

	var doc logDoc
	if err := json.Unmarshal(render(t, run), &doc); err != nil {
		t.Fatal(err)
	}
	if len(doc.Runs) > maxRuns {
		t.Errorf("%d runs, the limit is %d", len(doc.Runs), maxRuns)
	}
	categories, tools := map[string]bool{}, map[string]int{}
	for _, run := range doc.Runs {
		category := run.Automation.ID[:strings.LastIndex(run.Automation.ID, "/")]
		if categories[category] {
			t.Errorf("category %s is there twice", category)
		}
		categories[category] = true
		tools[run.Tool.Driver.Name] = len(run.Results)
		marks := map[string]bool{}
		for _, res := range run.Results {
			reg := res.Locations[0].Physical.Region
			if len(res.Locations) != 1 || res.Locations[0].Physical.Artifact.URI == "" ||
				reg.StartLine < 1 || reg.StartColumn < 1 || reg.EndLine < reg.StartLine || reg.EndColumn < 1 ||
				reg.EndLine == reg.StartLine && reg.EndColumn <= reg.StartColumn {
				t.Fatalf("%s: location %+v", res.RuleID, res.Locations)
			}
			mark := res.Fingerprints["primaryLocationLineHash"]
			if mark == "" || marks[mark] {
				t.Fatalf("%s: fingerprint %q is empty or there twice", res.RuleID, mark)
			}
			marks[mark] = true
			rule := run.Tool.Driver.Rules[res.RuleIndex]
			if rule.ID != res.RuleID || rule.Help.Text == "" || rule.Help.Markdown == "" || res.Message.Text == "" {
				t.Fatalf("rule %+v of result %s", rule, res.RuleID)
			}
		}
	}
	if tools["flake8"] != maxResults {
		t.Errorf("flake8 has %d results, want %d", tools["flake8"], maxResults)
	}
	// An empty run would close the alerts of a tool that could not judge.
	if _, ok := tools["safety"]; ok {
		t.Error("safety has a run, but it was not judged")
	}
	if _, ok := tools["bandit"]; !ok {
		t.Error("bandit has no run: one without findings took its place")
	}
	said, _ := json.Marshal(doc.Runs[0].Invocation)
	for _, want := range []string{
		`"executionSuccessful":false`, "security/safety could not be judged: the advisory", "data/contracts was skipped: no data set",
		"unit/pytest failed: coverage 74.12 % is below 80 %", "quality/flake8: 5000 of 5100 findings are listed", "is left out with 0 findings: a file holds 20 runs",
	} {
		if !bytes.Contains(said, []byte(want)) {
			t.Errorf("the pipeline's run does not say %q: %s", want, said)
		}
	}
}

func TestRegionOf(t *testing.T) {
	tests := []struct {
		name string
		f    engine.Finding
		want region
	}{
		{"all known", engine.Finding{Line: 3, Column: 5, EndLine: 4, EndCol: 2}, region{StartLine: 3, StartColumn: 5, EndLine: 4, EndColumn: 2}},
		{"nothing known", engine.Finding{}, region{StartLine: 1, StartColumn: 1, EndLine: 1, EndColumn: 2}},
		{"line: its text", engine.Finding{Line: 3, Frame: "\t  größe"}, region{StartLine: 3, StartColumn: 4, EndLine: 3, EndColumn: 9}},
		{"column: to the end", engine.Finding{Line: 3, Column: 4, Frame: "abcdef"}, region{StartLine: 3, StartColumn: 4, EndLine: 3, EndColumn: 7}},
		{"column after the end", engine.Finding{Line: 3, Column: 9, Frame: "abc"}, region{StartLine: 3, StartColumn: 9, EndLine: 3, EndColumn: 10}},
		{"end before the start", engine.Finding{Line: 3, Column: 9, EndLine: 2, EndCol: 1}, region{StartLine: 3, StartColumn: 9, EndLine: 3, EndColumn: 10}},
		{"empty span", engine.Finding{Line: 3, Column: 9, EndLine: 3, EndCol: 9}, region{StartLine: 3, StartColumn: 9, EndLine: 3, EndColumn: 10}},
		{"later line without a column", engine.Finding{Line: 3, Column: 9, EndLine: 5}, region{StartLine: 3, StartColumn: 9, EndLine: 5, EndColumn: 10}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, regionOf(test.f)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestURI(t *testing.T) {
	for in, want := range map[string]string{
		"src/a.py": "src/a.py", "a b/größe#1?.py": "a%20b/gr%C3%B6%C3%9Fe%231%3F.py", "c:d.py": "./c:d.py",
	} {
		if got := uri(in); got != want {
			t.Errorf("uri(%q) = %q, want %q", in, got, want)
		}
	}
}
