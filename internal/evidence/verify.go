package evidence

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/config"
)

// skew is how far the clocks of two machines may differ.
const skew = 2 * time.Minute

// A Request is what is to be verified, and by what.
type Request struct {
	Name    string // of the policy
	Policy  config.EvidencePolicy
	Digest  string // of the image: sha256:…
	Bundles []Found
	Keys    []PublicKey
	Now     time.Time
}

// verifier goes from what anybody may have written to what counts.
type verifier struct {
	Request
	Verdict

	signed []candidate
	failed []int  // of each refused bundle, its place in the request
	tree   string // hexadecimal; empty: unknown
	signer string // of the provenance
	model  string // that the image holds
}

// A candidate is a statement with a right signature. It counts only once all else about it is right, too.
type candidate struct {
	Signed

	at      int    // of the bundle in the request
	stage   Stage  // of a test-result or vulns predicate
	problem string // why its stage can't be read
	refused bool
}

// Verify judges bundles against a policy. What does not count is listed with its reason and has no influence: whoever
// may attach something to an image can neither prove anything nor disprove it. The order of the bundles has none either.
//
// Of the statements about one stage the newest one decides, also if an older one is better: what has failed since then
// has failed. A newer one that only part of the stage was run for, and that failed nothing, says nothing of the rest
// and is passed over.
func Verify(request Request) Verdict {
	v := &verifier{Request: request}
	v.Verdict = Verdict{Policy: request.Name, Digest: request.Digest, Missing: []Missing{}, Accepted: []Accepted{}, Refused: []Refused{}}
	if !v.sound() {
		return v.Verdict
	}
	v.open()
	v.provenance()
	for _, stage := range config.StageNames() {
		if want, required := v.Request.Policy.Stages[stage]; required {
			v.stage(stage, want)
		}
	}
	for _, scan := range v.Request.Policy.Scans {
		v.scan(scan)
	}
	if v.Request.Policy.SBOM {
		v.bill()
	}
	v.leftovers()
	slices.SortFunc(v.Refused, func(a, b Refused) int {
		return cmp.Or(strings.Compare(a.Origin, b.Origin), strings.Compare(a.Reason, b.Reason))
	})
	v.Met = len(v.Missing) == 0 && len(v.Accepted) > 0
	return v.Verdict
}

// sound refuses a request that anything would meet, whoever made its policy.
func (v *verifier) sound() bool {
	policy := v.Request.Policy
	if algorithm, value, _ := strings.Cut(v.Request.Digest, ":"); algorithm != sha256sum || !hexSHA256.MatchString(value) {
		v.miss("image", fmt.Sprintf("%q", v.Request.Digest), "a digest, sha256: and 64 digits", "name the image by its digest")
	}
	if len(v.Keys) == 0 {
		v.miss("keys", "none", "at least one key that is trusted", "set "+PublicKeyVariable)
	}
	if len(policy.Stages) == 0 || policy.MaxAge <= 0 {
		v.miss("policy", fmt.Sprintf("%d stages and a maximum age of %s", len(policy.Stages), policy.MaxAge.Std()), "some of both", "see evidence.policies in "+config.FileName)
	}
	for name, stage := range policy.Stages {
		if len(stage.Steps) == 0 || !slices.Contains(config.StageNames(), name) || (stage.Subject != config.SubjectTree && stage.Subject != config.SubjectImage) {
			v.miss("policy", fmt.Sprintf("stage %q with %d steps about %q", name, len(stage.Steps), stage.Subject), "a stage that there is, with steps, about tree or image", "see evidence.policies in "+config.FileName)
		}
	}
	return len(v.Missing) == 0
}

func (v *verifier) miss(what, found, expected, remedy string) {
	v.Missing = append(v.Missing, Missing{What: what, Found: found, Expected: expected, Remedy: remedy})
}

// open checks every signature. The same statement twice counts once.
func (v *verifier) open() {
	seen := map[string]bool{}
	for i, found := range v.Bundles {
		signed, err := Open(found.Content, v.Keys)
		if err != nil {
			v.reject(i, claimed(found.Content), err.Error())
			continue
		}
		key := fingerprint(signed.Payload)
		if seen[key] {
			continue
		}
		seen[key] = true
		c := candidate{Signed: signed, at: i}
		if t := signed.GetPredicateType(); t == TestResultType || t == VulnsType {
			if c.stage, err = signed.stage(); err != nil {
				c.problem = err.Error()
			}
		}
		v.signed = append(v.signed, c)
	}
	// Newest first; of the same moment, the worse one; then anything that does not depend on the order.
	slices.SortFunc(v.signed, func(a, b candidate) int {
		return cmp.Or(b.stage.Finished.Compare(a.stage.Finished), boolean(b.stage.bad())-boolean(a.stage.bad()),
			strings.Compare(fingerprint(a.Payload), fingerprint(b.Payload)))
	})
}

func boolean(b bool) int {
	if b {
		return 1
	}
	return 0
}

// refuse notes that a statement does not count. One that is no use to one requirement may be of use to another, so the
// first reason is enough.
func (v *verifier) refuse(c *candidate, format string, args ...any) {
	if c.refused {
		return
	}
	c.refused = true
	v.reject(c.at, c.Statement, fmt.Sprintf(format, args...))
}

func (v *verifier) reject(at int, s *Statement, reason string) {
	v.failed = append(v.failed, at)
	v.Refused = append(v.Refused, Refused{Origin: v.Bundles[at].Origin, Claims: claims(s), Reason: reason})
}

func (v *verifier) accept(c candidate, what, subject string, finished time.Time, place Place) {
	v.Accepted = append(v.Accepted, Accepted{
		What: what, Predicate: c.GetPredicateType(), Subject: subject, Finished: finished, Place: place, Signer: c.Signer, Origin: v.Bundles[c.at].Origin,
	})
}

// leftovers names what is signed and yet of no stage that there is, so that nobody wonders why it does not count.
func (v *verifier) leftovers() {
	for i := range v.signed {
		c := &v.signed[i]
		switch t := c.GetPredicateType(); {
		case c.problem != "":
			v.refuse(c, "%s", c.problem)
		case t == TestResultType && !slices.Contains(config.StageNames(), c.stage.Stage):
			v.refuse(c, "its stage is %q, which there is not", c.stage.Stage)
		case t != TestResultType && t != VulnsType && t != ProvenanceType && t != SBOMType:
			v.refuse(c, "its predicate type is %q, which nothing asks for", t)
		}
	}
}

// fresh returns why a moment is too long ago, or not yet.
func (v *verifier) fresh(at time.Time) string {
	age := v.Now.Sub(at)
	switch {
	case at.IsZero():
		return "it does not say when it was made"
	case age < -skew:
		return fmt.Sprintf("it is of %s, which is in the future", at.Format(time.RFC3339))
	case age > v.Request.Policy.MaxAge.Std():
		return fmt.Sprintf("it is of %s, %s ago, and may be %s old", at.Format(time.RFC3339), since(age), since(v.Request.Policy.MaxAge.Std()))
	}
	return ""
}

// since is a duration as people say it.
func since(d time.Duration) string {
	if d >= 48*time.Hour {
		return fmt.Sprintf("%d days", int(d.Hours()/24))
	}
	return d.Round(time.Second).String()
}

// mayClaim returns why a key may not say that it speaks for a builder.
func (v *verifier) mayClaim(builder, signer string) string {
	if len(v.Request.Policy.Builders) == 0 {
		return ""
	}
	at := slices.IndexFunc(v.Request.Policy.Builders, func(b config.EvidenceBuilder) bool { return b.ID == builder })
	switch {
	case at < 0:
		return fmt.Sprintf("it was made by %q, which the policy does not name", builder)
	case len(v.Request.Policy.Builders[at].Keys) > 0 && !slices.Contains(v.Request.Policy.Builders[at].Keys, signer):
		return fmt.Sprintf("it claims the builder %s, for which the key %.19s… may not speak", builder, signer)
	}
	return ""
}

// claims is what a statement says that it is, in a few words.
func claims(s *Statement) string {
	if s == nil {
		return "nothing that can be read"
	}
	subject := "nothing"
	for algorithm, value := range s.GetSubject()[0].GetDigest() {
		subject = fmt.Sprintf("%s:%.12s…", algorithm, value)
	}
	what := s.GetPredicateType()
	if stage, err := s.stage(); err == nil {
		what = stage.Stage + " " + stage.Status
	}
	return fmt.Sprintf("%s about %s", what, subject)
}
