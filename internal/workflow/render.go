package workflow

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/config"
)

// Head is the first line of each file of ours: by it they are known.
const Head = "# Written by `mage ci:generate`; do not edit. "

const (
	machine   = "ubuntu-24.04"
	retention = 30 // days that run directories are kept
	runsDir   = ".pipeline/runs"
)

// Render writes a workflow as YAML.
func Render(w Workflow, p *config.Project) (string, error) {
	actions, err := Actions()
	if err != nil {
		return "", err
	}
	r := &writer{project: p, actions: actions, secrets: map[string]Secret{}}
	for _, secret := range Secrets() {
		r.secrets[secret.Name] = secret
	}
	r.line(0, "%s%s", Head, w.About)
	r.line(0, "name: %s", w.Name)
	r.line(0, "on:")
	for _, trigger := range w.Triggers {
		r.line(1, "%s", trigger)
	}
	r.line(0, "permissions: {} # each job has its own")
	r.concurrency(0, w.Concurrency)
	r.line(0, "jobs:")
	for _, job := range w.Jobs {
		r.job(job)
	}
	if r.err != nil {
		return "", fmt.Errorf("write workflow %s: %w", w.Name, r.err)
	}
	return r.b.String(), nil
}

type writer struct {
	b       strings.Builder
	project *config.Project
	actions map[string]Action
	secrets map[string]Secret
	err     error // the first
}

func (r *writer) line(depth int, format string, args ...any) {
	r.b.WriteString(strings.Repeat("  ", depth))
	fmt.Fprintf(&r.b, format+"\n", args...)
}

func (r *writer) concurrency(depth int, c Concurrency) {
	if c.Group == "" {
		return
	}
	r.line(depth, "concurrency:")
	r.line(depth+1, "group: %s", c.Group)
	r.line(depth+1, "cancel-in-progress: %s", c.Cancel)
}

func (r *writer) job(job Job) {
	r.line(1, "%s:", job.ID)
	r.line(2, "name: %s", job.ID) // by which a ruleset asks for it
	if job.About != "" {
		r.line(2, "# %s", job.About)
	}
	if len(job.Needs) > 0 {
		r.line(2, "needs: [%s]", strings.Join(job.Needs, ", "))
	}
	if job.If != "" {
		r.line(2, "if: ${{ %s }}", job.If)
	}
	r.line(2, "runs-on: %s", machine)
	r.line(2, "timeout-minutes: %d", int(job.timeout(r.project)/time.Minute))
	r.line(2, "permissions:")
	for _, permission := range slices.Sorted(slices.Values(job.Permissions)) {
		r.line(3, "%s", permission)
	}
	if job.Environment != "" {
		r.line(2, "environment:")
		r.line(3, "name: %s", job.Environment)
		if !job.Approved {
			r.line(3, "deployment: false # it holds secrets, and nothing is deployed to it")
		}
	}
	r.concurrency(2, job.Concurrency)
	r.line(2, "steps:")
	r.steps(job)
}

func (r *writer) steps(job Job) {
	if job.Target != "" {
		r.uses("actions/checkout", "", "fetch-depth: 0 # the secret scan reads the history, and annotations the difference", "persist-credentials: false")
		r.uses("actions/setup-go", "", "go-version-file: go.mod", "cache: false")
	}
	if job.Cache {
		r.uses("actions/cache/restore", onPull, append(cached(), "restore-keys: "+cacheKey)...)
	}
	if job.Takes {
		r.uses("actions/download-artifact", "", "pattern: "+job.pattern(), "path: "+runsDir, "merge-multiple: true")
	}
	if job.Target != "" {
		r.run(job)
	}
	if job.Scanning {
		r.uses("github/codeql-action/upload-sarif", "", "sarif_file: "+runsDir)
	}
	if job.Saves {
		r.uses("actions/cache/save", onPush, cached()...)
	}
	if job.Hands {
		// The wildcard keeps the directory's own name in the artifact, which is the run's. A job that is run again hands on
		// another run, so the attempt is in the name: both stay.
		r.uses("actions/upload-artifact", "always() && steps.run.outputs.run != ''",
			"name: run-"+job.ID+"-${{ github.run_attempt }}", "path: "+runsDir+"/${{ steps.run.outputs.run }}*",
			"include-hidden-files: true", "if-no-files-found: error", fmt.Sprintf("retention-days: %d", retention))
	}
}

// pattern of the artifacts that a job takes. Code scanning refuses two runs of one tool at once, so only those of this
// attempt are uploaded: an earlier attempt has uploaded its own.
func (j Job) pattern() string {
	if j.Scanning {
		return "run-*-${{ github.run_attempt }}"
	}
	return "run-*"
}

const cacheKey = "${{ runner.os }}-pipeline-"

// cached is what is fetched and compiled. Only a push saves it, and only pull requests restore it: what signs, pushes or
// deploys starts from nothing that an earlier job could have written.
func cached() []string {
	return []string{
		"path: |", "  ~/.cache/go-build", "  ~/.cache/uv", "  ~/go/pkg/mod",
		"key: " + cacheKey + "${{ hashFiles('go.sum', 'tools/*/go.sum', 'requirements/*.txt') }}",
	}
}

// run compiles the runner, since `go tool mage` would not hear of a cancelled job, and gives the job's process to it.
func (r *writer) run(job Job) {
	r.line(3, "- run: go tool mage -compile \"$PWD/bin/pipeline\"")
	if slices.Contains(job.Secrets, "DEPLOY_SSH_KEY") {
		r.line(3, "- run: install -m 700 -d ~/.ssh && printenv DEPLOY_SSH_KEY | install -m 600 /dev/stdin ~/.ssh/id_ed25519 && printenv DEPLOY_KNOWN_HOSTS > ~/.ssh/known_hosts")
		r.env(map[string]string{"DEPLOY_SSH_KEY": r.secrets["DEPLOY_SSH_KEY"].expression(), "DEPLOY_KNOWN_HOSTS": r.secrets["DEPLOY_KNOWN_HOSTS"].expression()})
	}
	for _, target := range job.Before {
		r.line(3, "- run: exec \"$PWD/bin/pipeline\" %s", target)
		if job.Token {
			r.env(map[string]string{"GITHUB_TOKEN": token})
		}
	}
	r.line(3, "- id: run")
	r.line(4, "run: exec \"$PWD/bin/pipeline\" %s", job.Target)
	env := maps.Clone(job.Env)
	if env == nil {
		env = map[string]string{}
	}
	for _, secret := range ofEnvironment(r.project, job.Deploy) {
		env[secret.Name] = secret.expression()
	}
	for _, name := range job.Secrets {
		if strings.HasPrefix(name, "DEPLOY_") {
			continue // the step before has used it
		}
		secret, ok := r.secrets[name]
		if !ok {
			r.fail("job %s wants the secret %s, of which secrets.go knows nothing", job.ID, name)
		}
		env[name] = secret.expression()
	}
	if job.Token {
		env["GITHUB_TOKEN"] = token
	}
	r.env(env)
	if job.After != "" {
		r.line(3, "- run: %s", job.After)
		r.env(map[string]string{"GH_TOKEN": token, "TITLE": "${{ steps.run.outputs.title }}", "MARKDOWN": "${{ steps.run.outputs.markdown }}"})
	}
}

const token = "${{ github.token }}" //nolint:gosec // an expression, and no token

func (r *writer) env(env map[string]string) {
	if len(env) == 0 {
		return
	}
	r.line(4, "env:")
	for _, name := range slices.Sorted(maps.Keys(env)) {
		r.line(5, "%s: %s", name, env[name])
	}
}

func (r *writer) uses(name, condition string, with ...string) {
	action, ok := r.actions[name]
	if !ok {
		r.fail("the action %s is not in actions.txt", name)
	}
	r.line(3, "- uses: %s@%s # %s", name, action.Commit, action.Version)
	if condition != "" {
		r.line(4, "if: ${{ %s }}", condition)
	}
	r.line(4, "with:")
	for _, entry := range with {
		r.line(5, "%s", entry)
	}
}

func (r *writer) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf(format, args...)
	}
}
