package image

import (
	"context"
	"errors"
	"fmt"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/handover"
	"github.com/meter-ml/meter-pipeline/internal/stage/image/tags"
)

// ReleaseOptions say what must have passed before an image gets the tags of its branch and its version.
type ReleaseOptions struct {
	// After names the steps and stages: push, integration, benchmark. Without any, and without Verify, the step refuses
	// to run: nothing would have judged what it names.
	After []string
	// Verify, if set, demands evidence of the pushed images. What it finds fails the step, and no tag is set.
	Verify func(context.Context, engine.Scope, handover.Pushed) ([]engine.Finding, error)
}

// ReleaseStep gives the pushed images the tags of their branch and their version.
func ReleaseStep(p *config.Project, o ReleaseOptions) engine.Step {
	return engine.Step{
		Name: "tag", Judges: "tags of branch and version", After: o.After, Inputs: []string{config.FileName},
		Timeout: p.Run.Budgets["image"].Std(),
		Func:    releaser{p, o}.release,
	}
}

type releaser struct {
	project *config.Project
	options ReleaseOptions
}

func (r releaser) release(ctx context.Context, scope engine.Scope) (engine.Judgement, error) {
	if len(r.options.After) == 0 && r.options.Verify == nil {
		return engine.Judgement{}, errors.New("tag images: nothing says that they have passed integration and benchmark: run the whole pipeline")
	}
	pushed, err := handover.ReadPushed(scope.Artifacts)
	if err != nil {
		return engine.Judgement{}, err
	}
	source, err := look(ctx, scope)
	if err != nil {
		return engine.Judgement{}, err
	}
	if pushed.Commit != source.Commit || pushed.Tree != source.TreeDigest() {
		return engine.Judgement{}, fmt.Errorf("tag images: they are of commit %.10s, and HEAD is %.10s now: push again", pushed.Commit, source.Commit)
	}
	source.Dirty = pushed.Dirty
	plan := tags.Of(source, pushed.Dirty)
	j := engine.Judgement{Judged: len(pushed.Images), Unit: "images", Notes: plan.Notes}
	for _, tag := range plan.Set(tags.Never) {
		j.Notes = append(j.Notes, fmt.Sprintf("no tag for %s: %s", tag.From, tag.Why))
	}
	if r.options.Verify != nil {
		if j.Findings, err = r.options.Verify(ctx, scope, pushed); err != nil || len(j.Findings) > 0 {
			return j, err
		}
	}
	set := plan.Set(tags.AfterGates)
	client, err := connect(r.project, scope)
	if err != nil {
		return engine.Judgement{}, err
	}
	// A version that one image can't get is given to none.
	if j.Findings, err = taken(ctx, client, pushed.Images, set); err != nil || len(j.Findings) > 0 {
		return j, err
	}
	if j.Findings, err = setTags(ctx, scope, client, pushed.Images, set); err != nil || len(j.Findings) > 0 {
		return j, err
	}
	j.Tables = []engine.Table{pushedTable("tags", pushed, nil)}
	return j, handover.WritePushed(scope.Artifacts, pushed)
}
