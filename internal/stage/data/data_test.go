package data_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/stage/data"
)

var today = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// A world is a small project on disk.
type world struct {
	project   *config.Project
	artifacts string
	env       map[string]string
	run       func(engine.Invocation) (engine.Output, error)
}

func newWorld(t *testing.T, files map[string]string) *world {
	t.Helper()
	root := t.TempDir()
	for name, content := range files {
		path := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return &world{project: config.Default(root), artifacts: t.TempDir(), env: map[string]string{}}
}

func (w *world) options() data.Options {
	return data.Options{Get: func(name string) string { return w.env[name] }, Now: today}
}

// step runs one step of the stage.
func (w *world) step(t *testing.T, stage engine.Stage, name string) (engine.Step, engine.Judgement, error) {
	t.Helper()
	steps, err := stage.Steps(w.project)
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range steps {
		if step.Name != name {
			continue
		}
		j, err := step.Func(t.Context(), engine.Scope{
			Root: w.project.Root, Artifacts: w.artifacts, Scratch: t.TempDir(), Env: map[string]string{"PATH": "/bin"},
			Run: func(_ context.Context, i engine.Invocation) (engine.Output, error) {
				if w.run == nil {
					t.Errorf("unexpected call of %s", i.Program)
					return engine.Output{}, nil
				}
				return w.run(i)
			},
			Progress: func(int, int, string) {}, Log: func(string, ...any) {},
		})
		return step, j, err
	}
	t.Fatalf("there is no step %s", name)
	return engine.Step{}, engine.Judgement{}, nil
}

func (w *world) judge(t *testing.T, name string) (engine.Judgement, error) {
	t.Helper()
	_, j, err := w.step(t, data.New(w.options()), name)
	return j, err
}

// said is each finding in one line.
func said(j engine.Judgement) []string {
	var lines []string
	for _, f := range j.Findings {
		lines = append(lines, strings.TrimSpace(strings.Join([]string{f.Path, f.Rule, f.Message}, " | ")))
	}
	return lines
}

const meters = `name: meters
type: table
path: data/meters.csv
schema:
  fields:
    - {name: meter, type: string, constraints: {required: true}}
    - {name: kwh, type: number, constraints: {minimum: 0}}
  primaryKey: meter
quality:
  rows: {minimum: 1}
`

func TestGoodDataPass(t *testing.T) {
	w := newWorld(t, map[string]string{"data/schemas/meters.yaml": meters, "data/meters.csv": "meter,kwh\na,1\nb,2.5\n"})
	for name, judged := range map[string]int{"contracts": 1, "meters": 2} {
		j, err := w.judge(t, name)
		if err != nil || len(j.Findings) > 0 || j.Judged != judged {
			t.Errorf("%s: judged %d, %q, %v", name, j.Judged, said(j), err)
		}
	}
}

func TestFindingNamesTheEditorsLineAndTheSpreadsheetsRow(t *testing.T) {
	w := newWorld(t, map[string]string{"data/schemas/meters.yaml": meters, "data/meters.csv": "meter,kwh\n\"a\n(old)\",1\nb,lots\n"})
	j, err := w.judge(t, "meters")
	if err != nil {
		t.Fatal(err)
	}
	if len(j.Findings) != 1 {
		t.Fatalf("findings: %q", said(j))
	}
	f := j.Findings[0]
	if f.Path != "data/meters.csv" || f.Line != 4 || f.Rule != "type-error" || !strings.HasPrefix(f.Message, "row 3, kwh: ") || !strings.Contains(f.Message, `lots`) {
		t.Errorf("finding: %+v", f)
	}
}

func TestWhatIsDeclaredAndWhatIsThere(t *testing.T) {
	for _, tc := range []struct {
		name  string
		files map[string]string
		step  string
		want  []string
		err   string
	}{
		{
			name: "no descriptor at all", files: map[string]string{"README.md": ""}, step: "contracts",
			err: "no data set is declared",
		},
		{
			name: "a file without a contract", step: "contracts",
			files: map[string]string{"data/schemas/meters.yaml": meters, "data/meters.csv": "meter,kwh\na,1\n", "data/old/More.CSV.gz": ""},
			want:  []string{"data/old/More.CSV.gz | no-contract | no contract describes this file, so nothing of it is judged"},
		},
		{
			name: "a contract without a file", step: "meters",
			files: map[string]string{"data/schemas/meters.yaml": meters},
			want:  []string{"data/meters.csv | missing | the file does not exist"},
		},
		{
			name: "an empty file", step: "meters",
			files: map[string]string{"data/schemas/meters.yaml": meters, "data/meters.csv": ""},
			want:  []string{"data/meters.csv | empty | the file is empty"},
		},
		{
			name: "an unknown key", step: "contracts",
			files: map[string]string{"data/schemas/meters.yaml": strings.Replace(meters, "primaryKey", "primarykey", 1), "data/meters.csv": "meter,kwh\na,1\n"},
			want: []string{
				`data/schemas/meters.yaml | descriptor | unknown key "primarykey" in schema`,
				"data/meters.csv | no-contract | no contract describes this file, so nothing of it is judged",
			},
		},
		{
			name: "one name twice", step: "contracts",
			files: map[string]string{"data/schemas/a.yaml": meters, "data/schemas/b.yaml": meters, "data/meters.csv": "meter,kwh\na,1\n"},
			want:  []string{`data/schemas/b.yaml | duplicate-name | the name "meters" is already that of data/schemas/a.yaml`},
		},
		{
			name: "the name of a step", step: "contracts",
			files: map[string]string{"data/schemas/a.yaml": meters, "data/schemas/b.yaml": strings.Replace(meters, "name: meters", "name: contracts", 1), "data/meters.csv": "meter,kwh\na,1\n"},
			want:  []string{`data/schemas/b.yaml | duplicate-name | the name "contracts" is already that of a step of this stage`},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			j, err := newWorld(t, tc.files).judge(t, tc.step)
			if tc.err != "" {
				if err == nil || !strings.Contains(err.Error(), tc.err) {
					t.Fatalf("error %v, want %q", err, tc.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, said(j)); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
			for _, f := range j.Findings {
				if f.Help == "" {
					t.Errorf("%s does not say what to do", f.Rule)
				}
			}
		})
	}
}

func TestDescriptorsMistakeHasItsPlace(t *testing.T) {
	w := newWorld(t, map[string]string{"data/schemas/meters.yaml": strings.Replace(meters, "primaryKey", "primarykey", 1)})
	j, err := w.judge(t, "contracts")
	if err != nil || len(j.Findings) != 1 {
		t.Fatal(said(j), err)
	}
	if f := j.Findings[0]; f.Line != 8 || f.Column != 3 || !strings.Contains(f.Help, "primaryKey") {
		t.Errorf("finding: %+v", f)
	}
}

const elsewhere = `name: elsewhere
type: table
path: meters.csv
directoryVariable: METERS
schema: {fields: [{name: meter, type: string, constraints: {required: true}}]}
`

func TestDataElsewhere(t *testing.T) {
	w := newWorld(t, map[string]string{"data/schemas/elsewhere.yaml": elsewhere, "there/meters.csv": "meter\na\n\nb\n"})
	step, _, _ := w.step(t, data.New(w.options()), "elsewhere")
	if step.Skip != "METERS is not set: it names the directory of meters.csv" {
		t.Errorf("skip: %q", step.Skip)
	}
	if _, err := w.judge(t, "contracts"); err == nil || !strings.Contains(err.Error(), "no data set can be judged here") {
		t.Errorf("contracts without a set to judge: %v", err)
	}
	w.env["METERS"] = "there"
	j, err := w.judge(t, "elsewhere")
	if err != nil || len(j.Findings) != 1 || j.Findings[0].Path != "$METERS/meters.csv" || j.Findings[0].Rule != "blank-row" {
		t.Errorf("findings %q, %v", said(j), err)
	}
}

func TestDataThatACommandMakes(t *testing.T) {
	w := newWorld(t, map[string]string{"data/schemas/meters.yaml": meters})
	w.project.Data.Made = map[string]config.Made{"meters": {
		Command: []string{"make-it", "--to={file}"}, Env: map[string]string{"SEED": "1"},
	}}
	w.run = func(i engine.Invocation) (engine.Output, error) {
		file, ok := strings.CutPrefix(i.Args[0], "--to=")
		if i.Program != "make-it" || !ok || strings.Join(i.Env, " ") != "PATH=/bin SEED=1" {
			t.Errorf("call: %+v", i)
		}
		return engine.Output{}, os.WriteFile(file, []byte("meter,kwh\na,-1\n"), 0o600)
	}
	step, j, err := w.step(t, data.New(w.options()), "meters")
	if err != nil || len(j.Findings) != 1 || j.Findings[0].Path != "data/schemas/meters.yaml" || j.Findings[0].Line != 0 {
		t.Errorf("findings %q, %v", said(j), err)
	}
	if len(step.Needs) != 1 || step.Needs[0] != engine.NeedPython {
		t.Errorf("needs: %v", step.Needs)
	}
	w.run = func(engine.Invocation) (engine.Output, error) { return engine.Output{ExitCode: 2}, nil }
	if _, err := w.judge(t, "meters"); err == nil || !strings.Contains(err.Error(), "exit code 2") {
		t.Errorf("a command that fails: %v", err)
	}
	w.run = func(engine.Invocation) (engine.Output, error) { return engine.Output{}, nil }
	if j, err := w.judge(t, "meters"); err != nil || len(j.Findings) != 1 || j.Findings[0].Rule != "missing" {
		t.Errorf("a command that writes nothing: %q, %v", said(j), err)
	}
}

func TestReportIsValidAndSaysWhatIsNotJudged(t *testing.T) {
	other := strings.NewReplacer("name: meters", "name: other", "data/meters.csv", "data/other.csv").Replace(meters)
	w := newWorld(t, map[string]string{
		"data/schemas/elsewhere.yaml": elsewhere, "data/schemas/meters.yaml": meters, "data/schemas/other.yaml": other,
		"data/meters.csv": "meter,kwh\na,1\na,-2\n", "data/other.csv": "meter,kwh\na,1\n",
	})
	if _, err := w.judge(t, "meters"); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(filepath.Join(w.artifacts, data.Report))
	if err != nil {
		t.Fatal(err)
	}
	validate(t, content)
	var doc struct {
		DataSets []struct{ Name, State, Reason string } `json:"data_sets"`
	}
	if err := json.Unmarshal(content, &doc); err != nil {
		t.Fatal(err)
	}
	want := []struct{ Name, State, Reason string }{
		{"elsewhere", "skipped", "METERS is not set: it names the directory of meters.csv"},
		{"meters", "failed", ""},
		{"other", "not_judged", ""},
	}
	if diff := cmp.Diff(want, doc.DataSets); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}
}

func validate(t *testing.T, content []byte) {
	t.Helper()
	schema, err := jsonschema.NewCompiler().Compile("../../../docs/data-report.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var value any
	if err := json.Unmarshal(content, &value); err != nil {
		t.Fatal(err)
	}
	if err := schema.Validate(value); err != nil {
		t.Error(err)
	}
}

func TestBaselineIsStoredForGoodDataOnly(t *testing.T) {
	drift := meters + "  drift: {baseline: data/schemas/baselines/meters.json}\n"
	good := "meter,kwh\n"
	for i := range 200 {
		good += "m" + strings.Repeat("x", i) + "," + []string{"1", "2", "3"}[i%3] + "\n"
	}
	w := newWorld(t, map[string]string{"data/schemas/meters.yaml": drift, "data/meters.csv": "meter,kwh\na,-1\n"})
	path := filepath.Join(w.project.Root, "data/schemas/baselines/meters.json")
	store := func() engine.Judgement {
		_, j, err := w.step(t, data.NewBaseline(w.options()), "meters")
		if err != nil {
			t.Fatal(err)
		}
		return j
	}
	if j := store(); len(j.Findings) == 0 || !strings.Contains(strings.Join(j.Notes, " "), "left as it is") {
		t.Errorf("bad data: %q, %q", said(j), j.Notes)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("a baseline of bad data was stored")
	}
	if err := os.WriteFile(filepath.Join(w.project.Root, "data/meters.csv"), []byte(good), 0o600); err != nil {
		t.Fatal(err)
	}
	if j := store(); len(j.Findings) > 0 || !strings.Contains(strings.Join(j.Notes, " "), "stored ") {
		t.Errorf("good data: %q, %q", said(j), j.Notes)
	}
	if j := store(); !strings.Contains(strings.Join(j.Notes, " "), "already") {
		t.Errorf("the same data again: %q", j.Notes)
	}
	if j, err := w.judge(t, "meters"); err != nil || len(j.Findings) > 0 {
		t.Errorf("the data of the baseline drift: %q, %v", said(j), err)
	}
	if err := os.WriteFile(filepath.Join(w.project.Root, "data/meters.csv"), []byte(strings.ReplaceAll(good, ",3", ",1")), 0o600); err != nil {
		t.Fatal(err)
	}
	if j, err := w.judge(t, "meters"); err != nil || len(j.Findings) == 0 || j.Findings[0].Rule != "drift" {
		t.Errorf("other data: %q, %v", said(j), err)
	}
}

func TestOneFileAgainstOneDescriptor(t *testing.T) {
	w := newWorld(t, map[string]string{"data/schemas/meters.yaml": meters, "new.csv": "meter,kwh\n,1\n"})
	_, j, err := w.step(t, data.NewFile(w.options(), "new.csv", "data/schemas/meters.yaml"), "meters")
	if err != nil || len(j.Findings) == 0 || j.Findings[0].Path != "new.csv" {
		t.Errorf("findings %q, %v", said(j), err)
	}
	if _, err := data.NewFile(w.options(), "new.csv", "absent.yaml").Steps(w.project); err == nil {
		t.Error("a descriptor that is not there is no error")
	}
}
