package quality

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/workflow"
)

func TestParseZizmor(t *testing.T) {
	report, err := os.ReadFile("testdata/zizmor/findings.json")
	if err != nil {
		t.Fatal(err)
	}
	findings, err := parseZizmor(report)
	if err != nil || len(findings) != 8 {
		t.Fatalf("%d findings, %v", len(findings), err)
	}
	first := findings[0]
	if first.Rule != "zizmor-artipacked" || first.Severity != engine.SeverityMedium || first.Path != ".github/workflows/x.yml" || first.Line != 6 ||
		!strings.Contains(first.Message, "persist-credentials") {
		t.Errorf("%+v", first)
	}
	if none, err := parseZizmor([]byte("[]")); err != nil || len(none) != 0 {
		t.Errorf("no finding: %v, %v", none, err)
	}
	var all []map[string]any
	if err := json.Unmarshal(report, &all); err != nil {
		t.Fatal(err)
	}
	all[0]["determinations"] = map[string]string{"severity": "Dreadful"}
	odd, _ := json.Marshal(all)
	if findings, err := parseZizmor(odd); err != nil || findings[0].Severity != engine.SeverityNone {
		t.Errorf("a severity that nobody knows: %v, %v", findings, err)
	}
	for _, bad := range []string{"", "null", "{}", `[{"url": "x"}]`, "[", "warning: x"} {
		if findings, err := parseZizmor([]byte(bad)); err == nil {
			t.Errorf("%q is taken for a report: %v", bad, findings)
		}
	}
}

func FuzzParseZizmor(f *testing.F) {
	if report, err := os.ReadFile("testdata/zizmor/findings.json"); err == nil {
		f.Add(report)
	}
	f.Fuzz(func(t *testing.T, report []byte) {
		findings, err := parseZizmor(report)
		for _, finding := range findings {
			if err == nil && finding.Rule == "" {
				t.Fatal("a finding without a rule")
			}
		}
	})
}

// judge runs the step with what zizmor would say.
func judge(t *testing.T, p *config.Project, says engine.Output) (j engine.Judgement, asked bool, err error) {
	t.Helper()
	j, err = workflowStep(p).Func(t.Context(), engine.Scope{
		Root: p.Root, Log: func(string, ...any) {},
		Run: func(_ context.Context, i engine.Invocation) (engine.Output, error) {
			if i.Program != "zizmor" {
				t.Errorf("it runs %s", i.Program)
			}
			asked = true
			return says, nil
		},
	})
	return j, asked, err
}

func TestWorkflowStep(t *testing.T) {
	p := config.Default(t.TempDir())
	steps, err := New().Steps(p)
	if err != nil || len(steps) != 4 {
		t.Fatalf("a project without workflows of ours has %d steps, %v", len(steps), err)
	}
	if _, err := workflow.Generate(p); err != nil {
		t.Fatal(err)
	}
	if steps, err = New().Steps(p); err != nil || len(steps) != 5 || steps[4].Name != "workflow" {
		t.Fatalf("with workflows of ours: %d steps, %v", len(steps), err)
	}
	clean := engine.Output{Stdout: []byte("[]")}
	if j, asked, err := judge(t, p, clean); err != nil || len(j.Findings) != 0 || j.Judged != 5 || !asked {
		t.Errorf("unchanged: %+v, %v, zizmor asked: %t", j, err, asked)
	}
	if _, _, err := judge(t, p, engine.Output{ExitCode: 3, Stderr: []byte("fatal: no audit was performed")}); err == nil || !strings.Contains(err.Error(), "no audit") {
		t.Errorf("zizmor that could not judge: %v", err)
	}
	path := filepath.Join(p.Root, workflow.Directory, "pipeline.yml")
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func() error{
		"edited": func() error {
			return os.WriteFile(path, []byte(strings.Replace(string(content), "fetch-depth: 0", "fetch-depth: 1", 1)), 0o600)
		},
		"not YAML":   func() error { return os.WriteFile(path, []byte(workflow.Head+"\na: ["), 0o600) },
		"empty":      func() error { return os.WriteFile(path, nil, 0o600) },
		"taken away": func() error { return os.Remove(path) },
	} {
		if err := change(); err != nil {
			t.Fatal(err)
		}
		j, asked, err := judge(t, p, clean)
		if err != nil || len(j.Findings) == 0 || j.Findings[0].Rule != "drift" || j.Findings[0].Path != ".github/workflows/pipeline.yml" || asked {
			t.Errorf("%s: %+v, %v, zizmor asked: %t", name, j, err, asked)
		}
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// Somebody else's workflow beside ours is linted, too.
	if err := os.WriteFile(filepath.Join(filepath.Dir(path), "theirs.yaml"), []byte("on: push\njobs:\n  a:\n    needs: b\n    runs-on: x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if j, _, err := judge(t, p, clean); err != nil || len(j.Findings) == 0 || !strings.HasPrefix(j.Findings[0].Rule, "actionlint-") {
		t.Errorf("a bad workflow of others: %+v, %v", j, err)
	}
}
