package image

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/handover"
	"github.com/meter-ml/meter-pipeline/internal/oci"
	"github.com/meter-ml/meter-pipeline/internal/stage/python"
	"github.com/meter-ml/meter-pipeline/internal/stage/security"
)

// Names of the steps that look into built images.
const (
	packagesName = "packages"
	updatesName  = "updates"
	secretsName  = "secrets"
	sbomName     = "sbom"
	smokeName    = "smoke"
)

// scanner reads each image once for all steps that ask what is in it.
type scanner struct {
	project *config.Project
	wanted  []config.ContainerImage
	today   time.Time // which exceptions still count, and how old a database is

	mu    sync.Mutex
	taken map[string]*oci.Inventory // by digest
}

func newScanner(p *config.Project, images []config.ContainerImage, today time.Time) *scanner {
	return &scanner{project: p, wanted: images, today: today, taken: map[string]*oci.Inventory{}}
}

// scanSteps judge what images hold (their Python packages, their Debian packages, secrets), write a bill of it all, and
// see their containers work.
func scanSteps(p *config.Project, images []config.ContainerImage, today time.Time) []engine.Step {
	s := newScanner(p, images, today)
	return []engine.Step{s.packagesStep(), s.updatesStep(), s.secretsStep(), s.sbomStep(), s.smokeStep()}
}

// built is one image with what the project says of it.
type built struct {
	handover.Image
	config config.ContainerImage
}

// images returns what was built. An image that nobody built is an error: it would not be judged.
func (s *scanner) images(scope engine.Scope) ([]built, error) {
	handed, err := builtImages(scope.Artifacts, s.wanted)
	if err != nil {
		return nil, err
	}
	var images []built
	for n, image := range handed {
		images = append(images, built{image, s.wanted[n]})
	}
	if len(images) == 0 {
		return nil, errors.New("there is no image to judge: name them in image.images of pipeline.yaml")
	}
	return images, nil
}

// inventory reads an image, once.
func (s *scanner) inventory(ctx context.Context, image built) (*oci.Inventory, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if inventory := s.taken[image.Digest]; inventory != nil {
		return inventory, nil
	}
	opened, err := oci.Open(image.Layout, image.Digest)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", image.Name, err)
	}
	inventory, err := oci.Take(ctx, opened)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", image.Name, err)
	}
	s.taken[image.Digest] = inventory
	return inventory, nil
}

// each calls judge with every image and what is in it, and says how far it is.
func (s *scanner) each(ctx context.Context, scope engine.Scope, judge func(built, *oci.Inventory) error) error {
	images, err := s.images(scope)
	if err != nil {
		return err
	}
	for n, image := range images {
		scope.Progress(n, len(images), image.Name)
		inventory, err := s.inventory(ctx, image)
		if err != nil {
			return err
		}
		if err := judge(image, inventory); err != nil {
			return fmt.Errorf("%s: %w", image.Name, err)
		}
	}
	return nil
}

// step has what all of them have in common.
func (s *scanner) step(name, judges string, needs []engine.Need, judge func(context.Context, engine.Scope) (engine.Judgement, error)) engine.Step {
	inputs := []string{config.FileName}
	for _, c := range s.wanted {
		inputs = append(inputs, c.Dockerfile)
		if c.Requirements != "" {
			inputs = append(inputs, c.Requirements)
		}
	}
	return engine.Step{Name: name, Judges: judges, Needs: needs, Inputs: inputs, After: []string{buildName}, Func: judge}
}

// packagesStep judges the Python packages that are in each image, whatever brought them there.
func (s *scanner) packagesStep() engine.Step {
	return s.step(packagesName, "known vulnerabilities of Python packages in images",
		[]engine.Need{security.AdvisoryNeed(s.project)}, s.packages)
}

const packagesReport = "image-safety-report.json"

func (s *scanner) packages(ctx context.Context, scope engine.Scope) (engine.Judgement, error) {
	var all []security.Package
	var notes []string
	err := s.each(ctx, scope, func(image built, inventory *oci.Inventory) error {
		found, ofDebian, err := s.pythonPackages(image, inventory)
		if err != nil {
			return err
		}
		note := fmt.Sprintf("%s has %s of Python in %d layers", image.Name, python.Count(len(found), "package"), len(inventory.Layers))
		if ofDebian > 0 {
			note += fmt.Sprintf(", and %d more that Debian looks after: see image:%s", ofDebian, updatesName)
		}
		all, notes = append(all, found...), append(notes, note)
		return nil
	})
	if err != nil {
		return engine.Judgement{}, err
	}
	judge := security.Judge{Project: s.project, Today: s.today, As: security.ImagePackages}
	j, err := judge.Packages(ctx, scope, all, packagesReport)
	if err != nil {
		return engine.Judgement{}, err
	}
	j.Notes = append(notes, j.Notes...)
	return j, nil
}

// pythonPackages are those of an image, each with where it is changed: in its requirements if they pin it.
func (s *scanner) pythonPackages(image built, inventory *oci.Inventory) (found []security.Package, ofDebian int, err error) {
	pinned := map[string]security.Package{}
	if image.config.Requirements != "" {
		if pinned, err = security.Pinned(s.project.Root, []string{image.config.Requirements}); err != nil {
			return nil, 0, err
		}
	}
	for _, p := range inventory.Packages {
		switch {
		case p.Manager != oci.Python:
		case p.Debian != "":
			ofDebian++
		default:
			found = append(found, placed(image, p, pinned[p.Canonical()]))
		}
	}
	if len(found) == 0 {
		return nil, 0, errors.New("no Python package was found in it, so there is nothing to judge: is it the right image?")
	}
	return found, ofDebian, nil
}

// placed says of a package where it is in the image, and where in the project it comes from.
func placed(image built, p oci.Package, pin security.Package) security.Package {
	dir, _, _ := strings.Cut(p.Path, ".dist-info/")
	at := fmt.Sprintf("/%s in layer %d", strings.TrimSuffix(dir, "/PKG-INFO"), p.Layer+1)
	found := security.Package{Name: p.Name, Version: p.Version, Path: pin.Path, Line: pin.Line}
	switch {
	case pin.Name == "":
		found.Path = image.config.Dockerfile
		at += "; no requirements of the image pin it, so its Dockerfile or what that is built from brings it"
	case pin.Version != p.Version:
		at += fmt.Sprintf("; %s pins %s, which is not what is there", pin.Path, pin.Version)
	}
	found.Of = fmt.Sprintf("image %s (%s)", image.Name, at)
	return found
}
