package config

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/meter-ml/meter-pipeline/internal/strict"
)

// Integration configures the stage of that name.
type Integration struct {
	Hops []Hop             `yaml:"hops"`
	Env  map[string]string `yaml:"env"` // added to the environment of every hop
}

// A Hop is one step of the way from data to prediction: tests that take what earlier hops left.
type Hop struct {
	Name     string   `yaml:"name"`     // of the step
	Judges   string   `yaml:"judges"`   // a short phrase
	Tests    []string `yaml:"tests"`    // files or directories for pytest
	Needs    []string `yaml:"needs"`    // python, python:<apart>, postgres, postgres:<label>, mlflow
	After    []string `yaml:"after"`    // hops that must have passed
	Requires []string `yaml:"requires"` // variables of the environment without which it is skipped
}

// Model is the gate on what training yields, beside speed.
type Model struct {
	After    []string        `yaml:"after"`    // hops that leave trained models; none: there is no such gate
	Champion string          `yaml:"champion"` // directory of the last champion, which `mage integration:champion` stores
	Gates    map[string]Gate `yaml:"gates"`    // by kind of model
}

// A Gate holds the least that a model of one kind must reach on readings that it has not seen. Its score, which decides,
// is an error: lower is better.
type Gate struct {
	MinimumGain float64            `yaml:"minimum_gain"` // per cent by which the score is lower than the baseline's
	MaximumLoss float64            `yaml:"maximum_loss"` // per cent by which the score may be higher than the champion's
	Minimum     map[string]float64 `yaml:"minimum"`      // of other metrics, by their names
}

// stepName is what the engine takes for the name of a step, postgresNeed a database that steps share.
var (
	stepName     = regexp.MustCompile(`^[a-z][a-z0-9_-]*$`)
	postgresNeed = regexp.MustCompile(`^postgres(:[a-z][a-z0-9_-]*)?$`)
)

func (v *validator) integration() {
	var names []string
	for i, hop := range v.project.Integration.Hops {
		key := fmt.Sprintf("integration.hops[%d]", i)
		switch {
		case !stepName.MatchString(hop.Name):
			v.Report(key+".name", fmt.Sprintf("%s.name is %q", key, hop.Name), "use lower-case letters, digits, _ and -")
		case slices.Contains(names, hop.Name) || slices.Contains(ownIntegrationSteps(), hop.Name):
			v.Report(key+".name", fmt.Sprintf("%s.name is %q, which there is already", key, hop.Name), "give each hop a name of its own")
		}
		if len(hop.Tests) == 0 {
			v.Report(key, key+" has no tests", "name files or directories for pytest")
		}
		for j, path := range hop.Tests {
			v.path(fmt.Sprintf("%s.tests[%d]", key, j), path, true)
		}
		for j, need := range hop.Needs {
			v.need(fmt.Sprintf("%s.needs[%d]", key, j), need)
		}
		for j, name := range hop.After {
			if !slices.Contains(names, name) {
				v.Report(fmt.Sprintf("%s.after[%d]", key, j), fmt.Sprintf("%s comes after %q, which is no earlier hop", key, name), strict.Suggest(name, names))
			}
		}
		for j, variable := range hop.Requires {
			v.variable(fmt.Sprintf("%s.requires[%d]", key, j), variable)
		}
		names = append(names, hop.Name)
	}
	for _, name := range slices.Sorted(maps.Keys(v.project.Integration.Env)) {
		v.variable("integration.env."+name, name)
	}
	v.model(names)
}

// ownIntegrationSteps are the stage's own: no hop may have their names.
func ownIntegrationSteps() []string { return []string{"all", "quality", "champion"} }

func (v *validator) model(hops []string) {
	m := v.project.Model
	for i, name := range m.After {
		if !slices.Contains(hops, name) {
			v.Report(fmt.Sprintf("model.after[%d]", i), fmt.Sprintf("model.after names %q, which is no hop of integration.hops", name), strict.Suggest(name, hops))
		}
	}
	v.path("model.champion", m.Champion, false)
	if len(m.After) > 0 && len(m.Gates) == 0 {
		v.Report("model.gates", "model.gates is empty, a gate that nothing can miss", "set what a model of each kind must reach")
	}
	for _, kind := range slices.Sorted(maps.Keys(m.Gates)) {
		key, gate := "model.gates."+kind, m.Gates[kind]
		v.threshold(key+".minimum_gain", gate.MinimumGain, 100)
		v.within(key+".maximum_loss", gate.MaximumLoss, 0, 100, "0 asks for a model that is never worse than the last champion")
	}
}

func (v *validator) need(key, need string) {
	apart := slices.Sorted(maps.Keys(v.project.Python.Apart))
	known := []string{"python", "postgres", "mlflow"}
	for _, name := range apart {
		known = append(known, "python:"+name)
	}
	if !slices.Contains(known, need) && !postgresNeed.MatchString(need) {
		v.Report(key, fmt.Sprintf("%s is %q, which can't be provided", key, need), "choose of "+strings.Join(append(known, "postgres:<label>"), ", "))
	}
}

func (v *validator) variable(key, name string) {
	if !validVariable(name) {
		v.Report(key, fmt.Sprintf("%q is no name for a variable", name), "use capital letters, digits and underscores")
	}
}
