package image

import (
	"context"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/handover"
	"github.com/meter-ml/meter-pipeline/internal/plain"
	"github.com/meter-ml/meter-pipeline/internal/stage/python"
)

// sizeStep holds each image to its budget.
func sizeStep(images []config.ContainerImage) engine.Step {
	return engine.Step{
		Name: sizeName, Judges: "sizes of images, against their budgets", After: []string{buildName},
		Func: func(_ context.Context, scope engine.Scope) (engine.Judgement, error) {
			return judgeSizes(scope, images)
		},
	}
}

// builtImages returns what the build handed over of each image.
func builtImages(artifacts string, images []config.ContainerImage) ([]handover.Image, error) {
	handed, err := handover.ReadImages(artifacts)
	if err != nil {
		return nil, err
	}
	var found []handover.Image
	for _, wanted := range images {
		had := len(found)
		for _, image := range handed.Images {
			if image.Name == wanted.Name {
				found = append(found, image)
			}
		}
		if len(found) == had {
			return nil, fmt.Errorf("image %s was not handed over: run `mage image:build`, which builds it", wanted.Name)
		}
	}
	return found, nil
}

// read opens an image that was handed over, by its digest.
func read(image handover.Image) (v1.Image, error) {
	digest, err := v1.NewHash(image.Digest)
	if err != nil {
		return nil, fmt.Errorf("read image %s: %w", image.Name, err)
	}
	index, err := layout.ImageIndexFromPath(image.Layout)
	if err != nil {
		return nil, fmt.Errorf("read image %s: %w", image.Name, err)
	}
	opened, err := index.Image(digest)
	if err != nil {
		return nil, fmt.Errorf("read image %s: %w", image.Name, err)
	}
	return opened, nil
}

// judgeSizes measures every layer anew: what is judged is the image, and no note about it.
func judgeSizes(scope engine.Scope, images []config.ContainerImage) (engine.Judgement, error) {
	handed, err := builtImages(scope.Artifacts, images)
	if err != nil {
		return engine.Judgement{}, err
	}
	opened := make([]v1.Image, len(handed))
	var layers []v1.Layer
	for n, image := range handed {
		if opened[n], err = read(image); err != nil {
			return engine.Judgement{}, err
		}
		more, err := opened[n].Layers()
		if err != nil {
			return engine.Judgement{}, fmt.Errorf("measure image %s: %w", image.Name, err)
		}
		layers = append(layers, more...)
	}
	sizes, err := unpackedSizes(layers, nil)
	if err != nil {
		return engine.Judgement{}, fmt.Errorf("measure images: %w", err)
	}
	j := engine.Judgement{Judged: len(handed), Unit: "images"}
	table := engine.Table{Title: "Layers", Columns: []string{"image", "packed", "unpacked", "made by"}, Detail: true}
	for n, image := range handed {
		rows, unpacked, err := layerRows(image.Name, opened[n], sizes)
		if err != nil {
			return engine.Judgement{}, fmt.Errorf("measure image %s: %w", image.Name, err)
		}
		table.Rows = append(table.Rows, rows...)
		j.Metrics = append(j.Metrics, engine.Metric{
			Name: "size_" + image.Name, Value: float64(unpacked) / 1e6, Unit: "MB", Threshold: float64(images[n].Budget), Direction: engine.DirectionAtMost,
			Help: fmt.Sprintf("the table of layers says what takes the room; its budget is in image.images of %s", config.FileName),
		})
	}
	j.Tables = []engine.Table{table}
	return j, nil
}

// layerRows are an image's layers, each with the instruction that made it, and their size together.
func layerRows(name string, image v1.Image, sizes map[string]int64) ([][]string, int64, error) {
	manifest, err := image.Manifest()
	if err != nil {
		return nil, 0, err
	}
	about, err := image.ConfigFile()
	if err != nil {
		return nil, 0, err
	}
	var makers []string
	for _, step := range about.History {
		if !step.EmptyLayer {
			makers = append(makers, plain.Line(python.Shorten(step.CreatedBy, 80)))
		}
	}
	var rows [][]string
	var total int64
	for i, layer := range manifest.Layers {
		size := sizes[layer.Digest.String()]
		total += size
		maker := ""
		if len(makers) == len(manifest.Layers) {
			maker = makers[i]
		}
		rows = append(rows, []string{name, megabytes(layer.Size), megabytes(size), maker})
	}
	return rows, total, nil
}
