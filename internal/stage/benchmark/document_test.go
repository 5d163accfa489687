package benchmark

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

const schemaFile = "../../../docs/benchmark.schema.json"

func validate(t *testing.T, artifacts string) error {
	t.Helper()
	schema, err := jsonschema.NewCompiler().Compile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(filepath.Join(artifacts, documentFile))
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	return schema.Validate(doc)
}

// What the stage writes follows the documented schema: without a baseline, with one, on several data sets, where it
// can't be told how busy the machine was.
func TestDocumentFollowsItsSchema(t *testing.T) {
	factor := 1.0
	b := newBench(t, program(t, recorded(t), &factor), true)
	measure := func() {
		t.Helper()
		b.fresh(t)
		b.handOver(t, "sample", "plant")
		if _, err := b.step(t, "single"); err != nil {
			t.Fatal(err)
		}
		if err := validate(t, b.scope.Artifacts); err != nil {
			t.Error(err)
		}
	}
	measure()
	b.stage.baseline = true
	measure()
	if _, err := b.step(t, "store"); err != nil {
		t.Fatal(err)
	}
	b.stage.baseline = false
	measure()
	doc, err := readDocument(b.scope.Artifacts)
	if err != nil || len(doc.Measures) != 2 || doc.Measures[0].Comparison.Verdict != verdictSame || doc.Measures[1].Comparison.Verdict != verdictNotCompared {
		t.Errorf("%+v, %v", doc, err)
	}
	if doc.Machine.CPU != "Test CPU" || doc.Software.Packages["numpy"] != "2.1.0" || doc.Software.Python != "3.11.7" {
		t.Errorf("%+v, %+v", doc.Machine, doc.Software)
	}
	b.stage.gauge = func() (account, error) { return account{}, fs.ErrNotExist }
	b.stage.root = t.TempDir()
	factor = 4
	measure()

	if _, err := b.step(t, "single"); err != nil {
		t.Fatal(err)
	}
	if doc, err := readDocument(b.scope.Artifacts); err != nil || len(doc.Measures) != 4 {
		t.Errorf("a second step adds to the document: %d measures, %v", len(doc.Measures), err)
	}
}

func TestTornDocumentIsNotReadAsAnEmptyOne(t *testing.T) {
	dir := t.TempDir()
	if _, err := readDocument(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	for content, want := range map[string]string{"": "EOF", `{"schema_version": 1`: "unexpected EOF", `{"schema_version": 2}`: "its schema is 2", `{"schema": 1}`: "unknown field"} {
		lay(t, filepath.Join(dir, documentFile), content)
		if _, err := readDocument(dir); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", content, err, want)
		}
		if err := addToDocument(dir, Machine{}, Software{}); err == nil {
			t.Errorf("%q was written over", content)
		}
	}
}

func TestMachine(t *testing.T) {
	here := readMachine("/")
	if same, difference := here.same(readMachine("/")); !same || here.CPU == "" || here.OS == "" || here.Cores < 1 {
		t.Errorf("%+v is not itself: %s", here, difference)
	}
	nowhere := readMachine(t.TempDir())
	if nowhere.CPU != "unknown CPU" || nowhere.Governor != "not adjustable" || nowhere.Kernel != "unknown" {
		t.Errorf("%+v", nowhere)
	}
	other := here
	other.Kernel = "another"
	if same, difference := here.same(other); !same {
		t.Errorf("a new kernel is no new machine: %s", difference)
	}
	other.Cores++
	if same, difference := here.same(other); same || !strings.Contains(difference, "number of cores") {
		t.Error(difference)
	}
}

func TestChanges(t *testing.T) {
	then := Software{Python: "3.11.6", Packages: map[string]string{"numpy": "2.1", "gone": "1", "same": "1"}}
	now := Software{Python: "3.11.7", Packages: map[string]string{"numpy": "2.2", "fresh": "3", "same": "1"}}
	if got := strings.Join(now.changes(then), "; "); got != "Python 3.11.6 → 3.11.7; fresh 3 is new; gone is gone; numpy 2.1 → 2.2" {
		t.Error(got)
	}
	if got := now.changes(now); len(got) != 0 {
		t.Error(got)
	}
}

func TestSeconds(t *testing.T) {
	for v, want := range map[float64]string{1.2345: "1.23 s", 0.0123: "12.3 ms", 0.999: "999 ms", 0.0000273: "27.3 µs", 123.4: "123 s", 0.001: "1.00 ms"} {
		if got := seconds(v); got != want {
			t.Errorf("%v is %q, want %q", v, got, want)
		}
	}
}

func TestShares(t *testing.T) {
	got := shares([]float64{1, 1, 2, 99}, 1, 2)
	if got[0] != 0.5 || got[bins-1] != 0.5 {
		t.Error(got)
	}
	if got := shares([]float64{3, 3}, 3, 3); got[0] != 1 {
		t.Error(got)
	}
}
