package image

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/handover"
	"github.com/meter-ml/meter-pipeline/internal/plain"
	"github.com/meter-ml/meter-pipeline/internal/stage/python"
	"github.com/meter-ml/meter-pipeline/internal/worktree"
)

// buildStep makes the images, or shows that they are what a build would make.
func (s stage) buildStep(p *config.Project, images []config.ContainerImage) engine.Step {
	b := builder{project: p, images: images, options: s.options}
	step := engine.Step{
		Name: buildName, Judges: "images, each built from this commit", Needs: []engine.Need{engine.NeedEngine},
		Inputs: []string{ignoreFile, "docker", config.FileName}, Func: b.build,
	}
	if s.options.Models != "" && slices.ContainsFunc(images, func(image config.ContainerImage) bool { return image.Model }) {
		step.After = []string{s.options.Models}
	}
	return step
}

type builder struct {
	project *config.Project
	images  []config.ContainerImage
	options Options
}

// A job is one image that is to be had.
type job struct {
	config.ContainerImage
	args   map[string]string // of the build, without what is secret
	model  string            // directory; empty: none is baked in
	digest string            // of that model
	key    string            // of all that the build can see; empty: it can't be known, so it is always built
	layout string            // where the image is kept
}

func (b builder) build(ctx context.Context, scope engine.Scope) (engine.Judgement, error) {
	source, err := worktree.Inspect(ctx, runner(scope.Run), scope.Root, environment(scope.Env), worktree.CIFrom(func(name string) string { return scope.Env[name] }))
	if err != nil {
		return engine.Judgement{}, err
	}
	j := engine.Judgement{Judged: len(b.images), Unit: "images"}
	if source.Absent != worktree.Present {
		j.Notes = append(j.Notes, fmt.Sprintf("%s, so nothing says what these images are made from", source.Absent))
	}
	jobs, notes, err := b.jobs(scope, source)
	if err != nil {
		return engine.Judgement{}, err
	}
	j.Notes = append(j.Notes, notes...)
	store := store{dir: filepath.Join(scope.Root, filepath.FromSlash(b.project.Image.Directory))}
	stale := slices.DeleteFunc(slices.Clone(jobs), func(one job) bool { return !b.options.Fresh && store.current(one) })
	if len(stale) > 0 {
		finding, err := b.bake(ctx, scope, store, stale, source)
		if err != nil {
			return engine.Judgement{}, err
		}
		if finding != nil {
			j.Findings = append(j.Findings, *finding)
			return j, nil
		}
	}
	if unchanged := len(jobs) - len(stale); unchanged > 0 {
		j.Notes = append(j.Notes, fmt.Sprintf("%s not built again: nothing that a build sees has changed, and every byte is there", was(unchanged)))
	}
	images, err := b.handOver(scope, store, jobs, source)
	if err != nil {
		return engine.Judgement{}, err
	}
	j.Tables = []engine.Table{imageTable(images)}
	return j, nil
}

func was(n int) string {
	if n == 1 {
		return "1 image was"
	}
	return strconv.Itoa(n) + " images were"
}

func environment(env map[string]string) []string {
	entries := make([]string, 0, len(env))
	for name, value := range env {
		entries = append(entries, name+"="+value)
	}
	return entries
}

// base is what images are built from.
func (b builder) base(scope engine.Scope) string {
	return cmp.Or(scope.Env["METER_BASE_IMAGE"], b.project.Image.Base)
}

// version is what the label of that name says. It is the tag that the image is pushed with, and no release's: a release
// takes an image that was judged, and does not change it.
func version(source worktree.Source) string {
	switch {
	case source.Commit == "":
		return ""
	case source.Dirty:
		return source.Commit[:10] + "-dirty"
	default:
		return source.Commit[:10]
	}
}

// jobs says what each image is made from, and what a person should know about it.
func (b builder) jobs(scope engine.Scope, source worktree.Source) ([]job, []string, error) {
	args := map[string]string{"SOURCE": b.project.Image.Source, "REVISION": source.Commit, "VERSION": version(source), "CREATED": "", "SOURCE_DATE_EPOCH": "0"}
	if !source.Time.IsZero() {
		args["CREATED"] = source.Time.UTC().Format(time.RFC3339)
		args["SOURCE_DATE_EPOCH"] = strconv.FormatInt(source.Time.Unix(), 10)
	}
	var notes []string
	if base := b.base(scope); base != "" {
		args["BASE"] = base
		if !strings.Contains(base, "@sha256:") {
			notes = append(notes, "the base image is not pinned by digest, so two builds may differ, and images are built each time")
		}
	}
	var jobs []job
	for _, image := range b.images {
		one := job{ContainerImage: image, args: args, layout: filepath.Join(scope.Root, filepath.FromSlash(b.project.Image.Directory), image.Name)}
		if image.Model {
			model, note, err := findModel(scope.Artifacts)
			if err != nil {
				return nil, nil, fmt.Errorf("build %s: %w", image.Name, err)
			}
			one.model, one.digest = model.Sets[0].Models, model.Digest
			if note != "" {
				notes = append(notes, note)
			}
		}
		var err error
		if one.key, err = key(scope.Root, one); err != nil {
			return nil, nil, fmt.Errorf("build %s: %w", image.Name, err)
		}
		jobs = append(jobs, one)
	}
	return jobs, notes, nil
}

// vertex is a line of BuildKit's plain progress: "#9 [airflow packages 2/2] RUN …", "#9 DONE 7.0s".
var vertex = regexp.MustCompile(`^#(\d+) (\[|DONE|CACHED)`)

// progress counts the steps of a build that are known so far, and those that are done.
type progress struct{ known, done map[string]bool }

func (p progress) line(line string) (what string, ok bool) {
	m := vertex.FindStringSubmatch(line)
	if m == nil {
		return "", false
	}
	p.known[m[1]] = true
	if m[2] != "[" {
		p.done[m[1]] = true
		return "", true
	}
	return plain.Line(python.Shorten(strings.TrimPrefix(line, "#"+m[1]+" "), 60)), true
}

// bake builds what is not there, and puts each image into its place. A finding says that an image can't be built.
func (b builder) bake(ctx context.Context, scope engine.Scope, store store, jobs []job, source worktree.Source) (*engine.Finding, error) {
	building, err := store.begin()
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(building) }()
	file := filepath.Join(scope.Scratch, "bake.json")
	if err := b.writeBake(file, scope, building, jobs); err != nil {
		return nil, err
	}
	env := map[string]string{
		"SOURCE_DATE_EPOCH":              strconv.FormatInt(max(0, source.Time.Unix()), 10),
		"BUILDX_GIT_INFO":                "false", // labels come from here, and the same everywhere
		"BUILDX_BAKE_ENTITLEMENTS_FS":    "0",     // it would ask a person about the files of this bake file
		"BUILDX_METADATA_WARNINGS":       "0",
		"BUILDX_NO_DEFAULT_ATTESTATIONS": "1",
	}
	counted := progress{map[string]bool{}, map[string]bool{}}
	args := []string{"bake", "--file", file, "--progress", "plain", "--provenance=false", "--sbom=false"}
	if b.options.Fresh {
		args = append(args, "--no-cache")
	}
	out, err := scope.Run(ctx, engine.Invocation{
		Program: "docker-buildx", Args: args,
		Env: environment(overlaid(scope.Env, env)),
		Line: func(line string) {
			scope.Log("%s", line)
			if what, ok := counted.line(line); ok {
				scope.Progress(len(counted.done), len(counted.known), what)
			}
		},
	})
	if err != nil {
		return nil, err
	}
	if out.ExitCode != 0 {
		return failedBuild(scope.Root, jobs, out)
	}
	for _, one := range jobs {
		if err := store.keep(building, one); err != nil {
			return nil, fmt.Errorf("keep image %s: %w", one.Name, err)
		}
	}
	return nil, nil
}

// handOver writes what the stages that follow need to know.
func (b builder) handOver(scope engine.Scope, store store, jobs []job, source worktree.Source) ([]handover.Image, error) {
	handed := handover.Images{Commit: source.Commit, Tree: source.TreeDigest(), Dirty: source.Dirty}
	for _, one := range jobs {
		image, err := store.describe(one)
		if err != nil {
			return nil, fmt.Errorf("read image %s: %w", one.Name, err)
		}
		image.Repository = b.project.Image.Repository(scope.Env["METER_REGISTRY"], one.ContainerImage)
		image.Base, image.Model, image.Source = b.base(scope), one.digest, b.project.Image.Source
		handed.Images = append(handed.Images, image)
	}
	if len(handed.Images) == 0 {
		return nil, errors.New("there is no image to hand over")
	}
	return handed.Images, handover.WriteImages(scope.Artifacts, handed)
}

func imageTable(images []handover.Image) engine.Table {
	table := engine.Table{Title: "Images", Columns: []string{"image", "digest", "platform", "packed", "unpacked"}}
	for _, image := range images {
		table.Rows = append(table.Rows, []string{
			image.Name, python.Shorten(image.Digest, 19), image.Platform, megabytes(image.Packed), megabytes(image.Unpacked),
		})
	}
	return table
}

func megabytes(bytes int64) string { return strconv.FormatInt((bytes+500_000)/1_000_000, 10) + " MB" }
