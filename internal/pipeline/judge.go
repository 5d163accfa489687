package pipeline

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/handover"
	"github.com/meter-ml/meter-pipeline/internal/history"
	"github.com/meter-ml/meter-pipeline/internal/report/github"
	"github.com/meter-ml/meter-pipeline/internal/report/html"
	"github.com/meter-ml/meter-pipeline/internal/report/jsonreport"
	"github.com/meter-ml/meter-pipeline/internal/report/junit"
	"github.com/meter-ml/meter-pipeline/internal/report/markdown"
	"github.com/meter-ml/meter-pipeline/internal/report/sarif"
	"github.com/meter-ml/meter-pipeline/internal/report/terminal"
	"github.com/meter-ml/meter-pipeline/internal/tool"
	"github.com/meter-ml/meter-pipeline/internal/worktree"
)

// kept is how many run directories stay; older ones are removed when a run begins.
const kept = 20

// A Request asks for a run.
type Request struct {
	Target   string // as it was asked for: check, quality:black
	Stages   Recipe
	Only     string // a stage, or stage:step, or several with commas between; empty for all
	Without  string // stages that are left out, with commas between them: they are shown as skipped
	Evidence bool   // what the stages find is signed: not where they judge or store something else, or only some images
	Notify   bool   // the channels are told how it ended
	Verbose  bool   // stream the tools' output
	Jobs     int    // steps at once; 0 is what pipeline.yaml says
	FailFast bool
}

// Judge runs the stages, reports on them, and returns an Exit unless everything passed.
func (s *Session) Judge(ctx context.Context, request Request) (err error) {
	if request.Jobs < 0 {
		return &Exit{Code: engine.ExitUsage, Message: fmt.Sprintf("-jobs is %d: choose 1 or more, or leave it out for one per core", request.Jobs)}
	}
	plan, err := s.plan(request)
	if err != nil {
		return err
	}
	remembered := s.historyPath()
	past, err := history.Open(remembered)
	if err != nil {
		return err
	}
	for _, line := range slices.Concat(s.swept, past.Warnings()) {
		s.say("%s", line)
	}
	living, err := tool.Living(s.State)
	if err != nil {
		return err
	}
	if err := prune(filepath.Join(s.State, "runs"), kept-1, living); err != nil {
		return err
	}
	witness, err := s.witness(request.Evidence)
	if err != nil {
		return err
	}
	env := unsigning(s.Host.Env)
	tree := worktree.Look(ctx, s.Runner, s.Host.Dir, env)
	voices := s.voices(ctx, request.Verbose)
	defer func() { err = errors.Join(err, voices.close()) }()
	run, err := engine.Execute(ctx, plan, engine.Options{
		Target: request.Target, Root: s.Host.Dir, Dir: s.runDir(), ID: s.ID,
		Commit: tree.Commit, Branch: tree.Branch, Dirty: tree.Dirty, Origin: s.origin(ctx, env, tree),
		Limit: cmp.Or(request.Jobs, s.Project.Run.Jobs), FailFast: request.FailFast, Deadline: s.Project.Run.Timeout.Std(),
		Runner: s.Runner, Provider: s.Provisioner, Reporters: voices.reporters, Expected: past.Expected, Review: s.review(remembered),
		Env: worktree.WithEpoch(ctx, s.Runner, s.Host.Dir, env, tree), Secrets: s.Host.Secrets(s.Project), Now: s.Host.Now,
	})
	if run == nil {
		return err
	}
	if request.Notify { // of the run as it was judged, whatever else goes wrong until the end
		defer s.Tell(ctx, run)
	}
	if err != nil {
		return &Exit{Code: cmp.Or(run.ExitCode, engine.ExitError), Message: err.Error()}
	}
	if err := past.Append(ctx, run, s.Project.Run.History); err != nil {
		return err
	}
	return errors.Join(witness.sign(ctx, run), verdict(run))
}

// plan asks the stages for their steps. A step without a time limit of its own gets its stage's budget.
func (s *Session) plan(request Request) (engine.Plan, error) {
	plan, err := engine.NewPlan(s.Project, request.Stages(s.Host))
	if err != nil {
		return engine.Plan{}, err
	}
	for _, stage := range plan.Stages {
		for i := range stage.Steps {
			stage.Steps[i].Timeout = cmp.Or(stage.Steps[i].Timeout, s.Project.Run.Budgets[stage.Name].Std())
		}
	}
	if err := leaveOut(plan, request.Without); err != nil {
		return engine.Plan{}, err
	}
	if request.Only == "" {
		return plan, nil
	}
	return plan.Select(strings.Split(request.Only, ",")...)
}

// leaveOut has the steps of some stages skipped, which is not the same as passed, and is said.
func leaveOut(plan engine.Plan, stages string) error {
	if stages == "" {
		return nil
	}
	var names []string
	for _, stage := range plan.Stages {
		names = append(names, stage.Name)
	}
	for name := range strings.SplitSeq(stages, ",") {
		at := slices.Index(names, name)
		if at < 0 {
			return &Exit{Code: engine.ExitUsage, Message: fmt.Sprintf("-without names the stage %q, which there is not: there are %s", name, strings.Join(names, ", "))}
		}
		for i := range plan.Stages[at].Steps {
			plan.Stages[at].Steps[i].Skip = "left out by -without=" + stages
		}
	}
	return nil
}

func (s *Session) runDir() string { return filepath.Join(s.State, "runs", s.ID) }

// voices are all the places at which people and programs read about a run.
type voices struct {
	reporters []engine.Reporter
	screen    *terminal.Terminal
	guard     *github.Reporter
}

func (s *Session) voices(ctx context.Context, verbose bool) voices {
	options := terminal.Detect(s.Host.Out, s.Host.Err, s.Host.Get)
	options.Verbose = verbose
	options.Now = s.Host.Now
	onGitHub := s.Host.onGitHub()
	if onGitHub {
		options.Err = options.Out // two pipes have no order, and the guard words must be in order
	}
	v := voices{screen: terminal.New(options)}
	guarded := github.Options{
		Enabled: onGitHub, Out: s.Host.Out, Summary: s.Host.Get("GITHUB_STEP_SUMMARY"), Random: rand.Reader, Inner: v.screen,
	}
	if onGitHub {
		s.onGitHub(ctx, &guarded)
		guarded.Logs = !verbose
	}
	v.guard = github.New(guarded)
	file := func(name string) string { return filepath.Join(s.runDir(), name) }
	v.reporters = []engine.Reporter{
		jsonreport.New(file("report.json")),
		junit.New(file("junit.xml")),
		sarif.New(file("results.sarif")),
		markdown.New(file("summary.md")),
		html.New(file("report.html")), // after the files that it links
	}
	if !options.Out.TTY {
		v.reporters = append(v.reporters, closing{s})
	}
	v.reporters = append(v.reporters, v.guard) // last, since its last line is the verdict
	return v
}

// close leaves a clean screen also after a run that never ended.
func (v voices) close() error { return errors.Join(v.guard.Close(), v.screen.Close()) }

// closing prints how each test runner of the run ended, in the one line that CI systems look for in any language.
type closing struct{ *Session }

// Event prints at the run's end, before the verdict, which stays the last line.
func (c closing) Event(e engine.Event) error {
	if e.Kind != engine.EventRunFinished {
		return nil
	}
	var b strings.Builder
	for _, stage := range e.Run.Stages {
		for _, step := range stage.Steps {
			counts := map[string]int{}
			for _, metric := range step.Judgement.Metrics {
				counts[metric.Name] = int(metric.Value)
			}
			if _, ok := counts["tests_passed"]; ok {
				fmt.Fprintf(&b, "%s: %d passed, %d failed, %d skipped", step.Name, counts["tests_passed"], counts["tests_failed"], counts["tests_skipped"])
				for _, kind := range []string{"flaky", "quarantined"} {
					if n := counts["tests_"+kind]; n > 0 {
						fmt.Fprintf(&b, ", %d %s", n, kind)
					}
				}
				b.WriteByte('\n')
			}
		}
	}
	return c.print(b.String())
}

// verdict is the error of a run that did not pass.
func verdict(run *engine.Run) error {
	if run.ExitCode == engine.ExitPassed {
		return nil
	}
	var blamed []string
	for _, stage := range run.Stages {
		for _, step := range stage.Steps {
			if step.Status == engine.StatusFailed || step.Status == engine.StatusError {
				blamed = append(blamed, stage.Name+":"+step.Name)
			}
		}
	}
	what := map[int]string{
		engine.ExitFailed: "failed", engine.ExitError: "could not judge everything",
		engine.ExitDeadline: "ran out of time", engine.ExitInterrupted: "was interrupted",
	}[run.ExitCode]
	message := fmt.Sprintf("%s %s (exit code %d)", run.Target, what, run.ExitCode)
	if len(blamed) > 0 {
		message += ": " + strings.Join(blamed, ", ")
	}
	return &Exit{Code: run.ExitCode, Message: message}
}

// newestWithModel is the run whose model is baked into images for as long as no later run trains one.
func newestWithModel(dir string, entries []os.DirEntry) string {
	for _, entry := range slices.Backward(entries) {
		if _, err := os.Stat(filepath.Join(dir, entry.Name(), "artifacts", handover.ModelManifest)); err == nil {
			return entry.Name()
		}
	}
	return ""
}

// prune keeps the newest run directories, whose names sort by time, those of runs that are not over, and the newest
// with a model.
func prune(dir string, keep int, living []string) error {
	entries, err := os.ReadDir(dir)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("list earlier runs: %w", err)
	}
	trained := newestWithModel(dir, entries)
	for _, entry := range entries[:max(0, len(entries)-keep)] {
		if slices.Contains(living, entry.Name()) || entry.Name() == trained {
			continue
		}
		if err := os.RemoveAll(filepath.Join(dir, entry.Name())); err != nil {
			return fmt.Errorf("remove an earlier run: %w", err)
		}
	}
	return nil
}
