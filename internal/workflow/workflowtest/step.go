package workflowtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/rhysd/actionlint"
)

// running is a job under way.
type running struct {
	*Runner

	job        *actionlint.Job
	dir, files string
	contexts   map[string]any
	status     map[string]string // of its steps
	past       Past
}

func (j *running) evaluator() *Evaluator {
	j.contexts["steps"] = map[string]any{"run": map[string]any{"outputs": asContext(j.past.Outputs)}}
	return &Evaluator{T: j.T, Contexts: j.contexts, Status: j.status}
}

func (j *running) step(step *actionlint.Step) string {
	j.T.Helper()
	switch does := step.Exec.(type) {
	case *actionlint.ExecAction:
		name, _, _ := strings.Cut(does.Uses.Value, "@")
		j.action(name, does)
	case *actionlint.ExecRun:
		if strings.HasPrefix(does.Run.Value, "go tool mage -compile ") {
			if err := errors.Join(os.MkdirAll(filepath.Join(j.dir, "bin"), 0o755), os.Symlink(j.Binary, filepath.Join(j.dir, "bin/pipeline"))); err != nil {
				j.T.Fatal(err) // it was compiled before
			}
			return "success"
		}
		if j.script(does.Run.Value, step) != 0 {
			return "failure"
		}
	}
	return "success"
}

func (j *running) script(script string, step *actionlint.Step) int {
	j.T.Helper()
	env := j.variables()
	env["GITHUB_OUTPUT"], env["GITHUB_STEP_SUMMARY"], env["GITHUB_WORKSPACE"] = filepath.Join(j.files, "output"), filepath.Join(j.files, "summary"), j.dir
	if step.Env != nil {
		for _, variable := range step.Env.Vars {
			env[variable.Name.Value] = j.evaluator().Fill(variable.Value.Value)
		}
	}
	cmd := exec.CommandContext(j.T.Context(), "bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", script)
	cmd.Dir = j.dir
	for key, value := range env {
		cmd.Env = append(cmd.Env, key+"="+value)
	}
	out, err := cmd.CombinedOutput()
	code := 0
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		code = exit.ExitCode()
	} else if err != nil {
		j.T.Fatal(err)
	}
	j.past.Code = max(j.past.Code, code)
	j.past.Log += string(out)
	j.past.Environment = fmt.Sprint(env)
	output, _ := os.ReadFile(env["GITHUB_OUTPUT"]) // there is none if no run began
	for line := range strings.Lines(string(output)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		if !j.asksFor(name) {
			j.T.Fatalf("a step has the output %q, which nobody asked for", line)
		}
		j.past.Outputs[name] = value
	}
	j.past.RunID = j.past.Outputs["run"]
	summary, _ := os.ReadFile(env["GITHUB_STEP_SUMMARY"])
	j.past.Summary = string(summary)
	return code
}

// asksFor reports whether a later step takes an output. Reports are written as Markdown and as HTML, whoever takes what.
func (j *running) asksFor(name string) bool {
	if name == "html" {
		name = "markdown"
	}
	wanted := "steps.run.outputs." + name
	return slices.ContainsFunc(j.job.Steps, func(step *actionlint.Step) bool {
		if step.If != nil && strings.Contains(step.If.Value, wanted) {
			return true
		}
		if step.Env == nil {
			return false
		}
		return slices.ContainsFunc(slices.Collect(maps.Values(step.Env.Vars)), func(v *actionlint.EnvVar) bool { return strings.Contains(v.Value.Value, wanted) })
	})
}

// action does in the place of an action what it does with the repository and with artifacts; the others are not for a
// machine that has all.
func (j *running) action(name string, does *actionlint.ExecAction) {
	j.T.Helper()
	with := func(key string) string { return j.evaluator().Fill(does.Inputs[key].Value.Value) }
	switch name {
	case "actions/checkout":
		j.checkout()
	case "actions/setup-go", "actions/cache/restore", "actions/cache/save":
	case "actions/download-artifact":
		found, err := filepath.Glob(filepath.Join(j.Artifacts, with("pattern")))
		if err != nil {
			j.T.Fatal(err)
		}
		for _, artifact := range found {
			j.copy(os.DirFS(artifact), filepath.Join(j.dir, with("path")))
		}
	case "actions/upload-artifact":
		path := with("path")
		matches, err := filepath.Glob(filepath.Join(j.dir, path))
		if err != nil || len(matches) != 1 || !strings.HasSuffix(path, "*") {
			j.T.Fatalf("upload %s: %q, %v", path, matches, err)
		}
		j.past.Uploaded = with("name")
		j.copy(os.DirFS(matches[0]), filepath.Join(j.Artifacts, j.past.Uploaded, filepath.Base(matches[0])))
	case "github/codeql-action/upload-sarif":
		j.scan(filepath.Join(j.dir, with("sarif_file")))
	default:
		j.T.Fatalf("nothing is known of the action %s", name)
	}
}

// checkout leaves a branch's push on that branch, and everything else on no branch.
func (j *running) checkout() {
	j.T.Helper()
	j.Git("clone", "-q", "--no-local", "--no-checkout", j.Origin, j.dir)
	how := []string{"-C", j.dir, "checkout", "-q", "--force", "--detach", j.event.SHA}
	if branch, ok := strings.CutPrefix(j.event.Ref, "refs/heads/"); ok {
		how = []string{"-C", j.dir, "checkout", "-q", "--force", "-B", branch, j.event.SHA}
	}
	j.Git(how...)
}

// scan takes what the upload takes: every SARIF file below a directory. Code scanning refuses two runs of one tool and
// category at once.
func (j *running) scan(dir string) {
	j.T.Helper()
	seen := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".sarif" {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		var document struct {
			Runs []struct {
				Tool struct {
					Driver struct{ Name string } `json:"driver"`
				} `json:"tool"`
				AutomationDetails struct{ ID string } `json:"automationDetails"`
			} `json:"runs"`
		}
		if err := json.Unmarshal(content, &document); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		for _, run := range document.Runs {
			key := run.Tool.Driver.Name + " as " + run.AutomationDetails.ID
			if other, twice := seen[key]; twice {
				return fmt.Errorf("%s is in %s and in %s", key, other, path)
			}
			seen[key] = path
			j.past.Scanned = append(j.past.Scanned, run.Tool.Driver.Name)
		}
		return nil
	})
	if err != nil || len(j.past.Scanned) == 0 {
		j.T.Fatalf("upload %s: %q, %v", dir, j.past.Scanned, err)
	}
}

func (j *running) copy(from fs.FS, to string) {
	j.T.Helper()
	if err := os.CopyFS(to, from); err != nil {
		j.T.Fatal(err)
	}
}
