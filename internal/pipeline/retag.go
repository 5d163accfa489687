package pipeline

import (
	"context"
	"fmt"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/evidence"
	"github.com/meter-ml/meter-pipeline/internal/handover"
	"github.com/meter-ml/meter-pipeline/internal/stage/image"
)

// ImageRetag gives the images of the commit the tags of its versions, if their evidence meets the policy. Nothing is built.
func ImageRetag(ctx context.Context, s *Session) error {
	want, ok := s.Project.Evidence.Policies[versionPolicy]
	if !ok {
		return &Exit{Code: engine.ExitUsage, Message: "a version is only given to what meets evidence.policies." + versionPolicy + " in pipeline.yaml, which there is not"}
	}
	keys, err := evidence.LoadPublicKeys(s.Host.Get)
	if err != nil {
		return &Exit{Code: engine.ExitUsage, Message: err.Error()}
	}
	stage := image.NewRetag(image.RetagOptions{Verify: verifier{s, want, keys}.verify})
	return s.Judge(ctx, Request{Target: "image:retag", Stages: func(Host) []engine.Stage { return []engine.Stage{stage} }})
}

// versionPolicy is what an image must meet to be called a version.
const versionPolicy = "production"

type verifier struct {
	*Session

	policy config.EvidencePolicy
	keys   []evidence.PublicKey
}

// verify makes a finding of each thing that is not proven of an image.
func (v verifier) verify(ctx context.Context, scope engine.Scope, pushed handover.Pushed) ([]engine.Finding, error) {
	client, err := v.registry()
	if err != nil {
		return nil, err
	}
	var findings []engine.Finding
	for _, one := range pushed.Images {
		bundles, err := evidence.Fetch(ctx, client, one.Repository, one.Digest)
		if err != nil {
			return nil, err
		}
		verdict := evidence.Verify(evidence.Request{
			Name: versionPolicy, Policy: v.policy, Digest: one.Digest, Bundles: bundles, Keys: v.keys, Now: v.Host.Now(),
		})
		scope.Log("%s", verdict.Text())
		for _, missing := range verdict.Missing {
			findings = append(findings, engine.Finding{
				Rule: "evidence", Severity: engine.SeverityHigh, Help: missing.Remedy,
				Message: fmt.Sprintf("%s: %s: found %s; expected %s", one.Repository, missing.What, missing.Found, missing.Expected),
			})
		}
		// Evidence of this image about another tree would be of another commit.
		if tree := "gitTree:" + verdict.Tree; verdict.Met && tree != pushed.Tree {
			findings = append(findings, engine.Finding{
				Rule: "evidence", Severity: engine.SeverityHigh, Help: "tag the commit that the image was built from",
				Message: fmt.Sprintf("%s is proven to be made of %s, and the tag is on %s", one.Repository, tree, pushed.Tree),
			})
		}
		if !verdict.Met && len(verdict.Missing) == 0 {
			return nil, fmt.Errorf("verify %s: the policy is not met, and nothing is missing", one.Repository)
		}
	}
	return findings, nil
}
