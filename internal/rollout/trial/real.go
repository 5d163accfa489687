package trial

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/meter-ml/meter-pipeline/internal/handover"
	"github.com/meter-ml/meter-pipeline/internal/rollout"
	"github.com/meter-ml/meter-pipeline/internal/rollout/agent/wire"
	"github.com/meter-ml/meter-pipeline/internal/rollout/compose/composetest"
	"github.com/meter-ml/meter-pipeline/internal/rollout/trial/load"
)

// errNoImages says that the images of this repository were not given.
var errNoImages = errors.New("the built images were not given: run `mage test:deploys`, which builds them, or name them with -images")

// TakeBuilt takes the images that a build has handed over in a run's artifacts.
func (l *Lab) TakeBuilt(artifacts string) error {
	images, err := handover.ReadImages(artifacts)
	if err != nil {
		return err
	}
	for _, i := range images.Images {
		at, err := layout.FromPath(i.Layout)
		if err != nil {
			return fmt.Errorf("read image %s: %w", i.Name, err)
		}
		digest, err := v1.NewHash(i.Digest)
		if err != nil {
			return fmt.Errorf("read image %s: %w", i.Name, err)
		}
		if l.built[i.Name], err = at.Image(digest); err != nil {
			return fmt.Errorf("read image %s: %w", i.Name, err)
		}
	}
	return nil
}

// TakeNamed takes images from a registry, by name: model_api=repository@digest.
func (l *Lab) TakeNamed(ctx context.Context, named []string) error {
	for _, n := range named {
		image, text, _ := strings.Cut(n, "=")
		ref, err := name.ParseReference(text)
		if err == nil {
			l.built[image], err = remote.Image(ref, remote.WithContext(ctx))
		}
		if err != nil {
			return fmt.Errorf("take image %s: %w", n, err)
		}
	}
	return nil
}

// real is the stack as it is deployed, with the known answers of the model that is baked in.
func (l *Lab) real() stack {
	k := stack{override: realOverride}
	questions, err := l.knownAnswers()
	if err != nil {
		questions = []load.Question{{Right: func([]byte) error { return err }}} // too few: the load says so
	}
	k.questions = questions
	return k
}

// realOverride gives the slots what they may take; the rest has no limits here.
const realOverride = `services:
  model-api-blue: {mem_limit: 512m, memswap_limit: 512m}
  model-api-green: {mem_limit: 512m, memswap_limit: 512m}
`

// knownAnswers are those that the training wrote beside its champion.
func (l *Lab) knownAnswers() ([]load.Question, error) {
	image := l.built[serving]
	if image == nil {
		return nil, errNoImages
	}
	content, err := fileOf(image, "model/answers.json")
	if err != nil {
		return nil, err
	}
	var all []struct {
		Request     json.RawMessage `json:"request"`
		Units       float64         `json:"units_kwh"`
		Probability float64         `json:"high_consumption_probability"`
	}
	if err := json.Unmarshal(content, &all); err != nil {
		return nil, fmt.Errorf("read known answers: %w", err)
	}
	var questions []load.Question
	for _, a := range all {
		questions = append(questions, load.Question{Body: a.Request, Right: rightly(a.Units, a.Probability)})
	}
	return questions, nil
}

// fileOf is the content of a file in an image.
func fileOf(image v1.Image, at string) ([]byte, error) {
	flat := mutate.Extract(image)
	defer func() { _ = flat.Close() }()
	all := tar.NewReader(flat)
	for {
		header, err := all.Next()
		if err != nil { // the end, too
			return nil, fmt.Errorf("look for %s in an image: %w", at, err)
		}
		if path.Clean(strings.TrimPrefix(header.Name, "/")) == at {
			return io.ReadAll(io.LimitReader(all, 16<<20))
		}
	}
}

// realRelease is an image of the real model_api that differs from others by its name only, with the other images as they
// were built.
func (l *Lab) realRelease(ctx context.Context, release string, _ composetest.Knobs) (rollout.Revision, error) {
	images := map[string]string{}
	for _, image := range []string{serving, "mlflow", "airflow"} {
		from := l.built[image]
		if from == nil {
			return rollout.Revision{}, errNoImages
		}
		var err error
		if image == serving {
			if from, err = withVariable(from, "GIT_SHA="+release); err != nil {
				return rollout.Revision{}, err
			}
		}
		if images[image], err = l.push(ctx, image, from); err != nil {
			return rollout.Revision{}, err
		}
	}
	r := revision(release, images)
	head, err := schemaHead(l.Root)
	r.Schema = head
	return r, err
}

func withVariable(image v1.Image, entry string) (v1.Image, error) {
	file, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	file = file.DeepCopy()
	file.Config.Env = append(file.Config.Env, entry)
	return mutate.ConfigFile(image, file)
}

func (l *Lab) push(ctx context.Context, repository string, image v1.Image) (string, error) {
	digest, err := image.Digest()
	if err != nil {
		return "", err
	}
	ref, err := name.NewDigest(l.registry+"/trial/"+repository+"@"+digest.String(), name.Insecure)
	if err != nil {
		return "", err
	}
	if err := remote.Write(ref, image, remote.WithContext(ctx)); err != nil {
		return "", fmt.Errorf("push image %s: %w", repository, err)
	}
	return ref.String(), nil
}

// schemaHead is the newest of the migrations: they are numbered.
func schemaHead(root string) (string, error) {
	entries, err := os.ReadDir(filepath.Join(root, "src", "data", "migrations", "versions"))
	if err != nil {
		return "", err
	}
	head := ""
	for _, e := range entries {
		if number, _, ok := strings.Cut(e.Name(), "_"); ok && strings.HasSuffix(e.Name(), ".py") && number > head {
			head = number
		}
	}
	if head == "" {
		return "", errors.New("there are no migrations")
	}
	return head, nil
}

// realSettings are as for the trivial server, with what runs once beside the slots.
func realSettings(window time.Duration) wire.Settings {
	s := settings(window)
	s.Services = map[string]string{"mlflow": "mlflow", "airflow-api": "airflow", "airflow-scheduler": "airflow", "airflow-dag-processor": "airflow"}
	minutes := func(n int) wire.Duration { return wire.Duration(time.Duration(n) * time.Minute) }
	s.Times.Migrate, s.Times.Replace, s.Times.Verify, s.Times.Pull = minutes(3), minutes(4), minutes(2), minutes(3)
	return s
}
