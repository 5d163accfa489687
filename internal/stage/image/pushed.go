package image

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/handover"
	"github.com/meter-ml/meter-pipeline/internal/registry"
	"github.com/meter-ml/meter-pipeline/internal/stage/image/tags"
	"github.com/meter-ml/meter-pipeline/internal/worktree"
)

// runner lets a step's scope stand for the engine's runner.
type runner func(context.Context, engine.Invocation) (engine.Output, error)

// Run is engine.Runner's.
func (r runner) Run(ctx context.Context, i engine.Invocation) (engine.Output, error) {
	i.Line = func(string) {} // a status of many files is nothing for the log
	return r(ctx, i)
}

// look asks git and CI's variables what the project is. Without a commit nothing can be pushed.
func look(ctx context.Context, scope engine.Scope) (worktree.Source, error) {
	env := make([]string, 0, len(scope.Env))
	for _, key := range slices.Sorted(maps.Keys(scope.Env)) {
		env = append(env, key+"="+scope.Env[key])
	}
	ci := worktree.CIFrom(func(name string) string { return scope.Env[name] })
	source, err := worktree.Inspect(ctx, runner(scope.Run), scope.Root, env, ci)
	if err == nil && source.Absent != worktree.Present {
		err = errors.New(tags.Of(source, false).Refused)
	}
	return source, err
}

// connect makes the client. Credentials come from the environment, else from where `docker login` has stored them.
func connect(p *config.Project, scope engine.Scope) (*registry.Client, error) {
	host, _, _ := strings.Cut(p.Image.Repository(scope.Env["METER_REGISTRY"], config.ContainerImage{}), "/")
	return registry.New(registry.Options{
		Host: host, Username: scope.Env["REGISTRY_USERNAME"], Password: scope.Env["REGISTRY_PASSWORD"], Log: scope.Log,
	})
}

// takeOver returns the images that this run has built, or else those of the newest run that has built the same commit.
func takeOver(scope engine.Scope, source worktree.Source) (handover.Images, string, error) {
	images, err := handover.ReadImages(scope.Artifacts)
	if err == nil {
		if !of(images, source) {
			return images, "", fmt.Errorf("take over images: they were built from commit %.10s, and HEAD is %.10s now: build again", images.Commit, source.Commit)
		}
		return images, "the images that this run has built", nil
	}
	if _, statErr := os.Stat(filepath.Join(scope.Artifacts, handover.ImagesManifest)); !errors.Is(statErr, fs.ErrNotExist) {
		return images, "", err
	}
	runs := filepath.Dir(filepath.Dir(scope.Artifacts))
	entries, listErr := os.ReadDir(runs)
	if listErr != nil {
		return images, "", fmt.Errorf("take over images: %w", listErr)
	}
	for _, entry := range slices.Backward(entries) { // the names of runs sort by time
		earlier, err := handover.ReadImages(filepath.Join(runs, entry.Name(), filepath.Base(scope.Artifacts)))
		if err == nil && of(earlier, source) {
			return earlier, fmt.Sprintf("the images that run %s has built", entry.Name()), nil
		}
	}
	return images, "", fmt.Errorf("take over images: no run has built commit %.10s: run `mage image:build`, which does", source.Commit)
}

// of reports whether the images were built from what is checked out.
func of(images handover.Images, source worktree.Source) bool {
	return len(images.Images) > 0 && images.Commit == source.Commit && images.Tree == source.TreeDigest()
}

func names(set []tags.Tag) []string {
	var all []string
	for _, tag := range set {
		all = append(all, tag.Name)
	}
	return all
}

// pushedTable has a line for each image; sent is nil if nothing was.
func pushedTable(title string, pushed handover.Pushed, sent []registry.Pushed) engine.Table {
	table := engine.Table{Title: title, Columns: []string{"image", "digest", "tags"}}
	if sent != nil {
		table.Columns = append(table.Columns, "blobs sent", "there before")
	}
	for i, image := range pushed.Images {
		row := []string{image.Repository, image.Digest, strings.Join(image.Tags, ", ")}
		if sent != nil {
			row = append(row, strconv.Itoa(sent[i].Sent), strconv.Itoa(sent[i].Present))
		}
		table.Rows = append(table.Rows, row)
	}
	return table
}

func pushMetrics(sent []registry.Pushed) []engine.Metric {
	var bytes, blobs, present float64
	for _, image := range sent {
		bytes += float64(image.Bytes)
		blobs += float64(image.Sent)
		present += float64(image.Present)
	}
	return []engine.Metric{
		{Name: "sent", Value: bytes / megabyte, Unit: "MB"},
		{Name: "blobs_sent", Value: blobs, Unit: "blobs"},
		{Name: "blobs_present", Value: present, Unit: "blobs"},
	}
}
