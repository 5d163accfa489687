// Package workflow writes .github/workflows from the pipeline itself: a job for each part of it that can be a machine of
// its own, with the edges, conditions, budgets, permissions and secrets that it needs. Nobody edits those files; what
// differs from this package is a finding of the step quality:workflow.
//
// graph.go says which jobs there are and why, maintenance.go the same of what runs by the calendar, secrets.go which
// secrets there are and what is lost without each, actions.go which actions of others are used, rules.go how branches are
// protected. render.go turns a job into YAML, drift.go compares that with what is there. It imports the configuration
// alone, and knows stages by their names.
package workflow

import (
	"time"

	"github.com/meter-ml/meter-pipeline/internal/config"
)

// A Workflow is one file below .github/workflows.
type Workflow struct {
	Name        string
	About       string // comment at its head
	Triggers    []string
	Concurrency Concurrency
	Jobs        []Job
}

// A Job is what one machine does. Jobs share nothing but the run directories that they hand on as artifacts.
type Job struct {
	ID    string
	About string // why it is as it is, for whoever reads the file
	// Stages are those that it judges, by their names. Several where they can't be split: what integration and
	// benchmark say of an image counts only in the run that built it.
	Stages []string
	Target string   // of the compiled runner; empty for a job without one
	Before []string // targets that run before it
	After  string   // one line of shell that comes after it, without an expression
	Deploy string   // the environment of pipeline.yaml that it deploys to, whose secrets it gets
	Needs  []string
	// If is GitHub's expression. Without a status function in it the job waits for success of all that it needs.
	If          string
	Permissions []string // "contents: read", with a comment that says what for
	// Environment holds its secrets; it may be an expression. Approved says that people may have to approve it: then
	// it is shown as a deployment.
	Environment string
	Approved    bool
	Concurrency Concurrency
	Secrets     []string          // names in Secrets
	Env         map[string]string // of the step that runs the target
	Cache       bool              // pull requests restore what pushes have saved
	Saves       bool              // saves it
	Takes       bool              // the run directories of the jobs before it
	Hands       bool              // its own run directory on
	Token       bool              // the job's token, as GITHUB_TOKEN
	Scanning    bool              // uploads results.sarif of all jobs
	Timeout     time.Duration     // of the job; zero follows from the budgets of its stages
}

// Concurrency keeps runs that must not overlap apart. Cancel may be an expression.
type Concurrency struct {
	Group  string
	Cancel string
}

const (
	// slack is what a job may take beside its stages: a checkout, Go modules, the runner, Python environments.
	slack = 15 * time.Minute
	// Budgets are those of one step, and steps share the machine's cores.
	shared = 2
)

// timeout is when GitHub ends a job that hangs: well after the runner has ended what hangs in it, and reported.
func (j Job) timeout(p *config.Project) time.Duration {
	if j.Timeout > 0 {
		return j.Timeout
	}
	var budget time.Duration
	for _, stage := range j.Stages {
		budget += p.Run.Budgets[stage].Std()
	}
	return min(shared*budget, p.Run.Timeout.Std()) + slack
}

// judged are the jobs that judge stages, in their order.
func judged(jobs []Job) []Job {
	var all []Job
	for _, job := range jobs {
		if len(job.Stages) > 0 {
			all = append(all, job)
		}
	}
	return all
}

func ids(jobs []Job) []string {
	all := make([]string, 0, len(jobs))
	for _, job := range jobs {
		all = append(all, job.ID)
	}
	return all
}
