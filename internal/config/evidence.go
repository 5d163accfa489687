package config

import (
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strings"

	"github.com/meter-ml/meter-pipeline/internal/strict"
)

// Evidence says which attestations an image must carry, and for what.
type Evidence struct {
	Policies map[string]EvidencePolicy `yaml:"policies"` // by name: production
}

// An EvidencePolicy is what must be proven of an image. Without stages there is none: it would let everything pass.
type EvidencePolicy struct {
	MaxAge   Duration                 `yaml:"max_age"`  // since each stage's end
	Builders []EvidenceBuilder        `yaml:"builders"` // where it must have been judged; empty: anywhere
	Stages   map[string]EvidenceStage `yaml:"stages"`
	Scans    []EvidenceScan           `yaml:"scans"` // for known vulnerabilities
	SBOM     bool                     `yaml:"sbom"`  // a bill of materials is required
}

// An EvidenceBuilder is a place of judging, and the keys that may speak for it.
type EvidenceBuilder struct {
	ID   string   `yaml:"id"`
	Keys []string `yaml:"keys"` // identities of public keys; empty: every trusted one
}

// An EvidenceStage is what must be proven of one stage, whatever its own verdict was.
type EvidenceStage struct {
	Subject  string             `yaml:"subject"`  // tree or image: what it must have judged
	Steps    []string           `yaml:"steps"`    // that must have run and passed
	Minimum  map[string]float64 `yaml:"minimum"`  // by metric, or step.metric
	Maximum  map[string]float64 `yaml:"maximum"`  // by metric, or step.metric
	Clean    string             `yaml:"clean"`    // no finding of this severity or above; empty: the steps' own verdict counts
	Warnings bool               `yaml:"warnings"` // its steps may have passed with warnings
}

// An EvidenceScan is a step that looks for known vulnerabilities, and how it must have ended.
type EvidenceScan struct {
	Stage          string   `yaml:"stage"`
	Step           string   `yaml:"step"`
	Subject        string   `yaml:"subject"` // tree or image
	Clean          string   `yaml:"clean"`   // no vulnerability of this severity or above
	MaxDatabaseAge Duration `yaml:"max_database_age"`
}

// Subjects of evidence.
const (
	SubjectTree  = "tree"
	SubjectImage = "image"
)

// Severities that a policy can name, in ascending order.
func Severities() []string { return []string{"info", "low", "medium", "high", "critical"} }

var (
	keyIdentity = regexp.MustCompile(`^SHA256:[A-Za-z0-9+/]{43}$`)
	metricName  = regexp.MustCompile(`^(?:[a-z][a-z0-9_-]*\.)?[a-z][a-z0-9_]*$`)
)

func (v *validator) evidence() {
	policies := v.project.Evidence.Policies
	for _, name := range slices.Sorted(maps.Keys(policies)) {
		key, policy := "evidence.policies."+name, policies[name]
		if !validEnvironmentName(name) {
			v.Report(key, fmt.Sprintf("%q is no name for a policy", name), "use lower-case letters, digits and hyphens")
		}
		if len(policy.Stages) == 0 {
			v.Report(key+".stages", key+" requires no stage, so every image would meet it", "name the stages that must have passed, each with its steps")
		}
		v.positive(key+".max_age", policy.MaxAge)
		v.evidenceBuilders(key+".builders", policy.Builders)
		for _, stage := range slices.Sorted(maps.Keys(policy.Stages)) {
			v.evidenceStage(key+".stages."+stage, stage, policy.Stages[stage])
		}
		for i, scan := range policy.Scans {
			at := fmt.Sprintf("%s.scans[%d]", key, i)
			v.oneOf(at+".stage", scan.Stage, StageNames())
			v.oneOf(at+".subject", scan.Subject, []string{SubjectTree, SubjectImage})
			v.oneOf(at+".clean", scan.Clean, Severities())
			v.positive(at+".max_database_age", scan.MaxDatabaseAge)
			if !measureName.MatchString(scan.Step) {
				v.Report(at+".step", fmt.Sprintf("%s.step is %q, which no step is called", at, scan.Step), "name the step that scans")
			}
		}
	}
}

func (v *validator) evidenceBuilders(key string, builders []EvidenceBuilder) {
	var ids []string
	for i, builder := range builders {
		at := fmt.Sprintf("%s[%d]", key, i)
		switch {
		case !strings.HasPrefix(builder.ID, "https://"):
			v.Report(at+".id", fmt.Sprintf("%s.id is %q", at, builder.ID), "write the builder's whole address, as `mage evidence:show` prints it")
		case slices.Contains(ids, builder.ID):
			v.Report(at+".id", fmt.Sprintf("%s.id is %q, which there is already", at, builder.ID), "name all its keys in one place")
		}
		ids = append(ids, builder.ID)
		for n, identity := range builder.Keys {
			if !keyIdentity.MatchString(identity) {
				v.Report(fmt.Sprintf("%s.keys[%d]", at, n), fmt.Sprintf("%s.keys[%d] is no key's identity", at, n), "write it as `mage evidence:keygen` printed it: SHA256:…")
			}
		}
	}
}

func (v *validator) evidenceStage(key, name string, stage EvidenceStage) {
	if !slices.Contains(StageNames(), name) {
		v.Report(key, fmt.Sprintf("%s names the stage %q, which there is not", key, name), strict.Suggest(name, StageNames()))
	}
	v.oneOf(key+".subject", stage.Subject, []string{SubjectTree, SubjectImage})
	if stage.Clean != "" {
		v.oneOf(key+".clean", stage.Clean, Severities())
	}
	if len(stage.Steps) == 0 {
		v.Report(key+".steps", key+" requires no step, so a run that judged nothing would meet it", "name the steps that must have passed")
	}
	for i, step := range stage.Steps {
		at := fmt.Sprintf("%s.steps[%d]", key, i)
		switch {
		case !measureName.MatchString(step):
			v.Report(at, fmt.Sprintf("%s is %q, which no step is called", at, step), "steps have lower-case names")
		case slices.Contains(stage.Steps[:i], step):
			v.Report(at, fmt.Sprintf("%s is %q, which there is already", at, step), "name each step once")
		}
	}
	v.evidenceLimits(key, stage)
}

func (v *validator) evidenceLimits(key string, stage EvidenceStage) {
	for _, side := range []struct {
		key    string
		limits map[string]float64
	}{{key + ".minimum", stage.Minimum}, {key + ".maximum", stage.Maximum}} {
		for _, metric := range slices.Sorted(maps.Keys(side.limits)) {
			at := side.key + "." + metric
			step, _, qualified := strings.Cut(metric, ".")
			switch {
			case !metricName.MatchString(metric):
				v.Report(at, fmt.Sprintf("%s names the metric %q, which none is called", side.key, metric), "write metric or step.metric")
			case qualified && !slices.Contains(stage.Steps, step):
				v.Report(at, fmt.Sprintf("%s is about the step %q, which is not required", at, step), "name it under steps, too")
			case math.IsNaN(side.limits[metric]) || math.IsInf(side.limits[metric], 0):
				v.Report(at, at+" is not a number", "write one that can be met and missed")
			}
		}
	}
	for _, metric := range slices.Sorted(maps.Keys(stage.Minimum)) {
		if most, both := stage.Maximum[metric]; both && most < stage.Minimum[metric] {
			v.Report(key+".maximum."+metric, fmt.Sprintf("%s.maximum.%s is below its minimum", key, metric), "nothing could meet both")
		}
	}
}
