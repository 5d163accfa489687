package evidence

import (
	"fmt"
	"strings"
	"time"
)

// A Verdict says whether an image's evidence meets a policy, and if not, just what is missing.
type Verdict struct {
	Policy   string     `json:"policy"`
	Digest   string     `json:"digest"`
	Tree     string     `json:"tree"`   // that the image was made of; empty if no provenance says so
	Commit   string     `json:"commit"` // as the provenance says
	Met      bool       `json:"met"`
	Missing  []Missing  `json:"missing"`
	Accepted []Accepted `json:"accepted"`
	Refused  []Refused  `json:"refused"`
}

// Missing is one thing that the policy asks for and that is not proven.
type Missing struct {
	What     string `json:"what"` // quality, quality:pylint, provenance, bill of materials
	Found    string `json:"found"`
	Expected string `json:"expected"`
	Remedy   string `json:"remedy"`
}

// Error makes a line of it.
func (m Missing) Error() string {
	return fmt.Sprintf("%s: found %s; expected %s: %s", m.What, m.Found, m.Expected, m.Remedy)
}

// Accepted is a statement on which the verdict rests.
type Accepted struct {
	What      string    `json:"what"`
	Predicate string    `json:"predicate"`
	Subject   string    `json:"subject"` // gitTree:… or sha256:…
	Finished  time.Time `json:"finished"`
	Place     Place     `json:"place"`
	Signer    string    `json:"signer"`
	Origin    string    `json:"origin"`
}

// Refused is a bundle on which nothing rests, and why.
type Refused struct {
	Origin string `json:"origin"`
	Claims string `json:"claims"` // what it says that it is
	Reason string `json:"reason"`
}

// Reasons are what is missing, a line each.
func (v Verdict) Reasons() string {
	lines := make([]string, len(v.Missing))
	for i, m := range v.Missing {
		lines[i] = m.Error()
	}
	return strings.Join(lines, "\n")
}

// remedyOf says what to run for evidence of a stage.
func remedyOf(stage string) string {
	switch stage {
	case "image", "integration", "benchmark":
		return "run `mage image:release` on the commit with " + KeyVariable + " set, which builds the image and judges it"
	case "staging", "production":
		return "run `mage deploy:" + stage + "` with " + KeyVariable + " set"
	default:
		return "run `mage " + stage + "` on the commit with " + KeyVariable + " set, then `mage image:push`, which attaches it"
	}
}
