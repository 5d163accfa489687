package engine_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
)

type panicking struct{ stage }

func (panicking) Steps(*config.Project) ([]engine.Step, error) { panic("oh") }

func TestNewPlanRefuses(t *testing.T) {
	parse := func(engine.Output) (engine.Judgement, error) { return judged, nil }
	command := func(name string, c engine.Command) engine.Step { return engine.Step{Name: name, Command: &c} }
	ok := do("ok", 0, judged)
	tests := []struct {
		name   string
		stages []engine.Stage
		want   string
	}{
		{"nothing", nil, "nothing would be judged"},
		{"no steps", one(), "plan stage s: it has no step"},
		{"a stage's error", []engine.Stage{stage{name: "s", err: errors.New("no sources")}}, "plan stage s: no sources"},
		{"a stage's panic", []engine.Stage{panicking{stage{name: "s"}}}, "plan stage s: panic: oh"},
		{"stage twice", append(one(ok), one(ok)...), "plan stage s: it is listed twice"},
		{"step twice", one(ok, ok), "plan step s:ok: it is listed twice"},
		{"stage's name", []engine.Stage{stage{name: "../s", steps: []engine.Step{ok}}}, `plan stage "../s"`},
		{"step's name", one(do("a/b", 0, judged)), `plan step "s:a/b"`},
		{"nothing to run", one(engine.Step{Name: "a"}), "plan step s:a: it needs a command or a function"},
		{"both", one(engine.Step{Name: "a", Command: &engine.Command{}, Func: ok.Func}), "and not both"},
		{"no program", one(command("a", engine.Command{Parse: parse})), "names no program"},
		{"no parse function", one(command("a", engine.Command{Program: "x"})), "would not be judged"},
		{"directory", one(command("a", engine.Command{Program: "x", Parse: parse, Dir: "../.."})), "leaves the project"},
		{"report", one(command("a", engine.Command{Program: "x", Parse: parse, Reports: map[string]string{"json": "../a"}})), "leaves the artifacts"},
		{"report of two", one(
			command("a", engine.Command{Program: "x", Parse: parse, Reports: map[string]string{"json": "r.json"}}),
			command("b", engine.Command{Program: "x", Parse: parse, Reports: map[string]string{"json": "./r.json"}}),
		), "plan step s:b: it writes the report r.json, as s:a does"},
		{"slots", one(do("a", 0, judged, slots(-1))), "can't be negative"},
		{"unknown name", one(ok, do("a", 0, judged, after("pylnt"))), `order step s:a: it runs after "pylnt", which is no step of stage s and no stage of this run; there are s:ok, s:a`},
		{"itself", one(do("a", 0, judged, after("a"))), "which is the step itself"},
		{"its own stage", one(do("a", 0, judged, after("s"))), "which is the step itself"},
		{"circle", one(do("a", 0, judged, after("b")), do("b", 0, judged, after("c")), do("c", 0, judged, after("a"))), "steps wait for each other: s:a after s:b after s:c after s:a"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := engine.NewPlan(&config.Project{}, tt.stages)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestSelect(t *testing.T) {
	stages := []engine.Stage{
		stage{name: "quality", steps: []engine.Step{do("black", 0, judged), do("isort", 0, judged, after("black"))}},
		stage{name: "unit", steps: []engine.Step{do("pytest", 0, judged)}},
		stage{name: "integration", steps: []engine.Step{do("train", 0, judged, after("unit:pytest"))}},
		stage{name: "benchmark", steps: []engine.Step{do("api", 0, judged, after("integration"))}},
	}
	plan, err := engine.NewPlan(&config.Project{}, stages)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct{ names, want string }{
		{"quality", "quality:black quality:isort"},
		{"quality:black", "quality:black"},
		{"quality:isort", "quality:black quality:isort"},
		{"benchmark", "unit:pytest integration:train benchmark:api"},
		{"benchmark quality:black", "quality:black unit:pytest integration:train benchmark:api"},
		{"unit unit:pytest", "unit:pytest"},
		{"pytest", `select "pytest": there is no such stage or step; there are quality:black, quality:isort, unit:pytest, integration:train, benchmark:api`},
	}
	for _, tt := range tests {
		t.Run(tt.names, func(t *testing.T) {
			cut, err := plan.Select(strings.Fields(tt.names)...)
			var got []string
			for _, s := range cut.Stages {
				for _, step := range s.Steps {
					got = append(got, s.Name+":"+step.Name)
				}
			}
			if err != nil {
				got = []string{err.Error()}
			}
			if strings.Join(got, " ") != tt.want {
				t.Errorf("got %v", got)
			}
		})
	}
}

func TestASelectedPlanRuns(t *testing.T) {
	x := newTrial(t)
	plan, err := engine.NewPlan(&config.Project{}, one(do("a", 0, judged), do("b", 0, judged, after("a")), do("c", 0, judged)))
	if err != nil {
		t.Fatal(err)
	}
	if plan, err = plan.Select("s:b"); err != nil {
		t.Fatal(err)
	}
	x.run, x.err = engine.Execute(context.Background(), plan, x.opts)
	x.want(0, "s:a passed", "s:b passed").wantOrder("a", "b")
}
