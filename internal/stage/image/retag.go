package image

import (
	"context"
	"errors"
	"fmt"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/handover"
	"github.com/meter-ml/meter-pipeline/internal/registry"
	"github.com/meter-ml/meter-pipeline/internal/stage/image/tags"
)

// RetagOptions say what an image must prove before it gets the tag of a version.
type RetagOptions struct {
	// Verify demands evidence of the images. It must be there: nothing else has judged them in this run.
	Verify func(context.Context, engine.Scope, handover.Pushed) ([]engine.Finding, error)
}

type retagStage struct{ options RetagOptions }

// NewRetag returns the stage with nothing but the names of images that the registry has already: those of the commit that
// is checked out. It builds and judges nothing.
func NewRetag(o RetagOptions) engine.Stage { return retagStage{o} }

func (retagStage) Name() string { return name }

func (s retagStage) Steps(p *config.Project) ([]engine.Step, error) {
	if len(p.Image.Images) == 0 {
		return nil, config.Problems{{File: config.FileName, Message: "image.images is empty, so there is nothing to tag", Remedy: "name the images, or delete the tag"}}
	}
	step := ReleaseStep(p, ReleaseOptions{Verify: s.options.Verify})
	release := step.Func
	step.Rerun = "mage image:retag"
	step.Func = func(ctx context.Context, scope engine.Scope) (engine.Judgement, error) {
		if s.options.Verify == nil {
			return engine.Judgement{}, errors.New("tag images: nothing demands evidence of them: run `mage image:retag`")
		}
		findings, err := judgedBefore(ctx, p, scope)
		if err != nil || len(findings) > 0 {
			return engine.Judgement{Judged: len(p.Image.Images), Unit: "images", Findings: findings}, err
		}
		return release(ctx, scope)
	}
	return []engine.Step{step}, nil
}

// judgedBefore takes over what the registry has under the commit's own tag, which never moves.
func judgedBefore(ctx context.Context, p *config.Project, scope engine.Scope) ([]engine.Finding, error) {
	source, err := look(ctx, scope)
	if err != nil {
		return nil, err
	}
	if source.Dirty {
		return []engine.Finding{refusal(tags.Of(source, false))}, nil
	}
	client, err := connect(p, scope)
	if err != nil {
		return nil, err
	}
	pushed := handover.Pushed{Commit: source.Commit, Tree: source.TreeDigest()}
	own := tags.Of(source, false).Set(tags.AtPush)[0].Name
	var findings []engine.Finding
	for _, image := range p.Image.Images {
		repository := p.Image.Repository(scope.Env["METER_REGISTRY"], image)
		have, err := client.Resolve(ctx, repository+":"+own)
		switch {
		case errors.Is(err, registry.ErrNotFound):
			findings = append(findings, engine.Finding{
				Rule: "never-judged", Severity: engine.SeverityHigh, Message: fmt.Sprintf("the registry has no %s:%s, so no image of this commit was judged", repository, own),
				Help: "push the commit to main, wait until its pipeline has passed, then run this again",
			})
		case err != nil:
			return nil, err
		default:
			pushed.Images = append(pushed.Images, handover.PushedImage{Name: image.Name, Repository: repository, Digest: have.Digest, Tags: []string{own}})
		}
	}
	if len(findings) > 0 {
		return findings, nil
	}
	return nil, handover.WritePushed(scope.Artifacts, pushed)
}
