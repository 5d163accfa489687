package workflow_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/workflow"
)

const repository = "../.."

func project(t *testing.T) *config.Project {
	t.Helper()
	root, err := filepath.Abs(repository)
	if err != nil {
		t.Fatal(err)
	}
	p, err := config.Load(root)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// What is committed is what the pipeline says; `mage ci:generate` renews it.
func TestRepositoryHasNoDrift(t *testing.T) {
	p := project(t)
	if !workflow.Ours(p.Root) {
		t.Error("this repository has no workflow of ours")
	}
	drifts, n, err := workflow.Drifts(p)
	if err != nil {
		t.Fatal(err)
	}
	if n != 5 {
		t.Errorf("%d files are compared", n)
	}
	for _, d := range drifts {
		t.Errorf("%s differs from line %d on:\n%s", d.Path, d.Line, d.Diff)
	}
}

// all are the workflows by the names of their files.
func all(t *testing.T) map[string]string {
	t.Helper()
	p := project(t)
	files := map[string]string{}
	for name, w := range map[string]workflow.Workflow{
		"pipeline.yml": workflow.Pipeline(), "maintenance.yml": workflow.Maintenance(),
	} {
		content, err := workflow.Render(w, p)
		if err != nil {
			t.Fatal(err)
		}
		files[name] = content
	}
	return files
}

// put writes the workflows into a project of their own.
func put(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	dir := filepath.Join(root, ".github", "workflows")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestActionlint(t *testing.T) {
	flaws, n, err := workflow.Lint(put(t, all(t)))
	if err != nil || n != 2 {
		t.Fatalf("%d files, %v", n, err)
	}
	for _, f := range flaws {
		t.Errorf("%s:%d:%d %s: %s", f.Path, f.Line, f.Column, f.Rule, f.Message)
	}
	// The control: it does find what is wrong.
	bad := strings.Replace(all(t)["pipeline.yml"], "needs: [quality]", "needs: [qualty]", 1)
	if flaws, _, err := workflow.Lint(put(t, map[string]string{"bad.yml": bad})); err != nil || len(flaws) == 0 {
		t.Errorf("a need that is no job goes unnoticed: %v", err)
	}
}

// zizmor looks for what attackers of workflows use. It is a Python package with a program in it, so it is in the peers'
// environment or on PATH; CI must have it.
func TestZizmor(t *testing.T) {
	program, err := exec.LookPath("zizmor")
	if err != nil {
		for _, venv := range []string{".venv-peers", ".venv"} {
			if path := filepath.Join(repository, venv, "bin", "zizmor"); exists(path) {
				program, err = path, nil
			}
		}
	}
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("zizmor is not there: it is in requirements/dev.txt")
		}
		t.Skip("zizmor is not there: `mage setup` makes .venv, which has it")
	}
	judge := func(files map[string]string) (string, error) {
		cmd := exec.CommandContext(t.Context(), program, "--offline", "--persona=pedantic", "--format=plain", put(t, files))
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := judge(all(t)); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	// The control: it finds an action that is not pinned, and an expression in a script.
	bad := strings.Replace(all(t)["pipeline.yml"], "@3d3c42e5aac5ba805825da76410c181273ba90b1", "@v7", 1)
	bad = strings.Replace(bad, "pipeline\" quality", "pipeline\" quality ${{ github.head_ref }}", 1)
	out, err := judge(map[string]string{"bad.yml": bad})
	if err == nil || !strings.Contains(out, "unpinned-uses") || !strings.Contains(out, "template-injection") {
		t.Errorf("%v\n%s", err, out)
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func TestActionsArePinned(t *testing.T) {
	actions, err := workflow.Actions()
	if err != nil {
		t.Fatal(err)
	}
	used := map[string]bool{}
	for name, content := range all(t) {
		for line := range strings.Lines(content) {
			if _, ref, ok := strings.Cut(line, "- uses: "); ok {
				action, rest, _ := strings.Cut(strings.TrimSpace(ref), "@")
				used[action] = true
				if want := actions[action]; rest != want.Commit+" # "+want.Version || len(want.Commit) != 40 {
					t.Errorf("%s uses %s", name, ref)
				}
			}
			if strings.Contains(line, "run: ") && strings.Contains(line, "${{") {
				t.Errorf("%s has an expression in a script: %s", name, line)
			}
			if strings.Contains(line, "pull_request_target") || strings.Contains(line, "workflow_run") {
				t.Errorf("%s: %s", name, line)
			}
		}
	}
	for name := range actions {
		if !used[name] {
			t.Errorf("%s is in the table, and nothing uses it", name)
		}
	}
}

// Each job that a person can see calls a target that there is.
func TestTargetsExist(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(repository, "magefiles/testdata/list.golden.txt"))
	if err != nil {
		t.Fatal(err)
	}
	aliases, err := os.ReadFile(filepath.Join(repository, "magefiles/stages.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, job := range slices.Concat(workflow.Pipeline().Jobs, workflow.Maintenance().Jobs) {
		if job.Target == "" {
			continue
		}
		target, _, _ := strings.Cut(job.Target, " ")
		if !strings.Contains(string(page), "\n  "+target+" ") && !strings.Contains(string(aliases), `"`+target+`":`) {
			t.Errorf("job %s calls %q, which is no target", job.ID, job.Target)
		}
	}
}

// Secrets are where their job has an environment, and no job restores a cache that could have come from elsewhere.
func TestSecretsAndCaches(t *testing.T) {
	for _, job := range slices.Concat(workflow.Pipeline().Jobs, workflow.Maintenance().Jobs) {
		if len(job.Secrets) > 0 && job.Environment == "" {
			t.Errorf("job %s has secrets and no environment", job.ID)
		}
		writes := slices.ContainsFunc(job.Permissions, func(p string) bool { return strings.Contains(p, ": write") })
		if job.Cache && (writes || job.Approved) {
			t.Errorf("job %s may write, and restores a cache", job.ID)
		}
		if writes && job.If == "" && job.ID != "rules" {
			t.Errorf("job %s may write, under no condition", job.ID)
		}
	}
	for _, file := range all(t) {
		for part := range strings.SplitSeq(file, "uses: actions/cache/restore") {
			if rest, ok := strings.CutPrefix(part, "@"); ok && !strings.Contains(rest[:200], "if: ${{ github.event_name == 'pull_request' }}") {
				t.Errorf("a push restores a cache: %.200s", rest)
			}
		}
	}
}
