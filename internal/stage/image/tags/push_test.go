package tags_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/handover"
	"github.com/meter-ml/meter-pipeline/internal/registry/registrytest"
	"github.com/meter-ml/meter-pipeline/internal/stage/image"
	"github.com/meter-ml/meter-pipeline/internal/tool"
	"github.com/meter-ml/meter-pipeline/internal/worktree"
)

// A run is a situation after its build: images are handed over, and a registry waits for them.
type run struct {
	t       *testing.T
	project *config.Project
	scope   engine.Scope
	source  worktree.Source
	server  *registrytest.Server
}

// built are two small images, the same for every situation: what they hold is not the point.
func built(t *testing.T) []handover.Image {
	t.Helper()
	var images []handover.Image
	for _, name := range []string{"mlflow", "model_api"} {
		dir, digest := registrytest.Layout(t, 1<<10, 2<<10)
		images = append(images, handover.Image{Name: name, Digest: digest, Layout: dir})
	}
	return images
}

func after(t *testing.T, s situation, server *registrytest.Server, owner string, images []handover.Image) run {
	t.Helper()
	dir, source := s.source(t)
	project := config.Default(dir)
	project.Image.Owner = owner
	project.Image.Images = []config.ContainerImage{{Name: "mlflow", Repository: "mlflow"}, {Name: "model_api", Repository: "model-api"}}
	env := map[string]string{
		"METER_REGISTRY": server.Host, "GITHUB_EVENT_NAME": source.CI.Event, "GITHUB_REF": source.CI.Ref,
		"GITHUB_HEAD_REF": source.CI.HeadRef, "GITHUB_SHA": source.CI.Commit,
	}
	for _, entry := range s.env(t, filepath.Dir(dir)) {
		key, value, _ := strings.Cut(entry, "=")
		env[key] = value
	}
	runs := t.TempDir()
	runner := tool.NewRunner(tool.Options{State: filepath.Join(runs, ".pipeline"), Run: "push-" + owner + "-" + filepath.Base(filepath.Dir(runs))})
	t.Cleanup(func() { _ = runner.Close() })
	r := run{t, project, engine.Scope{
		Root: dir, Artifacts: filepath.Join(runs, "now", "artifacts"), Env: env, Run: runner.Run, Log: t.Logf, Progress: func(int, int, string) {},
	}, source, server}
	r.handOver("now", images)
	return r
}

// handOver is the build's part, in the run of that name.
func (r run) handOver(name string, images []handover.Image) {
	r.t.Helper()
	artifacts := filepath.Join(filepath.Dir(filepath.Dir(r.scope.Artifacts)), name, "artifacts")
	if err := os.MkdirAll(artifacts, 0o755); err != nil {
		r.t.Fatal(err)
	}
	err := handover.WriteImages(artifacts, handover.Images{Commit: r.source.Commit, Tree: r.source.TreeDigest(), Dirty: r.source.Dirty, Images: images})
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r run) push(o image.PushOptions) (engine.Judgement, error) {
	return image.PushStep(r.project, o).Func(r.t.Context(), r.scope)
}

func (r run) release(o image.ReleaseOptions) (engine.Judgement, error) {
	return image.ReleaseStep(r.project, o).Func(r.t.Context(), r.scope)
}

// gated stands for integration and benchmark, which have passed.
func gated() image.ReleaseOptions {
	return image.ReleaseOptions{After: []string{"integration", "benchmark"}}
}

// has compares the tags of both images in the registry with what is wanted.
func (r run) has(want ...string) {
	r.t.Helper()
	slices.Sort(want)
	for _, name := range []string{"mlflow", "model-api"} {
		got := r.server.Tags(r.project.Image.Owner + "/" + name)
		if diff := cmp.Diff(want, got); diff != "" && len(want)+len(got) > 0 {
			r.t.Errorf("tags of %s in the registry (-want +got):\n%s", name, diff)
		}
	}
}

func (r run) named(tags []string) []string {
	var all []string
	for _, tag := range tags {
		all = append(all, strings.ReplaceAll(tag, "{sha}", r.source.Commit[:10]))
	}
	return all
}

func TestEverySituationIsPushed(t *testing.T) {
	server, images := registrytest.Start(t), built(t)
	for n, s := range situations() {
		t.Run(s.given, func(t *testing.T) {
			r := after(t, s, server, fmt.Sprintf("situation%d", n), images)
			judgement, err := r.push(image.PushOptions{Dirty: s.dirty})
			switch {
			case s.refused != "" && r.source.Commit == "":
				if err == nil || !strings.Contains(err.Error(), s.refused) {
					t.Errorf("got %v, want %q", err, s.refused)
				}
				r.has()
				return
			case err != nil:
				t.Fatal(err)
			case s.refused != "":
				if len(judgement.Findings) != 1 || !strings.Contains(judgement.Findings[0].Help, s.refused) {
					t.Errorf("findings: %+v, want %q", judgement.Findings, s.refused)
				}
				r.has()
				return
			}
			if len(judgement.Findings) > 0 || judgement.Judged != 2 {
				t.Errorf("judged %d, found %+v", judgement.Judged, judgement.Findings)
			}
			r.has(r.named(s.push)...)
			if judgement, err = r.release(gated()); err != nil || len(judgement.Findings) > 0 || judgement.Judged != 2 {
				t.Errorf("tag: %+v, %v", judgement, err)
			}
			r.has(r.named(slices.Concat(s.push, s.later))...)
			pushed, err := handover.ReadPushed(r.scope.Artifacts)
			if err != nil || len(pushed.Images) != 2 || pushed.Tree != r.source.TreeDigest() {
				t.Fatalf("handed over: %+v, %v", pushed, err)
			}
			for i, got := range pushed.Images {
				if got.Digest != images[i].Digest || len(got.Tags) != len(s.push)+len(s.later) {
					t.Errorf("handed over: %+v", got)
				}
			}
		})
	}
}

var onMain = situation{git: begin + "tag v1.2.3\n"}

func TestPushAgain(t *testing.T) {
	server, images := registrytest.Start(t), built(t)
	r := after(t, onMain, server, "meter-ml", images)
	for range 2 {
		judgement, err := r.push(image.PushOptions{})
		if err != nil || len(judgement.Findings) > 0 {
			t.Fatalf("%+v, %v", judgement, err)
		}
		if _, err := r.release(gated()); err != nil {
			t.Fatal(err)
		}
		t.Logf("%+v", judgement.Metrics)
		r.has(r.source.Commit[:10], "main-latest", "v1.2.3")
	}
}

func TestWhatNeverMovesIsRefused(t *testing.T) {
	server, images := registrytest.Start(t), built(t)
	first := after(t, onMain, server, "meter-ml", images)
	if _, err := first.push(image.PushOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := first.release(gated()); err != nil {
		t.Fatal(err)
	}
	others := built(t)

	t.Run("the tag of a commit", func(t *testing.T) {
		r := after(t, onMain, server, "meter-ml", []handover.Image{images[0], others[1]})
		judgement, err := r.push(image.PushOptions{})
		if err != nil || len(judgement.Findings) != 1 {
			t.Fatalf("%+v, %v", judgement, err)
		}
		message := judgement.Findings[0].Message
		for _, want := range []string{server.Host + "/meter-ml/model-api:" + r.source.Commit[:10], images[1].Digest, others[1].Digest} {
			if !strings.Contains(message, want) {
				t.Errorf("%q lacks %q", message, want)
			}
		}
		if _, err := handover.ReadPushed(r.scope.Artifacts); err == nil {
			t.Error("what was not pushed is handed over")
		}
	})
	t.Run("a version, of all images or of none", func(t *testing.T) {
		next := situation{git: begin + "commit -q --allow-empty -m second\ntag v1.2.3\ntag v1.2.4\n"}
		r := after(t, next, server, "meter-ml", []handover.Image{images[0], others[1]})
		if _, err := r.push(image.PushOptions{}); err != nil {
			t.Fatal(err)
		}
		judgement, err := r.release(gated())
		if err != nil || len(judgement.Findings) != 1 || !strings.Contains(judgement.Findings[0].Message, ":v1.2.3 is "+images[1].Digest) {
			t.Fatalf("%+v, %v", judgement, err)
		}
		r.has(first.source.Commit[:10], r.source.Commit[:10], "main-latest", "v1.2.3")
	})
}

func TestWhatIsPushed(t *testing.T) {
	server, images := registrytest.Start(t), built(t)
	tests := map[string]struct {
		change  func(run) error
		options image.PushOptions
		note    string
		want    string // of the error; empty: none
	}{
		"of this run": {func(run) error { return nil }, image.PushOptions{}, "the images that this run has built", ""},
		"of the newest run of this commit": {func(r run) error {
			r.handOver("20260101", nil)
			r.handOver("20260102", images)
			r.handOver("20260103", nil)
			return os.Remove(filepath.Join(r.scope.Artifacts, handover.ImagesManifest))
		}, image.PushOptions{}, "the images that run 20260102 has built", ""},
		"nobody built this commit": {func(r run) error {
			return os.Remove(filepath.Join(r.scope.Artifacts, handover.ImagesManifest))
		}, image.PushOptions{}, "", "run `mage image:build`"},
		"HEAD moved since": {func(r run) error {
			r.source.Commit = strings.Repeat("0", 40)
			r.handOver("now", images)
			return nil
		}, image.PushOptions{}, "", "HEAD is"},
		"half a manifest": {func(r run) error {
			return os.WriteFile(filepath.Join(r.scope.Artifacts, handover.ImagesManifest), []byte(`{"schema": 1, "im`), 0o644)
		}, image.PushOptions{}, "", "unexpected EOF"},
		"an image that nobody knows": {func(run) error { return nil }, image.PushOptions{Only: "nothing"}, "", "there are mlflow, model_api"},
		"a registry that is none":    {func(r run) error { r.scope.Env["METER_REGISTRY"] = "no host!"; return nil }, image.PushOptions{}, "", "no host!"},
		"half of the credentials":    {func(r run) error { r.scope.Env["REGISTRY_USERNAME"] = "meter"; return nil }, image.PushOptions{}, "", "REGISTRY_PASSWORD"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := after(t, onMain, server, "meter-ml", images)
			if err := test.change(r); err != nil {
				t.Fatal(err)
			}
			judgement, err := r.push(test.options)
			if test.want == "" && (err != nil || len(judgement.Notes) == 0 || judgement.Notes[0] != test.note) {
				t.Errorf("%+v, %v; want the note %q", judgement, err, test.note)
			}
			if test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

func TestOnlyAndDryRun(t *testing.T) {
	server, images := registrytest.Start(t), built(t)
	r := after(t, onMain, server, "meter-ml", images)
	judgement, err := r.push(image.PushOptions{DryRun: true})
	if err != nil || judgement.Judged != 2 || len(judgement.Warnings) != 1 {
		t.Errorf("%+v, %v", judgement, err)
	}
	r.has()
	if judgement, err = r.push(image.PushOptions{Only: "model_api"}); err != nil || judgement.Judged != 1 {
		t.Errorf("%+v, %v", judgement, err)
	}
	if tags := server.Tags("meter-ml/mlflow"); len(tags) > 0 {
		t.Errorf("the other image has the tags %q", tags)
	}
	if tags := server.Tags("meter-ml/model-api"); len(tags) != 1 {
		t.Errorf("the image has the tags %q", tags)
	}
}
