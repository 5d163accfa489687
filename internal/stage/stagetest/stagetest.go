// Package stagetest tests a stage's steps on small projects, through the engine, in two ways: on what the real tools
// wrote when they were recorded, and with the real tools. Both must come to the same verdict, which is a golden file.
//
//	go test ./internal/stage/quality -update     # runs every real tool again, and writes recordings and goldens
//
// Recordings and goldens are in testdata/<step>/<case>.json and .golden. The real tools are those of the .venv in the
// repository's root; where there is none, their tests are skipped, but fail where CI is set.
package stagetest

import (
	"bytes"
	"context"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
)

// A Case is a small project and what a step is to make of it.
type Case struct {
	Name  string
	Files map[string]string // content by path; a path that ends in a slash is an empty directory
	Links map[string]string // target by path
	// Prepare does for the real tools what files can't, such as a git history. A replay goes without it.
	Prepare func(t *testing.T, root string, run Run)
	// Project changes the configuration, which is that of an empty pipeline.yaml over src and tests/unit.
	Project func(*config.Project)
	Env     []string // added to the environment, KEY=value; {root} is the project's
	// Serve starts what the real tools talk to, and returns what it adds to the environment.
	Serve func(t *testing.T) []string
	// Live has the real tool run in every test, and not only when the recording is made.
	Live bool
	// Bare gives the interpreter without any tool; OnlyLive is for what a recording can't show, such as a tool that hangs.
	Bare, OnlyLive bool
	// Tamper changes what was recorded before it is judged: a crash, a torn report. Such a case is made from the
	// recording of the case that From names, and has none of its own.
	From   string
	Tamper func(*Recording)
}

// Run starts a program for Prepare.
type Run func(program string, args ...string)

// A Suite is the cases of one step.
type Suite struct {
	Stage func(*testing.T, *config.Project) engine.Stage
	Step  string
	Cases []Case
	// Scrub takes out of recordings and verdicts what differs from run to run and from machine to machine.
	Scrub func(string) string
	// Provide gives the real tools the needs beside python; nil gives nothing.
	Provide func(*testing.T, engine.Runner, engine.Need) engine.Provision
	// Forbidden must be in no file of the run, in no recording and in no verdict.
	Forbidden []string
	Update    bool
}

// Test runs every case.
func (s Suite) Test(t *testing.T) {
	t.Helper()
	for _, c := range s.Cases {
		t.Run(c.Name, func(t *testing.T) {
			if s.Update && c.Tamper == nil {
				s.record(t, c)
			}
			if !c.OnlyLive {
				t.Run("recorded", func(t *testing.T) { s.replay(t, c) })
			}
			if (c.Live || c.OnlyLive) && !s.Update {
				t.Run("live", func(t *testing.T) { t.Parallel(); s.live(t, c) })
			}
		})
	}
}

// Seeds returns every program that was recorded for a step, for a fuzz target of its parser.
func Seeds(t testing.TB, step string) []Invocation {
	t.Helper()
	names, err := filepath.Glob(filepath.Join("testdata", step, "*.json"))
	if err != nil || len(names) == 0 {
		t.Fatalf("find recordings of %s: %v: run the test with -update", step, err)
	}
	var all []Invocation
	for _, name := range names {
		all = append(all, load(t, name).Invocations...)
	}
	return all
}

func (s Suite) path(name, ending string) string {
	return filepath.Join("testdata", s.Step, name+ending)
}

func (s Suite) record(t *testing.T, c Case) {
	root := s.project(t, c, true)
	rec := &recorder{Runner: realRunner(t), t: t}
	result := s.execute(t, s.served(t, c), root, rec)
	recording := rec.recording(newPlaces(t, root, rec.dir), s.Scrub)
	s.forbid(t, "the recording", encode(t, recording))
	if !c.OnlyLive {
		write(t, s.path(c.Name, ".json"), encode(t, recording))
	}
	write(t, s.path(c.Name, ".golden"), s.render(t, root, result))
}

func (s Suite) replay(t *testing.T, c Case) {
	from := c.Name
	if c.From != "" {
		from = c.From
	}
	recording := load(t, s.path(from, ".json"))
	if c.Tamper != nil {
		c.Tamper(&recording)
	}
	root := s.project(t, c, false)
	player := &player{t: t, recording: recording, places: newPlaces(t, root, "")}
	got := s.render(t, root, s.execute(t, c, root, player))
	if c.Tamper != nil && s.Update {
		write(t, s.path(c.Name, ".golden"), got)
	}
	player.done()
	s.compare(t, c, got)
}

func (s Suite) live(t *testing.T, c Case) {
	root := s.project(t, c, true)
	s.compare(t, c, s.render(t, root, s.execute(t, s.served(t, c), root, realRunner(t))))
}

func (s Suite) served(t *testing.T, c Case) Case {
	if c.Serve != nil {
		c.Env = append(slices.Clone(c.Env), c.Serve(t)...)
	}
	return c
}

func (s Suite) compare(t *testing.T, c Case, got []byte) {
	t.Helper()
	s.forbid(t, "the verdict", got)
	want, err := os.ReadFile(s.path(c.Name, ".golden"))
	if err != nil {
		t.Fatalf("read golden: %v: run the test with -update", err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("verdict (-want +got):\n%s", diff)
	}
}

func load(t testing.TB, path string) Recording {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("read recording: %v: run the test with -update", err)
	}
	var recording Recording
	decoder := json.NewDecoder(bytes.NewReader(content))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&recording); err != nil {
		t.Fatalf("read recording %s: %v", path, err)
	}
	return recording
}

func (s Suite) execute(t *testing.T, c Case, root string, runner engine.Runner) engine.StepResult {
	t.Helper()
	project := config.Default(root)
	project.Source = []string{"src"}
	project.Quality.Paths = []string{"src"}
	project.Quality.Pylint.Paths = []string{"src"}
	project.Security.Bandit.Paths = []string{"src"}
	project.Security.Safety.Requirements = []string{"requirements.txt"}
	project.Unit.Coverage.Source = []string{"src"}
	project.Tests.Unit = []string{"tests/unit"}
	project.Run.Budgets = map[string]config.Duration{}
	if c.Project != nil {
		c.Project(project)
	}
	plan, err := engine.NewPlan(project, []engine.Stage{s.Stage(t, project)})
	if err != nil {
		t.Fatalf("plan: %v", err)
	}
	if plan, err = plan.Select(plan.Stages[0].Name + ":" + s.Step); err != nil {
		t.Fatalf("select: %v", err)
	}
	dir := filepath.Join(filepath.Dir(root), "run")
	if observer, ok := runner.(interface{ observe(dir string) }); ok {
		observer.observe(dir)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	run, err := engine.Execute(ctx, plan, engine.Options{
		Target: "test", Root: root, Dir: dir, ID: "test",
		Runner: runner, Provider: provider{s, t, runner, c.Bare}, Env: environment(newPlaces(t, root, "").showAll(c.Env)), Limit: 1,
	})
	if err != nil {
		t.Fatalf("execute: %v", err)
	}
	if testing.Verbose() {
		log, _ := os.ReadFile(filepath.Join(dir, run.Stages[0].Steps[0].Log))
		t.Logf("log:\n%s", log)
	}
	s.search(t, dir)
	return run.Stages[0].Steps[0]
}

func (s Suite) forbid(t *testing.T, where string, content []byte) {
	t.Helper()
	for _, text := range s.Forbidden {
		if bytes.Contains(content, []byte(text)) {
			t.Errorf("%s holds what it must not", where)
		}
	}
}

// search looks for what is forbidden in everything that the run left behind.
func (s Suite) search(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		s.forbid(t, path, content)
		return err
	})
	if err != nil {
		t.Errorf("search run directory: %v", err)
	}
}
