package evidence

import (
	"fmt"
	"slices"

	vulns "github.com/in-toto/attestation/go/predicates/vulns/v02"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
)

// scan judges the newest statement of a scan for known vulnerabilities: what it found, and how old its database is now.
func (v *verifier) scan(want config.EvidenceScan) {
	what := want.Stage + ":" + want.Step + " scan"
	_, value, words := v.subject(want.Subject)
	expected := fmt.Sprintf("a clean %s of %s:%s", VulnsType, want.Stage, want.Step)
	if value == "" {
		v.miss(what, "nothing that belongs to this image, since no provenance names its source tree", expected, remedyOf(want.Stage))
		return
	}
	is := func(s Stage) bool {
		return s.Stage == want.Stage && len(s.Steps) == 1 && s.Steps[0].Name == want.Step
	}
	valid := v.relevant(VulnsType, want.Subject, is)
	if len(valid) == 0 {
		like := func(s *Statement) bool {
			stage, err := s.stage()
			return err == nil && s.GetPredicateType() == VulnsType && is(stage)
		}
		v.miss(what, "none about the "+words+v.why(like), expected, remedyOf(want.Stage))
		return
	}
	newest := valid[0]
	before := len(v.Missing)
	v.judgeScan(newest, want, what)
	if len(v.Missing) == before {
		v.accept(newest, what, subjectText(want.Subject, value), newest.stage.Finished, newest.stage.Place)
	}
}

func (v *verifier) judgeScan(c candidate, want config.EvidenceScan, what string) {
	step := c.stage.Steps[0]
	miss := func(found, expected string) { v.miss(what, found, expected, remedyOf(want.Stage)) }
	if step.Status != string(engine.StatusPassed) || step.Judged <= 0 {
		miss(fmt.Sprintf("%s, %d %s judged", step.Status, step.Judged, orThings(step.Unit)), "passed, and more than none")
	}
	var scan vulns.Vulns
	if err := decodePredicate(c.Statement, &scan); err != nil {
		miss(fmt.Sprintf("a predicate that can't be read: %v", err), "one of the type "+VulnsType)
		return
	}
	// What is known by no severity, or by somebody else's scale, counts as worst.
	least := slices.Index(severities(), want.Clean)
	for _, result := range scan.GetScanner().GetResult() {
		at := 0
		if s := result.GetSeverity(); len(s) == 1 && s[0].GetMethod() == extension {
			at = slices.Index(severities(), s[0].GetScore())
		}
		if at <= 0 || at >= least {
			miss("the vulnerability "+result.GetId(), "none of severity "+want.Clean+" or above")
		}
	}
	total := 0
	for _, n := range step.Findings {
		total += n
	}
	if total != len(scan.GetScanner().GetResult()) {
		miss(fmt.Sprintf("%d vulnerabilities, where the step counted %d findings", len(scan.GetScanner().GetResult()), total), "the same number")
	}
	updated := scan.GetScanner().GetDb().GetLastUpdate()
	if updated == nil {
		miss("a database of an unknown date", fmt.Sprintf("one that is at most %s old", since(want.MaxDatabaseAge.Std())))
		return
	}
	age := v.Now.Sub(updated.AsTime())
	if age > want.MaxDatabaseAge.Std() || age < -skew {
		miss(fmt.Sprintf("a database of %s", updated.AsTime().Format("2006-01-02")), fmt.Sprintf("one that is at most %s old", since(want.MaxDatabaseAge.Std())))
	}
}

// bill looks for a bill of materials. It is of the digest, and so of any age.
func (v *verifier) bill() {
	const expected = "a " + SBOMType + " of this digest that lists components"
	for i := range v.signed {
		c := &v.signed[i]
		if c.GetPredicateType() != SBOMType {
			continue
		}
		if !c.about(sha256sum, v.image()) {
			v.refuse(c, "it is of another image")
			continue
		}
		if _, err := c.components(); err != nil {
			v.refuse(c, "%v", err)
			continue
		}
		v.accept(*c, "bill of materials", v.Request.Digest, c.finished(), Place{})
		return
	}
	v.miss("bill of materials", "none that counts"+v.why(func(s *Statement) bool { return s.GetPredicateType() == SBOMType }), expected,
		"run `mage image:sbom` with "+KeyVariable+" set, then `mage image:push`")
}
