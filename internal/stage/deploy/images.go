package deploy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/handover"
	"github.com/meter-ml/meter-pipeline/internal/registry"
	"github.com/meter-ml/meter-pipeline/internal/worktree"
)

// images says which images are deployed, each by its digest, and reads each digest back from the registry: what the run
// has pushed, else what the registry has for the commit, or for the version that was asked for.
func (d deployer) images(ctx context.Context, scope engine.Scope) (engine.Judgement, error) {
	j := engine.Judgement{Unit: "images"}
	source, err := inspect(ctx, scope)
	if err != nil {
		return j, err
	}
	if err := d.checkedOut(ctx, scope, source); err != nil {
		return j, err
	}
	if source.Dirty {
		if d.to.Gate != "" {
			j.Judged = 1
			j.Findings = []engine.Finding{{Rule: "dirty-tree", Severity: engine.SeverityHigh, Message: "the work tree differs from its commit", Help: "commit or stash what `git status` shows: what is deployed must be what was judged"}}
			return j, nil
		}
		j.Warnings = append(j.Warnings, "the work tree differs from its commit: the files of the deploy are those of the tree")
	}
	client, err := d.connect(scope)
	if err != nil {
		return j, err
	}
	pushed, from, missing, err := d.pushed(ctx, scope, client, source)
	if err != nil {
		return j, err
	}
	if len(missing) > 0 {
		j.Judged, j.Findings = len(missing), missing
		return j, nil
	}
	j.Notes = append(j.Notes, from)
	release, err := d.readBack(ctx, client, source, pushed, &j)
	if err != nil || len(j.Findings) > 0 {
		return j, err
	}
	return j, errors.Join(handover.WriteRelease(scope.Artifacts, release), handover.WritePushed(scope.Artifacts, pushed))
}

// readBack asks the registry for each image by its digest, and makes the release of them.
func (d deployer) readBack(ctx context.Context, client *registry.Client, source worktree.Source, pushed handover.Pushed, j *engine.Judgement) (handover.Release, error) {
	release := handover.Release{
		Environment: d.Environment, Name: d.name(source), Commit: source.Commit, Committed: source.Time, Images: map[string]string{},
	}
	table := engine.Table{Title: "release " + release.Name, Columns: []string{"image", "digest"}}
	for _, image := range pushed.Images {
		back, err := client.Resolve(ctx, image.Repository+"@"+image.Digest)
		if errors.Is(err, registry.ErrNotFound) {
			j.Findings = append(j.Findings, gone(image.Repository, image.Digest))
			continue
		}
		if err != nil {
			return release, err
		}
		if back.Digest != image.Digest {
			return release, fmt.Errorf("read back %s@%s: the registry has %s", image.Repository, image.Digest, back.Digest)
		}
		j.Judged++
		release.Images[image.Name] = image.Repository + "@" + image.Digest
		if image.Name == d.project.Deploy.Serves {
			release.Digest = image.Digest
		}
		table.Rows = append(table.Rows, []string{image.Repository, image.Digest})
	}
	if len(j.Findings) > 0 {
		return release, nil
	}
	if release.Digest == "" {
		return release, fmt.Errorf("name the image that serves: %s is none of the images: see deploy.serves in %s", d.project.Deploy.Serves, config.FileName)
	}
	j.Tables = []engine.Table{table}
	var err error
	release.Database, err = schemaHead(filepath.Join(d.project.Root, filepath.FromSlash(d.project.Deploy.Migrations)))
	return release, err
}

func gone(repository, digest string) engine.Finding {
	return engine.Finding{
		Rule: "no-image", Severity: engine.SeverityHigh, Message: fmt.Sprintf("the registry has no %s@%s", repository, digest), Help: "push it: `mage image:push`",
	}
}

// name is what people call the release: the version that the commit is tagged with, else the commit.
func (d deployer) name(source worktree.Source) string {
	version := regexp.MustCompile(`^v[0-9]+\.[0-9]+\.[0-9]+`)
	for _, tag := range slices.Backward(source.Tags) {
		if version.MatchString(tag) {
			return strings.Replace(tag, "+", "_", 1)
		}
	}
	return cmp.Or(d.Release, source.Commit[:min(len(source.Commit), shortened)])
}

// shortened is how much of a commit is a tag of an image.
const shortened = 10

// checkedOut demands that a release which was asked for by name is what the files here belong to.
func (d deployer) checkedOut(ctx context.Context, scope engine.Scope, source worktree.Source) error {
	if d.Release == "" {
		return nil
	}
	if !regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._+-]*$`).MatchString(d.Release) {
		return config.Problems{{Message: fmt.Sprintf("-release is %q, no version and no commit", d.Release), Remedy: "write v1.4.0, or the first characters of a commit"}}
	}
	out, err := scope.Run(ctx, engine.Invocation{Program: "git", Args: []string{"rev-parse", "--quiet", "--verify", d.Release + "^{commit}"}})
	if err != nil {
		return err
	}
	commit := strings.TrimSpace(string(out.Stdout))
	switch {
	case out.ExitCode != 0:
		return config.Problems{{Message: fmt.Sprintf("-release is %q, which git does not know", d.Release), Remedy: "`git fetch --tags`, and see `git tag`; to go back to what was deployed before: `mage deploy:rollback`"}}
	case commit != source.Commit:
		return config.Problems{{Message: fmt.Sprintf("release %s is commit %.10s, and %.10s is checked out", d.Release, commit, source.Commit), Remedy: "a release runs with its own files: `git checkout " + d.Release + "`, or go back to it with `mage deploy:rollback -release=" + d.Release + "`"}}
	}
	return nil
}

// pushed are the images of this run, else those that the registry has under the tag of the commit.
func (d deployer) pushed(ctx context.Context, scope engine.Scope, client *registry.Client, source worktree.Source) (handover.Pushed, string, []engine.Finding, error) {
	if _, err := os.Stat(filepath.Join(scope.Artifacts, handover.PushedManifest)); !errors.Is(err, fs.ErrNotExist) {
		pushed, err := handover.ReadPushed(scope.Artifacts)
		if err == nil && pushed.Commit != source.Commit {
			err = fmt.Errorf("take over pushed images: they are of commit %.10s, and %.10s is checked out", pushed.Commit, source.Commit)
		}
		return pushed, "the images that this run has pushed", nil, err
	}
	tag := source.Commit[:min(len(source.Commit), shortened)]
	pushed := handover.Pushed{Commit: source.Commit, Tree: source.TreeDigest(), Dirty: source.Dirty}
	var missing []engine.Finding
	for _, image := range d.project.Image.Images {
		repository := d.project.Image.Repository(scope.Env["METER_REGISTRY"], image)
		found, err := client.Resolve(ctx, repository+":"+tag)
		if errors.Is(err, registry.ErrNotFound) {
			missing = append(missing, engine.Finding{
				Rule: "no-image", Severity: engine.SeverityHigh, Message: fmt.Sprintf("the registry has no %s:%s", repository, tag),
				Help: "build and push what is checked out: `mage image:release`",
			})
			continue
		}
		if err != nil {
			return pushed, "", nil, err
		}
		pushed.Images = append(pushed.Images, handover.PushedImage{Name: image.Name, Repository: repository, Digest: found.Digest, Tags: []string{tag}})
	}
	return pushed, "the images that the registry has of commit " + tag, missing, nil
}
