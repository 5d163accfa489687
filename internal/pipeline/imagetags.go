package pipeline

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/report"
	"github.com/meter-ml/meter-pipeline/internal/stage/image"
	"github.com/meter-ml/meter-pipeline/internal/stage/image/tags"
	"github.com/meter-ml/meter-pipeline/internal/worktree"
)

// ImagePush pushes what an earlier run has built.
func ImagePush(options image.PushOptions) Recipe {
	return func(Host) []engine.Stage { return []engine.Stage{image.NewPush(options)} }
}

// taggedImage is one image in the output for scripts.
type taggedImage struct {
	Name       string `json:"name"`
	Repository string `json:"repository"`
}

// ImageTags prints what a push would do, and which rule gives each tag. It asks git only.
func ImageTags(dirty, asJSON bool) Action {
	return func(ctx context.Context, s *Session) error {
		source, err := worktree.Inspect(ctx, s.Runner, s.Host.Dir, s.Host.Env, worktree.CIFrom(s.Host.Get))
		if err != nil {
			return err
		}
		plan := tags.Of(source, dirty)
		var images []taggedImage
		for _, i := range s.Project.Image.Images {
			images = append(images, taggedImage{i.Name, s.Project.Image.Repository(s.Host.Get("METER_REGISTRY"), i)})
		}
		if !asJSON {
			return s.print(tagsText(source, plan, images))
		}
		content, err := json.MarshalIndent(struct {
			Commit string        `json:"commit,omitempty"`
			Tree   string        `json:"tree,omitempty"`
			Dirty  bool          `json:"dirty"`
			Images []taggedImage `json:"images"`
			tags.Plan
		}{source.Commit, source.TreeDigest(), source.Dirty, images, plan}, "", "  ")
		if err != nil {
			return err
		}
		return s.print(string(content) + "\n")
	}
}

func tagsText(source worktree.Source, plan tags.Plan, images []taggedImage) string {
	var b strings.Builder
	if source.Commit != "" {
		fmt.Fprintf(&b, "Tags of commit %.10s:\n\n", source.Commit)
	}
	w := tabwriter.NewWriter(&b, 0, 0, tableGap, ' ', 0)
	for _, tag := range plan.Tags {
		name, when := tag.Name, string(tag.When)
		if tag.When == tags.Never {
			name, when = "none", "never: "+tag.Why
		}
		_, _ = fmt.Fprintf(w, "  %s\t%s\t%s\n", name, report.Line(tag.From), report.Line(when)) // a Builder takes everything
	}
	_ = w.Flush()
	var rules []string
	for _, tag := range plan.Tags {
		if tag.When != tags.Never {
			rules = append(rules, fmt.Sprintf("  %s: %s\n", tag.Name, tag.Rule))
		}
	}
	if len(rules) > 0 {
		b.WriteString("\nThe rules that gave them:\n\n" + strings.Join(rules, ""))
	}
	b.WriteString("\nRepositories:\n\n")
	for _, i := range images {
		fmt.Fprintf(&b, "  %s\n", i.Repository)
	}
	for _, note := range plan.Notes {
		fmt.Fprintf(&b, "\nnote: %s\n", report.Line(note))
	}
	if plan.Refused != "" {
		fmt.Fprintf(&b, "\na push would be refused: %s\n", report.Line(plan.Refused))
	}
	return strings.TrimPrefix(b.String(), "\n")
}
