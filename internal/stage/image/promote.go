package image

import (
	"context"
	"errors"
	"fmt"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/evidence"
	"github.com/meter-ml/meter-pipeline/internal/handover"
	"github.com/meter-ml/meter-pipeline/internal/registry"
	"github.com/meter-ml/meter-pipeline/internal/stage/image/tags"
)

// StagedTag is the tag of images that are done on staging, by the source tree that they were made of. A merge is another
// commit with the same tree, and so the same images.
func StagedTag(tree string) string { return "staged-" + tree }

// Staged finds the images that are done on staging and were made of a source tree, by name; nil if some are missing.
func Staged(ctx context.Context, client *registry.Client, p *config.Project, host, tree string) ([]handover.PushedImage, error) {
	if tree == "" {
		return nil, nil
	}
	var images []handover.PushedImage
	for _, image := range p.Image.Images {
		repository := p.Image.Repository(host, image)
		found, err := client.Resolve(ctx, repository+":"+StagedTag(tree))
		if errors.Is(err, registry.ErrNotFound) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		images = append(images, handover.PushedImage{Name: image.Name, Repository: repository, Digest: found.Digest})
	}
	return images, nil
}

type promoteStage struct {
	keys  []evidence.PublicKey
	after []string
}

// NewPromote returns the stage that takes images over which another commit of the same source tree was built and staged
// as, and gives them the names of this commit: its own at once, those of branch and version after other steps.
func NewPromote(keys []evidence.PublicKey, after ...string) engine.Stage {
	return promoteStage{keys, after}
}

func (promoteStage) Name() string { return name }

func (s promoteStage) Steps(p *config.Project) ([]engine.Step, error) {
	return []engine.Step{
		{
			Name: "promote", Judges: "that the images were made of this source tree", Timeout: p.Run.Budgets[name].Std(), Rerun: "mage pipeline",
			Func: promoter{p, s.keys}.promote,
		},
		ReleaseStep(p, ReleaseOptions{After: append([]string{"promote"}, s.after...)}),
	}, nil
}

type promoter struct {
	project *config.Project
	keys    []evidence.PublicKey
}

// promote believes no tag: that an image was made of this tree, its signed provenance must say.
func (p promoter) promote(ctx context.Context, scope engine.Scope) (engine.Judgement, error) {
	j := engine.Judgement{Unit: "images"}
	source, err := look(ctx, scope)
	if err != nil {
		return j, err
	}
	client, err := connect(p.project, scope)
	if err != nil {
		return j, err
	}
	images, err := Staged(ctx, client, p.project, scope.Env["METER_REGISTRY"], source.Tree)
	if err != nil {
		return j, err
	}
	if len(images) == 0 {
		return j, fmt.Errorf("promote: no images of the tree %.12s are done on staging: stage them first", source.Tree)
	}
	plan := tags.Of(source, false)
	j.Judged = len(images)
	if plan.Refused != "" {
		j.Findings = []engine.Finding{refusal(plan)}
		return j, nil
	}
	for _, image := range images {
		finding, err := p.provenance(ctx, client, image, source.Tree)
		if err != nil {
			return j, err
		}
		j.Findings = append(j.Findings, finding...)
	}
	if len(j.Findings) > 0 {
		return j, nil
	}
	set := plan.Set(tags.AtPush)
	if j.Findings, err = setTags(ctx, scope, client, images, set); err != nil || len(j.Findings) > 0 {
		return j, err
	}
	pushed := handover.Pushed{Commit: source.Commit, Tree: source.TreeDigest(), Images: images}
	j.Notes = append(j.Notes, fmt.Sprintf("tree %.12s is done on staging: its images are promoted, and nothing is built", source.Tree))
	j.Tables = []engine.Table{pushedTable("promoted", pushed, nil)}
	return j, handover.WritePushed(scope.Artifacts, pushed)
}

func (p promoter) provenance(ctx context.Context, client *registry.Client, image handover.PushedImage, tree string) ([]engine.Finding, error) {
	bundles, err := evidence.Fetch(ctx, client, image.Repository, image.Digest)
	if err != nil {
		return nil, err
	}
	made, err := evidence.TreeOf(bundles, image.Digest, p.keys)
	if err == nil && made == tree {
		return nil, nil
	}
	message := fmt.Sprintf("%s@%s was made of the tree %.12s, not of %.12s", image.Repository, image.Digest, made, tree)
	if err != nil {
		message = fmt.Sprintf("%s@%s: %v", image.Repository, image.Digest, err)
	}
	return []engine.Finding{{
		Rule: "provenance", Severity: engine.SeverityCritical, Message: message,
		Help: "build and stage this commit: the tag " + StagedTag(tree) + " says what no trusted key does",
	}}, nil
}
