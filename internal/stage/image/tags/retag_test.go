package tags_test

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/handover"
	"github.com/meter-ml/meter-pipeline/internal/registry/registrytest"
	"github.com/meter-ml/meter-pipeline/internal/stage/image"
)

// A pushed tag names the images that its commit's push has judged: by digest, nothing is built, and not without evidence.
func TestRetag(t *testing.T) {
	server, images := registrytest.Start(t), built(t)
	tagged := situation{}
	for _, s := range situations() {
		if s.given == "tag v1.2.3, pushed, in CI" {
			tagged = s
		}
	}
	r := after(t, tagged, server, "meter-ml", images)
	if err := os.RemoveAll(r.scope.Artifacts); err != nil { // another machine: nothing was handed over
		t.Fatal(err)
	}
	var asked handover.Pushed
	good := func(_ context.Context, _ engine.Scope, pushed handover.Pushed) ([]engine.Finding, error) {
		asked = pushed
		return nil, nil
	}
	retag := func(o image.RetagOptions) (engine.Judgement, error) {
		t.Helper()
		if err := os.MkdirAll(r.scope.Artifacts, 0o755); err != nil {
			t.Fatal(err)
		}
		steps, err := image.NewRetag(o).Steps(r.project)
		if err != nil || len(steps) != 1 {
			t.Fatalf("%d steps, %v", len(steps), err)
		}
		return steps[0].Func(t.Context(), r.scope)
	}
	if _, err := retag(image.RetagOptions{}); err == nil || !strings.Contains(err.Error(), "evidence") {
		t.Errorf("without a verifier: %v", err)
	}
	if j, err := retag(image.RetagOptions{Verify: good}); err != nil || len(j.Findings) != 2 || j.Findings[0].Rule != "never-judged" {
		t.Errorf("a commit that was never pushed: %+v, %v", j, err)
	}
	r.has()

	r.handOver("now", images)
	if _, err := r.push(image.PushOptions{}); err != nil {
		t.Fatal(err)
	}
	bad := func(context.Context, engine.Scope, handover.Pushed) ([]engine.Finding, error) {
		return []engine.Finding{{Rule: "missing", Message: "there is no evidence of the benchmark"}}, nil
	}
	if j, err := retag(image.RetagOptions{Verify: bad}); err != nil || len(j.Findings) != 1 {
		t.Errorf("without evidence: %+v, %v", j, err)
	}
	r.has(r.source.Commit[:10])
	if j, err := retag(image.RetagOptions{Verify: good}); err != nil || len(j.Findings) != 0 || j.Judged != 2 {
		t.Errorf("with evidence: %+v, %v", j, err)
	}
	r.has(r.source.Commit[:10], "v1.2.3")
	if len(asked.Images) != 2 || asked.Images[0].Digest != images[0].Digest || asked.Tree != r.source.TreeDigest() {
		t.Errorf("evidence was asked of %+v", asked)
	}
	if j, err := retag(image.RetagOptions{Verify: good}); err != nil || len(j.Findings) != 0 {
		t.Errorf("once more: %+v, %v", j, err)
	}
}
