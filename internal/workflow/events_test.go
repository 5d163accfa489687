package workflow_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rhysd/actionlint"

	"github.com/meter-ml/meter-pipeline/internal/workflow"
	"github.com/meter-ml/meter-pipeline/internal/workflow/workflowtest"
)

// An event is what GitHub's contexts hold, read from the payload that it sends.
type event struct {
	file, name, ref string
	vars            map[string]any
}

func (ev event) contexts(t *testing.T) map[string]any {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("testdata/events", ev.file+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var payload map[string]any
	if err := json.Unmarshal(content, &payload); err != nil {
		t.Fatal(err)
	}
	return map[string]any{
		"github": map[string]any{"event_name": ev.name, "ref": ev.ref, "repository": "meter-ml/meter-pipeline", "run_id": "1", "event": payload},
		"vars":   ev.vars,
	}
}

// run says which jobs start, and what became of each. Fails says what becomes of those that run, if not success.
func run(t *testing.T, jobs map[string]*actionlint.Job, ev event, fails map[string]string) map[string]string {
	t.Helper()
	return workflowtest.Walk(t, jobs, ev.contexts(t), func(id string, _ map[string]any) string {
		if how, ok := fails[id]; ok {
			return how
		}
		return "success"
	})
}

func parsed(t *testing.T, w workflow.Workflow) map[string]*actionlint.Job {
	t.Helper()
	content, err := workflow.Render(w, project(t))
	if err != nil {
		t.Fatal(err)
	}
	doc, errs := actionlint.Parse([]byte(content))
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	return doc.Jobs
}

// Names of events as they are in testdata/events, and the references that GitHub sets with them.
var (
	pushMain    = event{file: "push", name: "push", ref: "refs/heads/main"}
	pushDevelop = event{file: "push", name: "push", ref: "refs/heads/develop"}
	pull        = event{file: "pull_request", name: "pull_request", ref: "refs/pull/7/merge"}
	fork        = event{file: "fork", name: "pull_request", ref: "refs/pull/8/merge"}
	tag         = event{file: "tag", name: "push", ref: "refs/tags/v1.2.3"}
	weekly      = event{file: "schedule", name: "schedule", ref: "refs/heads/main"}
	byHand      = event{file: "dispatch", name: "workflow_dispatch", ref: "refs/heads/main"}
)

func TestWhichJobsRun(t *testing.T) {
	jobs := parsed(t, workflow.Pipeline())
	const source = "data quality security unit "
	for name, tt := range map[string]struct {
		event event
		fails map[string]string
		want  string // the jobs that run
	}{
		"push of develop":                       {pushDevelop, nil, source + "notify release scanning staging"},
		"push of main":                          {pushMain, nil, source + "notify production release scanning staging"},
		"push of main, staging fails":           {pushMain, map[string]string{"staging": "failure"}, source + "notify release scanning staging"},
		"push of main, the release fails":       {pushMain, map[string]string{"release": "failure"}, source + "notify release scanning"},
		"push of develop, a unit test fails":    {pushDevelop, map[string]string{"unit": "failure"}, "notify quality scanning security unit"},
		"push of develop, quality fails":        {pushDevelop, map[string]string{"quality": "failure"}, "notify quality scanning"},
		"push of main, cancelled in production": {pushMain, map[string]string{"production": "cancelled"}, source + "notify production release scanning staging"},
		"push of main, cancelled in unit":       {pushMain, map[string]string{"unit": "cancelled"}, "notify quality security unit"},
		"pull request":                          {pull, nil, "candidate comment " + source + "notify scanning"},
		"pull request, a unit test fails":       {pull, map[string]string{"unit": "failure"}, "comment notify quality scanning security unit"},
		"pull request, the candidate fails":     {pull, map[string]string{"candidate": "failure"}, "candidate comment " + source + "notify scanning"},
		"pull request of a fork":                {fork, nil, "candidate " + strings.TrimSpace(source)},
		"a tag":                                 {tag, nil, "notify retag"},
		"a tag of what was never judged":        {tag, map[string]string{"retag": "failure"}, "notify retag"},
		"weekly":                                {weekly, nil, "candidate " + source + "notify scanning"},
		"by hand":                               {byHand, nil, "candidate " + source + "notify scanning"},
		"without code scanning": {
			event{file: "push", name: "push", ref: "refs/heads/develop", vars: map[string]any{"METER_CODE_SCANNING": "off"}}, nil, source + "notify release staging",
		},
		"a branch that is called like a condition": {
			event{file: "push", name: "push", ref: "refs/heads/main' || true || '"}, nil, source + "notify scanning",
		},
	} {
		t.Run(name, func(t *testing.T) {
			var ran []string
			for id, status := range run(t, jobs, tt.event, tt.fails) {
				if status != "skipped" {
					ran = append(ran, id)
				}
			}
			slices.Sort(ran)
			want := slices.Sorted(slices.Values(strings.Fields(tt.want)))
			if diff := cmp.Diff(want, ran); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// Which secrets a job gets follows from its environment; a pull request has none, whoever opened it.
func TestEnvironmentsByEvent(t *testing.T) {
	jobs := parsed(t, workflow.Pipeline())
	for _, tt := range []struct {
		event event
		job   string
		want  string
	}{
		{pushMain, "unit", "evidence"}, {pushDevelop, "quality", "evidence"}, {pull, "unit", ""}, {fork, "unit", ""}, {weekly, "security", ""}, {byHand, "data", ""},
	} {
		name := jobs[tt.job].Environment.Name.Value
		e := &workflowtest.Evaluator{T: t, Contexts: tt.event.contexts(t)}
		if got := e.Eval(name); got != tt.want {
			t.Errorf("%s of %s: environment %q, want %q", tt.job, tt.event.file, got, tt.want)
		}
	}
	for _, job := range workflow.Pipeline().Jobs {
		ran := run(t, jobs, fork, nil)[job.ID] != "skipped"
		if ran && (len(job.Secrets) > 0 && job.Environment != "${{ github.event_name == 'push' && 'evidence' || '' }}" || job.Token) {
			t.Errorf("job %s runs for a fork, and has secrets", job.ID)
		}
	}
}

// Runs of pull requests replace each other; nothing else is ever cancelled by a later one.
func TestConcurrency(t *testing.T) {
	w := workflow.Pipeline()
	for _, tt := range []struct {
		event  event
		group  string
		cancel bool
	}{
		{pull, "refs/pull/7/merge", true}, {fork, "refs/pull/8/merge", true}, {pushMain, "1", false}, {pushDevelop, "1", false}, {tag, "1", false}, {weekly, "1", false},
	} {
		e := &workflowtest.Evaluator{T: t, Contexts: tt.event.contexts(t)}
		if got := e.Eval(strings.TrimPrefix(w.Concurrency.Group, "pipeline-")); got != tt.group {
			t.Errorf("%s: group %v", tt.event.file, got)
		}
		if got := workflowtest.Truthy(e.Eval(w.Concurrency.Cancel)); got != tt.cancel {
			t.Errorf("%s: cancels %t", tt.event.file, got)
		}
	}
	for _, job := range w.Jobs {
		if job.Concurrency.Cancel != "" && job.Concurrency.Cancel != "false" {
			t.Errorf("job %s may be cancelled by a later one", job.ID)
		}
		if job.Approved && job.Concurrency.Group == "" {
			t.Errorf("two jobs %s could deploy at once", job.ID)
		}
	}
}

func TestCalendar(t *testing.T) {
	jobs := parsed(t, workflow.Maintenance())
	for cron, want := range map[string]string{"0 5 * * 1": "rules weekly", "0 6 1 * *": "monthly", "0 7 1 1,4,7,10 *": "quarterly"} {
		ev := event{file: "schedule", name: "schedule", ref: "refs/heads/main"}
		var ran []string
		for id, job := range jobs {
			contexts := ev.contexts(t)
			contexts["github"].(map[string]any)["event"] = map[string]any{"schedule": cron}
			e := &workflowtest.Evaluator{T: t, Contexts: contexts}
			if workflowtest.Truthy(e.Eval(job.If.Value)) {
				ran = append(ran, id)
			}
		}
		slices.Sort(ran)
		if got := strings.Join(ran, " "); got != want {
			t.Errorf("%s runs %q, want %q", cron, got, want)
		}
	}
}

// The controls: the evaluator sees a condition that blocks, and one that does not hold.
func TestEvaluatorSeesWhatIsWrong(t *testing.T) {
	w := workflow.Pipeline()
	for i := range w.Jobs {
		if w.Jobs[i].ID == "production" {
			w.Jobs[i].Needs = append(w.Jobs[i].Needs, "candidate") // which a push skips
		}
	}
	if got := run(t, parsed(t, w), pushMain, nil)["production"]; got != "skipped" {
		t.Errorf("production is %s although it waits for a job that main can't start", got)
	}
	e := &workflowtest.Evaluator{T: t, Contexts: pull.contexts(t)}
	for expression, want := range map[string]any{
		"github.event_name == 'PULL_REQUEST'": true, "github.event.nothing.at.all == ''": true, "!github.event.nothing": true,
		"'' || 'x'": "x", "'a' && 'b'": "b", "github.event.number && true": true, "startsWith(github.ref, 'refs/pull')": true,
	} {
		if got := e.Eval(expression); got != want {
			t.Errorf("%s is %v, want %v", expression, got, want)
		}
	}
}
