package deploy

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/evidence"
	"github.com/meter-ml/meter-pipeline/internal/handover"
)

// gate holds every image against the environment's policy, and the audit log against its anchor. A broken glass lets pass
// what is missing, and says all of it; a damaged audit log passes nothing.
func (d deployer) gate(ctx context.Context, scope engine.Scope) (engine.Judgement, error) {
	j := engine.Judgement{Unit: "images"}
	release, err := handover.ReadRelease(scope.Artifacts, d.Environment)
	if err != nil {
		return j, err
	}
	client, err := d.connect(scope)
	if err != nil {
		return j, err
	}
	findings, note, err := d.chain(ctx, client, d.target(scope), AnchorRepository(d.project, scope.Env["METER_REGISTRY"]))
	if err != nil {
		return j, err
	}
	if len(findings) > 0 {
		j.Judged, j.Findings = len(release.Images), findings
		return j, nil
	}
	j.Notes = append(j.Notes, note)
	if d.to.Gate != "" {
		missing, err := d.evidence(ctx, scope, client, &release, &j)
		if err != nil {
			return j, err
		}
		findings = missing
	}
	j.Judged = len(release.Images)
	if d.BreakGlass != nil {
		release.Accepted, release.BreakGlass = nil, *d.BreakGlass
		j.Warnings = append(j.Warnings, fmt.Sprintf("the glass is broken, by %s: %s", d.Actor, *d.BreakGlass))
		for _, f := range findings {
			j.Warnings = append(j.Warnings, "let pass: "+f.Message)
		}
	} else {
		j.Findings = findings
	}
	return j, handover.WriteRelease(scope.Artifacts, release)
}

// evidence verifies what is attached to each image, and notes what was accepted.
func (d deployer) evidence(ctx context.Context, scope engine.Scope, client evidence.Registry, release *handover.Release, j *engine.Judgement) ([]engine.Finding, error) {
	keys, err := evidence.LoadPublicKeys(func(name string) string { return scope.Env[name] })
	if err != nil {
		noKey := engine.Finding{Rule: "no-key", Severity: engine.SeverityHigh, Message: err.Error(), Help: "set " + evidence.PublicKeyVariable + " to the keys that may vouch for an image: docs/evidence.md"}
		return []engine.Finding{noKey}, nil //nolint:nilerr // it is a finding: nobody may vouch for an image
	}
	policy := d.policy()
	table := engine.Table{Title: "evidence accepted by the policy " + d.to.Gate, Columns: []string{"image", "what", "of", "by"}, Detail: true}
	var findings []engine.Finding
	of := map[string]int{} // what is missing of several images is one finding
	release.Accepted = nil
	seen := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(release.Images)) {
		repository, digest, _ := strings.Cut(release.Images[name], "@")
		bundles, err := evidence.Fetch(ctx, client, repository, digest)
		if err != nil {
			return nil, err
		}
		verdict := evidence.Verify(evidence.Request{Name: d.to.Gate, Policy: policy, Digest: digest, Bundles: bundles, Keys: keys, Now: d.Now()})
		if !verdict.Met && len(verdict.Missing) == 0 {
			verdict.Missing = []evidence.Missing{{What: "evidence", Found: "none", Expected: "some", Remedy: "run the whole pipeline"}}
		}
		for _, m := range verdict.Missing {
			f := missingEvidence(digest, m)
			if at, there := of[f.Message]; there {
				findings[at].Path += ", " + name
				continue
			}
			of[f.Message] = len(findings)
			f.Path = name
			findings = append(findings, f)
		}
		for _, a := range verdict.Accepted {
			table.Rows = append(table.Rows, []string{name, a.What, a.Finished.UTC().Format("2006-01-02 15:04"), a.Place.Machine})
			accepted := acceptedOf(bundles, a)
			if !seen[accepted.Digest+accepted.Summary] {
				seen[accepted.Digest+accepted.Summary] = true
				release.Accepted = append(release.Accepted, accepted)
			}
		}
	}
	for i := range findings {
		findings[i].Message = findings[i].Path + ": " + findings[i].Message
		findings[i].Path = "" // it is no file
	}
	j.Tables = []engine.Table{table}
	j.Metrics = append(j.Metrics, engine.Metric{Name: "evidence_accepted", Value: float64(len(release.Accepted)), Unit: "statements"})
	return findings, nil
}

// policy is that of pipeline.yaml. Where another environment has to come first, that it did is part of it, whatever the
// file says.
func (d deployer) policy() config.EvidencePolicy {
	policy := d.project.Evidence.Policies[d.to.Gate]
	if d.to.Promotes == "" {
		return policy
	}
	policy.Stages = maps.Clone(policy.Stages)
	if policy.Stages == nil {
		policy.Stages = map[string]config.EvidenceStage{}
	}
	const staging = "staging"
	if _, named := policy.Stages[staging]; !named {
		policy.Stages[staging] = config.EvidenceStage{
			Subject: config.SubjectImage, Steps: []string{imagesName, agentName, deployName, smokeName}, Warnings: true,
		}
	}
	return policy
}

func missingEvidence(digest string, m evidence.Missing) engine.Finding {
	return engine.Finding{
		Rule: "evidence", Severity: engine.SeverityHigh, Help: m.Remedy,
		Message: fmt.Sprintf("%s: found %s; expected %s", m.What, strings.ReplaceAll(m.Found, digest, "this image"), m.Expected),
	}
}

// acceptedOf names a statement by the digest of its bundle.
func acceptedOf(bundles []evidence.Found, a evidence.Accepted) handover.Accepted {
	accepted := handover.Accepted{Predicate: a.Predicate, Subject: a.Subject, Signer: a.Signer, Time: a.Finished, Summary: a.What}
	for _, b := range bundles {
		if b.Origin == a.Origin {
			sum := sha256.Sum256(b.Content)
			accepted.Digest = "sha256:" + hex.EncodeToString(sum[:])
		}
	}
	return accepted
}
