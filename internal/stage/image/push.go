package image

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/handover"
	"github.com/meter-ml/meter-pipeline/internal/registry"
	"github.com/meter-ml/meter-pipeline/internal/stage/image/tags"
)

// PushOptions say what is pushed.
type PushOptions struct {
	After  []string // steps that must have passed; none if the images of an earlier run are pushed
	Only   string   // name of one image; empty is all
	Dirty  bool     // also images that were built from a work tree that differs from its commit
	DryRun bool     // only say what would be pushed
}

// PushStep pushes the images that a build has handed over: by digest, and then the tag of their commit.
func PushStep(p *config.Project, o PushOptions) engine.Step {
	return engine.Step{
		Name: "push", Judges: "what the registry has of the images", After: o.After, Inputs: []string{config.FileName},
		Timeout: p.Run.Budgets["image"].Std(), Rerun: "mage image:push",
		Func: pusher{p, o}.push,
	}
}

type pushStage struct{ options PushOptions }

// NewPush returns the stage with nothing but the push, of images that an earlier run has built.
func NewPush(o PushOptions) engine.Stage { return pushStage{o} }

func (pushStage) Name() string { return "image" }

func (s pushStage) Steps(p *config.Project) ([]engine.Step, error) {
	return []engine.Step{PushStep(p, s.options)}, nil
}

type pusher struct {
	project *config.Project
	options PushOptions
}

func (p pusher) push(ctx context.Context, scope engine.Scope) (engine.Judgement, error) {
	source, err := look(ctx, scope)
	if err != nil {
		return engine.Judgement{}, err
	}
	images, where, err := takeOver(scope, source)
	if err != nil {
		return engine.Judgement{}, err
	}
	source.Dirty = images.Dirty // what was built counts, not what the tree has become since
	plan := tags.Of(source, p.options.Dirty)
	j := engine.Judgement{Unit: "images", Notes: append([]string{where}, plan.Notes...), Judged: len(images.Images)}
	if plan.Refused != "" {
		j.Findings = []engine.Finding{refusal(plan)}
		return j, nil
	}
	pushed, err := p.destinations(scope, images)
	if err != nil {
		return engine.Judgement{}, err
	}
	j.Judged = len(pushed.Images)
	if p.options.DryRun {
		for i := range pushed.Images {
			pushed.Images[i].Tags = names(plan.Set(tags.AtPush))
		}
		j.Warnings = append(j.Warnings, "a dry run: nothing was sent, and nothing asked of the registry")
		j.Tables = []engine.Table{pushedTable("would be pushed", pushed, nil)}
		return j, nil
	}
	client, err := connect(p.project, scope)
	if err != nil {
		return engine.Judgement{}, err
	}
	return p.send(ctx, scope, client, &pushed, layouts(images), plan.Set(tags.AtPush), j)
}

// send uploads everything before it sets the first tag.
func (p pusher) send(ctx context.Context, scope engine.Scope, client *registry.Client, pushed *handover.Pushed, layouts map[string]string, set []tags.Tag, j engine.Judgement) (engine.Judgement, error) {
	var err error
	if j.Findings, err = taken(ctx, client, pushed.Images, set); err != nil || len(j.Findings) > 0 {
		return j, err
	}
	sent := make([]registry.Pushed, 0, len(pushed.Images))
	for _, image := range pushed.Images {
		scope.Log("push %s from %s to %s", image.Digest, layouts[image.Name], image.Repository)
		done, err := client.Push(ctx, layouts[image.Name], image.Digest, image.Repository, func(done, total int64) {
			scope.Progress(int(done/megabyte), int(total/megabyte), image.Name+", MB")
		})
		if err != nil {
			return engine.Judgement{}, err
		}
		scope.Log("%s: %d blobs sent (%d bytes), %d were there", done.Reference, done.Sent, done.Bytes, done.Present)
		sent = append(sent, done)
	}
	if j.Findings, err = setTags(ctx, scope, client, pushed.Images, set); err != nil || len(j.Findings) > 0 {
		return j, err
	}
	if err := handover.WritePushed(scope.Artifacts, *pushed); err != nil {
		return engine.Judgement{}, err
	}
	j.Metrics = pushMetrics(sent)
	j.Tables = []engine.Table{pushedTable("pushed", *pushed, sent)}
	return j, nil
}

const megabyte = 1_000_000

// destinations says where each image goes, whatever the registry was when it was built.
func (p pusher) destinations(scope engine.Scope, images handover.Images) (handover.Pushed, error) {
	pushed := handover.Pushed{Commit: images.Commit, Tree: images.Tree, Dirty: images.Dirty}
	var known []string
	for _, built := range images.Images {
		known = append(known, built.Name)
		if p.options.Only != "" && p.options.Only != built.Name {
			continue
		}
		repository := ""
		for _, image := range p.project.Image.Images {
			if image.Name == built.Name {
				repository = p.project.Image.Repository(scope.Env["METER_REGISTRY"], image)
			}
		}
		if repository == "" {
			return pushed, fmt.Errorf("push %s: pipeline.yaml has no image of that name: build again", built.Name)
		}
		pushed.Images = append(pushed.Images, handover.PushedImage{Name: built.Name, Repository: repository, Digest: built.Digest})
	}
	if len(pushed.Images) == 0 {
		return pushed, fmt.Errorf("push %s: no such image was built: there are %s", p.options.Only, strings.Join(known, ", "))
	}
	return pushed, nil
}

func layouts(images handover.Images) map[string]string {
	dirs := map[string]string{}
	for _, image := range images.Images {
		dirs[image.Name] = image.Layout
	}
	return dirs
}

// taken finds the tags that never move and are another image's, before anything is sent.
func taken(ctx context.Context, client *registry.Client, images []handover.PushedImage, set []tags.Tag) ([]engine.Finding, error) {
	var findings []engine.Finding
	for _, image := range images {
		for _, tag := range set {
			if !tag.Fixed {
				continue
			}
			have, err := client.Resolve(ctx, image.Repository+":"+tag.Name)
			if errors.Is(err, registry.ErrNotFound) {
				continue
			}
			if err != nil {
				return nil, err
			}
			if have.Digest != image.Digest {
				findings = append(findings, moved(&registry.MovedError{Repository: image.Repository, Tag: tag.Name, Have: have.Digest, Want: image.Digest}))
			}
		}
	}
	return findings, nil
}

// setTags sets each tag on all images, those that never move first, and notes them with the images.
func setTags(ctx context.Context, scope engine.Scope, client *registry.Client, images []handover.PushedImage, set []tags.Tag) ([]engine.Finding, error) {
	var findings []engine.Finding
	for _, fixed := range []bool{true, false} {
		for _, tag := range set {
			if tag.Fixed != fixed {
				continue
			}
			for i := range images {
				image := &images[i]
				changed, err := client.Tag(ctx, image.Repository, image.Digest, tag.Name, tag.Fixed)
				if refused, ok := errors.AsType[*registry.MovedError](err); ok {
					findings = append(findings, moved(refused))
					continue
				}
				if err != nil {
					return nil, err
				}
				image.Tags = append(image.Tags, tag.Name)
				scope.Log("%s:%s is %s (it was already: %t)", image.Repository, tag.Name, image.Digest, !changed)
			}
		}
	}
	return findings, nil
}

func moved(err *registry.MovedError) engine.Finding {
	return engine.Finding{
		Rule: "tag-moved", Severity: engine.SeverityHigh,
		Message: fmt.Sprintf("%s:%s is %s already, and never moves, so it can't become %s", err.Repository, err.Tag, err.Have, err.Want),
		Help:    "an image of the same commit has other bytes: push that one, or commit a change; a version that is used gets a successor",
	}
}

func refusal(plan tags.Plan) engine.Finding {
	message, help, _ := strings.Cut(plan.Refused, ": ")
	return engine.Finding{Rule: "not-of-a-commit", Severity: engine.SeverityHigh, Message: message, Help: help}
}
