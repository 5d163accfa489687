// Package image is the fourth stage: the container images that the system is delivered as. It builds them, and judges
// what they are made from and what they hold.
//
// build.go has docker buildx build each image into an OCI layout on disk, bake.go says to it what, stamp.go when nothing
// has to be built; model.go finds the model that is baked in. From then on an image is files, which size.go, config.go,
// scan.go, secrets.go and sbom.go read without an engine. updates.go asks Debian and smoke.go runs containers, which
// docker.go puts into the engine. lint.go judges the Dockerfiles: hadolint, and the rules of dockerfile.go. delivery.go
// says when push.go sends the images to a registry, and when release.go names them.
package image

import (
	"fmt"
	"slices"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/strict"
)

const (
	name = "image" // of the stage

	buildName  = "build"
	lintName   = "lint"
	sizeName   = "size"
	configName = "config"
)

// Options are what the stage takes from the world.
type Options struct {
	Only []string // names of images; empty: all
	// Models names the step of this run that hands over a model, if there is one: what is built waits for it.
	Models string
	// Fresh has everything built, whatever there is already.
	Fresh bool
	// Deliver has them pushed and tagged; nil: they stay here.
	Deliver *Delivery
	// Today decides which exceptions still count, and how old the advisory database is.
	Today time.Time
}

type stage struct{ options Options }

// New returns the stage.
func New(o Options) engine.Stage { return stage{o} }

func (stage) Name() string { return name }

// Steps judge the Dockerfiles, build, and judge what was built.
func (s stage) Steps(p *config.Project) ([]engine.Step, error) {
	images, err := chosen(p, s.options.Only)
	if err != nil {
		return nil, err
	}
	if len(images) == 0 {
		return []engine.Step{{Name: buildName, Judges: "images", Skip: "image.images is empty in " + config.FileName + ": nothing is delivered as an image"}}, nil
	}
	steps := []engine.Step{
		lintStep(p, images),
		s.buildStep(p, images),
		sizeStep(images),
		configStep(images),
	}
	steps = append(steps, scanSteps(p, images, s.options.Today)...)
	if s.options.Deliver != nil {
		steps = append(steps, s.options.Deliver.steps(p, steps)...)
	}
	for i := range steps {
		steps[i].Timeout = p.Run.Budgets[name].Std()
		steps[i].Rerun = "mage " + name + ":" + steps[i].Name
	}
	return steps, nil
}

// chosen are the images that a person asked for; a name that is none's is a mistake of usage.
func chosen(p *config.Project, only []string) ([]config.ContainerImage, error) {
	var names []string
	for _, image := range p.Image.Images {
		names = append(names, image.Name)
	}
	for _, wanted := range only {
		if !slices.Contains(names, wanted) {
			return nil, config.Problems{{
				File: config.FileName, Message: fmt.Sprintf("-only names the image %q, which there is not", wanted), Remedy: strict.Suggest(wanted, names),
			}}
		}
	}
	return slices.DeleteFunc(slices.Clone(p.Image.Images), func(image config.ContainerImage) bool {
		return len(only) > 0 && !slices.Contains(only, image.Name)
	}), nil
}
