package jsonreport

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/report"
	"github.com/meter-ml/meter-pipeline/internal/report/reporttest"
)

var update = reporttest.Update()

const schemaFile = "../../../docs/report.schema.json"

func schema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	s, err := jsonschema.NewCompiler().Compile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func validate(t *testing.T, doc []byte) error {
	t.Helper()
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(doc))
	if err != nil {
		t.Fatal(err)
	}
	return schema(t).Validate(v)
}

func render(t *testing.T, run *engine.Run) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := Render(&b, report.New(run, reporttest.Plan())); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestRuns(t *testing.T) {
	odd := reporttest.Run("/run")
	odd.Problems = []string{"write junit.xml: disk full"}
	odd.Stages[2].Steps[0].Judgement.Metrics[0].Value = math.NaN()
	odd.Stages[2].Steps[0].Judgement.Metrics[0].Threshold = math.Inf(1)
	tests := []struct {
		name string
		run  *engine.Run
	}{
		{"run", reporttest.Run("/run")},
		{"passed", reporttest.Passed("/run")},
		{"interrupted", reporttest.Interrupted("/run")},
		{"odd", odd},
		{"empty", &engine.Run{ID: "1", Target: "check", Status: engine.StatusError, ExitCode: engine.ExitError}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := render(t, test.run)
			if err := validate(t, got); err != nil {
				t.Errorf("report.json does not follow its schema: %v", err)
			}
			reporttest.Golden(t, *update, test.name+".golden.json", string(got))
		})
	}
}

// A schema that accepts anything proves nothing: each of these must be refused.
func TestSchemaRefuses(t *testing.T) {
	tests := []struct{ name, old, new string }{
		{"unknown key", `"dirty": true`, `"dirty": true, "durty": true`},
		{"unknown status", `"status": "skipped"`, `"status": "ok"`},
		{"error without a reason", `"reason": "the advisory`, `"reason": "", "log": "the advisory`},
		{"pass that judged nothing", `"count": 318`, `"count": 0`},
		{"other version", `"schema_version": 1`, `"schema_version": 2`},
		{"list that is null", `"problems": []`, `"problems": null`},
		{"script as a link", `"help_url": "https:`, `"help_url": "javascript:`},
	}
	doc := string(render(t, reporttest.Run("/run")))
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if !strings.Contains(doc, test.old) {
				t.Fatalf("the report has no %s", test.old)
			}
			if err := validate(t, []byte(strings.Replace(doc, test.old, test.new, 1))); err == nil {
				t.Error("the schema accepts it")
			}
		})
	}
}

func TestNewWritesTheFileAtTheEnd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "report.json")
	r := New(path)
	run := reporttest.Run("/run")
	for _, e := range reporttest.Events(run, reporttest.Plan()) {
		if err := r.Event(e); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(path); e.Kind != engine.EventRunFinished && err == nil {
			t.Fatalf("report.json is there at %s already", e.Kind)
		}
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !json.Valid(b) || !bytes.Equal(b, render(t, run)) {
		t.Error("the file differs from what Render writes")
	}
	if rest, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".*")); len(rest) > 0 {
		t.Errorf("left behind: %v", rest)
	}
}

func TestNewSaysWhatItCouldNotWrite(t *testing.T) {
	blocked := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(blocked, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	err := New(filepath.Join(blocked, "report.json")).Event(engine.Event{Kind: engine.EventRunFinished, Run: reporttest.Run("/run")})
	if err == nil || !strings.HasPrefix(err.Error(), "write report.json: ") {
		t.Errorf("error = %v, want one that begins with the file's name", err)
	}
}
