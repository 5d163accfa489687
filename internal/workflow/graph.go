package workflow

import "slices"

// Branches that are released, and the pattern of tags.
const (
	stagingBranch    = "develop"
	productionBranch = "main"
)

// Conditions of GitHub's expressions. A branch's name is only ever compared, never pasted.
const (
	onPush       = "github.event_name == 'push'"
	onMain       = "github.ref == 'refs/heads/" + productionBranch + "'"
	onDevelop    = "github.ref == 'refs/heads/" + stagingBranch + "'"
	onBranch     = "(" + onMain + " || " + onDevelop + ")"
	onTag        = "startsWith(github.ref, 'refs/tags/')"
	onVersion    = "startsWith(github.ref, 'refs/tags/v')"
	onPull       = "github.event_name == 'pull_request'"
	fromHere     = "github.event.pull_request.head.repo.full_name == github.repository"
	notFork      = "(github.event_name != 'pull_request' || " + fromHere + ")"
	evidenceEnv  = "${{ github.event_name == 'push' && 'evidence' || '' }}"
	readContents = "contents: read"
)

// Pipeline is the graph of the ten stages. A test holds it against the pipeline's recipes.
func Pipeline() Workflow {
	w := Workflow{
		Name:  "pipeline",
		About: "The pipeline: one job for each part of it that can be a machine of its own. docs/workflow.md says why it is cut like this.",
		Triggers: []string{
			"push:", "  branches: [" + productionBranch + ", " + stagingBranch + "]", "  tags: ['v*']",
			"pull_request:", "  branches: [" + productionBranch + ", " + stagingBranch + "]",
			"schedule:", "  - cron: '0 2 * * 0' # Sunday at 2",
			"workflow_dispatch:",
		},
		// Only a newer push of a pull request replaces an older one. Other runs never wait for each other as a whole:
		// one that waits for an approval would hold up all that come later.
		Concurrency: Concurrency{
			Group:  "pipeline-${{ github.event_name == 'pull_request' && github.ref || github.run_id }}",
			Cancel: "${{ github.event_name == 'pull_request' }}",
		},
	}
	w.Jobs = slices.Concat(sourceJobs(), imageJobs(), deployJobs())
	w.Jobs = append(w.Jobs, readers(w.Jobs)...)
	w.Jobs = append(w.Jobs, notifyJob(w.Jobs))
	return w
}

// sourceJobs judge the source tree. Each signs what it found, if it was pushed: the statements are about the tree, so that
// another job can put them beside an image that was made of it.
func sourceJobs() []Job {
	source := func(name string, needs ...string) Job {
		return Job{
			ID: name, Stages: []string{name}, Target: name, Needs: needs, Permissions: []string{readContents},
			Environment: evidenceEnv, Secrets: signing(), Cache: true, Hands: true,
		}
	}
	quality := source("quality")
	quality.About = "a tag names what was judged when its commit was pushed, so nothing is judged again"
	quality.If = "!" + onTag
	unit := source("unit", "quality")
	unit.Secrets = append(unit.Secrets, "DATABASE_URL")
	unit.Saves = true // it has most of what the others restore
	return []Job{quality, source("security", "quality"), unit, source("data", "security", "unit")}
}

// imageJobs judge what is delivered: exactly one of the first two runs, and for a tag the third alone.
func imageJobs() []Job {
	system := []string{"image", "integration", "benchmark"}
	return []Job{
		{
			ID: "candidate", Stages: system, Target: "image:candidate", Needs: []string{"data"}, If: "github.event_name != 'push'",
			About:       "the image holds the model that integration trains, so the three stages are one run; nothing is pushed, and no secret is here",
			Permissions: []string{readContents}, Cache: true, Hands: true,
		},
		{
			ID: "release", Stages: system, Target: "image:release", Needs: []string{"data"}, If: onPush + " && " + onBranch,
			About:       "the same, then pushed and tagged; what is said of an image counts only in the run that built it. On main, a tree that is staged builds nothing: its images are promoted. No cache is restored",
			Permissions: []string{readContents, "packages: write # pushes and tags images"}, Environment: "release",
			Concurrency: Concurrency{Group: "release-${{ github.ref }}", Cancel: "false"},
			Secrets:     slices.Concat(signing(), registry(), []string{"DATABASE_URL"}), Takes: true, Hands: true,
		},
		{
			ID: "retag", Target: "image:retag", If: onPush + " && " + onVersion,
			About:       "a tag only names the images of its commit, which must have the evidence of production",
			Permissions: []string{readContents, "packages: write # pushes and tags images"}, Environment: "release",
			Concurrency: Concurrency{Group: "release-${{ github.ref }}", Cancel: "false"},
			Secrets:     registry(), Hands: true, Timeout: slack,
		},
	}
}

// deployJobs run one after another on main, where staging comes first also for a hotfix; what is staged already, by
// digest, is done at once. On develop the second one is skipped, and nothing waits for it.
func deployJobs() []Job {
	return []Job{
		{
			ID: "staging", Stages: []string{"staging"}, Target: "deploy:staging", Needs: []string{"release"}, If: onPush + " && " + onBranch,
			About:       "also on main: production takes only what is staged, and a hotfix has been nowhere yet",
			Permissions: []string{readContents, "packages: read # pulls images"}, Environment: "staging", Approved: true,
			Concurrency: Concurrency{Group: "deploy-staging", Cancel: "false"},
			Secrets:     slices.Concat(signing(), registry(), reaching()), Deploy: "staging", Takes: true, Hands: true,
		},
		{
			ID: "production", Stages: []string{"production"}, Target: "deploy:production", Needs: []string{"release", "staging"},
			If:          onPush + " && " + onMain,
			Permissions: []string{readContents, "packages: read # pulls images"}, Environment: "production", Approved: true,
			Concurrency: Concurrency{Group: "deploy-production", Cancel: "false"},
			Secrets:     slices.Concat(signing(), registry(), reaching()), Deploy: "production", Takes: true, Hands: true,
		},
	}
}

// readers tell people what the jobs before them found. They judge nothing, and only they may write beside the code.
func readers(jobs []Job) []Job {
	var pulls []string
	for _, job := range judged(jobs) {
		if !slices.Contains([]string{"release", "staging", "production"}, job.ID) {
			pulls = append(pulls, job.ID)
		}
	}
	return []Job{
		{
			ID: "comment", Target: "ci:comment", Needs: pulls, If: "!cancelled() && " + onPull + " && " + fromHere,
			About:       "one comment, updated in place. A fork's token may not write: its summary has the same",
			Permissions: []string{"actions: read # the reports of the base branch", readContents, "pull-requests: write # the comment"}, Takes: true, Token: true, Timeout: slack,
			Concurrency: Concurrency{Group: "comment-${{ github.ref }}", Cancel: "false"},
		},
		{
			ID: "scanning", Needs: append(slices.Clone(pulls), "release"),
			If:          "!cancelled() && !" + onTag + " && " + notFork + " && vars.METER_CODE_SCANNING != 'off'",
			About:       "findings as alerts; runs no code of this repository. Where code scanning is not to be had, set the variable METER_CODE_SCANNING to off",
			Permissions: []string{"actions: read # the run that the findings belong to", readContents, "security-events: write # the alerts"}, Takes: true, Scanning: true, Timeout: slack,
		},
	}
}

// notifyJob comes after all others, whatever became of them.
func notifyJob(jobs []Job) Job {
	return Job{
		ID: "notify", Stages: []string{"notify"}, Target: "notify:reports " + runsDir, Needs: ids(jobs), If: "always() && " + notFork,
		About:       "always, also for what was cancelled; never for a fork, which gets no secret",
		Permissions: []string{"actions: read # how the runs before ended", readContents, "deployments: write # records of deploys", "statuses: write # one for each stage"}, Environment: "notify",
		Secrets: notifying(), Takes: true, Token: true, Env: map[string]string{"PIPELINE_JOBS": "${{ toJSON(needs) }}"},
	}
}
