package evidence

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/handover"
)

// A Record is a run with what is known of where and of what it was.
type Record struct {
	Run       *engine.Run
	Artifacts string // the run's, absolute
	Tree      string // git's hash of the source tree, hexadecimal
	Place     Place
}

// KeepRun makes all evidence that a run's record and its artifacts give, signs it and keeps it with the run. It returns how many
// statements there are, and a line for each thing of which there is none.
func KeepRun(record Record, key PrivateKey) (int, []string, error) {
	source := Source{Run: record.Run, Tree: record.Tree, Place: record.Place}
	images, err := record.images()
	if err != nil {
		return 0, nil, err
	}
	source.Images = images
	if model, err := handover.ReadModel(record.Artifacts); err == nil {
		source.Model = model.Digest
	}
	statements, notes, err := Statements(source)
	if err != nil || len(statements) == 0 {
		return 0, notes, err
	}
	if build, ok := record.build(images); ok {
		made, more, err := Provenances(build)
		if err != nil {
			return 0, nil, err
		}
		bills, err := record.bills(images)
		if err != nil {
			return 0, nil, err
		}
		statements, notes = slices.Concat(statements, made, bills), append(notes, more...)
	}
	n, err := Keep(record.Artifacts, key, statements)
	return n, notes, err
}

// images are those that the run built or took over; nil if there are none.
func (r Record) images() (*handover.Images, error) {
	if _, err := os.Stat(filepath.Join(r.Artifacts, handover.ImagesManifest)); errors.Is(err, fs.ErrNotExist) {
		return r.deployed()
	}
	images, err := handover.ReadImages(r.Artifacts)
	if err != nil {
		return nil, fmt.Errorf("make evidence: %w", err)
	}
	return &images, nil
}

// deployed are the images of a run that built none, and found in the registry what it deployed.
func (r Record) deployed() (*handover.Images, error) {
	if _, err := os.Stat(filepath.Join(r.Artifacts, handover.PushedManifest)); errors.Is(err, fs.ErrNotExist) {
		return nil, nil // no images, and no mistake either
	}
	pushed, err := handover.ReadPushed(r.Artifacts)
	if err != nil {
		return nil, fmt.Errorf("make evidence: %w", err)
	}
	images := &handover.Images{Commit: pushed.Commit, Tree: pushed.Tree, Dirty: pushed.Dirty}
	for _, image := range pushed.Images {
		images.Images = append(images.Images, handover.Image{Name: image.Name, Repository: image.Repository, Digest: image.Digest})
	}
	return images, nil
}

// build is how the run's images came to be, if it was this run that built them, from the tree that it judged.
func (r Record) build(images *handover.Images) (Build, bool) {
	at := slices.IndexFunc(r.Run.Stages, func(s engine.StageResult) bool { return s.Name == imageStage })
	if images == nil || at < 0 || images.Commit != r.Run.Commit || strings.TrimPrefix(images.Tree, gitTree+":") != r.Tree {
		return Build{}, false
	}
	b := Build{Images: *images, Place: r.Place, Run: r.Run.ID}
	for _, step := range r.Run.Stages[at].Steps {
		if step.Name != buildStep || step.Status != engine.StatusPassed {
			continue
		}
		b.Started, b.Finished = step.Started, step.Started.Add(step.Duration)
		return b, true
	}
	return Build{}, false
}

// buildStep is the step of the image stage that builds.
const buildStep = "build"

// bills are the bills of materials that the run wrote.
func (r Record) bills(images *handover.Images) ([]*Statement, error) {
	var made []*Statement
	for _, image := range images.Images {
		file := filepath.Join(r.Artifacts, "sbom-"+image.Name+".json")
		if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		s, err := SBOM(image, file)
		if err != nil {
			return nil, err
		}
		made = append(made, s)
	}
	return made, nil
}
