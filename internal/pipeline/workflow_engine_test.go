package pipeline

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/meter-ml/meter-pipeline/internal/forge/forgetest"
	"github.com/meter-ml/meter-pipeline/internal/workflow/workflowtest"
)

// TestEngineWorkflow plays a delivery of this repository by the committed workflow: a push of develop, a bad push of main, the
// merge that mends it, its version, a hotfix that is rolled back and tried again, and a fork's pull request. Each job's own
// steps run in a checkout of its own; images are built, pushed and deployed for real; the channels are real servers.
func TestEngineWorkflow(t *testing.T) {
	d := newDelivery(t, machine.Get(t))
	for _, part := range []struct {
		name string
		do   func(*testing.T, *delivery)
	}{
		{"push of develop", developIsStaged},
		{"push of main that is not formatted", badPushIsTold},
		{"merge into main", mergeIsPromoted},
		{"tag of a version", versionIsNamed},
		{"hotfix of main that dies as users meet it", hotfixIsRolledBack},
		{"its failed jobs again", hotfixIsDeployed},
		{"what is remembered", deliveriesAreRemembered},
		{"pull request of a fork", forkIsJudged},
	} {
		if !t.Run(part.name, func(t *testing.T) { d.run.T = t; part.do(t, d) }) {
			break // the next one goes on from there
		}
		d.run.T = t
	}
	d.run.T = t
}

const sources = "quality security unit data "

func developIsStaged(t *testing.T, d *delivery) {
	run := d.push("develop")
	d.ended(run, sources+"release staging scanning notify", "")
	commit := run.event.SHA[:10]
	slack, letters := d.channels.told()
	holds(t, slack, "CI/CD Pipeline Successful", "develop", "Deploy to this machine", d.registry.Host+"/meter-ml/model-api", "actions/runs/1")
	holds(t, slack, "Deploy Successful", "staging", commit, d.registry.Host+"/meter-ml/model-api@sha256:", "ada@github")
	holds(t, letters, "Deploy Successful", "to team@example.org", "staging", commit)
	if len(slack) != 2 || len(letters) != 1 {
		t.Errorf("%d messages and %d letters:\n%s\n---\n%s", len(slack), len(letters), strings.Join(slack, "\n"), strings.Join(letters, "\n"))
	}
	d.recorded("staging", run.event.SHA, "success")
	for _, stage := range strings.Fields(sources + "image integration benchmark staging") {
		if state := d.channels.github.Statuses["pipeline/"+stage]["state"]; state != "success" {
			t.Errorf("the commit's status pipeline/%s is %v", stage, state)
		}
	}
}

// recorded demands GitHub's record of a deploy.
func (d *delivery) recorded(environment, commit, state string) {
	d.run.T.Helper()
	for i, deployment := range d.channels.github.Deployments {
		if deployment["environment"] != environment || deployment["ref"] != commit {
			continue
		}
		states := d.channels.github.States[strconv.Itoa(i+1)]
		if len(states) != 1 || states[0]["state"] != state || deployment["production_environment"] != (environment == "production") {
			d.run.T.Errorf("the record is %v with %v", deployment, states)
		}
		return
	}
	d.run.T.Errorf("GitHub has no record of %s on %s: %v", commit, environment, d.channels.github.Deployments)
}

// forkIsJudged: a fork's jobs have no secret, and push nothing. Those that judge the source were seen before. What was
// deployed is taken away first: it keeps the machine too busy to judge a benchmark.
func forkIsJudged(t *testing.T, d *delivery) {
	d.down()
	base := d.run.Git("rev-parse", "develop")
	d.run.Git("checkout", "-q", "-b", "fork")
	head := d.run.Commit("Say it better", map[string]string{"docs/fork.md": "Of a stranger.\n"})
	d.run.Git("checkout", "-q", "develop")
	before := strings.Join(d.registry.Tags("meter-ml/model-api"), " ")
	run := d.play(workflowtest.Event{
		Name: "pull_request", Ref: "refs/pull/8/merge", SHA: head, Base: "develop", Head: "patch-1",
		Payload: map[string]any{"number": 8, "pull_request": map[string]any{
			"base": map[string]any{"sha": base}, "head": map[string]any{"sha": head, "repo": map[string]any{"full_name": "stranger/demo"}},
		}},
	}, strings.Fields(sources)...)
	d.ended(run, sources+"candidate", "")
	candidate := run.jobs["candidate"]
	for _, secrets := range d.run.Secrets {
		for name, value := range secrets {
			if name == "REGISTRY_USERNAME" { // it is a word that paths have, too
				value = name + ":" + value
			}
			if name != "DOCKER_HOST" && strings.Contains(candidate.Environment, value) {
				t.Errorf("a fork's job has %s", name)
			}
		}
	}
	if strings.Contains(candidate.Environment, forgetest.Token) {
		t.Error("a fork's job has a token")
	}
	if after := strings.Join(d.registry.Tags("meter-ml/model-api"), " "); after != before {
		t.Errorf("a fork has pushed: %s, before %s", after, before)
	}
	if slack, letters := d.channels.told(); len(slack)+len(letters) > 0 {
		t.Errorf("a fork has told somebody: %q %q", slack, letters)
	}
}

func badPushIsTold(t *testing.T, d *delivery) {
	d.run.Git("checkout", "-q", "main")
	content, err := os.ReadFile(filepath.Join(d.run.Origin, "src/monitoring/__init__.py"))
	d.do(err)
	d.run.Commit("Fix it quickly", map[string]string{"src/monitoring/__init__.py": string(content) + "\nVALUE = {  'a':1 }\n"})
	run := d.push("main")
	d.ended(run, "scanning notify", "quality")
	slack, letters := d.channels.told()
	for _, messages := range [][]string{slack, letters} {
		holds(t, messages, "CI/CD Pipeline Failed", "main", "Fix it quickly", "black", "src/monitoring/__init__.py", "actions/runs/2")
	}
	if state := d.channels.github.Statuses["pipeline/quality"]["state"]; state != "failure" {
		t.Errorf("the commit's status is %v", state)
	}
}

// mergeIsPromoted: the merge has the tree that is staged, so nothing is built, and its very images go to production.
func mergeIsPromoted(t *testing.T, d *delivery) {
	d.run.Git("checkout", "-q", "main")
	d.run.Git("reset", "-q", "--hard", d.run.Git("commit-tree", "develop^{tree}", "-p", "main", "-p", "develop", "-m", "Merge develop"))
	run := d.push("main")
	d.ended(run, sources+"release staging production scanning notify", "")
	if log := run.jobs["release"].Log; !strings.Contains(log, "its images are promoted, and nothing is built") {
		t.Error("the merge was built anew")
	}
	slack, letters := d.channels.told()
	for _, messages := range [][]string{slack, letters} {
		holds(t, messages, "CI/CD Pipeline Recovered", "main")
		holds(t, messages, "Deploy Successful", "production", d.registry.Host+"/meter-ml/model-api@sha256:", "ada@github")
	}
	d.recorded("production", run.event.SHA, "success")
}

// versionIsNamed: a tag builds nothing, and names what was deployed.
func versionIsNamed(t *testing.T, d *delivery) {
	d.run.Git("tag", "v1.0.0", "main")
	run := d.play(workflowtest.Event{
		Name: "push", Ref: "refs/tags/v1.0.0", SHA: d.run.Git("rev-parse", "main"), Payload: map[string]any{"before": strings.Repeat("0", 40)},
	})
	d.ended(run, "retag notify", "")
	for _, image := range []string{"model-api", "mlflow", "airflow"} {
		if tags := d.registry.Tags("meter-ml/" + image); !slices.Contains(tags, "v1.0.0") {
			t.Errorf("the tags of %s are %q", image, tags)
		}
	}
	slack, _ := d.channels.told()
	holds(t, slack, "CI/CD Pipeline Successful", "Version:", "v1.0.0", "/meter-ml/model-api:v1.0.0@sha256:")
}

// hotfixIsRolledBack: a hotfix is built, and staged first in the same run. In production it dies when it has some of the
// traffic.
func hotfixIsRolledBack(t *testing.T, d *delivery) {
	d.run.Git("checkout", "-q", "main")
	content, err := os.ReadFile(filepath.Join(d.run.Origin, "src/monitoring/__init__.py"))
	d.do(err)
	d.run.Commit("Mend it at once", map[string]string{"src/monitoring/__init__.py": string(content) + "\nHOTFIX = True\n"})
	killed := d.killed()
	run := d.push("main")
	d.ended(run, sources+"release staging scanning notify", "production")
	killed()
	slack, letters := d.channels.told()
	for _, messages := range [][]string{slack, letters} {
		holds(t, messages, "CI/CD Pipeline Failed", "main", "Mend it at once", "production")
		holds(t, messages, "Deploy Rolled Back", "production", "does not run any more")
	}
	holds(t, slack, "Deploy Successful", "staging")
	d.recorded("staging", run.event.SHA, "success")
	d.recorded("production", run.event.SHA, "failure")
	if state := d.channels.github.Statuses["pipeline/production"]["state"]; state != "failure" {
		t.Errorf("the commit's status is %v", state)
	}
}

// hotfixIsDeployed: whoever has the failed jobs run again gets the same images into production, and nobody is told anything
// twice.
func hotfixIsDeployed(t *testing.T, d *delivery) {
	run := d.again()
	d.ended(run, sources+"release staging production scanning notify", "")
	if _, ran := run.jobs["release"]; ran || len(run.jobs) != 2 {
		t.Errorf("these jobs ran again: %v", slices.Collect(maps.Keys(run.jobs)))
	}
	slack, letters := d.channels.told()
	for _, messages := range [][]string{slack, letters} {
		holds(t, messages, "CI/CD Pipeline Recovered", "main", "Mend it at once")
		holds(t, messages, "Deploy Successful", "production", run.event.SHA[:10])
		if len(messages) != 2 {
			t.Errorf("it is told again:\n%s", strings.Join(messages, "\n---\n"))
		}
	}
}

// deliveriesAreRemembered: whoever takes the artifacts into a history of his own has the deploys with their figures.
func deliveriesAreRemembered(t *testing.T, d *delivery) {
	byHand, byAPI := filepath.Join(t.TempDir(), "clone"), filepath.Join(t.TempDir(), "clone")
	for _, dir := range []string{byHand, byAPI} {
		d.run.Git("clone", "-q", d.run.Origin, dir)
	}
	for _, run := range d.earlier {
		d.target(byHand, nil, "report:import", run.artifacts)
	}
	d.channels.remembers(d.earlier)
	d.target(byAPI, map[string]string{
		"GITHUB_ACTIONS": "true", "GITHUB_REPOSITORY": forgetest.Repository, "GITHUB_TOKEN": forgetest.Token,
	}, "ci:history")
	for _, dir := range []string{byHand, byAPI} {
		out := d.target(dir, nil, "report:dashboard")
		if !strings.Contains(out, "5 deploys") {
			t.Errorf("the dashboard knows of other deploys: %s", out)
		}
		page, err := os.ReadFile(filepath.Join(dir, ".pipeline/reports/dashboard.html"))
		d.do(err)
		holds(t, []string{string(page)}, "Deployment frequency", "Change lead time", "production", "staging")
		keep(t, page)
		d.target(dir, nil, "report:weekly")
		weekly, err := filepath.Glob(filepath.Join(dir, ".pipeline/reports/weekly-*.md"))
		if err != nil || len(weekly) != 1 {
			t.Fatal(weekly, err)
		}
		text, err := os.ReadFile(weekly[0])
		d.do(err)
		if strings.Contains(string(text), "No whole run") || !strings.Contains(string(text), " runs passed: ") {
			t.Errorf("the weekly report knows of no runs:\n%s", text)
		}
	}
}

// keep leaves a page for somebody to look at, where METER_KEEP says.
func keep(t *testing.T, page []byte) {
	t.Helper()
	if dir := os.Getenv("METER_KEEP"); dir != "" {
		if err := os.WriteFile(filepath.Join(dir, "dashboard.html"), page, 0o600); err != nil {
			t.Error(err)
		}
	}
}
