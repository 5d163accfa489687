package evidence

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	testresult "github.com/in-toto/attestation/go/predicates/test_result/v0"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
)

// provenance finds which tree the image is made of: the newest right one says so. Two of the same moment that disagree
// leave it open.
func (v *verifier) provenance() {
	const expected = "a valid " + ProvenanceType + " of this digest"
	const remedy = "build it with `mage image:build` from a clean commit with " + KeyVariable + " set, then `mage image:push`"
	type claim struct {
		candidate
		Origin
	}
	var valid []claim
	for i := range v.signed {
		c := &v.signed[i]
		if c.GetPredicateType() != ProvenanceType {
			continue
		}
		if !c.about(sha256sum, v.image()) {
			v.refuse(c, "it is of another image")
			continue
		}
		origin, err := c.origin()
		if err != nil {
			v.refuse(c, "%v", err)
			continue
		}
		if why := firstOf(v.mayClaim(origin.Place.Builder, c.Signer), v.fresh(origin.Finished)); why != "" {
			v.refuse(c, "%s", why)
			continue
		}
		valid = append(valid, claim{*c, origin})
	}
	if len(valid) == 0 {
		v.miss("provenance", "none that counts"+v.why(func(s *Statement) bool { return s.GetPredicateType() == ProvenanceType }), expected, remedy)
		return
	}
	slices.SortStableFunc(valid, func(a, b claim) int { return b.Finished.Compare(a.Finished) })
	newest := valid[0]
	for _, other := range valid[1:] {
		if other.Finished.Equal(newest.Finished) && (other.Tree != newest.Tree || other.Model != newest.Model) {
			v.miss("provenance", "two of the same moment that disagree on the source", expected, remedy)
			return
		}
	}
	v.tree, v.signer, v.model = newest.Tree, newest.Signer, newest.Model
	v.Tree, v.Commit = newest.Tree, newest.Commit
	v.accept(newest.candidate, "provenance", v.Request.Digest, newest.Finished, newest.Place)
}

func (v *verifier) image() string { return strings.TrimPrefix(v.Request.Digest, "sha256:") }

func firstOf(reasons ...string) string {
	for _, reason := range reasons {
		if reason != "" {
			return reason
		}
	}
	return ""
}

// why sums up, for a requirement that nothing meets, what was refused that looks like it.
func (v *verifier) why(like func(*Statement) bool) string {
	var reasons []string
	for i, at := range v.failed {
		if s := claimed(v.Bundles[at].Content); s != nil && like(s) {
			reasons = append(reasons, v.Refused[i].Reason)
		}
	}
	slices.Sort(reasons)
	if len(reasons) == 0 {
		return ""
	}
	if more := len(reasons) - 3; more > 0 {
		reasons = append(reasons[:3], fmt.Sprintf("and %d more", more))
	}
	return " (refused: " + strings.Join(reasons, "; ") + ")"
}

// subject is what evidence must be about, in words and as a digest.
func (v *verifier) subject(kind string) (algorithm, value, words string) {
	if kind == config.SubjectTree {
		return gitTree, v.tree, fmt.Sprintf("source tree %.12s…", v.tree)
	}
	return sha256sum, v.image(), fmt.Sprintf("image sha256:%.12s…", v.image())
}

// relevant are the statements of a predicate type and a stage that count, newest first.
func (v *verifier) relevant(predicateType, subject string, is func(Stage) bool) []candidate {
	algorithm, value, words := v.subject(subject)
	var valid []candidate
	for i := range v.signed {
		c := &v.signed[i]
		if c.GetPredicateType() != predicateType || c.problem != "" || !is(c.stage) {
			continue
		}
		switch {
		case !c.about(algorithm, value):
			v.refuse(c, "it is not about the %s", words)
		case subject == config.SubjectTree && c.Signer != v.signer:
			v.refuse(c, "it is signed by another key than the provenance that names its tree")
		default:
			if why := firstOf(c.contradiction(), v.mayClaim(c.stage.Place.Builder, c.Signer), v.fresh(c.stage.Finished)); why != "" {
				v.refuse(c, "%s", why)
				continue
			}
			valid = append(valid, *c)
		}
	}
	return valid
}

// stage judges the one statement that decides on a stage.
func (v *verifier) stage(name string, want config.EvidenceStage) {
	_, value, words := v.subject(want.Subject)
	expected := fmt.Sprintf("a passed %s of %s with %s", TestResultType, name, strings.Join(want.Steps, ", "))
	if value == "" {
		v.miss(name, "nothing that belongs to this image, since no provenance names its source tree", expected, remedyOf(name))
		return
	}
	valid := v.relevant(TestResultType, want.Subject, func(s Stage) bool { return s.Stage == name })
	if len(valid) == 0 {
		v.miss(name, "none about the "+words+v.why(func(s *Statement) bool { return near(s, name) })+v.instead(name), expected, remedyOf(name))
		return
	}
	decides := valid[0]
	for _, c := range valid {
		if complete(c.stage, want.Steps) || len(judge(c.stage, ofThese(want, c.stage))) > 0 {
			decides = c
			break
		}
	}
	before := len(v.Missing)
	v.Missing = append(v.Missing, judge(decides.stage, want)...)
	if usesModel(name) && v.model != decides.stage.Model && v.model != "" {
		v.miss(name, fmt.Sprintf("a verdict on the model %q", decides.stage.Model), "one on the model "+v.model+", which the image holds", remedyOf(name))
	}
	if len(v.Missing) == before {
		v.accept(decides, name, subjectText(want.Subject, value), decides.stage.Finished, decides.stage.Place)
	}
}

func subjectText(kind, value string) string {
	if kind == config.SubjectTree {
		return gitTree + ":" + value
	}
	return sha256sum + ":" + value
}

// near reports whether a statement looks as if it were meant for a stage.
func near(s *Statement, name string) bool {
	stage, err := s.stage()
	return err == nil && strings.EqualFold(strings.TrimSpace(stage.Stage), name)
}

// instead names statements of the stage that are of another predicate type, or of a name that is only nearly its own.
func (v *verifier) instead(name string) string {
	var others []string
	for _, c := range v.signed {
		switch {
		case c.refused || c.problem != "":
		case near(c.Statement, name) && c.GetPredicateType() != TestResultType:
			others = append(others, "one of the type "+c.GetPredicateType())
		case near(c.Statement, name) && c.stage.Stage != name:
			others = append(others, fmt.Sprintf("one of %q", c.stage.Stage))
		}
	}
	if len(others) == 0 {
		return ""
	}
	return "; there is " + strings.Join(others, ", ")
}

// complete reports whether all required steps ran.
func complete(stage Stage, steps []string) bool {
	for _, name := range steps {
		if step, ok := stage.Step(name); !ok || step.Status == string(engine.StatusSkipped) {
			return false
		}
	}
	return true
}

// ofThese is what a policy asks of the steps that ran, where others did not: a part that ran and is not good enough
// decides, too.
func ofThese(want config.EvidenceStage, stage Stage) config.EvidenceStage {
	ran := map[string]bool{}
	measured := map[string]bool{}
	for _, step := range stage.Steps {
		if step.Status == string(engine.StatusSkipped) {
			continue
		}
		ran[step.Name] = true
		for _, metric := range step.Metrics {
			measured[metric.Name], measured[step.Name+"."+metric.Name] = true, true
		}
	}
	missing := func(name string, _ float64) bool { return !measured[name] }
	want.Steps = slices.DeleteFunc(slices.Clone(want.Steps), func(name string) bool { return !ran[name] })
	want.Minimum, want.Maximum = maps.Clone(want.Minimum), maps.Clone(want.Maximum)
	maps.DeleteFunc(want.Minimum, missing)
	maps.DeleteFunc(want.Maximum, missing)
	return want
}

// contradiction returns where a signed statement does not agree with itself: no run of ours makes one like it.
func (c *candidate) contradiction() string {
	names := map[string]bool{}
	for _, step := range c.stage.Steps {
		if names[step.Name] {
			return fmt.Sprintf("it holds the step %s twice", step.Name)
		}
		names[step.Name] = true
		ran := step.Status != string(engine.StatusSkipped)
		if ran && (step.Started.Before(c.stage.Started) && c.GetPredicateType() == TestResultType || step.Finished.After(c.stage.Finished) || step.Finished.Before(step.Started)) {
			return fmt.Sprintf("its step %s was not part of the run that it speaks of", step.Name)
		}
	}
	if c.stage.Finished.Sub(c.stage.Started) > 7*24*time.Hour {
		return "its run took more than a week"
	}
	if c.GetPredicateType() != TestResultType {
		return ""
	}
	var said testresult.TestResult
	if err := decodePredicate(c.Statement, &said); err != nil {
		return fmt.Sprintf("its test-result can't be read: %v", err)
	}
	meant := testResult(c.stage)
	if said.GetResult() != meant.GetResult() || !slices.Equal(said.GetPassedTests(), meant.GetPassedTests()) ||
		!slices.Equal(said.GetFailedTests(), meant.GetFailedTests()) || !slices.Equal(said.GetWarnedTests(), meant.GetWarnedTests()) {
		return "its test-result says other things than its numbers"
	}
	return ""
}
