package gather

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/report"
	"github.com/meter-ml/meter-pipeline/internal/report/jsonreport"
	"github.com/meter-ml/meter-pipeline/internal/report/reporttest"
)

// artifact puts a report where CI would, as the pipeline writes it.
func artifact(t *testing.T, dir string, run *engine.Run) {
	t.Helper()
	var b strings.Builder
	if err := jsonreport.Render(&b, report.New(run, reporttest.Plan())); err != nil {
		t.Fatal(err)
	}
	at := filepath.Join(dir, "job-"+run.ID, "runs", run.ID)
	if err := os.MkdirAll(at, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(at, reportName), []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

// job is a run of one stage of the fixture.
func job(run *engine.Run, id string, stage int) *engine.Run {
	one := *run
	one.ID, one.Target, one.Stages = id, run.Stages[stage].Name, run.Stages[stage:stage+1]
	one.Started = reporttest.Start().Add(time.Duration(stage) * time.Minute)
	one.Duration, one.Status = one.Stages[0].Duration, one.Stages[0].Status
	one.ExitCode = map[engine.Status]int{engine.StatusPassed: 0, engine.StatusFailed: 1, engine.StatusError: 3}[one.Status]
	return &one
}

func TestJobsBecomeOneRun(t *testing.T) {
	dir := t.TempDir()
	for i, id := range []string{"20261123-142501-0001", "20261123-142601-0002", "20261123-142701-0003"} {
		artifact(t, dir, job(reporttest.Passed("/run"), id, i))
	}
	runs, err := Reports(t.Context(), dir)
	if err != nil || len(runs) != 3 {
		t.Fatal(len(runs), err)
	}
	jobs, err := ReadJobs(`{"quality":{"result":"success","outputs":{}},"production":{"result":"skipped"}}`)
	if err != nil {
		t.Fatal(err)
	}
	whole, err := Whole(runs, jobs)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, stage := range whole.Stages {
		names = append(names, stage.Name)
	}
	if whole.Status != engine.StatusPassed || strings.Join(names, " ") != "quality security unit" || whole.Duration < 2*time.Minute || whole.Commit == "" {
		t.Errorf("%s %v %v %v", whole.Status, names, whole.Duration, whole.Problems)
	}
	if got := whole.Stages[2].Steps[0].Judgement.Metrics; len(got) == 0 || got[0].Value == 0 {
		t.Errorf("metrics %v", got)
	}
}

func TestNothingPassesForGreen(t *testing.T) {
	passed := func() []*engine.Run {
		return []*engine.Run{job(reporttest.Passed("/run"), "20261123-142501-0001", 0)}
	}
	for _, tt := range []struct {
		name, jobs string
		runs       []*engine.Run
		want       engine.Status
		problem    string
	}{
		{"a stage failed", "", append(passed(), job(reporttest.Run("/run"), "20261123-142601-0002", 2)), engine.StatusFailed, ""},
		{"a stage was not judged", "", append(passed(), job(reporttest.Run("/run"), "20261123-142601-0002", 1)), engine.StatusError, ""},
		{"a job failed without a report", `{"unit":{"result":"failure"}}`, passed(), engine.StatusError, `the job "unit" failed, and no report says why`},
		{"a job was cancelled", `{"unit":{"result":"cancelled"}}`, passed(), engine.StatusError, `the job "unit" was not finished: cancelled`},
		{"a word that nobody knows", `{"unit":{"result":"fine"}}`, passed(), engine.StatusError, "not finished: fine"},
		{"no report at all", `{"quality":{"result":"failure"}}`, nil, engine.StatusError, "no report says why"},
		{"jobs succeeded, and none reported", `{"quality":{"result":"success"}}`, nil, engine.StatusError, "no report"},
		{"every job was skipped", `{"quality":{"result":"skipped"}}`, nil, engine.StatusSkipped, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			jobs, err := ReadJobs(tt.jobs)
			if err != nil {
				t.Fatal(err)
			}
			whole, err := Whole(tt.runs, jobs)
			if err != nil {
				t.Fatal(err)
			}
			if whole.Status != tt.want || !strings.Contains(strings.Join(whole.Problems, "\n"), tt.problem) {
				t.Errorf("%s, problems %q", whole.Status, whole.Problems)
			}
		})
	}
}

// A report does not get away with a better verdict than its steps.
func TestForgedVerdict(t *testing.T) {
	dir := t.TempDir()
	run := reporttest.Run("/run")
	run.Status, run.ExitCode = engine.StatusPassed, 0
	artifact(t, dir, run)
	runs, err := Reports(t.Context(), dir)
	if err != nil || runs[0].Status != engine.StatusError {
		t.Error(runs, err)
	}
}

func TestReportsThatAreNone(t *testing.T) {
	for name, content := range map[string]string{
		"no JSON": "<html>", "a list": "[]", "another version": `{"schema_version":9,"id":"x","started":"2026-11-23T14:25:01Z"}`,
		"no run": `{"schema_version":1}`, "a time that is none": `{"schema_version":1,"id":"x","started":"today"}`,
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, reportName), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		if runs, err := Reports(t.Context(), dir); err == nil {
			t.Errorf("%s: %v", name, runs)
		}
	}
	if _, err := Reports(t.Context(), filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a directory that is not there has reports")
	}
	if _, err := Whole(nil, nil); err == nil || !strings.Contains(err.Error(), "nothing is known") {
		t.Errorf("of nothing: %v", err)
	}
	if _, err := ReadJobs("success"); err == nil {
		t.Error("a word is taken for jobs")
	}
	one, other := job(reporttest.Passed("/run"), "a", 0), job(reporttest.Passed("/run"), "b", 1)
	other.Commit = strings.Repeat("0", 40)
	if _, err := Whole([]*engine.Run{one, other}, nil); err == nil || !strings.Contains(err.Error(), "several commits") {
		t.Errorf("of two commits: %v", err)
	}
	outside := t.TempDir()
	artifact(t, outside, reporttest.Passed("/run"))
	inside := t.TempDir()
	if err := os.Symlink(outside, filepath.Join(inside, "link")); err != nil {
		t.Fatal(err)
	}
	if runs, err := Reports(t.Context(), inside); len(runs) != 0 || err != nil {
		t.Errorf("a link leads outside: %v, %v", runs, err)
	}
}

// Run again, a step counts as it was judged last.
func TestAgain(t *testing.T) {
	first, second := job(reporttest.Run("/run"), "20261123-142501-0001", 2), job(reporttest.Passed("/run"), "20261123-152501-0002", 2)
	whole, err := Whole([]*engine.Run{first, second}, nil)
	if err != nil || len(whole.Stages) != 1 || whole.Stages[0].Status != engine.StatusPassed || whole.Status != engine.StatusPassed {
		t.Errorf("%+v %v", whole.Stages, err)
	}
}
