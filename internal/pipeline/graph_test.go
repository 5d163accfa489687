package pipeline

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/stage/deploy"
	"github.com/meter-ml/meter-pipeline/internal/stage/image"
	"github.com/meter-ml/meter-pipeline/internal/stage/notify"
	"github.com/meter-ml/meter-pipeline/internal/stage/production"
	"github.com/meter-ml/meter-pipeline/internal/stage/staging"
	"github.com/meter-ml/meter-pipeline/internal/workflow"
)

// runsOfJobs is where a job finds the runs of those before it.
const runsOfJobs = ".pipeline/runs"

// recipes are what the targets of judging jobs run. A new stage needs its line here and in workflow.Pipeline.
func recipes() map[string]Recipe {
	deploys := func(stage string) Recipe {
		return func(Host) []engine.Stage {
			return []engine.Stage{deployStage(stage, deploy.Options{Environment: stage})}
		}
	}
	return map[string]Recipe{
		"image:candidate": ImageCandidate(), "image:release": ImageRelease(image.PushOptions{}),
		"deploy:staging": deploys(staging.Name), "deploy:production": deploys(production.Name),
		"notify:reports " + runsOfJobs: func(Host) []engine.Stage { return []engine.Stage{notify.New(nil)} },
	}
}

func stagesOf(recipe Recipe) []string {
	var names []string
	for _, stage := range recipe(Host{Now: time.Now}) {
		names = append(names, stage.Name())
	}
	return names
}

// The graph of jobs is that of the pipeline: each stage that can run here is judged by the job that names it, for every
// event exactly once, and in the pipeline's order.
func TestGraphIsThePipeline(t *testing.T) {
	graph := workflow.Pipeline()
	check := stagesOf(Check())
	var inGraph []string
	for _, job := range graph.Jobs {
		for _, stage := range job.Stages {
			if !slices.Contains(inGraph, stage) {
				inGraph = append(inGraph, stage)
			}
		}
		recipe, whole := recipes()[job.Target]
		switch {
		case len(job.Stages) == 0:
		case whole:
			if diff := cmp.Diff(stagesOf(recipe), job.Stages); diff != "" {
				t.Errorf("job %s (-what its target runs +what the graph says):\n%s", job.ID, diff)
			}
		case len(job.Stages) != 1 || job.Target != job.Stages[0] || !slices.Contains(check, job.Target):
			t.Errorf("job %s says that it judges %q, and runs %q", job.ID, job.Stages, job.Target)
		}
	}
	for _, stage := range slices.Concat(check, stagesOf(ImageRelease(image.PushOptions{}))) {
		if !slices.Contains(inGraph, stage) {
			t.Errorf("no job judges the stage %s", stage)
		}
	}
	// The order of check is that of the jobs, without those that only the images have.
	var shared []string
	for _, stage := range inGraph {
		if slices.Contains(check, stage) {
			shared = append(shared, stage)
		}
	}
	if diff := cmp.Diff(check, shared); diff != "" {
		t.Errorf("order of stages (-check +jobs):\n%s", diff)
	}
}

// The documented edges, as a push to main has them: what stands on the left is over before what stands on the right begins.
// Stages of one job keep their order in the run itself.
func TestGraphHasTheDocumentedEdges(t *testing.T) {
	jobs := map[string]workflow.Job{}
	of := map[string]string{}
	for _, job := range workflow.Pipeline().Jobs {
		jobs[job.ID] = job
		for _, stage := range job.Stages {
			if job.ID != "candidate" {
				of[stage] = job.ID
			}
		}
	}
	var before func(job, other string) bool
	before = func(job, other string) bool {
		return slices.ContainsFunc(jobs[other].Needs, func(need string) bool { return need == job || before(job, need) })
	}
	for _, edge := range [][2]string{
		{"quality", "security"},
		{"quality", "unit"},
		{"security", "data"},
		{"unit", "data"},
		{"data", "image"},
		{"image", "integration"},
		{"integration", "benchmark"},
		{"benchmark", "staging"},
		{"benchmark", "production"},
		{"staging", "production"},
		{"staging", "notify"},
		{"production", "notify"},
		{"unit", "notify"},
	} {
		first, second := of[edge[0]], of[edge[1]]
		if first == "" || second == "" || first != second && !before(first, second) {
			t.Errorf("%s does not come before %s: their jobs are %q and %q", edge[0], edge[1], first, second)
		}
		if before(second, first) {
			t.Errorf("%s comes before %s", edge[1], edge[0])
		}
	}
	for _, stage := range config.StageNames() {
		if of[stage] == "" {
			t.Errorf("the graph has no job for the stage %s", stage)
		}
	}
	if before("security", "unit") || before("unit", "security") {
		t.Error("security and unit wait for each other")
	}
}
