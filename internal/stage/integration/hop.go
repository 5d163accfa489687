package integration

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/stage/python"
)

// Variables that a hop's tests find: the directory that all hops of a run share, and what it was in the run that made
// the last champion, relative to the root; empty if there is none.
const (
	dirVariable      = "METER_HOP_DIR"
	championVariable = "METER_CHAMPION_DIR"
)

// Properties that a test reports besides whether it passed, in pytest's record_property or as its user_properties.
const (
	propertyDown     = "part_down" // a part of the system is not there, so the test judged nothing; its value says why
	propertySent     = "sent"      // what did not go as it should: these three, and the message says what of
	propertyCame     = "came"
	propertyExpected = "expected"
	propertyNote     = "note" // something that is worth to be said
)

// longest of what a finding quotes of a request or an answer, in bytes.
const longest = 600

// hop is the step of one hop.
type hop struct {
	config.Hop
	project  *config.Project
	champion string
	tests    python.Tree
}

func (h hop) step() engine.Step {
	needs := make([]engine.Need, 0, len(h.Needs))
	for _, need := range h.Needs {
		needs = append(needs, engine.Need(need))
	}
	if len(needs) == 0 {
		needs = []engine.Need{engine.NeedPython}
	}
	return engine.Step{
		Name: h.Name, Judges: cmp.Or(h.Judges, "a hop"), After: h.After, Needs: needs,
		Inputs:  slices.Concat(h.project.Source, h.Tests, python.Settings("pytest.ini", "tests/conftest.py", "data")),
		Command: h.command(),
	}
}

// command clears the variables with which a person's shell could choose other tests or leave assertions out.
func (h hop) command() *engine.Command {
	env := map[string]string{"PYTEST_ADDOPTS": "", "PYTEST_PLUGINS": "", "PYTHONOPTIMIZE": "", "PYTHONPATH": ""}
	maps.Copy(env, h.project.Integration.Env)
	env[dirVariable] = engine.ArtifactsDir + "/" + name
	env[championVariable] = ""
	if h.champion != "" {
		env[championVariable] = h.champion + "/" + name
	}
	return &engine.Command{
		Program: python.Program,
		Args: append([]string{
			"-I", "-m", "pytest", "-q", "--color=no", "--tb=short", "-p", "no:cacheprovider",
			"--override-ini=junit_family=xunit1", "--junit-xml=" + engine.ArtifactsDir + "/" + h.report(), "--",
		}, h.Tests...),
		Env:     env,
		Reports: map[string]string{h.report(): h.report()},
		Parse:   h.parse,
	}
}

func (h hop) report() string { return "junit-" + name + "-" + h.Name + ".xml" }

// parse makes findings of what did not go as it should. A part that was not there is an error, whatever else failed: it
// may be the cause of that.
func (h hop) parse(out engine.Output) (engine.Judgement, error) {
	if h.tests.Problem != nil {
		return engine.Judgement{}, h.tests.Problem
	}
	tests, err := python.Ran(out, h.report())
	if err != nil {
		return engine.Judgement{}, err
	}
	var down []error
	for _, t := range tests {
		for _, what := range t.Properties[propertyDown] {
			if why := errors.New(python.Shorten(what, 4*longest)); !slices.ContainsFunc(down, func(e error) bool { return e.Error() == why.Error() }) {
				down = append(down, why)
			}
		}
	}
	if len(down) > 0 {
		return engine.Judgement{}, fmt.Errorf("not judged: %w", errors.Join(down...))
	}
	j := python.JudgeTests(tests, 0)
	if j.Judged == 0 {
		return j, python.WhyNone(tests)
	}
	if (out.ExitCode == python.PytestFailed) != (len(j.Findings) > 0) {
		return engine.Judgement{}, python.ErrDisagrees
	}
	j.Findings = nil
	for _, t := range tests {
		if t.Outcome == python.Failed || t.Outcome == python.Broken {
			f := finding(t)
			f.Path = h.inProject(f.Path)
			j.Findings = append(j.Findings, f)
		}
		for _, note := range t.Properties[propertyNote] {
			j.Notes = append(j.Notes, python.Shorten(note, longest))
		}
	}
	if n := python.Deselected(out.Stdout); n > 0 {
		j.Warnings = append(j.Warnings, fmt.Sprintf("the project's own settings of pytest left out %s", python.Count(n, "test")))
	}
	return j, nil
}

// inProject is a test's file relative to the project's root. Where tests have settings of their own, pytest names it
// relative to these.
func (h hop) inProject(file string) string {
	if _, found := slices.BinarySearch(h.tests.Files, file); found || file == "" {
		return file
	}
	for _, known := range h.tests.Files {
		if strings.HasSuffix(known, "/"+file) {
			return known
		}
	}
	return file
}

// finding says what was sent, what came and what was expected, if the test tells.
func finding(t python.Test) engine.Finding {
	f := t.Finding()
	sent, came, expected := t.Properties[propertySent], t.Properties[propertyCame], t.Properties[propertyExpected]
	if len(sent)+len(came)+len(expected) == 0 {
		return f
	}
	what := python.Shorten(t.Message, longest)
	if _, rest, ok := strings.Cut(what, ": "); ok {
		what = rest // without the exception's name
	}
	for _, part := range []struct {
		label string
		texts []string
	}{{"sent", sent}, {"came", came}, {"expected", expected}} {
		if text := python.Shorten(strings.Join(part.texts, " "), longest); text != "" {
			what += fmt.Sprintf("; %s: %s", part.label, text)
		}
	}
	f.Rule, f.Message = "mismatch", what
	return f
}
