package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	reference "github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/oci"
	"github.com/meter-ml/meter-pipeline/internal/plain"
	"github.com/meter-ml/meter-pipeline/internal/stage/python"
	"github.com/meter-ml/meter-pipeline/internal/tool"
)

// Labels of the containers that are started here, by which a later run finds what a killed one left.
const (
	stateLabel = "org.meter-ml.pipeline.state" // the checkout's .pipeline
	runLabel   = "org.meter-ml.pipeline.run"
)

// loadedPrefix begins the names of the images that are put into the engine here.
const loadedPrefix = "meter-pipeline/"

// removal is how long it may take to remove a container, also when the run was told to stop.
const removal = 10 * time.Second

// docker drives the container engine that was provided.
type docker struct{ scope engine.Scope }

// run is one call of the command-line client; any exit code but zero is an error.
func (d docker) run(ctx context.Context, args ...string) (engine.Output, error) {
	out, err := d.scope.Run(ctx, engine.Invocation{Program: "docker", Args: args})
	if err != nil {
		return out, err
	}
	if out.ExitCode != 0 {
		return out, fmt.Errorf("docker %s: exit code %d: %s", args[0], out.ExitCode, python.LastLine(out.Stderr, out.Stdout))
	}
	return out, nil
}

// state and id of the run, as the artifacts' path says: .pipeline/runs/<id>/artifacts.
func (d docker) state() string { return filepath.Dir(filepath.Dir(filepath.Dir(d.scope.Artifacts))) }
func (d docker) id() string    { return filepath.Base(filepath.Dir(d.scope.Artifacts)) }

// sweep removes the containers that killed runs of this checkout left.
func (d docker) sweep(ctx context.Context) error {
	out, err := d.run(ctx, "ps", "--all", "--no-trunc", "--filter", "label="+stateLabel+"="+d.state(), "--format", "{{.ID}} {{.Label \""+runLabel+"\"}}")
	if err != nil {
		return fmt.Errorf("look for containers of an earlier run: %w", err)
	}
	living, err := tool.Living(d.state())
	if err != nil {
		return fmt.Errorf("look for containers of an earlier run: %w", err)
	}
	for line := range strings.Lines(string(out.Stdout)) {
		container, run, _ := strings.Cut(strings.TrimSpace(line), " ")
		if container == "" || run == d.id() || slices.Contains(living, run) {
			continue
		}
		if _, err := d.run(ctx, "rm", "--force", "--volumes", container); err != nil && !gone(err) {
			return fmt.Errorf("remove container of an earlier run: %w", err)
		}
		d.scope.Log("removed container %.12s, which run %s left", container, run)
	}
	return nil
}

func gone(err error) bool {
	return strings.Contains(err.Error(), "No such container") || strings.Contains(err.Error(), "is already in progress")
}

// remove ends a container, also after the context has ended.
func (d docker) remove(ctx context.Context, container string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), removal)
	defer cancel()
	if _, err := d.run(ctx, "rm", "--force", "--volumes", container); err != nil && !gone(err) {
		return fmt.Errorf("remove container %s: %w: `docker rm -f %s` does it", container, err, container)
	}
	return nil
}

// container is a name for one of this run's, and the labels by which it is found again.
func (d docker) container(step, image string) (string, []string) {
	return "meter-" + d.id() + "-" + step + "-" + image, []string{"--label", stateLabel + "=" + d.state(), "--label", runLabel + "=" + d.id()}
}

// load puts an image into the engine, unless it is there, and returns the engine's ID of it.
func (d docker) load(ctx context.Context, image built) (string, error) {
	opened, err := oci.Open(image.Layout, image.Digest)
	if err != nil {
		return "", err
	}
	tag := loadedPrefix + image.Name + ":" + opened.Digest.Hex[:12]
	id, err := d.loaded(ctx, tag, opened)
	if err == nil {
		return id, nil
	}
	if errors.Is(err, errOther) {
		return "", err
	}
	if err := d.loadArchive(ctx, image, tag); err != nil {
		return "", fmt.Errorf("load image %s into the engine: %w", image.Name, err)
	}
	if id, err = d.loaded(ctx, tag, opened); err != nil {
		return "", fmt.Errorf("load image %s into the engine: %w", image.Name, err)
	}
	d.removeEarlier(ctx, image.Name, tag)
	return id, nil
}

// loadArchive goes by way of a file: an engine of today reads Docker's own format, and not every one reads OCI layouts.
func (d docker) loadArchive(ctx context.Context, image built, tag string) error {
	path, err := layout.FromPath(image.Layout)
	if err != nil {
		return err
	}
	index, err := path.ImageIndex()
	if err != nil {
		return err
	}
	digest, err := v1.NewHash(image.Digest)
	if err != nil {
		return err
	}
	content, err := index.Image(digest)
	if err != nil {
		return err
	}
	tagged, err := reference.NewTag(tag)
	if err != nil {
		return err
	}
	archive := filepath.Join(d.scope.Scratch, image.Name+".tar")
	defer func() { _ = os.Remove(archive) }() // the engine removes the whole scratch, later
	if err := tarball.WriteToFile(archive, tagged, content); err != nil {
		return err
	}
	_, err = d.run(ctx, "load", "--quiet", "--input", archive)
	return err
}

var errOther = errors.New("the engine has another image under this name")

// loaded finds an image in the engine, and makes sure that it is the one. Its ID is the digest of the configuration or,
// where the engine keeps images in containerd, that of a manifest of its own; then the content is compared.
func (d docker) loaded(ctx context.Context, tag string, image *oci.Image) (string, error) {
	out, err := d.run(ctx, "image", "inspect", tag)
	if err != nil {
		return "", err
	}
	var found []struct {
		ID     string `json:"Id"`
		RootFS struct{ Layers []string }
		Config struct {
			User            string
			Env             []string
			Cmd, Entrypoint []string
		}
	}
	if err := json.Unmarshal(out.Stdout, &found); err != nil || len(found) != 1 {
		return "", fmt.Errorf("read what the engine says of %s: %w", tag, errors.Join(err, errOther))
	}
	if found[0].ID == image.ConfigDigest.String() {
		return found[0].ID, nil
	}
	layers := make([]string, 0, len(image.Layers))
	for _, l := range image.Layers {
		layers = append(layers, l.DiffID.String())
	}
	want, got := image.Config.Config, found[0].Config
	if slices.Equal(layers, found[0].RootFS.Layers) && want.User == got.User && slices.Equal(want.Env, got.Env) &&
		slices.Equal(want.Cmd, got.Cmd) && slices.Equal(want.Entrypoint, got.Entrypoint) {
		return found[0].ID, nil
	}
	return "", fmt.Errorf("%s: %w: `docker image rm %s` makes room for the right one", tag, errOther, tag)
}

// removeEarlier takes away what was put into the engine of earlier builds. One that a container uses stays.
func (d docker) removeEarlier(ctx context.Context, image, tag string) {
	out, err := d.run(ctx, "image", "ls", "--format", "{{.Repository}}:{{.Tag}}", loadedPrefix+image)
	if err != nil {
		return // there is only less room then
	}
	for line := range strings.Lines(string(out.Stdout)) {
		earlier := strings.TrimSpace(line)
		if earlier == tag || !strings.HasPrefix(earlier, loadedPrefix+image+":") {
			continue
		}
		if _, err := d.run(ctx, "image", "rm", earlier); err != nil {
			d.scope.Log("image %s of an earlier build stays: %v", earlier, err)
		}
	}
}

// lastLog is the end of what a container wrote, for a finding about it.
func (d docker) lastLog(ctx context.Context, container string) string {
	out, err := d.run(context.WithoutCancel(ctx), "logs", "--tail", "20", container)
	if err != nil {
		return "its log can't be read: " + err.Error()
	}
	text := strings.TrimSpace(plain.Text(string(out.Stdout) + string(out.Stderr)))
	if text == "" {
		return "it logged nothing"
	}
	lines := strings.Split(text, "\n")
	return "the end of its log: " + python.Shorten(strings.Join(lines[max(0, len(lines)-8):], " | "), 1000)
}
